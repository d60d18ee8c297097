"""The adapters to Pub/Sub keep a broker's promises, on Google's own emulator."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

import emulators
from integration.google.pubsub_scene import LEASE, PATIENCE, PROJECT, Place, a_place, data, numbered, pull_all, unique
from thundercast.adapters.google.pubsub_publisher import PubSubPublisher
from thundercast.adapters.google.pubsub_subscription import PubSubSubscription
from thundercast.domain.batch import Message
from thundercast.stage.protocols import Unavailable

pytestmark = pytest.mark.usefixtures("pubsub_emulator")


@pytest.fixture
def place() -> Place:
    return a_place()


@pytest.fixture
def subscription(place: Place) -> Iterator[PubSubSubscription]:
    with place.subscriber() as subscription:
        yield subscription


@pytest.fixture(scope="module", autouse=True)
def hung(pubsub_emulator: emulators.Running) -> Iterator[tuple[Place, PubSubSubscription]]:
    """A loop that has pulled once and does nothing more while the other tests run."""
    place = a_place()
    with place.publisher() as publisher:
        publisher.publish(numbered(*range(4)))
    with place.subscriber() as subscription:
        pull_all(subscription, 1)
        yield place, subscription


def publish(place: Place, *messages: Message) -> None:
    with place.publisher() as publisher:
        publisher.publish(messages)


def test_a_message_arrives_as_it_was_with_its_time(place: Place, subscription: PubSubSubscription) -> None:
    before = time.time()
    message = Message(bytes(range(256)), {"message_id": "run/7", "source": "file:ünïcode#1", "last": "false"})
    publish(place, message)
    (delivery,) = pull_all(subscription, 1)
    assert delivery.message == message
    assert before - 60 < delivery.published < time.time() + 60
    assert delivery.attempt == 1


def test_what_is_acked_does_not_come_again_and_what_is_given_back_does(place: Place, subscription: PubSubSubscription) -> None:
    publish(place, *numbered(1, 2, 3))
    first = pull_all(subscription, 3)
    assert data(first) == [1, 2, 3]
    subscription.ack([d.token for d in first if d.message.data != b"2"])
    subscription.nack([d.token for d in first if d.message.data == b"2"])
    again = pull_all(subscription, 1)
    assert data(again) == [2]
    subscription.ack([d.token for d in again])
    assert subscription.pull(9, 1.0) == []


def test_a_lease_runs_out_unless_it_is_extended_also_of_what_is_kept_ready(place: Place) -> None:
    publish(place, *numbered(*range(4)))
    with place.subscriber(ready_messages=1) as holder, place.subscriber() as other:
        # Two are in the hands of the loop, the two that came with them are kept ready, and so nothing more is fetched.
        held = pull_all(holder, 2)
        kept = set(range(4)) - set(data(held))
        assert len(holder._ready) == 2
        until = time.monotonic() + LEASE + 3
        while time.monotonic() < until:
            time.sleep(1.0)
            holder.extend([held[0].token])
        came = pull_all(other, 1)
        assert data(came) == data(held[1:]), "only the lease that was not extended has run out"
        rest = pull_all(holder, len(kept))
        assert data(rest) == sorted(kept)
        holder.ack([d.token for d in [held[0], *rest]])
        other.ack([d.token for d in came])
        assert other.pull(9, 1.0) == []


def test_closing_gives_back_at_once_what_was_kept_ready(place: Place) -> None:
    publish(place, *numbered(*range(8)))
    subscription = place.subscriber(ack_deadline=600)
    taken = pull_all(subscription, 1)
    subscription.extend([d.token for d in taken])
    subscription.close()
    subscription.close()
    with pytest.raises(Unavailable, match="is closed"):
        subscription.pull(1, 0.0)
    with place.subscriber() as successor:
        assert data(pull_all(successor, 7)) == sorted(set(range(8)) - set(data(taken)))


def test_closing_ends_a_request_that_waits(place: Place) -> None:
    subscription = place.subscriber()
    assert subscription.pull(1, 0.2) == []
    subscription.close()
    assert not any(thread.name.endswith(place.subscription) for thread in threading.enumerate())


def test_seeking_brings_back_what_was_acked_since() -> None:
    place = a_place(retain_acked_messages=True)
    with place.subscriber() as subscription:
        publish(place, *numbered(1))
        first = pull_all(subscription, 1)
        subscription.ack([first[0].token])
        time.sleep(0.1)
        publish(place, *numbered(2, 3))
        second = pull_all(subscription, 2)
        subscription.ack([d.token for d in second])
        subscription.seek(min(d.published for d in second) - 0.05)
        assert data(pull_all(subscription, 2)) == [2, 3]
        assert subscription.pull(9, 1.0) == []


def test_seeking_to_what_is_not_kept_is_refused_with_the_way_out() -> None:
    forgetful, keeping = a_place(), a_place(retain_acked_messages=True)
    with forgetful.subscriber() as subscription, pytest.raises(LookupError, match="does not keep acked messages.*`thundercast bootstrap`"):
        subscription.seek(time.time() - 60)
    with keeping.subscriber() as subscription, pytest.raises(LookupError, match="for 7 days, 0:00:00, and those since"):
        subscription.seek(time.time() - 8 * 86_400)


def test_a_backlog_of_large_messages_arrives_although_an_answer_may_have_four_megabytes(
    place: Place, subscription: PubSubSubscription
) -> None:
    sizes = {n: 20_000 if n < 40 else 900_000 for n in range(60)}
    publish(place, *(message for n, size in sizes.items() for message in numbered(n, size=size)))
    found: dict[int, int] = {}
    until = time.monotonic() + PATIENCE
    while len(found) < 60 and time.monotonic() < until:
        deliveries = subscription.pull(60, 0.5)
        subscription.ack([d.token for d in deliveries])
        found |= {int(d.message.data): len(d.message.data) for d in deliveries}
    assert found == sizes


def test_what_is_kept_ready_is_bounded(place: Place) -> None:
    publish(place, *numbered(*range(200), size=10_000))
    with place.subscriber(ready_messages=20) as few, place.subscriber(ready_bytes=100_000) as small:
        for subscription in (few, small):
            pull_all(subscription, 1)
            until = time.monotonic() + PATIENCE
            while len(subscription._ready) < 9 and time.monotonic() < until:
                subscription.pull(0, 0.1)
        # One answer may go over: it has at most twice as many messages as the one before.
        assert len(few._ready) <= 60
        assert small._bytes <= 100_000 + 10_100 * 32


def test_a_publisher_waits_for_room_and_everything_arrives(place: Place, subscription: PubSubSubscription) -> None:
    with place.publisher(limit_messages=5, limit_bytes=20_000) as publisher:
        publisher.publish(numbered(*range(100), size=3_000))
    found = pull_all(subscription, 100)
    assert data(found) == list(range(100))


def test_a_message_over_the_limit_is_refused_by_name(place: Place) -> None:
    with place.publisher() as publisher, pytest.raises(ValueError, match="exceed|too large|10"):
        publisher.publish([Message(b"x" * 10_600_000, {})])


def test_publishing_nothing_asks_nobody() -> None:
    with PubSubPublisher(PROJECT, unique("missing")) as publisher:
        publisher.publish([])


def test_a_missing_topic_or_subscription_is_named_with_what_makes_it(place: Place) -> None:
    topic, name = unique("missing"), unique("missing")
    with (
        PubSubPublisher(PROJECT, topic) as publisher,
        pytest.raises(Unavailable, match=f"topic projects/{PROJECT}/topics/{topic} does not exist: `thundercast bootstrap` makes it"),
    ):
        publisher.publish(numbered(1))
    with (
        PubSubSubscription(PROJECT, name) as subscription,
        pytest.raises(Unavailable, match=f"subscription projects/{PROJECT}/subscriptions/{name} does not exist: `thundercast bootstrap`"),
    ):
        subscription.pull(1, PATIENCE)


def test_a_wrong_project_is_in_the_name_and_so_is_its_variable(place: Place) -> None:
    with PubSubSubscription("another-project", place.subscription) as subscription:
        with pytest.raises(Unavailable, match=f"projects/another-project/subscriptions/{place.subscription} .*THUNDERCAST_PROJECT"):
            subscription.pull(1, PATIENCE)
        with pytest.raises(Unavailable, match="THUNDERCAST_PROJECT"):
            subscription.seek(time.time())
    with PubSubPublisher("another-project", place.topic) as publisher, pytest.raises(Unavailable, match="THUNDERCAST_PROJECT"):
        publisher.publish(numbered(1))


def test_a_subscription_that_is_made_later_is_found(place: Place) -> None:
    from google.cloud import pubsub_v1

    late = unique("late")
    with PubSubSubscription(PROJECT, late, ack_deadline=LEASE) as subscription:
        with pytest.raises(Unavailable, match="does not exist"):
            subscription.pull(1, PATIENCE)
        with pubsub_v1.SubscriberClient() as client:
            client.create_subscription(name=f"projects/{PROJECT}/subscriptions/{late}", topic=f"projects/{PROJECT}/topics/{place.topic}")
        publish(place, *numbered(5))
        found, until = [], time.monotonic() + PATIENCE
        while not found and time.monotonic() < until:
            try:
                found = subscription.pull(1, 1.0)
            except Unavailable:
                time.sleep(0.2)
        assert data(found) == [5]


def test_an_emulator_that_does_not_answer_is_named_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"127.0.0.1:{emulators.free_port()}"
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", address)
    line = f"emulator at {address} \\(variable PUBSUB_EMULATOR_HOST\\) does not answer"
    with PubSubPublisher(PROJECT, "topic", timeout=0.5) as publisher, pytest.raises(Unavailable, match=line):
        publisher.publish(numbered(1))
    with PubSubSubscription(PROJECT, "sub", timeout=0.5) as subscription:
        with pytest.raises(Unavailable, match=line):
            subscription.pull(1, PATIENCE)
        with pytest.raises(Unavailable, match=line):
            subscription.ack(["token"])


def test_a_loop_that_asks_no_more_holds_nothing_after_one_ack_deadline(hung: tuple[Place, PubSubSubscription]) -> None:
    place, subscription = hung
    with place.subscriber() as successor:
        came = pull_all(successor, 4)
        assert data(came) == [0, 1, 2, 3]
        successor.ack([d.token for d in came])
        assert subscription.pull(9, 1.0) == [], "what was kept ready for it is void"
