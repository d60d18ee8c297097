"""A batch that never comes is given up after a time, and its successor is told; nothing else is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from thundercast.domain.batch import Attributes
from thundercast.stage.protocols import Delivery, Unavailable
from thundercast.stage.settings import LoopSettings
from unit.stage.scene import SETTINGS, World, a_run, message


def without(world: World, *missing: int) -> None:
    world.publish([seq for seq in range(world.run.batches) if seq not in missing])


def test_a_missing_batch_is_skipped_after_the_patience_and_not_before(tmp_path: Path) -> None:
    world = World(tmp_path)
    without(world, 5)
    seen: dict[float, int] = {}
    for when in (800.0, 895.0, 905.0):
        world.time.at(when, lambda when=when: seen.update({when: len(world.step.log)}))  # type: ignore[misc]
    world.time.at(500.0, lambda: seen.update({0.0: int("given up in 4" in loop.status.detail and "batch 5" in loop.status.detail)}))
    loop = world.loop()
    world.time.at(1000.0, loop.stop)
    loop.run()
    assert (seen[800.0], seen[895.0], seen[905.0]) == (5, 5, 24)
    assert seen[0.0] == 1
    assert world.step.log == [f"skipped {seq}" if seq == 5 else str(seq) for seq in range(24)]
    assert loop.status.gaps == 1
    assert loop.status.batches == {"ok": 23, "skipped": 1}
    (gap,) = world.store["gaps"].values()
    assert (gap["run_id"], gap["seq"], gap["component"], gap["date"], gap["shard"]) == (
        world.run.run_id, 5, "test", world.run.date_of(5), 1,
    )  # fmt: skip


def test_a_batch_that_comes_after_it_was_skipped_is_a_dead_letter(tmp_path: Path) -> None:
    world = World(tmp_path)
    without(world, 5)
    loop = world.loop()
    world.time.at(950.0, lambda: world.publish([5]))
    world.time.at(1000.0, loop.stop)
    loop.run()
    assert world.step.log[5] == "skipped 5"
    assert len(world.step.log) == 24
    assert world.store.reasons() == ["late_after_skip"]
    (letter,) = world.store["dead_letters"].values()
    assert (letter["seq"], letter["payload"]) == (5, b"rows of 5")
    assert world.topic.unacked == 0
    assert loop.status.dead_letters == {"late_after_skip": 1}


def test_the_skipped_are_remembered_by_the_next_process(tmp_path: Path) -> None:
    world = World(tmp_path)
    without(world, 5)
    loop = world.loop()
    world.time.at(950.0, loop.stop)
    loop.run()
    world.publish([5])
    loop = world.drained().loop()
    assert world.store.reasons() == ["late_after_skip"]


def test_a_batch_that_comes_in_time_is_applied_in_its_place(tmp_path: Path) -> None:
    world = World(tmp_path)
    without(world, 5)
    world.time.at(890.0, lambda: world.publish([5]))
    loop = world.finish()
    assert world.step.log == [str(seq) for seq in range(24)]
    assert loop.status.gaps == 0


def test_the_patience_does_not_run_out_while_nothing_can_be_pulled(tmp_path: Path) -> None:
    world = World(tmp_path)
    without(world, 5)
    world.time.at(100.0, lambda: setattr(world.topic, "away", True))
    # The batch lay in the queue all the time.
    world.time.at(1500.0, lambda: world.publish([5]))
    world.time.at(2000.0, lambda: setattr(world.topic, "away", False))
    loop = world.finish()
    assert world.step.log == [str(seq) for seq in range(24)]
    assert loop.status.gaps == 0
    assert "nobody answers" in loop.status.last_error


def test_the_patience_does_not_run_out_between_answers_of_a_subscription_that_seldom_answers(tmp_path: Path) -> None:
    world = World(tmp_path)
    without(world, 5)
    plain = world.topic.pull
    asked = 0

    def pull(limit: int, timeout: float) -> list[Delivery]:
        nonlocal asked
        asked += 1
        if world.time.now > 100.0 and asked % 2:
            raise Unavailable("come back later")
        return plain(limit, timeout)

    world.topic.pull = pull  # type: ignore[method-assign]
    world.time.at(2000.0, lambda: world.publish([5]))
    loop = world.finish(settings=replace(SETTINGS, retry_after=10.0))
    assert loop.status.gaps == 0


def test_the_patience_does_not_run_out_while_the_process_is_stopped(tmp_path: Path) -> None:
    world = World(tmp_path)
    without(world, 5)
    # SIGSTOP: time passes within one pull.
    world.time.at(100.0, lambda: setattr(world.topic, "tick", 3000.0))
    world.time.at(101.0, lambda: setattr(world.topic, "tick", 0.0))
    world.time.at(3200.0, lambda: world.publish([5]))
    loop = world.finish()
    assert loop.status.gaps == 0


def test_without_a_later_batch_nothing_is_given_up(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish(range(23))
    loop = world.loop()
    world.time.at(3000.0, loop.stop)
    loop.run()
    assert world.step.log == [str(seq) for seq in range(23)]
    assert loop.status.gaps == 0


def test_holes_that_were_open_at_the_same_time_are_given_up_together(tmp_path: Path) -> None:
    world = World(tmp_path, a_run(dates=10))
    without(world, 5, 6, 7, 12, 20)
    # All of the later ones are in the window from the start.
    loop = world.loop(settings=replace(SETTINGS, window=64, unacked=64))
    world.time.at(920.0, loop.stop)
    loop.run()
    assert loop.status.gaps == 5
    assert loop.status.watermark == 40


def test_the_window_stays_bounded_while_a_hole_holds_it_open(tmp_path: Path) -> None:
    world = World(tmp_path, a_run(dates=200))
    world.publish(range(1, 800))
    sizes: list[int] = []
    settings = replace(SETTINGS, poll=5.0)
    loop = world.loop(settings=settings)
    for second in range(0, 900, 10):
        world.time.at(float(second), lambda: sizes.append(loop.status.window))
    world.time.at(2000.0, loop.stop)
    loop.run()
    assert max(sizes) <= settings.window
    assert loop.status.watermark == 800
    assert loop.status.gaps == 1


def test_a_lane_of_which_the_last_batches_never_come_is_ended_once_the_last_of_all_came(tmp_path: Path) -> None:
    world = World(tmp_path, a_run(dates=4, shards=4), per_shard=True)
    without(world, 10, 14)
    loop = world.finish()
    assert loop.status.completed
    assert sorted(entry for entry in world.step.log if "skipped" in entry) == ["skipped 10", "skipped 14"]
    assert world.time.now > 900.0


def test_a_run_whose_first_batch_never_comes_begins_without_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    without(world, 0)
    loop = world.finish()
    assert world.step.log == ["skipped 0", *(str(seq) for seq in range(1, 24))]
    assert loop.status.gaps == 1


def test_the_last_batch_skipped_says_that_it_is_the_last(tmp_path: Path) -> None:
    world = World(tmp_path, a_run(dates=2, shards=2), per_shard=True)
    world.topic.publish([message(world.run, 3, date="yesterday")])
    world.publish([0, 1, 2])
    loop = world.finish()
    assert loop.status.completed
    last = next(m for m in world.published.messages if m.attributes["message_id"].endswith("/3"))
    assert (last.attributes["outcome"], last.attributes["last"]) == ("undecodable ", "True")
    assert Attributes.of(world.run, 3, "gsod.raw/1").last


def test_a_patience_shorter_than_it_takes_a_dead_process_to_give_back_is_refused() -> None:
    with pytest.raises(ValueError, match="gap_timeout 30 must be at least four times ack_deadline"):
        LoopSettings(gap_timeout=30)
