"""How far the trainer has come: Pub/Sub does not push back, so the simulator looks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import requests

from thundercast.domain.runs import Run
from thundercast.stage.protocols import CheckpointStore, Unavailable

_TIMEOUT = 5.0  # s


class Watermark(Protocol):
    """Every seq of the run below it was applied by the trainer; 0 while it follows another run, or none."""

    def __call__(self, run: Run) -> int:
        """Raises `Unavailable` if the trainer's word cannot be had now."""
        ...


def from_checkpoints(checkpoints: CheckpointStore) -> Watermark:
    """The trainer's HEAD tells, a checkpoint's age late."""

    def watermark(run: Run) -> int:
        summary = checkpoints.summary()
        return int(summary["watermark"]) if summary is not None and summary.get("run_id") == run.run_id else 0

    return watermark


def from_status(url: str) -> Watermark:
    """``GET /v1/status`` of the trainer tells, at once."""
    address = f"{url.rstrip('/')}/v1/status"

    def watermark(run: Run) -> int:
        try:
            answer = requests.get(address, timeout=_TIMEOUT)
            answer.raise_for_status()
            status = answer.json()
            return int(status["watermark"]) if status["run_id"] == run.run_id else 0
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            raise Unavailable(f"the trainer's status at {address} cannot be read: {error} (setting trainer_url)") from error

    return watermark


def lead(run: Run, next_seq: int, watermark: int) -> int:
    """Whole dates that are out and not yet applied."""
    return next_seq // run.shards - min(watermark, next_seq) // run.shards


Wait = Callable[[float], bool]
"""Waits for so many seconds; True if it is to end."""
