"""Several processes share a run's lanes: each does its own, and together they do all, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from thundercast.adapters.folder import FolderCheckpoints
from unit.stage.scene import SETTINGS, Killed, World, a_run, killing

RUN = a_run(dates=5, shards=4)


def group(k: int, n: int) -> Callable[[int], bool]:
    return lambda lane: lane % n == k


def worlds(folder: Path, n: int) -> list[World]:
    """A subscription, checkpoints and a process for each group."""
    made = [World(folder / str(k), RUN, per_shard=True) for k in range(n)]
    for world in made:
        world.publish([7, 8, *range(3, RUN.batches - 1), 2, 1, 0, RUN.batches - 1])
    return made


@pytest.mark.parametrize("n", [2, 3, 4])
def test_groups_do_each_lane_once_and_complete_their_part(n: int, tmp_path: Path) -> None:
    whole = World(tmp_path / "whole", RUN, per_shard=True)
    whole.publish(range(RUN.batches))
    whole.finish()
    published: dict[str, set[bytes]] = {}
    for k, world in enumerate(worlds(tmp_path, n)):
        loop = world.finish(owns=group(k, n))
        own = [seq for seq in range(RUN.batches) if seq % 4 % n == k]
        assert sorted(map(int, world.step.log)) == own
        assert loop.status.completed
        assert loop.status.duplicates <= 2, "what is another's is no duplicate"
        assert world.topic.unacked == 0, "what is another's is acked, for it has a subscription of its own"
        assert not published.keys() & world.published.by_id().keys()
        published |= world.published.by_id()
    assert published == whole.published.by_id()


def test_a_group_that_is_killed_goes_on_with_its_own_lanes(tmp_path: Path) -> None:
    calm, killed = worlds(tmp_path, 2)
    calm.finish(owns=group(0, 2))
    with pytest.raises(Killed):
        killed.loop(gap=killing("applied", 3), settings=replace(SETTINGS, checkpoint_every=0.0), owns=group(0, 2)).run()
    killed.time.advance(60.0)
    killed.finish(owns=group(0, 2))
    assert killed.result() == calm.result()


def test_a_lane_of_which_nothing_comes_is_given_up_by_its_owner_alone(tmp_path: Path) -> None:
    world = World(tmp_path, RUN, per_shard=True)
    world.publish([seq for seq in range(RUN.batches) if seq % 4 != 2])
    loop = world.finish(owns=group(0, 2))
    assert loop.status.gaps == RUN.dates
    assert {(row["seq"] % 4, row["component"]) for row in world.store["gaps"].values()} == {(2, "test")}


def test_the_watermark_is_that_of_the_own_lanes(tmp_path: Path) -> None:
    world = World(tmp_path, RUN, per_shard=True)
    world.publish([0, 2, 1, 3, 4])
    loop = world.loop(owns=group(0, 2))
    world.time.at(60.0, loop.stop)
    loop.run()
    summary = FolderCheckpoints(tmp_path).summary()
    assert summary is not None
    assert (loop.status.watermark, summary["watermark"]) == (6, 6)
