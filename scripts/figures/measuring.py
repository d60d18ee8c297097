"""Measures the figures with the parts' own code: bytes on the wire, in the store and in checkpoints, and CPU time."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from figures.kept import Figures, State, Stored, Wire, Work
from thundercast.adapters.checkpoint_format import compressed
from thundercast.adapters.feeding import messages_of, run_of
from thundercast.adapters.sources import open_source
from thundercast.adapters.sources.base import SourceDate
from thundercast.domain.batch import Attributes, Message
from thundercast.domain.learning import TASKS
from thundercast.domain.models import registry
from thundercast.domain.runs import Run
from thundercast.domain.tables import MODEL_METRICS, OBSERVATIONS, PREDICTIONS
from thundercast.stage.outbox import to_arrow
from thundercast.stage.protocols import Effects, Step
from thundercast.stage.steps import CleanStep, TrainStep
from thundercast_trainer.serving import ServedStep

T = TypeVar("T")
_FIXED = 8
"""BigQuery's bytes of a number, a date or a time; a BOOL has 1, a STRING 2 and those of its text."""


def stored_bytes(rows: pa.Table) -> int:
    """The rows' size as BigQuery reckons it; a null has none."""
    found = 0
    for column in rows.columns:
        present = len(column) - column.null_count
        if pa.types.is_string(column.type):
            found += 2 * present + (pc.sum(pc.binary_length(column)).as_py() or 0)
        else:
            found += present * (1 if pa.types.is_boolean(column.type) else _FIXED)
    return found


@dataclass
class _Counted:
    """What is added up while a model set runs."""

    rows: int = 0
    sizes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("predictions", "observations", "model_metrics"), 0))
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("predictions", "observations", "model_metrics"), 0))

    def add(self, name: str, rows: pa.Table) -> None:
        # `written_at` is the store's.
        self.sizes[name] += stored_bytes(rows) + _FIXED * rows.num_rows
        self.counts[name] += rows.num_rows

    def each(self, name: str) -> float:
        return self.sizes[name] / self.counts[name]


