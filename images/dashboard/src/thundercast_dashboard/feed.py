"""One shared, incremental reading of the store per process, however many look on."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from thundercast.adapters.reading import OUTCOMES, StoreMismatch, StoreMissing, StoreReader
from thundercast.stage.protocols import Unavailable
from thundercast_dashboard.data import Snapshot, by_flow, extended, no_metrics

NEWEST: Final = 100
"""Dead letters that are shown."""
WINDOW: Final = dt.timedelta(29)
"""From the first to the last of 30 dates."""
RUNS: Final = 4
"""Runs that are kept in memory."""
ANSWERS: Final = 48
"""Maps, windows and stations that are kept in memory."""
_FAILURES: Final = (StoreMissing, StoreMismatch, Unavailable)
_WINDOW: Final = ("date", "station", "probability", "label", "lat", "lon")


@dataclass(slots=True)
class _Answer:
    asked: float
    value: Any


class Feed:
    """Reads the store for all viewers of a process.

    Args:
        reader: of the store.
        every: seconds between two readings of the same; whoever asks sooner gets the last one.
        clock: UNIX seconds.
    """

    def __init__(self, reader: StoreReader, *, every: float = 1.0, clock: Callable[[], float] = time.time) -> None:
        self._reader = reader
        self._every = every
        self._clock = clock
        self._lock = threading.Lock()
        self._snapshots: OrderedDict[str | None, _Answer] = OrderedDict()
        # What only some pages show is read under a lock of its own: nobody else waits for it.
        self._answering = threading.Lock()
        self._answers: OrderedDict[Hashable, _Answer] = OrderedDict()

    def snapshot(self, run_id: str | None = None) -> Snapshot:
        """The newest reading of a run; of the newest run if none is named, or the one that is named is not there."""
        with self._lock:
            now = self._clock()
            known = self._snapshots.get(run_id)
            if known is None or not 0 <= now - known.asked < self._every:
                old = Snapshot() if known is None else known.value
                self._snapshots[run_id] = known = _Answer(now, self._read(now, run_id, old))
                while len(self._snapshots) > RUNS:
                    self._snapshots.popitem(last=False)
            self._snapshots.move_to_end(run_id)
            found: Snapshot = known.value
            return found

    def _read(self, now: float, wanted: str | None, old: Snapshot) -> Snapshot:
        try:
            runs = self._reader.runs().to_pylist()
            if not runs:
                return Snapshot(read_at=now)
            run = next((row for row in runs if row["run_id"] == wanted), runs[0])
            run_id = run["run_id"]
            known = old.metrics if old.run is not None and old.run["run_id"] == run_id else no_metrics()
            return Snapshot(
                read_at=now,
                run=run,
                runs=runs,
                statuses=by_flow(self._reader.status(run_id).to_pylist()),
                metrics={scope: self._extended(run_id, scope, rows) for scope, rows in known.items()},
                letter_counts=self._reader.dead_letter_counts(run_id).to_pylist(),
                letters=self._reader.dead_letters(run_id, limit=NEWEST),
                gaps=self._reader.gaps(run_id).to_pylist(),
                events=self._reader.events(run_id).to_pylist(),
            )
        except StoreMissing as error:
            return Snapshot(problem="missing", detail=str(error))
        except StoreMismatch as error:
            return Snapshot(problem="mismatch", detail=str(error))
        except Unavailable as error:
            return replace(old, problem="unavailable", detail=str(error))

    def _extended(self, run_id: str, scope: str, known: pa.Table) -> pa.Table:
        since = pc.max(known.column("written_at")).as_py()
        return extended(known, self._reader.metrics(run_id, since=since, scope=scope))

    def _answer(self, key: Hashable, ask: Callable[[Any], Any], *, final: bool = False) -> Any:
        """What ``ask`` gives, which is handed the last answer; asked again after a while, unless the answer is final.

        Returns:
            The last answer where the store does not give one now, for the snapshot tells of it; None if there never was one.
        """
        with self._answering:
            now = self._clock()
            known = self._answers.get(key)
            if known is None or not (final or 0 <= now - known.asked < self._every):
                try:
                    self._answers[key] = known = _Answer(now, ask(None if known is None else known.value))
                except _FAILURES:
                    if known is None:
                        return None
                while len(self._answers) > ANSWERS:
                    self._answers.popitem(last=False)
            self._answers.move_to_end(key)
            return known.value

    def on_map(self, run_id: str, task: str, model: str, closed: dt.date) -> tuple[dt.date, pa.Table] | None:
        """The date of the newest whole set of predictions of a model, and the predictions with their places.

        Args:
            closed: the last date with scores. The same day's rows are predicted as they come, so a later date may still lack some;
                the day ahead is predicted as a whole.
        """

        def ask(_: Any) -> tuple[dt.date, pa.Table]:
            date = closed
            if task == "dayahead":
                date = self._reader.latest_date(run_id, task=task, model=model) or closed
            return date, self._reader.predictions(run_id, date, task=task, model=model)

        found: tuple[dt.date, pa.Table] | None = self._answer(("map", run_id, task, model), ask)
        return found

    def on_date(self, run_id: str, task: str, model: str, date: dt.date, closed: dt.date) -> pa.Table | None:
        """The predictions for a date with their places and outcomes; those of a closed date no longer change."""
        key = ("date", run_id, task, model, date)
        found: pa.Table | None = self._answer(
            key, lambda _: self._reader.predictions(run_id, date, task=task, model=model), final=date < closed
        )
        return found

    def window(self, run_id: str, task: str, model: str, closed: dt.date) -> pa.Table | None:
        """What a model said for the 30 dates up to the last closed one, and what happened: date, station, probability, label, lat, lon.

        Dates that were read already are not read again.
        """
        first = closed - WINDOW

        def ask(old: pa.Table | None) -> pa.Table:
            start = first
            if old is not None and old.num_rows:
                last = pc.max(old.column("date")).as_py()
                start = max(first, last + dt.timedelta(1))
                old = old.filter(pc.greater_equal(old.column("date"), pa.scalar(first)))
            if start > closed:
                return old
            new = self._reader.outcomes(run_id, start, closed, task=task, model=model).select(_WINDOW)
            return new if old is None else pa.concat_tables([old, new]).combine_chunks()

        found: pa.Table | None = self._answer(("window", run_id, task, model), ask)
        return OUTCOMES.empty_table().select(_WINDOW) if found is not None and not found.num_rows else found

    def station(self, run_id: str, station: str) -> tuple[pa.Table, pa.Table] | None:
        """A station's observations, and what was said of it, each by date."""
        found: tuple[pa.Table, pa.Table] | None = self._answer(
            ("station", run_id, station),
            lambda _: (self._reader.station_history(run_id, station), self._reader.station_predictions(run_id, station)),
        )
        return found
