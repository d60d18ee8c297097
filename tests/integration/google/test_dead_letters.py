"""Dead letters reach their table, whole, whatever happens on the way."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from integration.google.pubsub_scene import LEASE, PATIENCE, PROJECT, Place, a_place, pull_all
from thundercast.adapters.deadletters import Drain, drain
from thundercast.adapters.sqlite import SqliteStore
from thundercast.adapters.sqlite_reader import SqliteReader
from thundercast.domain.batch import Message
from thundercast.domain.deadletters import DeadLetter
from thundercast.domain.tables import DEAD_LETTERS, Table
from thundercast.stage.letters import to_messages, to_rows
from thundercast.stage.protocols import Unavailable

pytestmark = pytest.mark.usefixtures("pubsub_emulator")

RUN = "20240101T000000Z-0123abcd"
LETTERS = [
    DeadLetter("min_above_max", "min 40.0 > max 30.0", "cleaner", RUN, 7, "72503014732", "2022-01-01", {"min": 40.0, "name": "ü"}),
    DeadLetter("min_above_max", "min 41.0 > max 30.0", "cleaner", RUN, 7, "72503014733", "2022-01-01", {"min": 41.0, "x": float("nan")}),
    DeadLetter("undecodable", "not an Arrow stream", "trainer", RUN, 9, "", "2022-01-02", {"seq": "9"}, bytes(range(256)) * 40),
    DeadLetter("unaddressed", "the message has no readable seq", "cleaner", payload=b"\x00garbage"),
]


@pytest.fixture
def place() -> Place:
    return a_place()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(tmp_path / "store.sqlite") as store:
        yield store


def publish(place: Place, messages: Sequence[Message]) -> None:
    with place.publisher() as publisher:
        publisher.publish(messages)


def kept(store: SqliteStore) -> list[dict[str, Any]]:
    rows = store._connection.execute(f"SELECT {', '.join(DEAD_LETTERS.arrow.names[:-1])} FROM dead_letters").fetchall()
    return by_key([dict(zip(DEAD_LETTERS.arrow.names, row, strict=False)) for row in rows])


def by_key(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: tuple(str(row[name]) for name in DEAD_LETTERS.key))


def set_aside(*letters: DeadLetter) -> list[dict[str, Any]]:
    return by_key([{k: v for k, v in row.items() if k != "written_at"} for row in to_rows(letters).to_pylist()])


def test_what_was_set_aside_is_what_the_table_has(place: Place, store: SqliteStore) -> None:
    publish(place, to_messages(LETTERS))
    with place.subscriber() as subscription:
        assert drain(subscription, store, poll=0.5) == 3
        assert subscription.pull(9, 1.0) == []
    assert kept(store) == set_aside(*LETTERS)
    reader = SqliteReader(store.path)
    assert {row["reason"]: row["count"] for row in reader.dead_letter_counts(RUN).to_pylist()} == {"min_above_max": 2, "undecodable": 1}
    reader.close()


class KilledBeforeAck:
    """A subscription of a process that ends between write and ack."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.held: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def ack(self, tokens: Sequence[str]) -> None:
        self.held += tokens
        raise KeyboardInterrupt


def test_a_drain_that_is_killed_between_write_and_ack_doubles_nothing(place: Place, store: SqliteStore) -> None:
    publish(place, to_messages(LETTERS))
    with place.subscriber() as inner:
        first = KilledBeforeAck(inner)
        with pytest.raises(KeyboardInterrupt):
            drain(first, store, poll=PATIENCE)
        written = kept(store)
        assert written
        first.nack(first.held)  # as when its leases run out
    with place.subscriber() as second:
        assert drain(second, store) == 3, "what was written came again too"
    assert kept(store) == set_aside(*LETTERS)


def test_what_the_broker_gave_up_is_a_row_with_all_that_is_needed_to_publish_it_again(place: Place, store: SqliteStore) -> None:
    given_up = a_place(
        dead_letter_policy={"dead_letter_topic": f"projects/{PROJECT}/topics/{place.topic}", "max_delivery_attempts": 5},
    )
    batch = Message(b"\x01\x02", {"run_id": RUN, "seq": "12", "date": "2022-01-03", "schema": "gsod.clean/1"})
    publish(given_up, [batch])
    with given_up.subscriber() as subscription:
        for attempt in range(1, 6):
            (delivery,) = pull_all(subscription, 1)
            assert delivery.attempt == attempt
            subscription.nack([delivery.token])
        with place.subscriber() as dead:
            subscription.pull(1, 0.5)  # the emulator moves it when somebody asks
            until = time.monotonic() + PATIENCE
            while not kept(store) and time.monotonic() < until:
                drain(dead, store, poll=0.5)
    (row,) = kept(store)
    assert (row["reason"], row["run_id"], row["seq"], row["station"], row["date"]) == ("undelivered", RUN, 12, "", "2022-01-03")
    assert row["payload"] == batch.data
    assert json.loads(row["original"]) == batch.attributes
    assert given_up.subscription in row["detail"]


GARBAGE = [
    Message(b"hello", {}),
    Message(b"", {"a": "b"}),
    Message(b"no arrow", {"schema": "thundercast.dead_letter/1", "run_id": RUN, "seq": "-4"}),
    Message(to_messages(LETTERS)[0].data[:-40] + bytes(range(40)), {"schema": "thundercast.dead_letter/1"}),
]


def test_garbage_is_kept_whole(place: Place, store: SqliteStore) -> None:
    publish(place, [*GARBAGE, *to_messages(LETTERS[:1])])
    with place.subscriber() as subscription:
        drain(subscription, store, poll=0.5)
        assert subscription.pull(9, 0.5) == []
    rows = [row for row in kept(store) if row["stage"] == "dead letters"]
    assert {(row["reason"], row["seq"]) for row in rows} == {("unaddressed", -1)}
    assert [(row["payload"] or b"", json.loads(row["original"])) for row in sorted(rows, key=lambda row: row["payload"] or b"")] == [
        (garbage.data, garbage.attributes) for garbage in sorted(GARBAGE, key=lambda garbage: garbage.data)
    ]
    assert len(kept(store)) == len(GARBAGE) + 1


class AwayAtFirst:
    """A store that does not answer the first time."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.asked = 0

    def write(self, table: Table, rows: pa.Table) -> None:
        self.asked += 1
        if self.asked == 1:
            raise Unavailable("the store is away")
        self.store.write(table, rows)


def test_a_drain_on_its_thread_waits_for_the_store_and_stops_when_told(store: SqliteStore) -> None:
    place = a_place(ack_deadline_seconds=LEASE)
    publish(place, to_messages(LETTERS))
    away, stop, leading = AwayAtFirst(store), threading.Event(), threading.Event()
    one = Drain(place.subscriber(), away, retry_after=0.2)
    thread = threading.Thread(target=one.run, args=(stop,), kwargs={"may": leading.is_set})
    thread.start()
    try:
        time.sleep(0.5)
        assert away.asked == 0, "who may not drain does not"
        leading.set()
        until = time.monotonic() + PATIENCE
        while len(kept(store)) < len(LETTERS) and time.monotonic() < until:
            time.sleep(0.1)
    finally:
        stop.set()
        thread.join(PATIENCE)
    assert kept(store) == set_aside(*LETTERS)
    assert one.letters == len(LETTERS)
    assert one.last_error == ""
