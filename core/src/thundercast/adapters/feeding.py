"""From a source's dates to the batches of a run: split by shard, numbered, encoded, paced."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from thundercast.adapters.sources.base import Source, SourceDate, SourceInfo
from thundercast.domain import batch, schema
from thundercast.domain.batch import Attributes, Message
from thundercast.domain.deadletters import DeadLetter
from thundercast.domain.runs import Run
from thundercast.domain.stations import keys_of, shards_of
from thundercast.stage.protocols import Publisher


def messages_of(day: SourceDate, run: Run) -> tuple[list[Message], list[DeadLetter]]:
    """The ``run.shards`` raw batches of a date, empty ones too, and what could not be read, under the run's name.

    A row whose station id cannot be read goes to shard 0, where the cleaner sets it aside.
    """
    keys = keys_of(day.rows.column("station"))
    shard = np.where(keys >= 0, shards_of(np.maximum(keys, 0), run.shards), 0)
    # Gathered once for all shards; a stable sort keeps each shard's rows in order of station.
    rows = day.rows.take(pa.array(np.argsort(shard, kind="stable"))) if run.shards > 1 else day.rows
    counts = np.bincount(shard, minlength=run.shards).tolist()
    first = run.seq(day.date, 0)
    messages, begin = [], 0
    for number, count in enumerate(counts):
        messages.append(batch.encode(rows.slice(begin, count), Attributes.of(run, first + number, schema.RAW)))
        begin += count
    letters = [
        DeadLetter(r.reason, r.detail, r.stage, run.run_id, first, r.station, r.date or day.date.isoformat(), r.original, r.payload)
        for r in day.rejected
    ]
    return messages, letters


def run_of(
    info: SourceInfo, *, started: dt.datetime, shards: int, version: str, start: dt.date | None = None, end: dt.date | None = None
) -> Run:
    """The run that replays a source from now on."""
    return Run(
        started=started.astimezone(dt.UTC).strftime("%Y%m%dT%H%M%SZ"), source=info.identity, start=max(start or info.start, info.start),
        end=min(end or info.end, info.end), shards=shards, synthetic=info.synthetic, rights=info.rights, version=version,
    )  # fmt: skip


Pace = Callable[[SourceDate], float]
"""Seconds that a date of the stream is to take."""


def dates_per_second(rate: float) -> Pace:
    """Every date takes equally long."""
    return lambda day: 1.0 / rate  # noqa: ARG005


def rows_per_second(rate: float) -> Pace:
    """A date takes as long as it has rows."""
    return lambda day: day.rows.num_rows / rate


@dataclass(frozen=True, slots=True)
class Fed:
    """A date that is out: how much of it was published now.

    Attributes:
        next_seq: of the batch that comes next.
    """

    date: dt.date
    rows: int
    batches: int
    next_seq: int


class Feeder:
    """Publishes a run's batches from a date on, in order, at a pace.

    Args:
        pace: None for as fast as the publisher takes them.
        set_aside: takes the rows that the source could not read, before their date is published.
    """

    def __init__(
        self, source: Source, run: Run, publisher: Publisher, *, pace: Pace | None, set_aside: Callable[[list[DeadLetter]], None]
    ) -> None:
        self._source = source
        self._run = run
        self._publisher = publisher
        self._pace = pace
        self._set_aside = set_aside
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()

    def feed(self, from_seq: int) -> Iterator[Fed]:
        """Publishes everything from batch ``from_seq`` on; yields each date once it is confirmed."""
        first = self._run.date_of(from_seq)
        due = time.monotonic()
        for day in self._source.dates(first, self._run.end):
            messages, letters = messages_of(day, self._run)
            if letters:
                self._set_aside(letters)
            if self._pace is not None and self._stopped.wait(max(0.0, due - time.monotonic())):
                return
            if self._stopped.is_set():
                return
            rest = messages[max(0, from_seq - self._run.seq(day.date, 0)) :]
            self._publisher.publish(rest)
            yield Fed(day.date, day.rows.num_rows, len(rest), self._run.seq(day.date, 0) + len(messages))
            if self._pace is not None:
                # A pace is kept, not caught up with: after a pause the stream goes on, it does not race.
                due = max(due + self._pace(day), time.monotonic())
