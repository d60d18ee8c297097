"""A crash between any two steps of the loop loses nothing and does nothing twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from thundercast.stage.points import KILL_POINTS
from unit.stage import kill_driver
from unit.stage.scene import POISON, SETTINGS, Killed, World, a_run, killing

DRIVER = Path(kill_driver.__file__)


def a_world(folder: Path) -> World:
    world = World(folder, a_run(dates=6, shards=4))
    world.publish([3, 0, 1, 2])
    world.topic.publish([kill_driver.UNADDRESSED])
    world.publish([5, 4, 4, *range(6, 24)], {7: POISON, 23: POISON})
    return world


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = a_world(tmp_path_factory.mktemp("uninterrupted"))
    world.finish()
    assert world.step.log == [f"poisoned {seq}" if seq in (7, 23) else str(seq) for seq in range(24)]
    return world


@pytest.mark.parametrize(("nth", "every"), [(1, 10.0), (2, 10.0), (1, 0.0), (4, 0.0)])
@pytest.mark.parametrize("point", KILL_POINTS)
def test_a_crash_at_any_point_changes_nothing(tmp_path: Path, uninterrupted: World, point: str, nth: int, every: float) -> None:
    world = a_world(tmp_path)
    settings = replace(SETTINGS, checkpoint_every=every)
    # The letters come in three turns, and a run begins once.
    nth = min(nth, {"begun": 1, "letters_published": 3}.get(point, nth))
    with pytest.raises(Killed):
        world.finish(gap=killing(point, nth), settings=settings)
    world.time.advance(60.0)  # the leases run out
    loop = world.finish(settings=settings)
    assert world.result() == uninterrupted.result()
    assert all(len(truths) == 1 for truths in world.published.by_id().values())
    assert world.drained().topic.unacked == 0
    assert loop.status.batches == {"ok": 22, "undecodable": 2}
    assert loop.status.rows == 22


def test_crashes_at_every_point_one_after_the_other_change_nothing(tmp_path: Path, uninterrupted: World) -> None:
    world = a_world(tmp_path)
    crashed = []
    for point in KILL_POINTS:
        try:
            world.finish(gap=killing(point, 1))
        except Killed:
            crashed.append(point)
        world.time.advance(60.0)
    world.finish()
    assert world.result() == uninterrupted.result()
    # By then the run had begun for good.
    assert set(KILL_POINTS) - set(crashed) <= {"letters_published"}


@pytest.fixture(scope="module")
def survivors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What is left after real SIGKILLs, by the point where they struck."""
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, str(DRIVER), str(folder), "none", *KILL_POINTS]
    # One thread, since the children are forked.
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=240, env=environment)
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("point", KILL_POINTS)
def test_processes_killed_at_a_point_again_and_again_change_nothing(survivors: dict[str, dict[str, Any]], point: str) -> None:
    whole, killed = survivors["none"], dict(survivors[point])
    assert whole["deaths"] == []
    # Once a checkpoint holds the new run it does not begin again.
    assert killed.pop("deaths") == [signal.SIGKILL, signal.SIGKILL, 0 if point == "begun" else signal.SIGKILL]
    assert killed == {name: value for name, value in whole.items() if name != "deaths"}
    assert killed["last"] == 0
    assert killed["unacked"] == []
    assert killed["contradictions"] == []
