"""What a run says of itself while it goes: rows of `runs` and `status` for viewers, values for Prometheus."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from thundercast.adapters import rows
from thundercast.adapters.metrics import Metrics
from thundercast.adapters.settings import RunSettings
from thundercast.adapters.sqlite import SqliteStore
from thundercast.domain.runs import Run, RunState
from thundercast.stage.loop import StageLoop
from thundercast.stage.protocols import Unavailable

EVERY: Final = 2.0  # seconds
_INSTANCE: Final = "standalone"
_log: structlog.stdlib.BoundLogger = structlog.get_logger()


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
        self._rate = rows.Rate()
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
        done = self._loop.status.run_id == self._run.run_id and self._loop.status.completed
        state: RunState = "completed" if done else "running"
        rows.write_run(self._store, self._run, state=state, models=self._settings.models, tasks=self._settings.tasks)

    def _report(self) -> None:
        status = self._loop.status
        lead = (self._fed - status.date).days if self._fed is not None and status.date is not None else None
        self._collected.loop(status)
        if lead is not None:
            self._collected.lead(max(lead, 0))
        stream = rows.status_of(status, instance=_INSTANCE, rate=self._rate(status.rows))
        stopped = self._ended.is_set()
        feeder = {
            "component": "simulator", "instance": _INSTANCE, "state": "completed" if self._fed_all else "stopped" if stopped else "running",
            "date": self._fed, "last_error": self.failure or "",
        }  # fmt: skip
        common = {"run_id": self._run.run_id, "total_batches": self._run.batches}
        rows.write_status(self._store, [stream | {"lead_dates": lead} | common, feeder | common])
