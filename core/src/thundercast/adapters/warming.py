"""`python -m thundercast.adapters.warming publish|clean|train …`: compiles what parts will need, by doing their work on a little data.

An image does so when it is built, so that its containers start learning at once. The work is the part's own: whatever types its kernels
are called with, they are called with here.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from collections.abc import Iterator
from typing import Final, Literal, get_args

import pyarrow as pa

import thundercast
from thundercast.adapters.feeding import messages_of, run_of
from thundercast.adapters.sources.base import Source
from thundercast.adapters.sources.sample import SampleSource
from thundercast.adapters.sources.synthetic import SyntheticSource
from thundercast.domain import schema
from thundercast.domain.batch import Attributes, Message
from thundercast.domain.cleaning import Follower
from thundercast.domain.models import registry
from thundercast.domain.rows import CleanRows
from thundercast.domain.runs import ordinal
from thundercast.domain.stations import keys_of
from thundercast.stage.steps import CleanStep, TrainStep

Part = Literal["publish", "clean", "train"]

DATES: Final = 35  # more than the longest window of moving averages
SHARDS: Final = 2
_MODELS: Final = ("thunder", "logistic")
"""Those that have kernels."""
_STARTED: Final = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def publish(source: Source) -> Iterator[list[tuple[Attributes, Message]]]:
    """The raw batches of the first dates, by date; their attributes as a subscriber reads them."""
    info = source.open()
    end = min(info.end, info.start + dt.timedelta(days=DATES - 1))
    run = run_of(info, started=_STARTED, shards=SHARDS, version=thundercast.__version__, end=end)
    for day in source.dates(run.start, run.end):
        messages, _ = messages_of(day, run)
        yield [(Attributes.from_text(message.attributes), message) for message in messages]


def clean(dates: Iterator[list[tuple[Attributes, Message]]]) -> Iterator[list[tuple[Attributes, Message]]]:
    """The clean batches of these; half-way the state goes to arrays and back, as in a checkpoint."""
    step = CleanStep()
    for number, messages in enumerate(dates):
        if number == DATES // 2:
            state = step.state()
            step = CleanStep()
            step.restore(*state)
        cleaned = [message for pair in messages for message in step.apply(*pair).messages]
        yield [(Attributes.from_text(message.attributes), message) for message in cleaned]


def train(dates: Iterator[list[tuple[Attributes, Message]]], source: Source) -> int:
    """Predicts, scores and learns these, both tasks, through a checkpoint too, and answers questions; returns the number of rows.

    Args:
        source: of the same dates, raw.
    """
    step, follower, rows = _trainer(), Follower(), 0
    info = source.open()
    for number, (messages, raw) in enumerate(zip(dates, source.dates(info.start, info.end), strict=False)):
        if number == DATES // 2:
            state = step.state()
            step = _trainer()
            step.restore(*state)
            follower = Follower.from_arrays(follower.arrays())
        if number % 10 == 9:
            _answer(step, follower, raw.rows, ordinal(raw.date))
        rows += sum(step.apply(*pair).row_count for pair in messages)
        if step.closed is not None and len(step.closed.rows):
            follower.absorb(step.closed.rows)
    return rows


def _trainer() -> TrainStep:
    return TrainStep(lambda: [registry.make(name, task) for task in ("nowcast", "dayahead") for name in _MODELS])


def _answer(step: TrainStep, follower: Follower, raw: pa.RecordBatch, date: int) -> None:
    """Predictions for rows that somebody asks for, made of text rather than of a message; some, and one, whose columns lie otherwise."""
    for asked in (raw.slice(0, 20), raw.slice(0, 1)):
        batch = pa.RecordBatch.from_pylist(asked.to_pylist(), schema=schema.RAW_SCHEMA)
        slots = follower.index.find(keys_of(batch.column("station")))
        cleaned = follower.cleaner(slots[slots >= 0], date).clean(batch, date).rows
        read = CleanRows.from_arrow(pa.RecordBatch.from_pylist(cleaned.to_arrow().to_pylist(), schema=schema.CLEAN_SCHEMA), date)
        for model in step.models():
            for rows in (cleaned, read):
                model.predict(rows)
                model.learn(rows, rows.label)


def warm(part: Part) -> int:
    """Does the work of a part on real rows, and for the simulator on generated ones too; returns the number of rows or batches."""
    if part == "publish":
        generated = SyntheticSource(50, end=dt.date(2022, 2, 4))
        return sum(len(date) for source in (SampleSource(), generated) for date in publish(source))
    cleaned = clean(publish(SampleSource()))
    if part == "clean":
        return sum(len(date) for date in cleaned)
    return train(cleaned, SampleSource())


def main() -> int:
    """The entry point."""
    parser = argparse.ArgumentParser(prog="thundercast.adapters.warming", description="Compiles the kernels that parts need.")
    parser.add_argument("parts", nargs="+", choices=get_args(Part), metavar="PART", help=", ".join(get_args(Part)))
    parts: list[Part] = parser.parse_args().parts
    for part in parts:
        done = warm(part)
        print(f"{part}: {done} {'rows' if part == 'train' else 'batches'}", flush=True)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
