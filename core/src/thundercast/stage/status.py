"""What a loop says of itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from thundercast.stage.dependencies import Dependencies
from thundercast.stage.settings import LoopSettings
from thundercast.stage.stream import Stream

State = Literal["starting", "running", "paused", "waiting", "completed", "stopped", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopStatus:
    """A loop at one moment. It does not change; the loop makes a new one each turn, so any thread may read it.

    Attributes:
        state: as in the table `status`; detail says what it waits for or why it ended.
        leader: whether it holds the lock.
        run_id: of the run that it follows; empty if none.
        watermark: every seq below was applied or given up.
        total_batches: of the run, if known.
        date: of the batch applied last.
        completed: the run's last batch was applied and is durable.
        window: batches held out of order, those of a run to come included.
        unacked: batches applied and not durable yet.
        outbox: rows that wait for the store.
        checkpoint_number, checkpoint_at, checkpoint_bytes: of the newest checkpoint of this process; at is UNIX seconds.
        away: the dependencies that do not answer, and why.
        last_error: the newest failure of a dependency, also after it has passed.
    """

    component: str
    state: State = "starting"
    detail: str = ""
    leader: bool = False
    run_id: str = ""
    watermark: int = 0
    total_batches: int | None = None
    date: dt.date | None = None
    completed: bool = False
    window: int = 0
    unacked: int = 0
    outbox: int = 0
    duplicates: int = 0
    gaps: int = 0
    rows: int = 0
    batches: Mapping[str, int] = field(default_factory=dict)
    dead_letters: Mapping[str, int] = field(default_factory=dict)
    checkpoint_number: int = 0
    checkpoint_at: float | None = None
    checkpoint_bytes: int = 0
    away: Mapping[str, str] = field(default_factory=dict)
    last_error: str = ""

    def renewed(self, stream: Stream, state: State, detail: str, *, leader: bool, dependencies: Dependencies) -> LoopStatus:
        """The status after a turn."""
        following, counts = stream.following, stream.progress.counts
        status = replace(
            self, state=state, detail=detail, leader=leader, completed=stream.complete, window=stream.held, unacked=len(stream.acks),
            outbox=len(stream.progress.outbox), away=dependencies.away, last_error=dependencies.last_error,
            duplicates=counts.duplicates, gaps=counts.gaps, rows=counts.rows,
            batches=dict(counts.batches), dead_letters=dict(counts.dead_letters),
        )  # fmt: skip
        if following is None:
            return status
        return replace(
            status, run_id=following.run_id, watermark=following.window.watermark, total_batches=following.total, date=following.date
        )  # fmt: skip


def outbox_full(rows: int, limit: int) -> str:
    """What a full outbox means; empty if there is room in it."""
    return f"with {rows:,} rows in the outbox (limit {limit:,}) nothing is pulled" if rows >= limit else ""


def standing(stream: Stream, away: str, settings: LoopSettings) -> tuple[State, str]:
    """State and detail of a loop that leads.

    Args:
        away: the dependencies that do not answer.
    """
    full = outbox_full(len(stream.progress.outbox), settings.outbox)
    if away:
        return "waiting", f"for {away}; {full}" if full else f"for {away}"
    if full:
        return "waiting", f"for the store to take the outbox: {full}"
    if stream.following is None:
        return "waiting", "for the first batch of a run"
    if stream.holes:
        hole, left = stream.holes[0], settings.gap_timeout - (stream.listened - stream.holes[0].since)
        return "waiting", f"for batch {hole.head}, with {stream.held} later ones held; given up in {max(left, 0.0):.0f} s"
    return ("completed", "") if stream.complete else ("running", "")
