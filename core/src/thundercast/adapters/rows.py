"""Rows of `runs` and `status`: what parts tell viewers of themselves."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from thundercast.domain import tables
from thundercast.domain.runs import Run, RunState
from thundercast.stage.protocols import RowWriter
from thundercast.stage.status import LoopStatus

_OVER: Final = 10.0  # seconds over which rows/s are averaged


class Rate:
    """Rows a second over the last ten seconds, from a total that grows."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def __call__(self, rows: int) -> float | None:
        """None at first, when nothing is known."""
        now = time.monotonic()
        self._seen.append((now, rows))
        while now - self._seen[0][0] > _OVER and len(self._seen) > 2:
            self._seen.popleft()
        since, before = self._seen[0]
        return (rows - before) / (now - since) if now > since else None


def write_status(store: RowWriter, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows of `status`; what a row does not name is null."""
    store.write(tables.STATUS, pa.Table.from_pylist([dict(row) for row in rows], schema=tables.STATUS.arrow))


def status_of(status: LoopStatus, *, instance: str, rate: float | None) -> dict[str, Any]:
    """The row of a stage loop."""
    at = dt.datetime.fromtimestamp(status.checkpoint_at, dt.UTC) if status.checkpoint_at is not None else None
    return {
        "run_id": status.run_id, "component": status.component, "instance": instance, "state": status.state, "detail": status.detail,
        "date": status.date, "watermark": status.watermark, "total_batches": status.total_batches, "rows": status.rows,
        "rows_per_second": rate, "window": status.window, "duplicates": status.duplicates,
        "dead_letters": sum(status.dead_letters.values()), "gaps": status.gaps, "leader": status.leader, "checkpoint_at": at,
        "checkpoint_bytes": status.checkpoint_bytes or None, "last_error": status.last_error,
    }  # fmt: skip


def run_row(run: Run, *, state: RunState, models: Sequence[str], tasks: Sequence[str]) -> dict[str, Any]:
    """The row of `runs`."""
    return {
        "run_id": run.run_id, "fingerprint": run.fingerprint, "source": run.source, "start_date": run.start, "end_date": run.end,
        "shards": run.shards, "synthetic": run.synthetic, "filter": run.filter, "rights": run.rights, "version": run.version,
        "models": json.dumps({"models": list(models), "tasks": list(tasks)}), "state": state,
    }  # fmt: skip


def write_run(store: RowWriter, run: Run, *, state: RunState, models: Sequence[str], tasks: Sequence[str]) -> None:
    """Writes the row of `runs`."""
    row = run_row(run, state=state, models=models, tasks=tasks)
    store.write(tables.RUNS, pa.Table.from_pylist([row], schema=tables.RUNS.arrow))
