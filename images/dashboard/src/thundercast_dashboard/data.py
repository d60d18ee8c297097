"""What the page knows: one shared, incremental reading of the store per process, however many look on."""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from thundercast.adapters.reading import StoreMismatch, StoreMissing, StoreReader, merged
from thundercast.domain.tables import DEAD_LETTERS, MODEL_METRICS
from thundercast.stage.protocols import Unavailable
from thundercast_dashboard.texts import BASELINE

SCOPE: Final = "30d"
CHAMPION: Final = "thunder"
STALE_AFTER: Final = 30.0
"""Seconds without a word from a running stream."""
NEWEST: Final = 20
"""Dead letters that are shown."""

Phase = Literal[
    "missing",
    "mismatch",
    "unavailable",
    "empty",
    "starting",
    "running",
    "waiting",
    "paused",
    "stale",
    "completed",
    "superseded",
    "stopped",
    "failed",
]
Row = dict[str, Any]
_FAILURES: Final = (StoreMissing, StoreMismatch, Unavailable)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was in the store at one moment, of its newest run.

    Attributes:
        read_at: UNIX seconds of the last reading that worked; 0 if none has.
        problem, detail: why the store could not be read now, and its words; the rest is then as it was read last.
        run: the row of `runs`; None if there is none.
        status: the row of the component that stands for the stream; None before its first word.
        metrics: `model_metrics` of scope 30d.
        letter_counts: reason, count, last.
        letters: the newest dead letters.
    """

    read_at: float = 0.0
    problem: Literal["missing", "mismatch", "unavailable"] | None = None
    detail: str = ""
    run: Row | None = None
    status: Row | None = None
    metrics: pa.Table = field(default_factory=MODEL_METRICS.arrow.empty_table)
    letter_counts: list[Row] = field(default_factory=list)
    letters: pa.Table = field(default_factory=DEAD_LETTERS.arrow.empty_table)

    def phase(self, now: float) -> Phase:
        """What to tell about the stream as a whole at a time (UNIX seconds)."""
        if self.problem is not None and (self.run is None or self.problem != "unavailable"):
            return self.problem
        if self.run is None:
            return "empty"
        if self.run["state"] in ("completed", "superseded"):
            return self.run["state"]  # type: ignore[no-any-return]
        if self.status is None:
            return "starting"
        state: Phase = self.status["state"]
        if state in ("completed", "stopped", "failed"):
            return state
        return "stale" if self.silence(now) > STALE_AFTER else state

    def silence(self, now: float) -> float:
        """Seconds since the stream's last word."""
        return 0.0 if self.status is None else max(0.0, now - self.status["written_at"].timestamp())

    @property
    def tasks(self) -> list[str]:
        """The tasks with scores, nowcast first."""
        return sorted(pc.unique(self.metrics.column("task")).to_pylist(), reverse=True)

    def series(self, task: str, gate: str) -> pa.Table:
        """The scores of a task and gate by date, all models."""
        chosen = pc.and_(pc.equal(self.metrics.column("task"), task), pc.equal(self.metrics.column("gate"), gate))
        return self.metrics.filter(chosen).sort_by([("date", "ascending"), ("model_name", "ascending")])


def latest(series: pa.Table) -> dict[str, Row]:
    """The rows of the last date of a series, by model."""
    if not series.num_rows:
        return {}
    last = series.column("date")[-1]
    return {row["model_name"]: row for row in series.filter(pc.equal(series.column("date"), last)).to_pylist()}


def champion(rows: dict[str, Row]) -> str:
    """The model that the page speaks of: ``thunder``, or where it does not run, the first by name that is not the baseline."""
    models = sorted(name for name in rows if name != BASELINE)
    return CHAMPION if CHAMPION in models or not models else models[0]


def reliability(row: Row) -> list[tuple[int, float, int]]:
    """(station-days, sum of their probabilities, how many with thunder) of each bin, from a row of metrics."""
    return [(int(rows), float(said), int(seen)) for rows, said, seen in json.loads(row["reliability"] or "[]")]


class Feed:
    """Reads the store for all viewers of a process.

    Args:
        reader: of the store.
        every: seconds between two readings; whoever asks sooner gets the last one.
        clock: UNIX seconds.
    """

    def __init__(self, reader: StoreReader, *, every: float = 1.0, clock: Callable[[], float] = time.time) -> None:
        self._reader = reader
        self._every = every
        self._clock = clock
        self._lock = threading.Lock()
        self._asked = float("-inf")
        self._snapshot = Snapshot()
        self._maps: dict[tuple[str, str, str], tuple[dt.date, pa.Table]] = {}
        self._fresh: set[tuple[str, str, str]] = set()

    def snapshot(self) -> Snapshot:
        """The newest reading."""
        with self._lock:
            now = self._clock()
            if not 0 <= now - self._asked < self._every:
                self._asked = now
                self._fresh.clear()
                self._snapshot = self._read(now)
            return self._snapshot

    def _read(self, now: float) -> Snapshot:
        old = self._snapshot
        try:
            runs = self._reader.runs().slice(0, 1).to_pylist()
            if not runs:
                return Snapshot(read_at=now)
            run_id = runs[0]["run_id"]
            known = old.metrics if old.run is not None and old.run["run_id"] == run_id else MODEL_METRICS.arrow.empty_table()
            since = pc.max(known.column("written_at")).as_py()
            page = self._reader.metrics(run_id, since=since, scope=SCOPE)
            return Snapshot(
                read_at=now,
                run=runs[0],
                status=_main(self._reader.status(run_id).to_pylist()),
                metrics=merged(MODEL_METRICS, known, page),
                letter_counts=self._reader.dead_letter_counts(run_id).to_pylist(),
                letters=self._reader.dead_letters(run_id, limit=NEWEST),
            )
        except StoreMissing as error:
            return Snapshot(problem="missing", detail=str(error))
        except StoreMismatch as error:
            return Snapshot(problem="mismatch", detail=str(error))
        except Unavailable as error:
            return replace(old, problem="unavailable", detail=str(error))

    def on_map(self, run_id: str, task: str, model: str, closed: dt.date) -> tuple[dt.date, pa.Table] | None:
        """The date of the newest whole set of predictions of a model, and the predictions with their places.

        Args:
            closed: the last date with scores. The same day's rows are predicted as they come, so a later date may still lack some;
                the day ahead is predicted as a whole.

        Returns:
            The last answer where the store does not give one now; None if there never was one.
        """
        key = (run_id, task, model)
        with self._lock:
            if key not in self._fresh:
                try:
                    date = closed
                    if task == "dayahead":
                        date = self._reader.latest_date(run_id, task=task, model=model) or closed
                    self._maps[key] = date, self._reader.predictions(run_id, date, task=task, model=model)
                    self._fresh.add(key)
                except _FAILURES:
                    # The snapshot tells of it, and every number on the page is then as it was read last.
                    pass
            return self._maps.get(key)


def _main(statuses: list[Row]) -> Row | None:
    """The status of the part that learns, or of the only one; of several instances the newest."""
    return min(statuses, key=lambda row: (row["component"] not in ("standalone", "trainer"), -row["written_at"].timestamp()), default=None)
