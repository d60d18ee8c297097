"""A process that does not lead serves what the newest checkpoint holds, and goes on serving when that cannot be read."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from thundercast.adapters.folder import FolderCheckpoints
from thundercast.stage import recovery
from thundercast.stage.protocols import CheckpointStore, Unavailable
from thundercast.stage.recovery import Progress
from thundercast_trainer.serving import ServedStep
from thundercast_trainer.standby import Standby
from unit.trainer.scene import Trainer, ask, questions, served, stream

WITHIN = 60.0


class Leader:
    """Trains and commits, a date at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trainer = Trainer(stream(8))
        self._store = FolderCheckpoints(folder)
        self._store.load()

    def commit(self, component: str = "trainer") -> None:
        self.trainer.go_on()
        self._store.commit(*recovery.to_checkpoint(component, self.trainer.step, Progress()))

    def answers(self) -> list[dict[str, Any]]:
        return ask(self.trainer.step.snapshot(), self.question)  # type: ignore[arg-type]

    @property
    def question(self) -> dict[str, Any]:
        return {"rows": questions(self.trainer.next_date)}


@pytest.fixture
def leader(tmp_path: Path) -> Leader:
    return Leader(tmp_path)


def answers(standby: Standby, leader: Leader) -> list[dict[str, Any]]:
    snapshot = standby.snapshot()
    assert snapshot is not None
    return ask(snapshot, leader.question)


def test_it_answers_as_the_leader_does_after_each_checkpoint(leader: Leader) -> None:
    standby = Standby(lambda: FolderCheckpoints(leader.folder), served)
    assert standby.look() is False
    assert (standby.snapshot(), standby.loaded, standby.trouble) == (None, False, "")
    for _ in range(3):
        leader.commit()
        assert standby.look() is True
        assert answers(standby, leader) == leader.answers()


def test_a_checkpoint_is_read_once(leader: Leader) -> None:
    loads = []

    class Counted(FolderCheckpoints):
        def load(self) -> Any:
            loads.append(1)
            return super().load()

    standby = Standby(lambda: Counted(leader.folder), served)
    leader.commit()
    assert [standby.look() for _ in range(4)] == [True, False, False, False]
    assert len(loads) == 1


def test_reading_does_not_get_in_the_leaders_way(leader: Leader) -> None:
    standby = Standby(lambda: FolderCheckpoints(leader.folder), served)
    for _ in range(3):
        leader.commit()
        standby.look()
    assert leader.trainer.done == 3


def test_while_the_store_is_away_or_the_checkpoint_damaged_the_one_before_is_served(leader: Leader) -> None:
    away = [False]

    class Faulty(FolderCheckpoints):
        def summary(self) -> Any:
            if away[0]:
                raise Unavailable("the bucket does not answer")
            return super().summary()

    standby = Standby(lambda: Faulty(leader.folder), served)
    leader.commit()
    standby.look()
    before = standby.snapshot()
    away[0] = True
    assert standby.look() is False
    assert "does not answer" in standby.trouble
    away[0] = False
    leader.commit()
    (newest,) = [path for path in leader.folder.iterdir() if path.name.startswith("2-")]
    good = newest.read_bytes()
    newest.write_bytes(good[:-1])
    assert standby.look() is False
    assert standby.trouble
    assert standby.snapshot() is before
    newest.write_bytes(good)
    assert standby.look() is True
    assert standby.trouble == ""
    assert answers(standby, leader) == leader.answers()


def test_a_checkpoint_of_another_stage_is_not_served(leader: Leader) -> None:
    leader.commit("cleaner")
    standby = Standby(lambda: FolderCheckpoints(leader.folder), served)
    assert standby.look() is False
    assert "cleaner" in standby.trouble


def test_a_store_that_cannot_be_opened_is_tried_again(leader: Leader) -> None:
    stores: list[CheckpointStore | None] = [None, FolderCheckpoints(leader.folder)]

    def opened() -> CheckpointStore:
        store = stores.pop(0)
        if store is None:
            raise Unavailable("no such bucket")
        return store

    leader.commit()
    standby = Standby(opened, served)
    assert standby.look() is False
    assert "no such bucket" in standby.trouble
    assert standby.look() is True


def test_the_thread_follows_until_the_block_ends(leader: Leader) -> None:
    made = threading.Semaphore(0)

    def make_step() -> ServedStep:
        made.release()
        return served()

    with Standby(lambda: FolderCheckpoints(leader.folder), make_step, every=0.01).running() as standby:
        for number in range(1, 4):
            leader.commit()
            assert made.acquire(timeout=WITHIN)
            for _ in range(int(WITHIN / 0.01)):
                if (
                    (snapshot := standby.snapshot()) is not None
                    and len(snapshot.scores)
                    and snapshot.date == leader.trainer.stream[number - 1][0]
                ):
                    break
                threading.Event().wait(0.01)
            assert answers(standby, leader) == leader.answers()
    assert not [thread for thread in threading.enumerate() if thread.name == "standby"]
