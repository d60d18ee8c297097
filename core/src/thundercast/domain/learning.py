"""The learner: predicts each date's rows with what the dates before taught, scores them, then learns them.

Nowcast: a row's own label, known as soon as the row is. When a date closes its rows are predicted by the models as
they stood when the date before closed, then scored, then learnt row by row, sorted by station.

Day ahead: tomorrow's label from today's row. Today's rows are predicted when today closes (their labels are known
then) and wait for tomorrow's; a row whose station is not there tomorrow is dropped unlearnt.

Nothing depends on how a date's rows were split into batches, or on the order in which those came.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from thundercast.domain.arrays import Arrays, BadState, nest, part
from thundercast.domain.models.base import Labels, Model, Probabilities, Task
from thundercast.domain.rows import UNKNOWN, CleanRows
from thundercast.domain.scores.climatology import Climatology
from thundercast.domain.scores.scorer import Scorer
from thundercast.domain.scores.watch import Event, Watch

VERSION: Final = 2
TASKS: Final[tuple[Task, ...]] = ("nowcast", "dayahead")


@dataclass(frozen=True, slots=True)
class Predicted:
    """What one model said of some rows.

    Attributes:
        date: the date the probabilities are for (of the labels).
        rows: the n rows they were made from.
        probability: float64[n].
        threshold: in force for that date.
    """

    task: Task
    model: str
    date: int
    rows: CleanRows
    probability: Probabilities
    threshold: float


@dataclass(frozen=True, slots=True)
class Closed:
    """What came of closing a date.

    Attributes:
        rows: all rows of the date, sorted by station.
        metrics: rows of `model_metrics`.
        predicted: what each model said: of this date (nowcast), and of the next one (day ahead).
        events: rows of `model_events`: another champion, a drift.
    """

    rows: CleanRows
    metrics: list[dict[str, Any]] = field(default_factory=list)
    predicted: list[Predicted] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


class _Track:
    """The models of one task, their climatology, their scorer and what watches them."""

    def __init__(self, task: Task, models: Sequence[Model], score_from: int | None) -> None:
        self.task = task
        self.models = [*models, Climatology(task)]
        self.scorer = Scorer(task, [m.name for m in models], score_from=score_from)
        self.watch = Watch(task, self.scorer.names)

    def predict(self, rows: CleanRows) -> dict[str, Probabilities]:
        return {model.name: model.predict(rows) for model in self.models}

    def score(
        self,
        rows: CleanRows,
        labels: Labels,
        said: dict[str, Probabilities],
        closed: Closed,
        *,
        date: int,
        batch_id: int,
        timestamp: str,
        shards_missing: int,
    ) -> None:
        """Adds the date's metrics and events to what came of closing it."""
        known = labels != UNKNOWN
        reports = rows.reports
        if not known.all():
            labels, reports, said = labels[known], reports[known], {name: p[known] for name, p in said.items()}
        closed.metrics.extend(self.scorer.score(
            date=date, labels=labels, reports=reports, probabilities=said, batch_id=batch_id, timestamp=timestamp,
            shards_missing=shards_missing,
        ))  # fmt: skip
        closed.events.extend(self.watch.close(date, self.scorer.day_sums[:, 0]))

    def learn(self, rows: CleanRows, labels: Labels) -> None:
        for model in self.models:
            model.learn(rows, labels)
            model.close_date(rows.date)


