"""The trainer's step with what serving needs beside it: a history of every station, and snapshots that any thread may read."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from thundercast.domain.arrays import Arrays, BadState, nest, part
from thundercast.domain.batch import Attributes, Message
from thundercast.domain.learning import TASKS
from thundercast.domain.models.base import Model, Task
from thundercast.domain.rows import UNKNOWN
from thundercast.domain.scores.climatology import NAME as BASELINE
from thundercast.stage.protocols import Effects
from thundercast.stage.steps import TrainStep
from thundercast_trainer.history import Stations

VERSION: Final = 1
FRESH_FOR: Final = 60.0  # s


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model as it stood when a date closed.

    Attributes:
        place: of the model in `Stations.said`.
        champion: whether it is the one to go by.
        threshold: warn of thunder on the next date where the probability is at least this.
    """

    task: Task
    name: str
    model: Model
    place: int
    champion: bool
    threshold: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A trainer as it stood when a date closed. Nothing in it changes any more.

    Attributes:
        run_id, source, synthetic: of the run.
        date: the date learnt last, days since 1970-01-01.
        rows: rows of the run that were learnt.
        models: the champion of each task before its others.
        stations: what is kept of each station.
        scores: the newest rows of `model_metrics`, without ``run_id`` and ``written_at``.
    """

    run_id: str
    source: str
    synthetic: bool
    date: int
    rows: int
    models: tuple[ServedModel, ...]
    stations: Stations
    scores: tuple[Mapping[str, Any], ...]


@dataclass(slots=True)
class _Account:
    """What is known of the run that is served."""

    run_id: str = ""
    source: str = ""
    synthetic: bool = False
    date: int | None = None
    rows: int = 0


class ServedStep:
    """A `TrainStep` that can be asked. What it trains is unchanged by it.

    A snapshot is a copy (some tens of milliseconds for ten thousand stations), so it is made for those who ask: after each date
    while somebody has asked of late, else when the next one asks. `snapshot` never waits for a date that is being learnt.

    Args:
        train: the step that learns.
        fresh_for: seconds after the last question for which each date is published as soon as it closes.
        monotonic: clock for that.
    """

    def __init__(self, train: TrainStep, *, fresh_for: float = FRESH_FOR, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.train = train
        self._fresh_for = fresh_for
        self._monotonic = monotonic
        self._asked_at = float("-inf")
        self._lock = threading.Lock()  # held while anything that a snapshot is made of may change
        self._snapshot: Snapshot | None = None
        self._stale = False
        self._reset()

    def _reset(self) -> None:
        self._account = _Account()
        self._stations = Stations([(m.task, m.name) for m in self.train.learner.models])
        self._scores: dict[str, list[dict[str, Any]]] = {}

    # --- the step ---------------------------------------------------------------------------------------------

    def lanes(self, attributes: Attributes) -> int:
        return self.train.lanes(attributes)

    def begin(self, attributes: Attributes) -> Effects:
        """What the run before said stays to be read until the first date of this one has closed."""
        with self._lock:
            if self._stale:
                self._publish()
            effects = self.train.begin(attributes)
            self._reset()
        return effects

    def apply(self, attributes: Attributes, message: Message) -> Effects:
        with self._lock:
            return self._follow(attributes, self.train.apply(attributes, message))

    def skip(self, attributes: Attributes) -> Effects:
        with self._lock:
            return self._follow(attributes, self.train.skip(attributes))

    def _follow(self, attributes: Attributes, effects: Effects) -> Effects:
        closed = self.train.closed
        if closed is None:
            return effects
        account = self._account
        account.run_id, account.source, account.synthetic = attributes.run_id, attributes.source, attributes.synthetic
        account.date = closed.rows.date
        account.rows += int((closed.rows.label != UNKNOWN).sum())
        self._stations.absorb(closed)
        for task in TASKS:
            if rows := [row for row in closed.metrics if row["task"] == task]:
                self._scores[task] = rows
        self._stale = True
        if self._monotonic() - self._asked_at < self._fresh_for:
            self._publish()
        return effects

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        arrays, meta = self.train.state()
        a = self._account
        served = {
            "version": VERSION, "run_id": a.run_id, "source": a.source, "synthetic": a.synthetic, "date": a.date, "rows": a.rows,
            "models": [list(model) for model in self._stations.models], "scores": self._scores,
        }  # fmt: skip
        return nest({"train": arrays, "served": self._stations.arrays()}), {"train": meta, "served": served}

    def restore(self, arrays: Arrays, meta: Mapping[str, Any]) -> None:
        if "train" not in meta or "served" not in meta:
            raise BadState("the checkpoint is of another stage: it has no state of a trainer that serves")
        served = meta["served"]
        if served.get("version") != VERSION:
            raise BadState(f"version {served.get('version')!r} of what is served; this program reads {VERSION}: start a new run")
        with self._lock:
            self.train.restore(part(arrays, "train"), meta["train"])
            self._reset()
            if [tuple(model) for model in served["models"]] != list(self._stations.models):
                raise BadState(f"what is served is of the models {served['models']}, the settings name {list(self._stations.models)}")
            self._stations = Stations.from_arrays(part(arrays, "served"), self._stations.models)
            self._scores = dict(served["scores"])
            self._account = _Account(served["run_id"], served["source"], served["synthetic"], served["date"], served["rows"])
            self._stale = self._account.date is not None

    # --- asking -----------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot | None:
        """The trainer after the date that closed last; None before the first one. From any thread.

        While a date is being learnt it is the one before, or an older one if nobody has asked for long.
        """
        self._asked_at = self._monotonic()
        if self._stale and self._lock.acquire(blocking=False):
            try:
                if self._stale:
                    self._publish()
            finally:
                self._lock.release()
        return self._snapshot

    def _publish(self) -> None:
        account = self._account
        if account.date is None:
            raise ValueError("no date has closed: there is nothing to publish")
        learner, found = self.train.learner, []
        copies = self.train.models()
        for task in TASKS:
            own = [(place, model) for place, model in enumerate(copies) if model.task == task]
            champion = learner.champion(task) if own else ""
            for place, model in sorted(own, key=lambda item: (item[1].name != champion, item[1].name == BASELINE)):
                threshold = learner.scorer(task).threshold(model.name)
                found.append(ServedModel(task, model.name, model, place, model.name == champion, threshold))
        scores = tuple(row for task in TASKS for row in self._scores.get(task, ()))
        self._snapshot = Snapshot(
            account.run_id, account.source, account.synthetic, account.date, account.rows, tuple(found), self._stations.copy(), scores
        )
        self._stale = False
