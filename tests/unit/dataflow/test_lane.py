"""A lane does what the stage loop's stream does, message by message, through its bytes."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from thundercast.domain.arrays import BadState, pack, unpack
from thundercast.domain.batch import Message
from thundercast.domain.runs import Run
from thundercast.stage.points import go_on
from thundercast.stage.settings import LoopSettings
from thundercast.stage.steps import CleanStep
from thundercast.stage.stream import Stream
from thundercast_dataflow import envelopes
from thundercast_dataflow.addressing import Homeless, key_of
from thundercast_dataflow.lane import MOST_GIVEN_UP, Lane
from unit.dataflow.streams import NOW, ListBag, assert_same, changed, cleaned, delivered, outcomes, raw_messages, run_of

RUN = run_of(3, 2)
RAW = raw_messages(RUN, n=10)
PATIENCE = 900.0


def no_manifest(run_id: str) -> Run | None:
    return None


def manifest(run_id: str) -> Run | None:
    return RUN if run_id == RUN.run_id else None


class Lanes:
    """Every key's state as its bytes: between any two messages a lane goes through them, as on a worker."""

    def __init__(self, find_run: Any = no_manifest) -> None:
        self.find_run = find_run
        self.states: dict[tuple[str, int], bytes] = {}
        self.bags: dict[tuple[str, int], ListBag] = {}
        self.messages: list[Message] = []
        self.letters: list[tuple[str, int, bytes]] = []
        self.duplicates = self.gaps = 0

    def lane(self, key: tuple[str, int]) -> Lane:
        return Lane.from_bytes(self.states[key], key) if key in self.states else Lane(key)

    def receive(self, message: Message, now: float = NOW) -> None:
        key = key_of(message.attributes, self.find_run)
        lane = self.lane(key)
        self._add(key, lane, lane.receive(delivered(message), now, self.bags.setdefault(key, ListBag()), self.find_run))

    def give_up(self, now: float) -> None:
        for key in sorted(self.states):
            lane = self.lane(key)
            self._add(key, lane, lane.give_up(now, PATIENCE, self.bags[key]))

    def _add(self, key: tuple[str, int], lane: Lane, outcome: Any) -> None:
        self.states[key] = lane.to_bytes()
        self.messages += outcome.messages
        self.letters += [(letter.reason, letter.seq, letter.payload) for letter in outcome.letters]
        self.duplicates += outcome.duplicates
        self.gaps += outcome.gaps


def by_the_pull_worker(messages: list[Message]) -> tuple[list[Message], list[tuple[str, int, bytes]], int]:
    """What the stage loop's own stream makes of the same deliveries, and of a patience that runs out after them."""
    settings = LoopSettings(gap_timeout=PATIENCE)
    stream = Stream("cleaner", CleanStep(), settings, find_run=manifest, may_go_on=lambda: True, gap=go_on)
    for number, message in enumerate(messages):
        stream.take_in(replace(delivered(message), token=str(number)))
    stream.listened = 2 * PATIENCE
    if stream.may_begin():
        stream.begin()
    while stream.apply() or stream.give_up_holes():
        pass
    letters = [(letter.reason, letter.seq, letter.payload) for letter in stream.unconfirmed.letters]
    return stream.unconfirmed.messages, letters, stream.progress.counts.gaps


BROKEN = {
    "data": lambda m: changed(m, data=b"garbage"),
    "schema": lambda m: changed(m, schema="gsod.clean/1"),
    "type": lambda m: changed(m, content_type="text/plain"),
    "date": lambda m: changed(m, date="2022-13-01"),
    "fingerprint": lambda m: changed(m, fingerprint="0" * 64),
    "start": lambda m: changed(m, start_date=None),
    "synthetic": lambda m: changed(m, synthetic="true"),
}

READABLE = ("data", "schema", "type", "synthetic")


@given(
    order=st.permutations(range(len(RAW))),
    repeated=st.lists(st.integers(0, len(RAW) - 1), max_size=4),
    lost=st.sets(st.integers(0, len(RAW) - 1), max_size=2),
    broken=st.dictionaries(st.integers(0, len(RAW) - 1), st.sampled_from(sorted(BROKEN)), max_size=2),
)
@settings(max_examples=40)
def test_whatever_comes_in_whatever_order_leaves_as_from_the_pull_worker(
    order: list[int], repeated: list[int], lost: set[int], broken: dict[int, str]
) -> None:
    sent = [BROKEN[broken[i]](RAW[i]) if i in broken else RAW[i] for i in [*order, *repeated] if i not in lost]
    # What contradicts the run is judged by the run's manifest here, by its first readable batch there.
    assume(broken.get(min((i for i in range(len(RAW)) if i not in lost and broken.get(i) in (None, *READABLE)), default=-1)) != "synthetic")
    lanes = Lanes(manifest)
    for message in sent:
        lanes.receive(message)
    lanes.give_up(NOW + PATIENCE)
    messages, letters, gaps = by_the_pull_worker(sent)
    # A lane that ends in a hole has no batch behind it to wait; the pull worker sees the end in other lanes.
    ends = {shard: max((int(m.attributes["seq"]) for m in sent if int(m.attributes["seq"]) % 2 == shard), default=-1) for shard in (0, 1)}
    tail = [m for m in messages if int(m.attributes["seq"]) > ends[int(m.attributes["seq"]) % 2]]
    assert all(m.attributes["outcome"] == "skipped" for m in tail)
    assert_same(lanes.messages, [m for m in messages if m not in tail])
    assert sorted(lanes.letters) == sorted(letters)
    assert lanes.gaps == gaps - len(tail)


