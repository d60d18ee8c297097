"""What was in the store at one moment, and what follows from it."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from thundercast.adapters.reading import merged
from thundercast.domain.scores import days
from thundercast.domain.scores.champion import PREFERRED, first_champion
from thundercast.domain.tables import DEAD_LETTERS, MODEL_METRICS

SCOPES: Final = ("30d", "day")
STALE_AFTER: Final = 30.0
"""Seconds without a word from a running stream."""
FLOW: Final = ("simulator", "standalone", "cleaner", "trainer")
"""The components that tell of themselves, in the order of the flow."""

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
Made = TypeVar("Made")


def no_metrics() -> dict[str, pa.Table]:
    """Metrics by scope, without rows."""
    return {scope: MODEL_METRICS.arrow.empty_table() for scope in SCOPES}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was in the store at one moment, of one run.

    Attributes:
        read_at: UNIX seconds of the last reading that worked; 0 if none has.
        problem, detail: why the store could not be read now, and its words; the rest is then as it was read last.
        run: the row of `runs`; None if there is none.
        runs: all of them, newest first.
        statuses: the rows of `status`, in the order of the flow.
        metrics: `model_metrics` by scope, `extended` page by page.
        letter_counts: reason, count, last.
        letters: the newest dead letters.
        gaps, events: the rows of the tables.
        derived: what was made of it, kept for the next viewer.
    """

    read_at: float = 0.0
    problem: Literal["missing", "mismatch", "unavailable"] | None = None
    detail: str = ""
    run: Row | None = None
    runs: list[Row] = field(default_factory=list)
    statuses: list[Row] = field(default_factory=list)
    metrics: dict[str, pa.Table] = field(default_factory=no_metrics)
    letter_counts: list[Row] = field(default_factory=list)
    letters: pa.Table = field(default_factory=DEAD_LETTERS.arrow.empty_table)
    gaps: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    derived: dict[Hashable, Any] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def made(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """What ``make`` gives, made once for all viewers."""
        with self._lock:
            if key not in self.derived:
                self.derived[key] = make()
            found: Made = self.derived[key]
            return found

    @property
    def status(self) -> Row | None:
        """The status that stands for the stream: of the part that learns, or of the only one; None before its first word."""
        return min(self.statuses, key=lambda row: (row["component"] not in ("standalone", "trainer"), -spoke(row)), default=None)

    def phase(self, now: float) -> Phase:
        """What to tell about the stream as a whole at a time (UNIX seconds)."""
        if self.problem is not None and (self.run is None or self.problem != "unavailable"):
            return self.problem
        if self.run is None:
            return "empty"
        if self.run["state"] in ("completed", "superseded"):
            return self.run["state"]  # type: ignore[no-any-return]
        return "starting" if self.status is None else part_phase(self.status, now)

    def silence(self, now: float) -> float:
        """Seconds since the stream's last word."""
        return 0.0 if self.status is None else max(0.0, now - spoke(self.status))

    @property
    def scored(self) -> bool:
        """Whether a date has closed."""
        return bool(self.metrics["30d"].num_rows)

    @property
    def tasks(self) -> list[str]:
        """The tasks with scores, nowcast first."""
        return sorted(self.made("tasks", lambda: pc.unique(self.metrics["30d"].column("task")).to_pylist()), reverse=True)

    def series(self, task: str, gate: str, scope: str = "30d") -> pa.Table:
        """The scores of a task and gate by date, all models."""

        def make() -> pa.Table:
            rows = self.metrics[scope]
            chosen = pc.and_(pc.equal(rows.column("task"), task), pc.equal(rows.column("gate"), gate))
            return rows.filter(chosen).sort_by([("date", "ascending"), ("model_name", "ascending")])

        return self.made(("series", task, gate, scope), make)

    def closed(self, task: str) -> dt.date | None:
        """The last date with scores of a task."""
        series = self.series(task, "all")
        return series.column("date")[-1].as_py() if series.num_rows else None


def spoke(status: Row) -> float:
    """When a component wrote last, UNIX seconds."""
    return float(status["written_at"].timestamp())


def part_phase(status: Row, now: float) -> Phase:
    """How a component is at a time (UNIX seconds): its own word, unless it is too old."""
    state: Phase = status["state"]
    if state in ("completed", "stopped", "failed"):
        return state
    return "stale" if now - spoke(status) > STALE_AFTER else state


def by_flow(statuses: list[Row]) -> list[Row]:
    """The components in the order in which the rows come to them; one that is not known comes last."""
    place = {name: i for i, name in enumerate(FLOW)}
    return sorted(statuses, key=lambda row: (place.get(row["component"].split("-")[0], len(FLOW)), row["component"], row["instance"]))


_DIAGRAM_DAYS: Final = dt.timedelta(7)
"""Before the last date, for which the bins of the reliability diagram are kept: only the newest are shown."""


def extended(known: pa.Table, page: pa.Table) -> pa.Table:
    """Metrics of a scope with a page of new rows; ``reliability``, the half of their bytes, is kept of the last days only."""
    if not page.num_rows:
        return known
    # Rows of earlier dates than any of the page cannot have the key of one of them: most need no merging.
    first = pc.min(page.column("batch_id"))
    settled = known.filter(pc.less(known.column("batch_id"), first))
    open_ = known.filter(pc.greater_equal(known.column("batch_id"), first))
    rows = pa.concat_tables([settled, merged(MODEL_METRICS, open_, page)])
    old = pc.less(rows.column("date"), pa.scalar(pc.max(rows.column("date")).as_py() - _DIAGRAM_DAYS))
    bins = pc.if_else(old, pa.scalar(None, pa.string()), rows.column("reliability"))
    return rows.set_column(rows.schema.get_field_index("reliability"), "reliability", bins).combine_chunks()


def latest(series: pa.Table) -> dict[str, Row]:
    """The rows of the last date of a series, by model."""
    if not series.num_rows:
        return {}
    last = series.column("date")[-1]
    return {row["model_name"]: row for row in series.filter(pc.equal(series.column("date"), last)).to_pylist()}


_SUMMED: Final = ("rows", "positives", "brier", "log_loss", "roc_auc", "tp", "fp", "fn", "tn")
Sums = npt.NDArray[np.float64]
Days = tuple[list[dt.date], dict[str, Sums]]


def by_day(snapshot: Snapshot, task: str, gate: str) -> Days:
    """The dates on which every model of the last one was scored, and what can be summed over them, by model."""

    def make() -> Days:
        series = snapshot.series(task, gate, "day")
        if not series.num_rows:
            return [], {}
        models = sorted(
            pc.unique(series.filter(pc.equal(series.column("date"), series.column("date")[-1])).column("model_name")).to_pylist()
        )
        count = series.group_by("date").aggregate([("model_name", "count_distinct")])
        whole = count.filter(pc.greater_equal(count.column("model_name_count_distinct"), len(models))).column("date")
        series = series.filter(pc.is_in(series.column("date"), value_set=whole.combine_chunks()))
        sums = {}
        for name in models:
            own = series.filter(pc.equal(series.column("model_name"), name))
            sums[name] = days.sums({column: own.column(column).to_pylist() for column in _SUMMED})
        own = series.filter(pc.equal(series.column("model_name"), models[0]))
        return own.column("date").to_pylist(), sums

    return snapshot.made(("by_day", task, gate), make)


def by_month(dates: list[dt.date], model: Sums, baseline: Sums) -> list[Row]:
    """A model's scores by month of the year, from what `by_day` gives."""
    month = np.array([date.month for date in dates])
    rows: list[Row] = []
    for number in sorted(set(month.tolist())):
        of = month == number
        found = days.scores(model[of].sum(axis=0), baseline[of].sum(axis=0))
        values = {name: float(value) for name, value in found.items() if name in ("brier_skill", "hss", "pod", "far", "base_rate")}
        rows.append({"month": number, "days": int(of.sum())} | {name: None if np.isnan(v) else v for name, v in values.items()})
    return rows


def champion(models: list[str], events: list[Row], task: str) -> str:
    """The model that leads: the one that the last change of champion named, else the one that leads from the start."""
    named = [row["model_name"] for row in events if row["event"] == "champion" and row["task"] == task]
    return next((str(name) for name in reversed(named) if name in models), first_champion(models or [PREFERRED]))


def reliability(row: Row) -> list[tuple[int, float, int]]:
    """(station-days, sum of their probabilities, how many with thunder) of each bin, from a row of metrics."""
    return [(int(rows), float(said), int(seen)) for rows, said, seen in json.loads(row["reliability"] or "[]")]
