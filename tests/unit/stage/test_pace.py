"""When the loop writes checkpoints, extends leases, stops and says how it stands."""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from thundercast.adapters.folder import FolderCheckpoints
from thundercast.adapters.memory import MemoryTopic
from thundercast.stage.loop import Deposed, Ending, StageLoop
from thundercast.stage.protocols import Delivery
from thundercast.stage.settings import LoopSettings
from thundercast.stage.unconfirmed import Outlets
from unit.stage.scene import SETTINGS, AnyLock, CountingStep, Published, Store, World, a_run, message

PACED = replace(SETTINGS, checkpoint_min=2.0, checkpoint_every=10.0, window=512, unacked=2048)


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, int]]:
    """(time, watermark) of every checkpoint; the time is filled in by `watch`."""
    return []


def watch(world: World, loop: StageLoop, commits: list[tuple[float, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    plain = FolderCheckpoints.commit

    def commit(self: FolderCheckpoints, arrays: Any, meta: Any, summary: Any) -> Any:
        commits.append((world.time.now, summary["watermark"]))
        return plain(self, arrays, meta, summary)

    monkeypatch.setattr(FolderCheckpoints, "commit", commit)


def stream(world: World, every: float, until: float) -> None:
    """One batch every so many seconds."""
    for i in range(int(until / every)):
        world.time.at(i * every, lambda i=i: world.publish([i]))  # type: ignore[misc]


def test_while_batches_come_without_a_pause_checkpoints_are_as_far_apart_as_set(
    tmp_path: Path, commits: list[tuple[float, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, a_run(dates=200))
    world.publish(range(800))
    world.topic.tick = 0.2
    loop = world.loop(settings=replace(PACED, pull_limit=1))
    watch(world, loop, commits, monkeypatch)
    world.time.at(61.0, loop.stop)
    loop.run()
    times = [time for time, _ in commits]
    steps = [b - a for a, b in pairwise(times[:-1])]
    assert len(times) == 7
    assert all(10.0 <= step <= 10.5 for step in steps)


def test_when_the_queue_runs_dry_a_checkpoint_is_written_but_not_too_soon(
    tmp_path: Path, commits: list[tuple[float, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, a_run(dates=50))
    stream(world, 1.0, 30.0)
    loop = world.loop(settings=PACED)
    watch(world, loop, commits, monkeypatch)
    world.time.at(60.0, loop.stop)
    loop.run()
    times = [time for time, _ in commits]
    assert all(2.0 <= b - a <= 3.1 for a, b in pairwise(times))
    assert commits[-1][1] == 30
    assert times[-1] < 33.0, "nothing new, no checkpoint"


def test_when_half_a_window_is_applied_a_checkpoint_is_written_but_not_too_soon(
    tmp_path: Path, commits: list[tuple[float, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, a_run(dates=200))
    world.publish(range(800))
    world.topic.tick = 0.5
    loop = world.loop(settings=replace(PACED, window=64, pull_limit=10))
    watch(world, loop, commits, monkeypatch)
    loop.run(until_complete=world.run.run_id)
    times = [time for time, _ in commits]
    # 20 batches a second: 32 of them take 1.6 s, but checkpoints are 2 s apart.
    assert all(2.0 <= b - a <= 2.5 for a, b in pairwise(times[:-1]))


def test_what_is_applied_and_not_durable_is_bounded(tmp_path: Path) -> None:
    world = World(tmp_path, a_run(dates=200))
    world.publish(range(800))
    most: list[int] = []
    loop = world.loop(settings=replace(PACED, window=64, unacked=100))
    plain = world.topic.pull

    def pull(limit: int, timeout: float) -> list[Delivery]:
        most.append(loop.status.unacked)
        return plain(limit, timeout)

    world.topic.pull = pull  # type: ignore[method-assign]
    loop.run(until_complete=world.run.run_id)
    assert 50 < max(most) <= 100
    assert len(world.step.log) == 800


def test_leases_of_what_is_held_or_not_durable_are_extended(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish([0, 1, 2, 5, 9])
    loop = world.loop(settings=replace(PACED, checkpoint_min=100.0, checkpoint_every=100.0))
    world.time.at(90.0, loop.stop)
    loop.run()
    assert loop.status.duplicates == 0
    assert world.step.log == ["0", "1", "2"]


def test_a_stopped_loop_makes_durable_what_it_applied_and_gives_the_rest_back(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish([0, 1, 2, 5, 9])
    loop = world.loop(settings=replace(PACED, checkpoint_min=100.0, checkpoint_every=100.0))
    world.time.at(20.0, loop.stop)
    assert loop.run() is Ending.STOPPED
    assert loop.status.state == "stopped"
    assert loop.status.checkpoint_number == 1
    assert world.topic.unacked == len(world.topic) == 2
    assert world.lock.released
    world.publish([3, 4, 6, 7, 8, *range(10, 24)])
    world.finish()
    assert world.step.log == [str(seq) for seq in range(24)]


@pytest.mark.parametrize("stop_after", range(0, 24, 5))
def test_a_loop_stopped_anywhere_goes_on_where_it_stopped(tmp_path: Path, stop_after: int) -> None:
    plain, world = World(tmp_path / "plain"), World(tmp_path / "stopped")
    plain.publish(range(24))
    plain.finish()
    world.publish(range(24))
    applied = 0

    def gap(name: str) -> None:
        nonlocal applied
        applied += name == "applied"
        if applied > stop_after:
            loop.stop()

    loop = world.loop(gap=gap)
    assert loop.run() is Ending.STOPPED
    assert len(world.step.log) == stop_after + 1
    world.finish()
    assert world.result() == plain.result()


def test_a_process_that_lost_its_lock_stops_applying_and_gives_everything_back(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish([*range(10), 12])

    def gap(name: str) -> None:
        if name == "applied" and len(world.step.log) == 7:
            world.lock.ours = False

    loop = world.loop(gap=gap, settings=PACED)
    with pytest.raises(Deposed, match="does not hold the lock"):
        loop.run()
    assert len(world.step.log) == 7
    assert world.topic.unacked == len(world.topic) == 11
    assert world.topic.acked == []
    assert world.store.rows == {}
    assert FolderCheckpoints(tmp_path).load() is None
    assert (loop.status.state, loop.status.leader) == ("stopped", False)


def test_a_process_without_the_lock_waits_and_says_for_whom(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish(range(24))
    world.lock.ours = False
    loop = world.loop()
    details: list[str] = []

    def acquire(timeout: float) -> bool:
        world.time.advance(timeout)
        details.append(loop.status.detail)
        return world.lock.ours

    world.lock.acquire = acquire  # type: ignore[method-assign]
    world.time.at(30.0, lambda: setattr(world.lock, "ours", True))
    loop.run(until_complete=world.run.run_id)
    assert details[1] == "for the lock, held by somebody else"
    assert len(world.step.log) == 24
    assert world.topic.pulls[0] >= 30.0


def test_waiting_for_the_lock_can_be_stopped(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.lock.ours = False
    loop = world.loop()
    loop.stop()
    assert loop.run() is Ending.STOPPED


def test_the_status_says_how_it_stands(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish([0, 1, 2, 3, 4, 1, 7, 8])
    loop = world.loop()
    assert loop.status.state == "starting"
    world.time.at(20.0, loop.stop)
    statuses = []
    world.time.at(19.0, lambda: statuses.append(loop.status))
    loop.run()
    (status,) = statuses
    assert (status.component, status.state, status.leader, status.run_id) == ("test", "waiting", True, world.run.run_id)
    assert (status.watermark, status.window, status.duplicates, status.total_batches) == (5, 2, 1, 24)
    assert status.date == world.run.date_of(4)
    assert status.checkpoint_number > 0
    assert status.checkpoint_bytes > 100
    assert status.checkpoint_at is not None
    assert world.time.wall() - status.checkpoint_at < 30.0
    assert "batch 5" in status.detail


def test_counts_outlive_the_process(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish([0, 1, 1, 2], {2: b"poison"})
    loop = world.loop()
    world.time.at(20.0, loop.stop)
    loop.run()
    world.publish(range(3, 24))
    loop = world.finish()
    assert (loop.status.duplicates, loop.status.rows) == (1, 23)
    assert loop.status.batches == {"ok": 23, "undecodable": 1}
    assert loop.status.dead_letters == {"undecodable": 1}


def test_the_seconds_of_every_batch_are_told(tmp_path: Path) -> None:
    world, seconds = World(tmp_path), []
    world.publish(range(24))
    loop = StageLoop(
        "test", CountingStep(), subscription=world.topic, checkpoints=FolderCheckpoints(tmp_path), lock=world.lock,
        outlets=Outlets(messages=world.published, store=world.store), settings=SETTINGS, clock=world.time.clock, observe=seconds.append,
    )  # fmt: skip
    loop.run(until_complete=world.run.run_id)
    assert len(seconds) == 24
    assert all(second > 0 for second in seconds)


def test_a_loop_in_a_thread_follows_a_publisher_in_another_and_stops(tmp_path: Path) -> None:
    run, step, topic = a_run(dates=10), CountingStep(), MemoryTopic(capacity=8)
    loop = StageLoop(
        "test", step, subscription=topic, checkpoints=FolderCheckpoints(tmp_path), lock=AnyLock(),
        outlets=Outlets(messages=Published(), store=Store()), settings=LoopSettings(poll=0.05, checkpoint_min=0.0),
    )  # fmt: skip
    endings: list[Ending] = []
    thread = threading.Thread(target=lambda: endings.append(loop.run()))
    thread.start()
    topic.publish([message(run, seq) for seq in range(25)])
    loop.stop()
    thread.join(30.0)
    assert endings == [Ending.STOPPED]
    applied = len(step.log)
    assert topic.unacked == 25 - applied
    loop = StageLoop(
        "test", step := CountingStep(), subscription=topic, checkpoints=FolderCheckpoints(tmp_path), lock=AnyLock(),
        outlets=Outlets(messages=Published(), store=Store()), settings=LoopSettings(poll=0.05, checkpoint_min=0.0),
    )  # fmt: skip
    publisher = threading.Thread(target=lambda: topic.publish([message(run, seq) for seq in range(25, 40)]))
    publisher.start()
    assert loop.run(until_complete=run.run_id) is Ending.COMPLETED
    publisher.join(30.0)
    assert step.log == [str(seq) for seq in range(40)]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"window": 0}, "window must be more than 0"),
        ({"checkpoint_min": 11.0}, "checkpoint_min 11.0 must be between"),
        ({"unacked": 100}, "at least half of window 512"),
        ({"extend_every": 10.0}, "leases run out"),
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        LoopSettings(**wrong)
