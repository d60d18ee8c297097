"""Ends the jobs of the name, and waits."""

from __future__ import annotations

from typing import Any

import structlog
from google.api_core import exceptions as api

from thundercast.adapters.refusals import Failed
from thundercast.stage.protocols import Unavailable
from thundercast_launcher.jobs import ENDED, STARTING, STOPPING, Jobs, NotYet, State, state_name
from thundercast_launcher.settings import LauncherSettings

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


def stop(settings: LauncherSettings, jobs: Jobs, state: Any) -> None:
    """Returns when no job of the name is active.

    Args:
        state: `JOB_STATE_DRAINED` or `JOB_STATE_CANCELLED`.

    Raises:
        Failed: there still is one when `stop_seconds` have passed (twice, if a drain is followed by a cancellation).
        Unavailable: Dataflow does not answer, or refuses.
    """
    try:
        _wait(settings, jobs, state)
    except Failed as late:
        if state != State.JOB_STATE_DRAINED or not settings.cancel_after_drain:
            raise
        _log.warning("cancelling what has not drained", why=str(late))
        _wait(settings, jobs, State.JOB_STATE_CANCELLED)


def plan(jobs: Jobs, state: Any) -> list[Any]:
    """The requests that `stop` would make now."""
    return [jobs.state_request(job.id, state) for job in jobs.listed() if _can_be_asked(job, state)]


def _wait(settings: LauncherSettings, jobs: Jobs, state: Any) -> None:
    asked: set[str] = set()

    def ended() -> None:
        active = [job for job in jobs.listed() if job.current_state not in ENDED]
        for job in active:
            if job.id not in asked and _can_be_asked(job, state):
                _ask(jobs, job, state)
                asked.add(job.id)
        if active:
            raise NotYet(", ".join(f"{job.id} is {state_name(job)}, see {jobs.console(job.id)}" for job in active))

    jobs.until(ended, settings.stop_seconds, "has not ended")
    _log.info("no active job", job=settings.job_name, asked=sorted(asked))


def _can_be_asked(job: Any, state: Any) -> bool:
    if job.current_state in ENDED or job.current_state == State.JOB_STATE_CANCELLING:
        return False
    # A drain needs a job that runs; one that is starting will, and one that drains is at it.
    return state == State.JOB_STATE_CANCELLED or job.current_state not in STARTING | STOPPING


def _ask(jobs: Jobs, job: Any, state: Any) -> None:
    try:
        jobs.update(jobs.state_request(job.id, state))
    except api.Conflict:
        _log.info("its state has changed meanwhile", job_id=job.id)
    except Unavailable as error:
        # As here: it is refused because the job has ended since it was looked at. If it has not, that is what is wrong.
        if not isinstance(error.__cause__, api.BadRequest) or state_name(jobs.get(job.id)) == state_name(job):
            raise
        _log.info("its state has changed meanwhile", job_id=job.id)
    else:
        _log.info("asked", job_id=job.id, was=state_name(job), for_state=State(state).name)
