"""Messages that are handed in are kept until the loop has acked them, and given to it in their turn."""

from __future__ import annotations

import base64
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from thundercast.adapters.folder import FolderObjects
from thundercast.domain.batch import Attributes, Message, Unaddressed
from thundercast.stage.protocols import Subscription, Unavailable
from thundercast_trainer.kept import Kept, turn_of
from thundercast_trainer.push import Full, PushSubscription, unwrapped

WITHIN = 30.0


RUN = "20240101T000000Z-0123abcd"


def message(n: int, run_id: str = RUN) -> Message:
    return Message(b"rows of %d" % n, {"run_id": run_id, "seq": str(n)})


def numbers(subscription: PushSubscription, limit: int = 100, timeout: float = 0.0) -> list[int]:
    return [int(d.message.attributes["seq"]) for d in subscription.pull(limit, timeout)]


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(FolderObjects(tmp_path / "pushed"))


def offer(subscription: PushSubscription, *seqs: int) -> None:
    for seq in seqs:
        subscription.offer(message(seq), published=float(seq))


def test_it_is_a_subscription_and_gives_what_was_offered_in_the_order_of_its_turns(kept: Kept) -> None:
    subscription: Subscription = PushSubscription(kept)
    assert isinstance(subscription, PushSubscription)
    offer(subscription, 4, 0, 11)
    subscription.offer(Message(b"rows of nowhere", {"seq": "7"}), published=9.0)
    subscription.offer(message(2), published=2.5, attempt=3)
    first, second, third = subscription.pull(3, 0.0)
    assert (first.message, second.message, third.message) == (Message(b"rows of nowhere", {"seq": "7"}), message(0), message(2))
    assert (first.published, third.published, third.attempt) == (9.0, 2.5, 3)
    assert numbers(subscription) == [4, 11]
    assert subscription.pull(5, 0.0) == []


def test_what_was_offered_and_not_acked_is_there_for_the_next_process(kept: Kept) -> None:
    first = PushSubscription(kept)
    offer(first, 3, 1, 2, 0)
    first.offer(Message(b"\x00rows\n of \xff nowhere", {"from": "ö"}), published=1.25)
    (stray, acked, *_) = first.pull(3, 0.0)
    first.ack([acked.token])
    first.close()
    second = PushSubscription(kept)
    found = second.pull(9, 0.0)
    assert [d.message for d in found] == [stray.message, message(1), message(2), message(3)]
    assert found[0].published == 1.25
    second.ack([d.token for d in found])
    assert kept.turns() == {}


def test_the_same_message_again_is_one(kept: Kept) -> None:
    subscription = PushSubscription(kept)
    offer(subscription, 1, 1)
    (delivery,) = subscription.pull(5, 0.0)
    offer(subscription, 1)
    assert subscription.pull(5, 0.0) == []
    subscription.ack([delivery.token])
    offer(subscription, 1)
    assert numbers(subscription) == [1], "a duplicate, which the loop knows"


def test_two_messages_of_one_number_are_two(kept: Kept) -> None:
    subscription = PushSubscription(kept)
    offer(subscription, 1)
    subscription.offer(Message(b"damaged", message(1).attributes), published=0.0)
    assert len(subscription.pull(5, 0.0)) == 2


def test_what_is_given_back_comes_again_in_its_turn(kept: Kept) -> None:
    subscription = PushSubscription(kept)
    offer(subscription, 5, 6, 7)
    tokens = [d.token for d in subscription.pull(3, 0.0)]
    subscription.extend(tokens)
    subscription.nack([tokens[2], tokens[0], "never seen"])
    offer(subscription, 1)
    assert numbers(subscription, 2) == [1, 5]
    assert numbers(subscription) == [7]


def test_beyond_the_capacity_only_what_comes_before_others_is_taken(kept: Kept) -> None:
    subscription = PushSubscription(kept, capacity=2)
    offer(subscription, 4, 6)
    for late in (6, 7):
        with pytest.raises(Full):
            offer(subscription, late)
    offer(subscription, 5, 0)
    assert numbers(subscription, 3) == [0, 4, 5]
    offer(subscription, 7)
    assert numbers(subscription) == [6, 7]
    with pytest.raises(ValueError, match="capacity"):
        PushSubscription(kept, capacity=0)


def test_what_does_not_fit_in_memory_is_read_again(kept: Kept) -> None:
    subscription = PushSubscription(kept, ready_bytes=3 * message(0).size)
    offer(subscription, *range(20))
    assert (len(subscription._ready), subscription._bytes) == (3, 3 * message(0).size)
    assert [d.message for d in subscription.pull(30, 0.0)] == [message(seq) for seq in range(20)]
    assert (subscription._ready, subscription._bytes) == ({}, 0)


def test_what_cannot_be_kept_is_not_taken_and_what_cannot_be_read_now_waits(tmp_path: Path) -> None:
    objects = Away(tmp_path / "pushed")
    subscription = PushSubscription(Kept(objects), ready_bytes=0)
    objects.away = True
    with pytest.raises(Unavailable, match="away"):
        offer(subscription, 0)
    objects.away = False
    assert subscription.pull(5, 0.0) == []
    offer(subscription, 1, 2)
    objects.away = True
    with pytest.raises(Unavailable, match="away"):
        subscription.pull(5, 0.0)
    objects.away = False
    (one, other) = subscription.pull(5, 0.0)
    objects.away = True
    with pytest.raises(Unavailable, match="away"):
        subscription.ack([one.token])
    objects.away = False
    subscription.ack([one.token, other.token])
    assert Kept(objects).turns() == {}


