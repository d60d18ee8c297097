"""Whatever order and however often batches come, the effect is as if each had come once, in order."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thundercast.domain.batch import Attributes
from thundercast.stage.protocols import Delivery
from thundercast.stage.window import End, Held, Place, Window
from unit.stage.scene import SETTINGS, START, World, a_run, message

RUN = a_run(dates=5, shards=4)


def held(seq: int, *, since: float = 0.0, token: str = "") -> Held:
    m = message(RUN, seq)
    return Held(seq, Delivery(m, token or f"t{seq}", 0.0), Attributes.from_text(m.attributes), since)


@st.composite
def arrivals(draw: st.DrawFn) -> list[int]:
    """All seqs of the run shuffled, some of them several times."""
    seqs = list(range(RUN.batches))
    again = draw(st.lists(st.sampled_from(seqs), max_size=20))
    return draw(st.permutations(seqs + again))


@settings(deadline=None)
@given(arrivals(), st.sampled_from([1, 2, 4, 20]))
def test_a_window_gives_every_seq_once_and_in_order_within_its_lane(seqs: list[int], lanes: int) -> None:
    window, taken, places = Window(lanes), [], []
    for i, seq in enumerate(seqs):
        places.append(window.place(held(seq, token=f"{i}")))
        while (batch := window.take()) is not None:
            taken.append(batch.seq)
    assert sorted(taken) == list(range(RUN.batches))
    for lane in range(lanes):
        assert [seq for seq in taken if seq % lanes == lane] == list(range(lane, RUN.batches, lanes))
    assert places.count(Place.HELD) == RUN.batches
    assert places.count(Place.HELD) + places.count(Place.DUPLICATE) + places.count(Place.REPEATED) == len(seqs)
    assert window.watermark >= RUN.batches
    assert len(window) == 0


@settings(deadline=None)
@given(st.permutations(range(20)), st.integers(1, 19), st.sampled_from([1, 4]))
def test_an_overflow_gives_back_the_highest_seqs_and_what_comes_again_is_taken(order: list[int], capacity: int, lanes: int) -> None:
    window, taken, queue = Window(lanes), [], list(order)
    while queue:
        window.place(held(queue.pop(0)))
        while (batch := window.take()) is not None:
            taken.append(batch.seq)
        kept_before = {b.seq for b in window.held}
        back = window.overflow(capacity)
        assert len(window) <= capacity
        assert {b.seq for b in back} == set(sorted(kept_before)[capacity:])
        queue += [b.seq for b in back]
    assert sorted(taken) == list(range(20))


@settings(max_examples=25, deadline=None)
@given(arrivals(), st.booleans(), st.lists(st.integers(0, 19), max_size=6))
def test_any_order_and_repetition_gives_the_same_state(seqs: list[int], per_shard: bool, again: list[int]) -> None:
    with tempfile.TemporaryDirectory() as plain, tempfile.TemporaryDirectory() as shuffled:
        expected = World(Path(plain), RUN, per_shard=per_shard)
        expected.publish(range(RUN.batches))
        expected.finish()
        world = World(Path(shuffled), RUN, per_shard=per_shard)
        world.publish(seqs)
        # What was applied, and maybe acked, comes once more while the stream goes on.
        world.time.at(0.0, lambda: world.publish(again))
        loop = world.finish()
        assert world.result() == expected.result()
        assert world.step.log == expected.step.log or per_shard
        assert loop.status.batches == {"ok": RUN.batches}
        assert loop.status.rows == RUN.batches


def test_of_a_batch_held_twice_one_is_applied_and_both_deliveries_are_acked(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish([1, 1, 0, *range(2, world.run.batches)])
    loop = world.finish()
    assert world.step.log == [str(seq) for seq in range(world.run.batches)]
    assert loop.status.duplicates == 1
    assert world.topic.unacked == 0
    assert len(world.topic.acked) == world.run.batches + 1


def test_a_duplicate_of_a_batch_that_is_not_durable_is_acked_only_with_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish([0, 1, 2])
    world.time.at(5.0, lambda: world.publish([1]))
    durable_at_ack: list[int] = []
    plain_ack = world.topic.ack

    def ack(tokens: list[str]) -> None:
        durable_at_ack.append(loop.status.checkpoint_number)
        plain_ack(tokens)

    world.topic.ack = ack  # type: ignore[method-assign]
    loop = world.loop(settings=replace(SETTINGS, checkpoint_min=20.0, checkpoint_every=20.0))
    world.time.at(15.0, lambda: seen.append((loop.status.duplicates, loop.status.unacked)))
    world.time.at(30.0, loop.stop)
    seen: list[tuple[int, int]] = []
    loop.run()
    assert seen == [(1, 3)], "the duplicate came while nothing was durable"
    assert durable_at_ack == [1]
    assert world.topic.unacked == 0


def test_a_lane_does_not_wait_for_another(tmp_path: Path) -> None:
    world = World(tmp_path, a_run(dates=3, shards=4), per_shard=True)
    world.publish([seq for seq in range(12) if seq != 4])
    loop = world.loop()
    world.time.at(60.0, loop.stop)
    loop.run()
    assert sorted(int(seq) for seq in world.step.log) == [0, 1, 2, 3, 5, 6, 7, 9, 10, 11]
    assert loop.status.watermark == 4
    assert "waits" not in loop.status.detail


def test_a_full_window_without_its_head_gives_back_its_highest_and_goes_on_when_the_head_comes(tmp_path: Path) -> None:
    world = World(tmp_path, a_run(dates=20, shards=4))
    world.publish(range(1, 80))
    most: list[int] = []
    plain = world.topic.pull

    def pull(limit: int, timeout: float) -> list[Delivery]:
        most.append(loop.status.window)
        return plain(limit, timeout)

    world.topic.pull = pull  # type: ignore[method-assign]
    world.time.at(120.0, lambda: world.publish([0]))
    loop = world.loop()
    loop.run(until_complete=world.run.run_id)
    assert world.step.log == [str(seq) for seq in range(80)]
    assert world.topic.given_back > 0
    assert max(most) <= 16
    assert loop.status.gaps == 0


def test_skipping_what_is_held_or_not_the_head_is_refused() -> None:
    window = Window(1)
    window.place(held(0))
    with pytest.raises(ValueError, match="cannot be skipped"):
        window.skip(0)
    with pytest.raises(ValueError, match="waits for 0"):
        window.skip(1)


def test_heads_that_are_not_of_their_lanes_are_refused() -> None:
    with pytest.raises(ValueError, match="lanes"):
        Window(4, [0, 1, 2, 4])


def test_a_hole_reaches_to_the_next_batch_of_its_lane_and_is_as_old_as_the_first_later_one() -> None:
    window = Window(4)
    window.place(held(13, since=7.0))
    window.place(held(17, since=3.0))
    window.place(held(0))
    (hole,) = window.holes()
    assert (hole.head, hole.until, hole.since) == (1, 13, 3.0)
    assert list(hole.seqs) == [1, 5, 9]


def test_once_the_last_batch_came_every_lane_of_ours_is_short_of_its_end() -> None:
    window = Window(4, owned=[0, 1, 3])
    for seq in (0, 1):
        window.place(held(seq))
        window.take()
    holes = window.holes(End(12, 5.0))
    assert [(list(hole.seqs), hole.since) for hole in holes] == [([3, 7, 11], 5.0), ([4, 8], 5.0), ([5, 9], 5.0)]


def test_owning_no_lane_or_one_that_is_not_there_is_refused() -> None:
    for owned in ([], [4]):
        with pytest.raises(ValueError, match="owned"):
            Window(4, owned=owned)


def test_of_two_batches_of_one_seq_the_one_that_can_be_read_is_kept(tmp_path: Path) -> None:
    world = World(tmp_path)
    good = message(world.run, 1)
    world.topic.publish([message(world.run, 1, date="yesterday"), good])
    world.publish([0, *range(2, world.run.batches)])
    world.finish()
    assert world.step.log == [str(seq) for seq in range(world.run.batches)]
    assert world.store.reasons() == []


def test_the_run_ends_with_its_last_batch_even_without_a_manifest(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish(range(world.run.batches))
    loop = world.finish(manifest=False)
    assert loop.status.completed
    assert loop.status.total_batches == world.run.batches
    assert loop.status.date == START.replace(day=6)
