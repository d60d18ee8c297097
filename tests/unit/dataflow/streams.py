"""A small run to send through the pipeline, what must come of it, and a place where a pipeline's output is kept."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
from apache_beam import Map, Pipeline
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.window import TimestampedValue

from thundercast.adapters.feeding import messages_of
from thundercast.adapters.sources.base import SourceDate
from thundercast.domain import batch, runs
from thundercast.domain.batch import Attributes, Message
from thundercast.domain.runs import Run
from thundercast.stage import letters
from thundercast.stage.protocols import Delivery
from thundercast.stage.steps import CleanStep
from thundercast_dataflow.transforms import CLEAN, DEAD_LETTERS, CleanStream, Pace
from unit.domain.rawrows import DAY, make_stream

NOW: Final = 1_790_000_000.0
FAR: Final = 4_000_000_000.0


def run_of(dates: int, shards: int) -> Run:
    return Run(started="20260101T000000Z", source="test", start=DAY, end=DAY + dt.timedelta(days=dates - 1), shards=shards)


def raw_messages(run: Run, *, n: int = 24) -> list[Message]:
    """Every raw batch of a run, in order."""
    return [m for day, rows in make_stream(run.dates, n, start=run.start) for m in messages_of(SourceDate(runs.day(day), rows), run)[0]]


def cleaned(messages: Iterable[Message]) -> list[Message]:
    """What the core's step makes of raw batches that come in order."""
    step = CleanStep()
    return [out for m in messages for out in step.apply(Attributes.from_text(m.attributes), m).messages]


def rows_of(message: Message) -> pa.RecordBatch:
    return batch.decode(message, Attributes.from_text(message.attributes))[0]


def by_seq(messages: Iterable[Message]) -> dict[int, Message]:
    """Raises if a number is there twice."""
    found: dict[int, Message] = {}
    for message in messages:
        seq = int(message.attributes["seq"])
        assert seq not in found, f"batch {seq} left twice"
        found[seq] = message
    return found


def assert_same(found: Iterable[Message], wanted: Iterable[Message]) -> None:
    """Every batch once, with equal rows and equal attributes."""
    ours, theirs = by_seq(found), by_seq(wanted)
    assert sorted(ours) == sorted(theirs)
    for seq, message in theirs.items():
        assert dict(ours[seq].attributes) == dict(message.attributes)
        assert rows_of(ours[seq]).equals(rows_of(message))


def outcomes(messages: Iterable[Message]) -> dict[int, str]:
    return {seq: m.attributes["outcome"] for seq, m in sorted(by_seq(messages).items())}


def changed(message: Message, data: bytes | None = None, **attributes: str | None) -> Message:
    """A message with other data or attributes; None removes one."""
    merged = {**message.attributes, **attributes}
    return Message(message.data if data is None else data, {name: text for name, text in merged.items() if text is not None})


def delivered(message: Message, published: float = NOW) -> Delivery:
    return Delivery(message, "", published)


class ListBag:
    """A bag of Beam's state, without its job."""

    def __init__(self) -> None:
        self.items: list[bytes] = []

    def read(self) -> Iterator[bytes]:
        return iter(list(self.items))

    def add(self, value: bytes) -> None:
        self.items.append(value)

    def clear(self) -> None:
        self.items = []


# --- a pipeline's output ------------------------------------------------------------------------------------------


@dataclass
class Came:
    """What came out of a pipeline, in order.

    The runner counts the first messages that it is sent, and not what timers do.
    """

    clean: list[Message] = field(default_factory=list)
    letters: list[Message] = field(default_factory=list)
    counters: Mapping[str, int] = field(default_factory=dict)

    @property
    def letter_rows(self) -> list[dict[str, Any]]:
        return [row for message in self.letters for row in letters.from_message(message).to_pylist()]

    @property
    def reasons(self) -> list[str]:
        return sorted(row["reason"] for row in self.letter_rows)


# Of the module, because a runner copies functions and what they hold.
_CLEAN: list[Message] = []
_LETTERS: list[Message] = []


def _keep_clean(message: PubsubMessage) -> None:
    _CLEAN.append(Message(message.data, message.attributes))


def _keep_letter(message: PubsubMessage) -> None:
    _LETTERS.append(Message(message.data, message.attributes))


def through(place: str, *events: list[Message] | float, pace: Pace | None = None) -> Came:
    """Sends messages through the streaming transforms; a number lets so many seconds of processing time pass. Ends with a drain."""
    _CLEAN.clear()
    _LETTERS.clear()
    stream = TestStream()
    for event in events:
        if isinstance(event, float):
            stream = stream.advance_processing_time(event)
        else:
            stream = stream.add_elements([TimestampedValue(PubsubMessage(m.data, dict(m.attributes)), NOW) for m in event])
    stream = stream.advance_watermark_to_infinity()
    with Pipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions([], streaming=True)) as pipeline:
        out = pipeline | "Read" >> stream | "Clean" >> CleanStream(place, pace or Pace())
        _ = out[CLEAN] | "KeepClean" >> Map(_keep_clean)
        _ = out[DEAD_LETTERS] | "KeepLetters" >> Map(_keep_letter)
    counters = {c.key.metric.name: c.committed for c in pipeline.result.metrics().query()["counters"]}
    return Came(list(_CLEAN), list(_LETTERS), counters)
