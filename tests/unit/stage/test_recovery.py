"""Which checkpoint a process starts from, and which it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from thundercast.adapters.folder import FolderCheckpoints
from thundercast.stage.loop import Deposed, StageLoop
from thundercast.stage.protocols import BadCheckpoint, Unavailable
from unit.stage.scene import SETTINGS, Killed, Topic, World, a_run, killing

RUN = a_run(dates=10)
EAGER = replace(SETTINGS, checkpoint_every=0.0)


@pytest.fixture
def expected(tmp_path: Path) -> World:
    world = World(tmp_path / "expected", RUN)
    world.publish(range(40))
    world.finish()
    return world


def interrupted(folder: Path, **settings: Any) -> World:
    """A world in which 30 of 40 batches were applied, acked, and are in several checkpoints."""
    world = World(folder, RUN)
    for first in range(0, 40, 10):
        world.time.at(first * 10.0, lambda first=first: world.publish(range(first, first + 10)))  # type: ignore[misc]
    loop = world.loop(settings=replace(EAGER, **settings))
    world.time.at(290.0, loop.stop)
    loop.run()
    assert loop.status.watermark == 30
    assert world.topic.unacked == 0
    return world


def bodies(folder: Path) -> list[Path]:
    """Newest first."""
    return [folder / f"{entry['number']}-{entry['uuid']}" for entry in json.loads((folder / "HEAD").read_text())["checkpoints"]]


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def unknown(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"checkpoint/1", b"checkpoint/9"))


@pytest.mark.parametrize(
    ("damage", "says"),
    [(flipped, "corrupt or cut off"), (cut, "corrupt or cut off"), (unknown, "checkpoint/9"), (Path.unlink, "is missing")],
)
def test_a_damaged_checkpoint_is_refused_with_its_name_and_the_way_out(tmp_path: Path, damage: Callable[[Path], None], says: str) -> None:
    world = interrupted(tmp_path)
    newest = bodies(tmp_path)[0]
    damage(newest)
    loop = world.loop()
    with pytest.raises(BadCheckpoint) as refused:
        loop.run()
    assert newest.name in str(refused.value)
    assert says in str(refused.value)
    assert "--fall-back" in str(refused.value)
    assert loop.status.state == "failed"
    assert world.topic.sought == []


@pytest.mark.parametrize("how_many", [1, 2])
def test_falling_back_seeks_first_and_comes_to_the_same_end(tmp_path: Path, expected: World, how_many: int) -> None:
    world = interrupted(tmp_path / "world")
    for body in bodies(tmp_path / "world")[:how_many]:
        flipped(body)
    number = int(bodies(tmp_path / "world")[0].name.partition("-")[0])
    loop = world.loop(settings=EAGER)
    world.time.at(300.0, lambda: world.publish(range(30, 40)))
    loop.run(until_complete=RUN.run_id, fall_back=True)
    assert len(world.topic.sought) == 1
    assert world.result() == expected.result()
    assert loop.status.checkpoint_number > number, "numbers only grow"
    assert loop.status.duplicates > 0, "what is in the older checkpoint came again, and fell below the watermark"
    # The bodies that could not be used are gone with the next commits.
    kept = FolderCheckpoints(tmp_path / "world")
    assert kept.load() is not None
    while kept.load_older() is not None:
        pass


def test_everything_that_the_older_checkpoint_has_not_was_published_after_its_seek_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, RUN)
    published: dict[int, float] = {}

    def publish(seq: int) -> None:
        published[seq] = world.time.wall()
        world.publish([seq])

    order = [*range(0, 10), 14, 13, 11, 20, 12, 10, *range(15, 20), *range(21, 40)]
    for i, seq in enumerate(order):
        world.time.at(i * 20.0, lambda seq=seq: publish(seq))  # type: ignore[misc]
    checkpoints: list[tuple[float, int]] = []
    plain = FolderCheckpoints.commit

    def commit(self: FolderCheckpoints, arrays: Any, meta: Any, summary: Any) -> Any:
        checkpoints.append((meta["loop"]["seek_time"], summary["watermark"]))
        return plain(self, arrays, meta, summary)

    monkeypatch.setattr(FolderCheckpoints, "commit", commit)
    # Without the margin for publishers that overtake themselves, which would hide much.
    loop = world.loop(settings=replace(EAGER, seek_margin=0.0))
    loop.run(until_complete=RUN.run_id)
    assert len(checkpoints) > 20
    for seek_time, watermark in checkpoints:
        assert all(time >= seek_time for seq, time in published.items() if seq >= watermark)
    # Not simply everything: the seek time moves with the stream.
    assert checkpoints[-1][0] == published[39]


def test_a_crash_after_the_seek_falls_back_once_more(tmp_path: Path, expected: World) -> None:
    world = interrupted(tmp_path / "world")
    flipped(bodies(tmp_path / "world")[0])
    world.time.at(300.0, lambda: world.publish(range(30, 40)))
    with pytest.raises(Killed):
        world.loop(settings=EAGER, gap=killing("pulled", 1)).run(fall_back=True)
    world.time.advance(60.0)
    world.loop(settings=EAGER).run(until_complete=RUN.run_id, fall_back=True)
    assert world.result() == expected.result()


def test_falling_back_without_what_was_acked_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path, RUN)
    world.topic = Topic(world.time, retain=0.0)
    world.publish(range(30))
    loop = world.loop(settings=EAGER)
    world.time.at(100.0, loop.stop)
    loop.run()
    flipped(bodies(tmp_path)[0])
    with pytest.raises(BadCheckpoint, match=r"Falling back to checkpoint \d+ is not possible either: the topic in memory keeps acked"):
        world.loop().run(fall_back=True)


def test_falling_back_with_no_good_checkpoint_names_all(tmp_path: Path) -> None:
    world = interrupted(tmp_path)
    for body in bodies(tmp_path):
        cut(body)
    with pytest.raises(BadCheckpoint) as refused:
        world.loop().run(fall_back=True)
    assert "no checkpoint can be used" in str(refused.value)
    assert all(body.name in str(refused.value) for body in bodies(tmp_path))
    assert world.topic.sought == []


def test_a_checkpoint_of_another_stage_is_refused(tmp_path: Path) -> None:
    interrupted(tmp_path)
    world = World(tmp_path, RUN)
    loop = world.loop()
    loop._component = "trainer"
    with pytest.raises(BadCheckpoint, match="it belongs to 'test', not to 'trainer'"):
        loop.run()


def test_a_checkpoint_whose_step_has_another_state_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = interrupted(tmp_path)
    loop = world.loop()

    def restore(arrays: Any, meta: Any) -> None:
        raise KeyError("weights")

    monkeypatch.setattr(world.step, "restore", restore)
    with pytest.raises(BadCheckpoint, match=r"cannot be used: KeyError: 'weights'\. Run the version"):
        loop.run()


def test_of_two_writers_at_once_one_is_fenced(tmp_path: Path) -> None:
    world = World(tmp_path, RUN)
    world.publish(range(20))
    other: list[StageLoop] = []

    def gap(name: str) -> None:
        # While the first is between two batches another process, wrongly, also leads and commits.
        if name == "applied" and len(world.step.log) == 3 and not other:
            second = World(tmp_path, RUN)
            second.publish(range(40))
            other.append(second.finish())

    first = world.loop(gap=gap)
    step = world.step
    with pytest.raises(Deposed, match="another process has written checkpoint"):
        first.run()
    assert other[0].status.completed
    assert len(step.log) < 20
    assert world.topic.acked == [], "what the other may need is not acked"
    assert world.topic.unacked == len(world.topic) == 20
    checkpoint = FolderCheckpoints(tmp_path).load()
    assert checkpoint is not None
    assert len(checkpoint.meta["step"]["log"]) == 40


def test_of_two_that_lead_the_one_that_waits_for_what_the_other_holds_gives_way(tmp_path: Path) -> None:
    world = World(tmp_path, RUN)
    world.publish([*range(10), 12])

    def another_finishes() -> None:
        second = World(tmp_path, RUN)
        second.publish(range(40))
        second.finish()

    world.time.at(30.0, another_finishes)
    loop = world.loop()
    with pytest.raises(Deposed, match="another process has written checkpoint"):
        loop.run()
    assert len(world.step.log) == 10
    assert loop.status.gaps == 0, "nothing was given up"
    assert world.topic.unacked == 1, "what it held is for the other"


def test_a_commit_whose_answer_was_lost_is_not_mistaken_for_another_writers(tmp_path: Path, expected: World) -> None:
    world = World(tmp_path / "world", RUN)
    world.publish(range(40))
    lost: list[int] = []

    def gap(name: str) -> None:
        if name == "head_written" and len(lost) < 3:
            lost.append(1)
            raise Unavailable("the answer was lost")

    loop = world.loop(gap=gap, settings=EAGER)
    loop.run(until_complete=RUN.run_id)
    assert len(lost) == 3
    assert world.result() == expected.result()
    assert world.topic.unacked == 0
    assert len(bodies(tmp_path / "world")) == 3
    assert len([p for p in (tmp_path / "world").iterdir() if p.name[0].isdigit()]) == 3, "no body is left behind"