class _Timed:
    """CPU times of this thread, with the rows that they were for."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, int]] = []

    def __call__(self, work: Callable[[], T], rows: int) -> T:
        began = time.thread_time()
        done = work()
        self.samples.append((time.thread_time() - began, rows))
        return done

    def work(self, skip: int) -> Work:
        """Of those after the first ``skip``, in which kernels are compiled and caches filled."""
        kept = self.samples[skip:]
        seconds = [taken for taken, _ in kept]
        mean = statistics.fmean(seconds)
        return Work(seconds=sum(seconds) / sum(rows for _, rows in kept), variation=statistics.pstdev(seconds) / mean)


def measured(source: str, *, dates: int, shards: int, models: Sequence[Sequence[str]], cache: Path) -> Figures:
    """All figures, over the first dates of a source.

    Args:
        models: the sets of models for which closing a date is timed; the first one's rows and state are counted.

    Raises:
        SourceError: there is no such source.
        ValueError: there are fewer than ten dates: too few to leave the first out.
    """
    if dates < 10:
        raise ValueError(f"dates must be at least 10, not {dates}: a third of them is left out")
    opened = open_source(source, cache=cache)
    info = opened.open()
    end = info.start + dt.timedelta(days=dates - 1)
    run = run_of(info, started=dt.datetime.now(dt.UTC), shards=shards, version="figures", end=end)
    encode, clean, take = _Timed(), _Timed(), _Timed()
    cleaner = CleanStep()
    raw: list[Message] = []
    stream: list[tuple[Message, int]] = []
    for day in opened.dates(run.start, end):
        batches, _ = encode(_encoding(day, run), day.rows.num_rows)
        raw += batches
        for message in batches:
            effects = clean(_applying(cleaner, message), 0)
            # How many rows it has is known only now.
            clean.samples[-1] = (clean.samples[-1][0], effects.row_count)
            stream.append((effects.messages[0], effects.row_count))
    close: dict[str, Work] = {}
    counted = _Counted()
    served = _trainer(models[0])
    skip = dates // 3
    for number, names in enumerate(models):
        step = served if number == 0 else _trainer(names)
        timed = _Timed()
        rows = 0
        for at, (message, count) in enumerate(stream):
            rows += count
            last = at % shards == shards - 1
            effects = (timed if last else take)(_applying(step, message), rows if last else count)
            if last:
                rows = 0
            if number == 0:
                counted.rows += count
                for table, found in effects.rows:
                    counted.add(table.name, found)
                if effects.outbox:
                    counted.add(MODEL_METRICS.name, to_arrow(MODEL_METRICS, [row for _, row in effects.outbox]))
        close["+".join(names)] = timed.work(skip)
    stations = max(sum(count for _, count in stream[at : at + shards]) for at in range(0, len(stream), shards))
    wire = [message for message, _ in stream]
    return Figures(
        machine=f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}, Python {platform.python_version()}",
        date=dt.datetime.now(dt.UTC).date().isoformat(), source=_plain(source, synthetic=info.synthetic), stations=stations,
        rows_a_batch=counted.rows / len(stream),
        wire=Wire(
            raw=sum(len(m.data) for m in raw) / counted.rows, clean=sum(len(m.data) for m in wire) / counted.rows,
            raw_attributes=_attributes(raw), clean_attributes=_attributes(wire), json=_json_bytes(next(iter(opened.dates(end, end)))),
        ),
        stored=Stored(
            prediction=counted.each(PREDICTIONS.name), observation=counted.each(OBSERVATIONS.name), metric=counted.each(MODEL_METRICS.name),
            metrics_a_date=counted.counts[MODEL_METRICS.name] / dates / (len(TASKS) * (len(models[0]) + 1)),
        ),
        state=_state(cleaner, served, stations),
        synthetic=_synthetic(stations, cache), encode=encode.work(skip), clean=clean.work(skip * shards),
        take=take.work(skip * (shards - 1)), close=close,
    )  # fmt: skip


def _encoding(day: SourceDate, run: Run) -> Callable[[], tuple[list[Message], object]]:
    return lambda: messages_of(day, run)


def _applying(step: Step, message: Message) -> Callable[[], Effects]:
    attributes = Attributes.from_text(message.attributes)
    return lambda: step.apply(attributes, message)


def _trainer(names: Sequence[str]) -> ServedStep:
    return ServedStep(TrainStep(lambda: [registry.make(name, task) for task in TASKS for name in names]))


def _attributes(messages: Sequence[Message]) -> float:
    return sum(message.size - len(message.data) for message in messages) / len(messages)


def _json_bytes(day: SourceDate) -> float:
    rows = day.rows.to_pylist()
    return len(json.dumps(rows, default=str)) / len(rows)


def _state(cleaner: Step, trainer: Step, stations: int) -> State:
    sizes = []
    for step in (cleaner, trainer):
        arrays, meta = step.state()
        sizes += [sum(array.nbytes for array in arrays.values()) / stations, len(compressed(arrays, meta)) / stations]
    return State(cleaner=sizes[0], cleaner_checkpoint=sizes[1], trainer=sizes[2], trainer_checkpoint=sizes[3])


def _synthetic(stations: int, cache: Path) -> Work:
    """Making synthetic rows, of a dozen dates."""
    made, timed = open_source(f"synthetic:{stations}", cache=cache), _Timed()
    info = made.open()
    days = iter(made.dates(info.start, info.start + dt.timedelta(days=11)))
    for _ in range(12):
        day = timed(lambda: next(days), 0)
        timed.samples[-1] = (timed.samples[-1][0], day.rows.num_rows)
    return timed.work(2)


def _plain(source: str, *, synthetic: bool) -> str:
    """The source without its folder; whether its rows are made up."""
    kind, _, rest = source.partition(":")
    return f"{kind}:{Path(rest).name}{' (SYNTHETIC)' if synthetic else ''}"
