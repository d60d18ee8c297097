"""The topic in memory keeps a broker's promises."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thundercast.adapters.memory import MemoryTopic
from thundercast.domain.batch import Message
from thundercast.stage.protocols import Delivery, Unavailable
from unit.stage.scene import FakeTime


def numbered(*numbers: int) -> list[Message]:
    return [Message(str(n).encode(), {}) for n in numbers]


def data(deliveries: list[Delivery]) -> list[int]:
    return [int(d.message.data) for d in deliveries]


def a_topic(time: FakeTime, retain: float = 0.0) -> MemoryTopic:
    return MemoryTopic(ack_deadline=15.0, retain=retain, monotonic=lambda: time.now, wall=time.wall)


def test_what_is_acked_does_not_come_again_and_what_is_not_does() -> None:
    time = FakeTime()
    topic = a_topic(time)
    topic.publish(numbered(1, 2, 3))
    first = topic.pull(2, 0)
    assert data(first) == [1, 2]
    assert data(topic.pull(9, 0)) == [3]
    assert topic.pull(9, 0) == []
    topic.ack([first[0].token])
    time.advance(15.0)
    again = topic.pull(9, 0)
    assert data(again) == [2, 3]
    assert [d.attempt for d in again] == [2, 2]
    assert [d.published for d in again] == [1_700_000_000.0] * 2
    topic.ack([first[1].token])
    time.advance(15.0)
    assert data(topic.pull(9, 0)) == [2, 3], "the ack of a lease that ran out has no effect"


def test_a_lease_that_is_extended_does_not_run_out() -> None:
    time = FakeTime()
    topic = a_topic(time)
    topic.publish(numbered(1, 2))
    (one, two) = topic.pull(2, 0)
    time.advance(10.0)
    topic.extend([one.token])
    time.advance(10.0)
    assert data(topic.pull(9, 0)) == [2]
    topic.ack([one.token])
    assert topic.unacked == 1
    assert two.attempt == 1


def test_what_is_given_back_comes_again_after_the_others() -> None:
    topic = a_topic(FakeTime())
    topic.publish(numbered(1, 2, 3))
    (one,) = topic.pull(1, 0)
    topic.nack([one.token, "unknown"])
    assert data(topic.pull(9, 0)) == [2, 3, 1]


def test_a_publisher_waits_for_room_and_leases_need_none() -> None:
    topic, done = MemoryTopic(capacity=2), threading.Event()

    def publish() -> None:
        topic.publish(numbered(1, 2, 3, 4))
        done.set()

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        assert not done.wait(0.1)
        assert len(topic) == 2
        assert data(topic.pull(2, 5.0)) == [1, 2]
        assert done.wait(30.0)
        assert topic.unacked == 4
    finally:
        topic.close()
        thread.join(30.0)


def test_who_waits_for_a_message_gets_it_at_once() -> None:
    topic = MemoryTopic()
    timer = threading.Timer(0.05, lambda: topic.publish(numbered(1)))
    timer.start()
    assert data(topic.pull(1, 30.0)) == [1]
    timer.join()


def test_closing_wakes_everybody() -> None:
    topic, ends = MemoryTopic(capacity=1), []

    def publish() -> None:
        try:
            topic.publish(numbered(1, 2))
        except Unavailable as error:
            ends.append(str(error))

    publisher = threading.Thread(target=publish)
    publisher.start()
    timer = threading.Timer(0.05, topic.close)
    timer.start()
    publisher.join(30.0)
    assert ends == ["the topic in memory is closed"]
    timer.join()
    with pytest.raises(Unavailable, match="is closed"):
        topic.pull(1, 30.0)


def test_seeking_brings_back_what_was_acked_since_and_nothing_older() -> None:
    time = FakeTime()
    topic = a_topic(time, retain=1000.0)
    for n in range(5):
        topic.publish(numbered(n))
        time.advance(10.0)
    topic.ack([d.token for d in topic.pull(4, 0)])
    topic.seek(time.wall() - 30.0)
    assert sorted(data(topic.pull(9, 0))) == [2, 3, 4]
    assert topic.pull(9, 0) == []


def test_seeking_to_what_is_not_kept_any_more_is_refused() -> None:
    time = FakeTime()
    topic = a_topic(time, retain=60.0)
    topic.publish(numbered(1))
    topic.ack([d.token for d in topic.pull(1, 0)])
    time.advance(61.0)
    with pytest.raises(LookupError, match="keeps acked messages for 60 s"):
        topic.seek(time.wall() - 61.0)
    topic.seek(time.wall() - 60.0)
    forgetful = a_topic(time)
    forgetful.seek(0.0)
    forgetful.publish(numbered(1))
    forgetful.ack([d.token for d in forgetful.pull(1, 0)])
    with pytest.raises(LookupError):
        forgetful.seek(0.0)


def test_a_topic_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="capacity must be at least 1"):
        MemoryTopic(capacity=0)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["pull", "ack", "nack", "wait", "extend"]), st.integers(1, 4)), max_size=40))
def test_no_message_is_lost_whatever_a_subscriber_does(steps: list[tuple[str, int]]) -> None:
    time = FakeTime(limit=1e9)
    topic = a_topic(time)
    topic.publish(numbered(*range(8)))
    held: list[Delivery] = []
    acked: set[int] = set()
    for what, n in steps:
        if what == "pull":
            held += topic.pull(n, 0)
        elif what == "ack":
            # Only those whose lease still runs count.
            live = [d for d in held[:n] if d.token in topic._leased and topic._leased[d.token].until > time.now]
            topic.ack([d.token for d in live])
            acked |= {int(d.message.data) for d in live}
            held = held[n:]
        elif what == "nack":
            topic.nack([d.token for d in held[:n]])
            held = held[n:]
        elif what == "extend":
            topic.extend([d.token for d in held[:n]])
        else:
            time.advance(n * 5.0)
    time.advance(15.0)
    assert sorted([*data(topic.pull(99, 0)), *acked]) == list(range(8))