def test_a_batch_that_contradicts_the_manifest_is_undecodable_even_if_it_comes_first() -> None:
    lanes = Lanes(manifest)
    for message in [BROKEN["synthetic"](RAW[0]), *RAW[1:]]:
        lanes.receive(message)
    assert outcomes(lanes.messages) == {0: "undecodable", **dict.fromkeys(range(1, 6), "ok")}


def test_a_batch_that_is_read_better_the_second_time_is_taken() -> None:
    lanes = Lanes(manifest)
    for message in (BROKEN["date"](RAW[2]), RAW[2], RAW[0]):
        lanes.receive(message)
    assert outcomes(lanes.messages) == {0: "ok", 2: "ok"}
    assert (lanes.letters, lanes.duplicates) == ([], 1)


def test_of_a_run_without_manifest_the_first_readable_batch_tells() -> None:
    lanes = Lanes()
    for message in RAW:
        lanes.receive(message)
    assert_same(lanes.messages, cleaned(RAW))


def test_without_manifest_a_first_batch_that_cannot_be_read_is_a_dead_letter_and_skipped_later() -> None:
    lanes = Lanes()
    for message in [BROKEN["date"](RAW[0]), *RAW[1:]]:
        lanes.receive(message)
    lanes.give_up(NOW + PATIENCE)
    assert outcomes(lanes.messages) == {0: "skipped", **dict.fromkeys(range(1, 6), "ok")}
    assert lanes.letters == [("undecodable", 0, RAW[0].data)]


def test_a_batch_that_says_it_is_of_another_number_of_shards_spoils_no_other() -> None:
    # Consistent in itself: seq 3 of 4 shards is date 0, shard 3.
    liar = changed(RAW[3], shards="4", shard="3", date=RUN.start.isoformat())
    lanes = Lanes(manifest)
    for message in [liar, *(m for m in RAW if m is not RAW[3])]:
        lanes.receive(message)
    lanes.give_up(NOW + PATIENCE)
    assert outcomes(lanes.messages) == {**dict.fromkeys(range(6), "ok"), 3: "skipped"}
    assert [reason for reason, _, _ in lanes.letters] == ["undecodable"]


def test_patience_begins_when_the_later_batch_comes() -> None:
    lanes = Lanes(manifest)
    lanes.receive(RAW[4], now=NOW + 100)
    lanes.give_up(NOW + 100 + PATIENCE - 1)
    assert lanes.messages == []
    lanes.give_up(NOW + 100 + PATIENCE)
    assert outcomes(lanes.messages) == {0: "skipped", 2: "skipped", 4: "ok"}


def test_a_hole_of_any_size_is_given_up_in_bounded_steps() -> None:
    long = run_of(700, 1)
    lanes = Lanes(lambda _: long)
    far = raw_messages(run_of(1, 1))[0]
    seq = long.batches - 1
    lanes.receive(changed(far, seq=str(seq), run_id=long.run_id, fingerprint=long.fingerprint, date=long.end.isoformat()))
    lanes.give_up(NOW + PATIENCE)
    assert lanes.gaps == MOST_GIVEN_UP
    lanes.give_up(NOW + PATIENCE)
    assert lanes.gaps == seq


def test_state_to_bytes_and_back_is_the_same_state_and_the_same_bytes() -> None:
    lanes = Lanes(manifest)
    for message in [RAW[0], RAW[2], BROKEN["date"](RAW[3])]:
        lanes.receive(message)
    for key, state in lanes.states.items():
        again = Lane.from_bytes(state, key)
        again.saved = (3, NOW)
        other = Lane.from_bytes(again.to_bytes(), key)
        assert (other.saved, other.held, other.head, other.published) == (again.saved, again.held, again.head, again.published)
        other.saved = None
        assert other.to_bytes() == state


def test_a_completed_lane_is_small_and_knows_it() -> None:
    lanes = Lanes(manifest)
    order = list(RAW)
    random.Random(5).shuffle(order)
    for message in order:
        lanes.receive(message)
    for key, state in lanes.states.items():
        assert lanes.lane(key).complete
        assert len(state) < 1_500
        assert lanes.bags[key].items == []


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:40] + b"x" + b[41:], lambda b: b[:0], lambda b: b + b])
def test_damaged_state_is_refused(damage: Any) -> None:
    lanes = Lanes(manifest)
    lanes.receive(RAW[0])
    with pytest.raises(BadState):
        Lane.from_bytes(damage(lanes.states[RUN.run_id, 0]), (RUN.run_id, 0))


def test_state_of_another_key_is_refused() -> None:
    lanes = Lanes(manifest)
    lanes.receive(RAW[0])
    with pytest.raises(BadState, match="it belongs to"):
        Lane.from_bytes(lanes.states[RUN.run_id, 0], (RUN.run_id, 1))


def test_a_message_in_its_envelope_is_the_same_message() -> None:
    for message in (RAW[0], Message(b"", {}), changed(RAW[1], source="Überlingen ☇")):
        back = envelopes.from_bytes(envelopes.to_bytes(delivered(message, 12.25)))
        assert (back.message.data, dict(back.message.attributes), back.published) == (message.data, dict(message.attributes), 12.25)


def test_an_envelope_that_is_none_is_refused() -> None:
    with pytest.raises(BadState):
        envelopes.from_bytes(pack({}, {"attributes": {}, "published": 0.0}))
    with pytest.raises(BadState):
        unpack(b"garbage")


def test_shards_beyond_what_a_run_may_have_are_no_address() -> None:
    with pytest.raises(Homeless, match="4096 at most"):
        key_of(changed(RAW[0], shards="99999").attributes, no_manifest)
