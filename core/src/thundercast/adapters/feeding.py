"""From a source's dates to the batches of a run: split by shard, numbered, encoded, paced."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator

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
    messages = []
    for number in range(run.shards):
        own = day.rows.take(pa.array(np.flatnonzero(shard == number))) if run.shards > 1 else day.rows
        messages.append(batch.encode(own, Attributes.of(run, run.seq(day.date, number), schema.RAW)))
    first = run.seq(day.date, 0)
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


class Feeder:
    """Publishes a run's batches from a date on, in order, at a pace.

    Args:
        pace: dates a second; None for as fast as the publisher takes them.
        set_aside: takes the rows that the source could not read, before their date is published.
    """

    def __init__(
        self, source: Source, run: Run, publisher: Publisher, *, pace: float | None, set_aside: Callable[[list[DeadLetter]], None]
    ) -> None:
        self._source = source
        self._run = run
        self._publisher = publisher
        self._pace = pace
        self._set_aside = set_aside
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()

    def feed(self, from_seq: int) -> Iterator[dt.date]:
        """Publishes everything from batch ``from_seq`` on; yields each date once it is out."""
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
            self._publisher.publish([m for m in messages if int(m.attributes["seq"]) >= from_seq])
            yield day.date
            if self._pace is not None:
                # A pace is kept, not caught up with: after a pause the stream goes on, it does not race.
                due = max(due + 1.0 / self._pace, time.monotonic())
