"""Dataflow as the launcher sees it: the jobs of one name, what they are asked to do, and what they say of themselves."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import requests
from google.api_core import exceptions as api
from google.api_core.client_options import ClientOptions
from google.api_core.retry import Retry, if_exception_type
from google.auth import exceptions as auth
from google.auth.credentials import AnonymousCredentials
from google.cloud import dataflow_v1beta3 as dataflow

from thundercast.adapters.google.errors import Service, answering
from thundercast.adapters.refusals import Failed
from thundercast_launcher.settings import LauncherSettings

T = TypeVar("T")
State = dataflow.JobState

DATAFLOW: Final = Service("Dataflow", "THUNDERCAST_DATAFLOW_ENDPOINT")
DEVELOPER: Final = "roles/dataflow.developer"
TRANSIENT: Final = (
    api.TooManyRequests, api.InternalServerError, api.BadGateway, api.ServiceUnavailable, api.GatewayTimeout, auth.TransportError,
    requests.ConnectionError, requests.Timeout,
)  # fmt: skip
"""After these a request is made again, if that does no harm."""
ENDED: Final = frozenset(
    {State.JOB_STATE_DONE, State.JOB_STATE_FAILED, State.JOB_STATE_CANCELLED, State.JOB_STATE_UPDATED, State.JOB_STATE_DRAINED}
)
STOPPING: Final = frozenset({State.JOB_STATE_DRAINING, State.JOB_STATE_CANCELLING, State.JOB_STATE_RESOURCE_CLEANING_UP})
STARTING: Final = frozenset({State.JOB_STATE_UNKNOWN, State.JOB_STATE_STOPPED, State.JOB_STATE_PENDING, State.JOB_STATE_QUEUED})
WORKERS_MASK: Final = "runtime_updatable_params.max_num_workers"
_MEND: Final = "`thundercast-launch` makes it"
_PAGE: Final = 100
_ONE_ATTEMPT: Final = 30.0  # s


class NotYet(Exception):
    """What is waited for has not come; the message says how it stands."""


@dataclass(frozen=True, slots=True)
class Found:
    """The jobs of the name.

    Attributes:
        active: the one that has not ended. After an update there are two for a while: then the newer one.
        ended: the one that ended last.
        newest: the one that was made last, whatever became of it.
    """

    active: Any | None
    ended: Any | None
    newest: Any | None


class Jobs:
    """The jobs of the settings' name. What is said of errors in `answering` holds for each method.

    Raises:
        Unavailable: with one line.
    """

    def __init__(self, settings: LauncherSettings) -> None:
        self._settings = settings
        self._where = {"project_id": settings.project, "location": settings.region}
        # REST, which needs nothing but HTTPS on its way.
        options: dict[str, Any] = {"transport": "rest"}
        if settings.dataflow_endpoint:
            options["client_options"] = ClientOptions(api_endpoint=settings.dataflow_endpoint)
        if settings.is_stand_in:
            options["credentials"] = AnonymousCredentials()
        with self._asking("be looked up"):
            self._jobs = dataflow.JobsV1Beta3Client(**options)
            self._messages = dataflow.MessagesV1Beta3Client(**options)
            self._templates = dataflow.FlexTemplatesServiceClient(**options)

    @property
    def name(self) -> str:
        """What they are called, for people."""
        return f"job {self._settings.job_name} in {self._settings.region} of project {self._settings.project}"

    def console(self, job_id: str) -> str:
        """Where a person sees a job."""
        return f"https://console.cloud.google.com/dataflow/jobs/{self._settings.region}/{job_id}?project={self._settings.project}"

    # --- looking ----------------------------------------------------------------------------------------------

    def listed(self) -> list[Any]:
        """All of them, newest first, as summaries: without labels."""
        request = dataflow.ListJobsRequest(
            **self._where, name=self._settings.job_name, filter=dataflow.ListJobsRequest.Filter.ALL, page_size=_PAGE
        )
        with self._asking("be looked up"):
            found = [job for job in self._jobs.list_jobs(request, **self._asked()) if job.name == self._settings.job_name]
        return sorted(found, key=lambda job: _seconds(job.create_time), reverse=True)

    def find(self) -> Found:
        """What there is; the active one whole."""
        jobs = self.listed()
        active = next((job for job in jobs if job.current_state not in ENDED), None)
        ended = max((job for job in jobs if job.current_state in ENDED), key=lambda job: _seconds(job.current_state_time), default=None)
        return Found(self.get(active.id) if active else None, ended, jobs[0] if jobs else None)

    def get(self, job_id: str) -> Any:
        """A job with its labels, options and steps."""
        with self._asking("be looked up"):
            return self._jobs.get_job(
                dataflow.GetJobRequest(**self._where, job_id=job_id, view=dataflow.JobView.JOB_VIEW_ALL), **self._asked()
            )

    def complaints(self, job_id: str, most: int = 10) -> list[str]:
        """The errors that a job tells of, in order; the last ``most``."""
        least = dataflow.JobMessageImportance.JOB_MESSAGE_ERROR
        request = dataflow.ListJobMessagesRequest(**self._where, job_id=job_id, minimum_importance=least, page_size=_PAGE)
        with self._asking("be asked for its messages"):
            return [" ".join(message.message_text.split()) for message in self._messages.list_job_messages(request, **self._asked())][
                -most:
            ]

    # --- asking for something -----------------------------------------------------------------------------------

    def state_request(self, job_id: str, state: Any) -> Any:
        """The request that has a job drained or cancelled."""
        return dataflow.UpdateJobRequest(**self._where, job_id=job_id, job=dataflow.Job(requested_state=state))

    def workers_request(self, job_id: str, most: int) -> Any:
        """The request that changes how many workers a running job may have."""
        parameters = dataflow.RuntimeUpdatableParams(max_num_workers=most)
        return dataflow.UpdateJobRequest(
            **self._where, job_id=job_id, job=dataflow.Job(runtime_updatable_params=parameters), update_mask={"paths": [WORKERS_MASK]}
        )

    def update(self, request: Any) -> None:
        """Asks a job for something; may be repeated."""
        with self._asking("be changed"):
            self._jobs.update_job(request, **self._asked())

    def create(self, request: Any) -> Any:
        """Makes a job; all requests of one `client_request_id` make one.

        Returns:
            The job; that of another request if it was faster.

        Raises:
            google.api_core.exceptions.Conflict: there is an active job of the name.
        """
        with self._asking("be created"):
            return self._jobs.create_job(request, **self._asked())

    def launch(self, request: Any) -> Any:
        """Starts a Flex Template, once: it has no request id, so whoever repeats it looks first whether the job is there.

        Raises:
            google.api_core.exceptions.Conflict: there is an active job of the name.
            TRANSIENT: as they come.
        """
        try:
            return self._templates.launch_flex_template(request, timeout=_ONE_ATTEMPT, retry=None).job
        except TRANSIENT:
            raise
        except api.GoogleAPICallError as error:
            with self._asking("be launched"):
                raise error

    # --- waiting ----------------------------------------------------------------------------------------------

    def until(self, attempt: Callable[[], T], seconds: float, what: str) -> T:
        """Repeats what raises `NotYet`.

        Raises:
            Failed: it did not come in time; says what, and how it stands.
        """
        every = self._settings.poll_seconds
        poll = Retry(if_exception_type(NotYet), initial=every, maximum=every, multiplier=1.0, timeout=seconds)
        try:
            done: T = poll(attempt)()
        except api.RetryError as error:
            raise Failed(f"{self.name} {what} within {seconds:g} s: {error.cause}") from error
        return done

    def _asked(self) -> dict[str, Any]:
        limit = self._settings.request_seconds
        return {
            "timeout": min(_ONE_ATTEMPT, limit),
            "retry": Retry(if_exception_type(*TRANSIENT), initial=0.5, maximum=10.0, timeout=limit),
        }

    def _asking(self, doing: str) -> AbstractContextManager[None]:
        return answering(DATAFLOW, self.name, doing, role=DEVELOPER, mend=_MEND)


def state_name(job: Any) -> str:
    """A job's state, as Dataflow writes it."""
    state = job.current_state
    return str(State(state).name) if state in State.__members__.values() else f"state {state}"


def steps_of(job: Any) -> set[str]:
    """Full names of a job's steps, as Dataflow tells them; none if it does not."""
    return {step.name for step in job.pipeline_description.original_pipeline_transform}


def most_workers(job: Any) -> int:
    """How many workers a job may have; 0 if Dataflow does not tell."""
    changed = int(job.runtime_updatable_params.max_num_workers)
    pools = [int(pool.autoscaling_settings.max_num_workers) for pool in job.environment.worker_pools]
    return changed or max(pools, default=0)


def _seconds(time: Any | None) -> float:
    return float(time.timestamp()) if time else 0.0
