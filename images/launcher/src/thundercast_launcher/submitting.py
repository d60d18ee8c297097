"""Has the job run: creates it, updates it, or leaves it, and waits."""

from __future__ import annotations

import hashlib
from typing import Any

import structlog
from google.api_core import exceptions as api
from google.api_core.retry import Retry, if_exception_type

from thundercast.adapters.google.errors import explained
from thundercast.adapters.refusals import Failed
from thundercast_launcher import compatibility, flex, seeking
from thundercast_launcher.jobs import (
    DATAFLOW,
    DEVELOPER,
    ENDED,
    STARTING,
    STOPPING,
    TRANSIENT,
    Found,
    Jobs,
    NotYet,
    State,
    most_workers,
    state_name,
    steps_of,
)
from thundercast_launcher.settings import LauncherSettings
from thundercast_launcher.specification import SPECIFICATION, Specification
from thundercast_launcher.translating import Translated, translate

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Overtaken(Exception):
    """Somebody else was faster: what there is now is looked at anew."""


class Submission:
    """One `launch`.

    Raises:
        Usage: the settings make no job.
    """

    def __init__(self, settings: LauncherSettings, jobs: Jobs) -> None:
        self._settings, self._jobs = settings, jobs
        self._wanted = Specification.of(settings)

    def run(self) -> str:
        """Returns the id of the job of this specification when it runs.

        Raises:
            Failed: it does not; the message says why.
            Unavailable: Dataflow, Pub/Sub or Cloud Storage does not answer, or refuses.
        """
        limit = self._settings.submit_seconds
        # Looking is part of what is repeated: after an answer that was lost the job may be there.
        again = Retry(if_exception_type(Overtaken, *TRANSIENT), initial=1.0, maximum=self._settings.poll_seconds, timeout=limit)
        try:
            made: tuple[str, str] = again(self._ensure)()
        except api.RetryError as error:
            raise Failed(f"{self._jobs.name} could not be submitted within {limit:g} s: {_words(error.cause)}") from error
        job_id, replaced = made
        self._jobs.until(lambda: self._running(job_id, replaced), self._settings.running_seconds, f"(id {job_id}) does not run")
        _log.info("running", job_id=job_id, see=self._jobs.console(job_id))
        return job_id

    def plan(self) -> dict[str, Any]:
        """What `run` would do now: ``action`` (create, update, change-workers, wait, nothing), and ``request``.

        Raises:
            Failed, Unavailable: as `run`.
        """
        found = self._jobs.find()
        action = self._action(found)
        plan: dict[str, Any] = {"action": action, "job_id": found.active.id if found.active else None, "request": None}
        if action == "change-workers":
            plan["request"] = self._jobs.workers_request(found.active.id, self._settings.max_num_workers)  # type: ignore[union-attr]
        if action == "update":
            self._check(found.active)
        if action == "create":
            plan["seek"] = seeking.needed(self._settings, found)
        if action in ("create", "update"):
            plan["request"] = self._template(found) if self._settings.mode == "flex-template" else self._translated(found).request
        return plan

    # --- the parts --------------------------------------------------------------------------------------------

    def _ensure(self) -> tuple[str, str]:
        """One attempt. Returns the ids of a job of this specification and, if it is an update, of the one that it replaces."""
        found = self._jobs.until(self._settled, max(self._settings.stop_seconds, self._settings.running_seconds), "has not come to rest")
        action = self._action(found)
        if action in ("nothing", "change-workers"):
            job = self._active(found)
            if action == "change-workers":
                self._jobs.update(self._jobs.workers_request(job.id, self._settings.max_num_workers))
            _log.info("already there", job_id=job.id, state=state_name(job), max_num_workers=self._settings.max_num_workers)
            return str(job.id), str(job.replace_job_id)
        if action == "update":
            self._check(found.active)
        else:
            seeking.seek_if_needed(self._settings, found)
        _log.info(action, job=self._settings.job_name, mode=self._settings.mode, specification=self._wanted.digest)
        return self._submit(found), str(found.active.id) if found.active else ""

    def _settled(self) -> Found:
        """What there is, once nothing of it is on its way to something else. A job of this specification may still be starting."""
        found = self._jobs.find()
        if self._action(found) == "wait":
            job = self._active(found)
            _log.info("waiting", job_id=job.id, state=state_name(job))
            raise NotYet(f"{job.id} is {state_name(job)}")
        return found

    def _action(self, found: Found) -> str:
        job = found.active
        if job is None:
            return "create"
        if job.current_state in STOPPING:
            return "wait"
        if job.labels.get(SPECIFICATION) == self._wanted.digest:
            # A job that is starting has its first number of workers still before it.
            return (
                "nothing" if job.current_state in STARTING or most_workers(job) in (0, self._settings.max_num_workers) else "change-workers"
            )
        # Only what runs can be replaced.
        return "wait" if job.current_state in STARTING else "update"

    def _check(self, job: Any) -> None:
        steps = steps_of(job)
        if not steps:
            _log.warning("Dataflow does not tell the running job's steps, so only its own check stands before the update", job_id=job.id)
        compatibility.check(dict(job.labels), steps, self._wanted, self._settings.transform_name_mapping)

    def _submit(self, found: Found) -> str:
        try:
            if self._settings.mode == "flex-template":
                return str(self._jobs.launch(self._template(found)).id)
            translated = self._translated(found)
            translated.stage()
            made = self._jobs.create(translated.request)
        except api.Conflict as error:
            raise Overtaken(f"there is a job already: {_words(error)}") from error
        # Dataflow may also answer with the job that has the name.
        if made.client_request_id and made.client_request_id != translated.request.job.client_request_id:
            raise Overtaken(f"there is a job already: {made.id}")
        return str(made.id)

    def _template(self, found: Found) -> Any:
        return flex.request(self._settings, self._wanted, update=found.active is not None)

    def _translated(self, found: Found) -> Translated:
        replaced = str(found.active.id) if found.active else ""
        # Whoever wants this specification, and has seen what there was, makes the same request, however often.
        before = found.newest.id if found.newest else ""
        request_id = hashlib.sha256(f"{self._wanted.digest} {before}".encode()).hexdigest()[:32]
        mapping = self._settings.transform_name_mapping
        return translate(self._settings, self._wanted, request_id=request_id, replaced=replaced, mapping=mapping)

    def _running(self, job_id: str, replaced: str) -> None:
        """Passes if the job runs."""
        job = self._jobs.get(job_id)
        if job.current_state == State.JOB_STATE_RUNNING:
            return
        if job.current_state not in ENDED:
            raise NotYet(f"it is {state_name(job)}, see {self._jobs.console(job_id)}{self._said(job_id)}")
        kept = f"; the job that it was to replace, {replaced}, goes on" if replaced and self._goes_on(replaced) else ""
        followed = f"; {job.replaced_by_job_id} has replaced it" if job.replaced_by_job_id else ""
        why = self._why(job_id) if job.current_state == State.JOB_STATE_FAILED else ""
        raise Failed(
            f"{self._jobs.name} (id {job_id}) does not run: it is {state_name(job)}{followed}{why}{kept}. See {self._jobs.console(job_id)}"
        )

    def _goes_on(self, job_id: str) -> bool:
        return self._jobs.get(job_id).current_state not in ENDED

    def _why(self, job_id: str) -> str:
        """A failed job's errors, which come some seconds after its state."""

        def told() -> str:
            if not (said := self._said(job_id)):
                raise NotYet("it has said nothing")
            return said

        try:
            return self._jobs.until(told, self._settings.request_seconds, "has not said why it failed")
        except Failed:
            return "; it gives no reason"

    def _said(self, job_id: str) -> str:
        return "".join(f"\n  {line}" for line in self._jobs.complaints(job_id))

    @staticmethod
    def _active(found: Found) -> Any:
        if found.active is None:
            raise ValueError("there is no active job")
        return found.active


def _words(error: BaseException | None) -> str:
    said: str | None = None
    if isinstance(error, Exception) and not isinstance(error, Overtaken):
        said = explained(error, DATAFLOW, "it", "be submitted", role=DEVELOPER, mend="")
    return said or " ".join(str(getattr(error, "message", error)).split())
