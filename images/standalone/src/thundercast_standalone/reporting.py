"""What a run says of itself while it goes: rows of `runs` and `status` for viewers, values for Prometheus."""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pyarrow as pa
import structlog

from thundercast.adapters.metrics import Metrics
from thundercast.adapters.settings import RunSettings
from thundercast.adapters.sqlite import SqliteStore
from thundercast.domain import tables
from thundercast.domain.runs import Run
from thundercast.domain.tables import Table
from thundercast.stage.loop import StageLoop
from thundercast.stage.protocols import Unavailable

EVERY: Final = 2.0  # seconds
_RATE_OVER: Final = 10.0  # seconds over which rows/s are averaged
_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class ScoredStore:
    """The store, with the scores that pass through shown to Prometheus too."""

    def __init__(self, store: SqliteStore, collected: Metrics) -> None:
        self._store = store
        self._collected = collected

    def write(self, table: Table, rows: pa.Table) -> None:
        self._store.write(table, rows)
        if table is tables.MODEL_METRICS:
            self._collected.scores(rows.to_pylist())


class Reporter:
    """Writes where a run stands every two seconds, and once more when it ends."""

    def __init__(self, store: SqliteStore, collected: Metrics, run: Run, loop: StageLoop, settings: RunSettings) -> None:
        self._store = store
        self._collected = collected
        self._run = run
        self._loop = loop
        self._settings = settings
        self._fed: dt.date | None = None
        self._fed_all = False
        self._ended = threading.Event()
        self._rates: deque[tuple[float, int]] = deque()
        self.ending = False
        self.failure: str | None = None

    def fed(self, date: dt.date) -> None:
        """The feeder has passed on this date."""
        self._fed = date

    def fed_all(self) -> None:
        """The feeder has passed on the last date."""
        self._fed_all = True

    def fail(self, why: str) -> None:
        """Something beside the loop failed: the run must end."""
        self.failure = why
        self._loop.stop()

    def wait_until_recovered(self) -> bool:
        """Whether the loop has read its checkpoint; False if the run ends before."""
        while not self.ending:
            if self._loop.recovered.wait(0.1):
                return True
        return False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Reports from a thread of its own until the block ends."""
        thread = threading.Thread(target=self._work, name="reporter", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()
            # A process that could not go on with the run has nothing to say of it.
            if self._loop.recovered.is_set():
                self._say(self._report)
                self._say(self._write_run)

    def _work(self) -> None:
        while not self._loop.recovered.wait(0.1):
            if self._ended.is_set():
                return
        self._say(self._write_run)
        completed = self._loop.status.completed
        while not self._ended.wait(EVERY):
            self._say(self._report)
            if self._loop.status.completed and not completed:
                completed = True
                self._say(self._write_run)

    def _say(self, write: Callable[[], None]) -> None:
        # The loop waits for the store by itself; a status that could not be written is overtaken by the next one.
        try:
            write()
        except Unavailable as error:
            _log.warning("status not written", error=str(error))

    def _write_run(self) -> None:
        r = self._run
        done = self._loop.status.run_id == r.run_id and self._loop.status.completed
        state = "completed" if done else "running"
        row = {
            "run_id": r.run_id, "fingerprint": r.fingerprint, "source": r.source, "start_date": r.start,
            "end_date": r.end, "shards": r.shards,
            "synthetic": r.synthetic, "filter": r.filter, "rights": r.rights, "version": r.version,
            "models": json.dumps({"models": self._settings.models, "tasks": self._settings.tasks}), "state": state,
        }  # fmt: skip
        self._store.write(tables.RUNS, pa.Table.from_pylist([row], schema=tables.RUNS.arrow))

    def _report(self) -> None:
        status, now = self._loop.status, time.monotonic()
        self._rates.append((now, status.rows))
        while now - self._rates[0][0] > _RATE_OVER:
            self._rates.popleft()
        since, rows = self._rates[0]
        rate = (status.rows - rows) / (now - since) if now > since else None
        lead = (self._fed - status.date).days if self._fed is not None and status.date is not None else None
        self._collected.loop(status)
        if lead is not None:
            self._collected.lead(max(lead, 0))
        at = dt.datetime.fromtimestamp(status.checkpoint_at, dt.UTC) if status.checkpoint_at is not None else None
        stream: dict[str, Any] = {
            "component": status.component, "state": status.state, "detail": status.detail, "date": status.date,
            "watermark": status.watermark,
            "total_batches": self._run.batches, "rows": status.rows, "rows_per_second": rate, "window": status.window,
            "duplicates": status.duplicates, "dead_letters": sum(status.dead_letters.values()), "gaps": status.gaps, "lead_dates": lead,
            "leader": status.leader, "checkpoint_at": at, "checkpoint_bytes": status.checkpoint_bytes or None,
            "last_error": status.last_error,
        }  # fmt: skip
        stopped = self._ended.is_set()
        feeder = {
            "component": "simulator", "state": "completed" if self._fed_all else "stopped" if stopped else "running", "date": self._fed,
            "total_batches": self._run.batches, "last_error": self.failure or "",
        }  # fmt: skip
        rows_out = [{"run_id": self._run.run_id, "instance": "standalone", **row} for row in (stream, feeder)]
        self._store.write(tables.STATUS, pa.Table.from_pylist(rows_out, schema=tables.STATUS.arrow))
