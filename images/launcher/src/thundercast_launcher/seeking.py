"""What a new job needs to have delivered again, because the one before it did not end in order."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import structlog

from thundercast.adapters.google.pubsub_subscription import PubSubSubscription
from thundercast.adapters.refusals import Failed
from thundercast.domain.arrays import BadState
from thundercast.stage.protocols import BadCheckpoint
from thundercast_dataflow.options import full_name
from thundercast_dataflow.snapshots import Snapshots
from thundercast_launcher.jobs import Found, State
from thundercast_launcher.settings import LauncherSettings

_log: structlog.stdlib.BoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Seek:
    """A subscription's full name, and the time (UNIX seconds) from which on everything is delivered again."""

    subscription: str
    time: float

    def __str__(self) -> str:
        return f"{self.subscription} to {dt.datetime.fromtimestamp(self.time, dt.UTC):%Y-%m-%dT%H:%M:%SZ}"


def needed(settings: LauncherSettings, found: Found) -> Seek | None:
    """Where to seek before a job is created; None if the last one was drained, or if there is nothing of a run to make up for.

    A job that was drained has put every shard's state into the checkpoints, and has acked only what is in it. What any other end leaves
    behind may be older than what was acked.

    Raises:
        Failed: a snapshot or the run's manifest cannot be used; the message names it.
        Unavailable: the checkpoints cannot be read.
    """
    if found.ended is not None and found.ended.current_state == State.JOB_STATE_DRAINED:
        return None
    try:
        time = Snapshots(settings.checkpoints).seek_time()
    except (BadState, BadCheckpoint, ValueError) as error:
        raise Failed(f"the job would start without the state of its stations: {error}") from error
    return None if time is None else Seek(full_name("raw_subscription", "subscriptions", settings.raw_subscription, settings.project), time)


def seek_if_needed(settings: LauncherSettings, found: Found) -> None:
    """Seeks the raw subscription; what comes again and was cleaned already is left out by the job.

    Raises:
        Failed, Unavailable: as `needed`; or Pub/Sub does not have so old messages any more, or refuses.
    """
    seek = needed(settings, found)
    if seek is None:
        return
    _, project, _, name = seek.subscription.split("/")
    subscription = PubSubSubscription(project, name)
    try:
        subscription.seek(seek.time)
    except LookupError as error:
        raise Failed(str(error.args[0])) from error
    finally:
        subscription.close()
    _log.info(
        "sought", what=str(seek), why="the job before it was not drained" if found.ended else "there was no job, and a run is under way"
    )
