"""What `thundercast-launch` does."""

from __future__ import annotations

import json
from typing import Any

import structlog

from thundercast.adapters import logs
from thundercast.adapters.refusals import Failed
from thundercast.stage.protocols import Unavailable
from thundercast_launcher import printing, stopping
from thundercast_launcher.jobs import Jobs, State, state_name
from thundercast_launcher.settings import LauncherSettings

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


def run(settings: LauncherSettings) -> int:
    """Does what the settings say; returns the exit code.

    Raises:
        Usage, Failed: it was not done; the message says why.
    """
    logs.configure(settings.log_format)
    try:
        match settings.action:
            case "launch":
                return _launch(settings)
            case "status":
                return _status(settings)
            case "drain":
                return _stop(settings, State.JOB_STATE_DRAINED)
            case "cancel":
                return _stop(settings, State.JOB_STATE_CANCELLED)
    except Unavailable as error:
        raise Failed(str(error)) from error


def _launch(settings: LauncherSettings) -> int:
    # Beam takes seconds to load, and only this needs it.
    from thundercast_launcher.submitting import Submission

    submission = Submission(settings, Jobs(settings))
    if not settings.dry_run:
        submission.run()
        return 0
    plan = submission.plan()
    if plan["request"] is not None:
        plan["request"] = printing.request(plan["request"])
    if seek := plan.pop("seek", None):
        plan["seek"] = str(seek)
    return _print(plan)


def _status(settings: LauncherSettings) -> int:
    jobs = Jobs(settings)
    found = jobs.find()
    job = found.active or found.ended
    if job is None:
        raise Failed(f"there is no {jobs.name}, and was none in the time that Dataflow remembers (30 days)")
    return _print(
        {
            "id": job.id, "name": job.name, "state": state_name(job), "since": _time(job.current_state_time),
            "created": _time(job.create_time), "labels": dict(job.labels), "see": jobs.console(job.id), "errors": jobs.complaints(job.id),
        }
    )  # fmt: skip


def _stop(settings: LauncherSettings, state: Any) -> int:
    try:
        jobs = Jobs(settings)
        if settings.dry_run:
            return _print({"action": settings.action, "requests": [printing.request(one) for one in stopping.plan(jobs, state)]})
        stopping.stop(settings, jobs, state)
    except (Failed, Unavailable) as error:
        if not settings.lenient:
            raise
        then = f"gcloud dataflow jobs {settings.action} JOB_ID --region={settings.region} --project={settings.project}"
        _log.error("left as it is", why=str(error), to_end_it=then)
    return 0


def _time(time: Any | None) -> str | None:
    return time.isoformat() if time else None


def _print(what: dict[str, Any]) -> int:
    print(json.dumps(what, indent=2))  # noqa: T201
    return 0
