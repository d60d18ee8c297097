"""The loop's settings and clocks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSettings:
    """How a loop paces itself. Times are in seconds.

    Attributes:
        window: batches held out of order at most; of runs to come as many again.
        pull_limit: batches asked for at once.
        poll: longest wait for the next batch before the loop looks around.
        checkpoint_min, checkpoint_every: checkpoints are at least and at most so far apart while batches come.
        unacked: batches applied and not durable at most.
        outbox: rows that wait for the store at most; beyond it nothing is pulled.
        gap_timeout: patience with a missing batch while later ones are held.
        ack_deadline: the subscription's.
        extend_every: leases of what is held are extended so often.
        retry_after: pause before a dependency that did not answer is asked again.
        seek_margin: how much earlier than the first batch that was not applied a fall-back seeks to.
    """

    window: int = 512
    pull_limit: int = 128
    poll: float = 0.5
    checkpoint_min: float = 2.0
    checkpoint_every: float = 10.0
    unacked: int = 2048
    outbox: int = 100_000
    gap_timeout: float = 900.0
    ack_deadline: float = 15.0
    extend_every: float = 5.0
    retry_after: float = 1.0
    seek_margin: float = 300.0

    def __post_init__(self) -> None:
        for name in ("window", "pull_limit", "poll", "unacked", "outbox", "ack_deadline", "extend_every", "retry_after"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be more than 0, not {getattr(self, name)}")
        if not 0 <= self.checkpoint_min <= self.checkpoint_every:
            raise ValueError(f"checkpoint_min {self.checkpoint_min} must be between 0 and checkpoint_every {self.checkpoint_every}")
        if self.unacked < self.window / 2:
            raise ValueError(f"unacked {self.unacked} must be at least half of window {self.window}, or no checkpoint comes in time")
        if self.extend_every > self.ack_deadline / 2:
            raise ValueError(
                f"extend_every {self.extend_every} must be at most half of ack_deadline {self.ack_deadline}, or leases run out"
            )
        if self.gap_timeout < 4 * self.ack_deadline:
            raise ValueError(
                f"gap_timeout {self.gap_timeout} must be at least four times ack_deadline {self.ack_deadline}: "
                "a batch that another process held when it died comes back only then"
            )


@dataclass(frozen=True, slots=True)
class Clock:
    """The clocks that the loop looks at.

    Attributes:
        monotonic: for durations.
        wall: UNIX seconds.
        wait: waits for an event, for so many seconds at most.
    """

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    wait: Callable[[threading.Event, float], bool] = threading.Event.wait
