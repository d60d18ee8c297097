"""Feeding: a source's dates become numbered batches, at a pace, and nothing that could not be read is lost."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pytest

from thundercast.adapters import feeding
from thundercast.adapters.feeding import Feeder, Pace, dates_per_second, messages_of, rows_per_second, run_of
from thundercast.adapters.sources.base import Progress, SourceDate, SourceInfo
from thundercast.domain import runs, schema
from thundercast.domain.batch import Attributes, Message, decode
from thundercast.domain.cleaning import Cleaner
from thundercast.domain.deadletters import DeadLetter
from thundercast.domain.runs import Run
from unit.domain.rawrows import DAY, A, B, batch_of, make_stream, of_shard, raw

STREAM = make_stream(5, 50)
INFO = SourceInfo("test#1", DAY, DAY + dt.timedelta(days=4), synthetic=True, rights="none")
NOW = dt.datetime(2024, 5, 6, 7, 8, 9, tzinfo=dt.timezone(dt.timedelta(hours=2)))


@dataclass
class Dates:
    """A source of the stream above; on the second date one row could not be read."""

    asked: list[tuple[dt.date, dt.date]] = field(default_factory=list)

    def open(self, progress: Progress | None = None) -> SourceInfo:
        return INFO

    def dates(self, start: dt.date, end: dt.date) -> Iterator[SourceDate]:
        self.asked.append((start, end))
        for number, rows in STREAM:
            if start <= (date := runs.day(number)) <= end:
                unread = (
                    [DeadLetter("bad_value", "temp='x'", "source", station=A, original={"temp": "x"})] if date.day == DAY.day + 1 else []
                )
                yield SourceDate(date, rows, unread)


@dataclass
class Published:
    messages: list[Message] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def publish(self, messages: Sequence[Message]) -> None:
        self.messages += messages
        self.calls.append(len(messages))
        self.log.append("published")

    def set_aside(self, letters: list[DeadLetter]) -> None:
        self.letters += letters
        self.log.append("set aside")

    @property
    def seqs(self) -> list[int]:
        return [int(m.attributes["seq"]) for m in self.messages]


def a_run(shards: int = 4) -> Run:
    return run_of(INFO, started=NOW, shards=shards, version="1")


def feeder(out: Published, run: Run, pace: Pace | None = None) -> Feeder:
    return Feeder(Dates(), run, out, pace=pace, set_aside=out.set_aside)


@pytest.mark.parametrize("shards", [1, 4, 16])
def test_every_row_of_a_date_goes_out_once_in_its_own_shards_batch(shards: int) -> None:
    run = a_run(shards)
    number, rows = STREAM[2]
    messages, letters = messages_of(SourceDate(runs.day(number), rows), run)
    assert letters == []
    assert len(messages) == shards
    for shard, message in enumerate(messages):
        attributes = Attributes.from_text(message.attributes)
        assert attributes == Attributes.of(run, 2 * shards + shard, schema.RAW)
        assert decode(message, attributes)[0].to_pylist() == of_shard(rows, shard, shards).to_pylist()


def test_a_date_without_rows_is_as_many_empty_batches() -> None:
    messages, _ = messages_of(SourceDate(DAY, batch_of()), a_run())
    assert [decode(m, Attributes.from_text(m.attributes))[0].num_rows for m in messages] == [0] * 4


def test_a_row_without_a_station_goes_to_shard_0_where_the_cleaner_sets_it_aside() -> None:
    run = a_run()
    rows = pa.concat_batches([batch_of(raw(None), raw("?")), STREAM[0][1]])
    messages, _ = messages_of(SourceDate(DAY, rows), run)
    reasons = []
    for message in messages:
        attributes = Attributes.from_text(message.attributes)
        done = Cleaner().clean(decode(message, attributes)[0], runs.ordinal(DAY), shard=attributes.shard, shards=4)
        reasons += [(attributes.shard, letter.reason) for letter in done.dead_letters]
    assert reasons == [(0, "bad_station"), (0, "bad_station")]


def test_what_the_source_could_not_read_goes_by_the_runs_name() -> None:
    run = a_run()
    unread = [
        DeadLetter("bad_value", "d", "source", station=B, original={"a": 1}),
        DeadLetter("bad_date", "d", "source", date="?", payload=b"x"),
    ]
    _, letters = messages_of(SourceDate(DAY + dt.timedelta(days=1), batch_of(), unread), run)
    assert [(x.run_id, x.seq, x.date, x.station, x.reason, x.original, x.payload) for x in letters] == [
        (run.run_id, 4, "2022-07-16", B, "bad_value", {"a": 1}, b""), (run.run_id, 4, "?", "", "bad_date", {}, b"x"),
    ]  # fmt: skip


def test_a_run_is_of_what_the_source_has() -> None:
    run = a_run()
    assert (run.started, run.source, run.start, run.end, run.synthetic, run.rights) == (
        "20240506T050809Z", "test#1", INFO.start, INFO.end, True, "none",
    )  # fmt: skip
    part = run_of(INFO, started=NOW, shards=4, version="1", start=dt.date(2000, 1, 1), end=DAY)
    assert (part.start, part.end) == (DAY, DAY)
    with pytest.raises(ValueError, match="before its start"):
        run_of(INFO, started=NOW, shards=4, version="1", start=dt.date(2030, 1, 1))


@pytest.mark.parametrize("from_seq", [0, 1, 4, 6, 19])
def test_feeding_publishes_every_batch_from_a_number_on_in_order(from_seq: int) -> None:
    run, out = a_run(), Published()
    fed = list(feeder(out, run).feed(from_seq))
    assert out.seqs == list(range(from_seq, run.batches))
    assert sum(f.batches for f in fed) == run.batches - from_seq
    assert [f.rows for f in fed] == [len(rows) for number, rows in STREAM if number >= runs.ordinal(fed[0].date)]
    assert [f.next_seq for f in fed] == [run.seq(f.date, 0) + 4 for f in fed]
    dates = [f.date for f in fed]
    assert dates == [DAY + dt.timedelta(days=d) for d in range(from_seq // 4, 5)]
    assert [m.attributes["last"] for m in out.messages] == ["false"] * (len(out.messages) - 1) + ["true"]
    assert len(out.calls) == len(dates)


def test_a_run_that_is_all_out_has_nothing_to_feed() -> None:
    run, out = a_run(), Published()
    assert list(feeder(out, run).feed(run.batches)) == []
    assert out.messages == []


def test_what_cannot_be_read_is_set_aside_before_its_date_is_published() -> None:
    out = Published()
    list(feeder(out, a_run()).feed(0))
    assert out.log == ["published", "set aside", "published", "published", "published", "published"]
    assert [letter.seq for letter in out.letters] == [4]


def test_a_stopped_feeder_publishes_no_more() -> None:
    out = Published()
    feed = feeder(out, a_run())
    dates = feed.feed(0)
    assert next(dates).date == DAY
    feed.stop()
    assert list(dates) == []
    assert out.seqs == [0, 1, 2, 3]


def test_stopping_wakes_a_feeder_that_waits_for_its_pace() -> None:
    out = Published()
    feed = feeder(out, a_run(), pace=dates_per_second(1 / 3600))
    done = threading.Event()

    def work() -> None:
        list(feed.feed(0))
        done.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    while not out.messages:
        assert thread.is_alive()
        time.sleep(0.001)
    feed.stop()
    assert done.wait(60)
    assert out.seqs == [0, 1, 2, 3]


class Clock:
    """Stands in for the clock and the event that the pace is waited for with."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return False

    def is_set(self) -> bool:
        return False


def test_a_pace_is_kept_and_not_caught_up_with(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, out = Clock(), Published()
    monkeypatch.setattr(feeding.time, "monotonic", clock.monotonic)
    feed = feeder(out, a_run(), pace=dates_per_second(2.0))
    monkeypatch.setattr(feed, "_stopped", clock)
    times = []
    for i, _ in enumerate(feed.feed(0)):
        times.append(clock.now)
        clock.now += 7.0 if i == 1 else 0.1  # after the second date the publisher was held up
    assert times == pytest.approx([100.0, 100.5, 107.5, 108.0, 108.5])


def test_a_pace_in_rows_gives_a_date_the_time_of_its_rows() -> None:
    pace = rows_per_second(5_000)
    assert [pace(SourceDate(DAY, rows)) for _, rows in STREAM] == [len(rows) / 5_000 for _, rows in STREAM]
