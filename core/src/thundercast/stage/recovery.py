"""What of the loop is in a checkpoint, and how it is found again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from thundercast.domain.arrays import Arrays, BadState
from thundercast.stage.counts import Counts
from thundercast.stage.intake import Following
from thundercast.stage.outbox import Outbox
from thundercast.stage.protocols import BadCheckpoint, Checkpoint, CheckpointStore, Step

VERSION: Final = 1


@dataclass(slots=True)
class Progress:
    """The loop's own part of a checkpoint, beside the step's.

    Attributes:
        seek_time: UNIX seconds since which everything was published that is not in this state.
    """

    following: Following | None = None
    outbox: Outbox = field(default_factory=Outbox)
    counts: Counts = field(default_factory=Counts)
    seek_time: float = 0.0


def to_checkpoint(component: str, step: Step, progress: Progress) -> tuple[Arrays, dict[str, Any], dict[str, Any]]:
    """Arrays, meta and summary for `CheckpointStore.commit`."""
    following = progress.following
    arrays, meta = step.state()
    loop = {
        "version": VERSION, "component": component, "following": following.to_json() if following else None,
        "outbox": progress.outbox.to_json(), "counts": progress.counts.to_json(), "seek_time": progress.seek_time,
    }  # fmt: skip
    summary: dict[str, Any] = {"component": component}
    if following is not None:
        summary |= {
            "run_id": following.run_id,
            "watermark": following.window.watermark,
            "total": following.total,
            "completed": following.complete,
        }
    return arrays, {"loop": loop, "step": meta}, summary


def restore(component: str, step: Step, checkpoint: Checkpoint, now: float) -> Progress:
    """Sets the step back to a checkpoint and returns the loop's part.

    Raises:
        BadCheckpoint: it is of another component, or of a version that cannot be read.
    """
    try:
        loop = checkpoint.meta["loop"]
        if loop["version"] != VERSION:
            raise BadState(f"version {loop['version']!r} of the loop's state; this program reads {VERSION}")
        if loop["component"] != component:
            raise BadState(f"it belongs to {loop['component']!r}, not to {component!r}")
        step.restore(checkpoint.arrays, checkpoint.meta["step"])
        following = Following.from_json(loop["following"], now) if loop["following"] else None
        return Progress(following, Outbox(loop["outbox"]), Counts.from_json(loop["counts"]), float(loop["seek_time"]))
    except (BadState, ValueError, KeyError, TypeError) as error:
        # An error of `KeyError` is a bare name; its class says what is wrong with it.
        reason = str(error) if isinstance(error, BadState) else f"{type(error).__name__}: {error}"
        raise BadCheckpoint(
            f"checkpoint {checkpoint.number} cannot be used: {reason}. "
            "Run the version and settings that wrote it, or start again with another place for checkpoints."
        ) from error


def recover(
    component: str, step: Step, store: CheckpointStore, *, seek: Callable[[float], None], fall_back: bool, now: float
) -> tuple[Progress, int]:
    """Loads the newest checkpoint that can be used; returns the loop's part and its number, 0 if there is none yet.

    Args:
        seek: has the subscription deliver again what was published since a time.
        fall_back: if the newest cannot be used, take an older one, after seeking to its time: what was acked since then is
            not in it.

    Raises:
        BadCheckpoint: none can be used, or falling back is not allowed or not possible.
        Unavailable: the store or the subscription does not answer.
    """
    try:
        checkpoint = store.load()
        return (restore(component, step, checkpoint, now), checkpoint.number) if checkpoint else (Progress(), 0)
    except BadCheckpoint as error:
        if not fall_back:
            raise
        newest = error
    failures = [str(newest)]
    while True:
        try:
            older = store.load_older()
            progress = restore(component, step, older, now) if older else Progress()
            break
        except BadCheckpoint as error:
            failures.append(str(error))
    if older is None:
        raise BadCheckpoint(f"no checkpoint can be used: {' '.join(failures)}") from newest
    try:
        seek(progress.seek_time)
    except LookupError as error:
        raise BadCheckpoint(f"{newest} Falling back to checkpoint {older.number} is not possible either: {error}") from error
    return progress, older.number