class Away(FolderObjects):
    """A place that may not answer."""

    away = False

    def read(self, name: str) -> tuple[bytes, str] | None:
        self._answers()
        return super().read(name)

    def replace(self, name: str, data: bytes) -> None:
        self._answers()
        super().replace(name, data)

    def delete(self, name: str) -> None:
        self._answers()
        super().delete(name)

    def _answers(self) -> None:
        if self.away:
            raise Unavailable("the place is away")


def test_what_is_damaged_or_half_written_is_not_given_to_the_loop(kept: Kept, tmp_path: Path) -> None:
    name = kept.put(message(1), published=0.0)
    kept.put(message(2), published=0.0)
    path = tmp_path / "pushed" / name
    path.write_bytes(path.read_bytes()[:-1])
    (tmp_path / "pushed" / f".{name}.1234").write_bytes(b"half")
    assert numbers(PushSubscription(kept)) == [2]


def test_what_another_process_kept_later_is_found_when_nothing_waits(kept: Kept) -> None:
    now = [0.0]
    subscription = PushSubscription(kept, monotonic=lambda: now[0])
    assert subscription.pull(5, 0.0) == []
    kept.put(message(3), published=0.0)
    assert subscription.pull(5, 0.0) == [], "it does not ask all the time"
    now[0] = 10.0
    assert numbers(subscription) == [3]


def test_a_pull_waits_for_the_first_message(kept: Kept) -> None:
    subscription, found = PushSubscription(kept), []
    thread = threading.Thread(target=lambda: found.extend(numbers(subscription, timeout=WITHIN)))
    thread.start()
    offer(subscription, 7)
    thread.join()
    assert found == [7]


def test_after_the_end_nothing_is_taken(kept: Kept) -> None:
    subscription = PushSubscription(kept)
    offer(subscription, 1)
    subscription.close()
    with pytest.raises(Unavailable):
        offer(subscription, 3)
    with pytest.raises(Unavailable):
        subscription.pull(1, 0.0)
    assert [turn for _, turn in kept.turns().values()] == [1]


def test_it_cannot_be_sought_and_says_what_can_be_done(kept: Kept) -> None:
    with pytest.raises(LookupError, match="push cannot be sought.*by pull"):
        PushSubscription(kept).seek(0.0)


@pytest.mark.parametrize("attributes", [{}, {"run_id": RUN}, {"seq": "1"}, {"run_id": "../../x", "seq": "1"}, {"run_id": RUN, "seq": "-1"},
                                        {"run_id": RUN, "seq": "9" * 30}, {"run_id": RUN, "seq": "²"}])  # fmt: skip
def test_a_message_without_a_place_in_the_stream_is_kept_all_the_same_and_comes_first(kept: Kept, attributes: dict[str, str]) -> None:
    subscription = PushSubscription(kept)
    offer(subscription, 0)
    subscription.offer(Message(b"?", attributes), published=0.0)
    assert turn_of(attributes) == ("", -1)
    assert [d.message for d in PushSubscription(kept).pull(5, 0.0)] == [Message(b"?", attributes), message(0)]


# --- the envelope


def envelope(**changes: Any) -> bytes:
    inner = {"data": base64.b64encode(b"rows").decode(), "attributes": {"run_id": "r"}, "publishTime": "2024-01-02T03:04:05.678901234Z"}
    return json.dumps({"message": inner | changes, "subscription": "s", "deliveryAttempt": 3}).encode()


def test_the_envelope_is_taken_off() -> None:
    assert unwrapped(envelope(), 9.0) == (Message(b"rows", {"run_id": "r"}), pytest.approx(1704164645.678901), 3)
    assert unwrapped(json.dumps({"message": {"attributes": {"a": "b"}}}).encode(), 9.0) == (Message(b"", {"a": "b"}), 9.0, 1)
    assert unwrapped(envelope(publishTime="yesterday"), 9.0)[1] == 9.0


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b'{"message": 5}', b'{"message": null}', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_envelope_is_kept_whole_as_a_message_without_an_address(body: bytes) -> None:
    found, published, attempt = unwrapped(body, 9.0)
    assert (found.data, published, attempt) == (body, 9.0, 1)
    with pytest.raises(Unaddressed):
        Attributes.from_text(found.attributes)


@pytest.mark.parametrize("data", ["%%%", "ab", 5, None, "ä"])
def test_data_that_cannot_be_read_is_kept_whole_under_its_address(data: Any) -> None:
    body = envelope(data=data)
    found, _, _ = unwrapped(body, 9.0)
    assert found == Message(body, {"run_id": "r"})


def test_attributes_that_are_no_texts_are_left_out() -> None:
    found, _, _ = unwrapped(envelope(attributes={"a": 5, "b": "\ud800", "c": "d"}), 9.0)
    assert found.attributes == {"b": "?", "c": "d"}
    assert unwrapped(envelope(attributes=[1]), 9.0)[0].attributes == {}