class Learner:
    """Several models of one or both tasks on one pass over the stream.

    Args:
        models: at least one; names are distinct within a task.
        score_from: the first date (days since 1970-01-01) whose rows count in the scores of scope ``run``.
    """

    def __init__(self, models: Sequence[Model], *, score_from: int | None = None) -> None:
        names = [(m.task, m.name) for m in models]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"the models must be at least one and distinct: {names}")
        self._tracks = {task: _Track(task, own, score_from) for task in TASKS if (own := [m for m in models if m.task == task])}
        self._open: list[CleanRows] = []
        self._waiting: tuple[CleanRows, dict[str, Probabilities]] | None = None

    @property
    def models(self) -> list[Model]:
        """All models, climatologies included."""
        return [model for track in self._tracks.values() for model in track.models]

    def scorer(self, task: Task) -> Scorer:
        return self._tracks[task].scorer

    def champion(self, task: Task) -> str:
        """The model to go by; another one only after a paired test (`Watch`)."""
        return self._tracks[task].watch.champion

    def follow(self, before: Learner, date: int) -> list[Event]:
        """Goes on with what the learner of another run has learnt, and with its champions; scores and drifts begin anew.

        Args:
            before: it has the same models.
            date: of the first rows to come, days since 1970-01-01.

        Returns:
            Rows that name the champions which would not have led from the start.

        Raises:
            ValueError, BadState: it has other models.
        """
        for model, old in zip(self.models, before.models, strict=True):
            model.from_bytes(old.to_bytes())
        return [event for task, track in self._tracks.items() for event in track.watch.follow(before.champion(task), date)]

    def drifts(self) -> dict[str, int]:
        """How often each model has drifted in this run, over its tasks."""
        totals: Counter[str] = Counter()
        for track in self._tracks.values():
            totals.update(track.watch.drifts())
        return dict(totals)

    def take(self, rows: CleanRows) -> None:
        """Takes some rows of the open date.

        Raises:
            ValueError: the rows are of another date than the open one.
        """
        if self._open and self._open[0].date != rows.date:
            raise ValueError(f"rows of day {rows.date} while day {self._open[0].date} is open")
        self._open.append(rows)

    def close(self, *, date: int, batch_id: int, timestamp: str = "", shards_missing: int = 0) -> Closed:
        """Closes a date: every row taken is predicted, scored and learnt.

        Args:
            date: the date; no rows of it may have come.
            batch_id: its number in the run.
            timestamp: for the rows of metrics.
            shards_missing: how many of its batches were given up.

        Raises:
            ValueError: another date is open.
        """
        if self._open and self._open[0].date != date:
            raise ValueError(f"day {date} cannot close while day {self._open[0].date} is open")
        rows = CleanRows.joined(self._open) if self._open else CleanRows.empty(date)
        self._open = []
        closed = Closed(rows)
        day: dict[str, Any] = {"date": date, "batch_id": batch_id, "timestamp": timestamp, "shards_missing": shards_missing}
        if (track := self._tracks.get("nowcast")) is not None:
            said = track.predict(rows)
            closed.predicted.extend(_predicted(track, rows, said, date))
            track.score(rows, rows.label, said, closed, **day)
            track.learn(rows, rows.label)
        if (track := self._tracks.get("dayahead")) is not None:
            if self._waiting is not None and self._waiting[0].date == date - 1:
                before, then = self._waiting
                labels = _labels_of(before, rows)
                track.score(before, labels, then, closed, **day)
                track.learn(before, labels)
            said = track.predict(rows)
            self._waiting = (rows, said)
            closed.predicted.extend(_predicted(track, rows, said, date + 1))
        return closed

    def state(self) -> Arrays:
        """The whole state as named arrays."""
        parts: dict[str, Arrays] = {"learner": {"version": np.int64(VERSION)}}  # type: ignore[dict-item]
        for task, track in self._tracks.items():
            parts[f"models/{task}"] = {m.name: _bytes(m.to_bytes()) for m in track.models}
            parts[f"scores/{task}"] = {"scorer": _bytes(track.scorer.to_bytes())}
            parts[f"watch/{task}"] = track.watch.arrays()
        for i, rows in enumerate(self._open):
            parts[f"open/{i}"] = rows.arrays()
        if self._waiting is not None:
            parts["waiting"] = self._waiting[0].arrays()
            parts["waiting/said"] = dict(self._waiting[1])
        return nest(parts)

    def restore(self, state: Arrays) -> None:
        """Replaces the state with one of `state`.

        Raises:
            BadState: it is of another version, or of other models.
        """
        version = part(state, "learner").get("version")
        if version is None or int(version) != VERSION:
            raise BadState(f"the learner's state has version {version}, this program reads {VERSION}: start a new run")
        wanted = sorted(f"models/{task}/{m.name}" for task, track in self._tracks.items() for m in track.models)
        there = sorted(name for name in state if name.startswith("models/"))
        if wanted != there:
            raise BadState(f"the state is of the models {there}, the settings name {wanted}: set them back or start a new run")
        for task, track in self._tracks.items():
            for model in track.models:
                model.from_bytes(state[f"models/{task}/{model.name}"].tobytes())
            track.scorer.from_bytes(state[f"scores/{task}/scorer"].tobytes())
            track.watch.restore(part(state, f"watch/{task}"))
        self._open = []
        while opened := part(state, f"open/{len(self._open)}"):
            self._open.append(CleanRows.from_arrays(opened))
        waiting = part(state, "waiting")
        self._waiting = (CleanRows.from_arrays(waiting), part(waiting, "said")) if waiting else None


def _bytes(data: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8)


def _predicted(track: _Track, rows: CleanRows, said: dict[str, Probabilities], date: int) -> list[Predicted]:
    return [Predicted(track.task, name, date, rows, p, track.scorer.threshold(name)) for name, p in said.items()]


def _labels_of(before: CleanRows, today: CleanRows) -> Labels:
    """int8[len(before)]: today's label of each station of the day before, `UNKNOWN` where it has none."""
    labels = np.full(len(before), UNKNOWN, np.int8)
    if len(today):
        at = np.minimum(np.searchsorted(today.key, before.key), len(today) - 1)
        same = today.key[at] == before.key
        labels[same] = today.label[at[same]]
    return labels
