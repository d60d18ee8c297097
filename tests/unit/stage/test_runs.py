"""One run is followed at a time; what does not belong to it is set aside with its reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thundercast.adapters.folder import FolderCheckpoints
from thundercast.domain.batch import Message
from thundercast.domain.runs import RunState
from thundercast.stage.letters import from_message
from thundercast.stage.loop import Ending
from thundercast.stage.outbox import Row
from thundercast.stage.points import KILL_POINTS
from thundercast.stage.protocols import Unavailable
from thundercast.stage.unconfirmed import Outlets
from unit.stage.scene import SETTINGS, AnyLock, Killed, Published, World, a_run, killing, message

OLD = a_run(dates=6, started="20240101T000000Z")
NEW = a_run(dates=3, started="20240202T000000Z")


def newer(world: World, *seqs: int) -> None:
    world.topic.publish([message(NEW, seq) for seq in seqs])


def test_a_newer_run_begins_with_its_first_batch_and_supersedes_the_old_one(tmp_path: Path) -> None:
    world = World(tmp_path, OLD)
    world.publish([0, 1, 2, 9])
    newer(world, 1, 2)
    world.time.at(20.0, lambda: newer(world, 0, *range(3, 12)))
    world.time.at(10.0, lambda: logs.append(list(world.step.log)))
    world.time.at(40.0, lambda: world.publish([3]))
    logs: list[list[str]] = []
    loop = world.loop()
    world.time.at(100.0, loop.stop)
    loop.run()
    assert logs == [["0", "1", "2"]], "until its first batch comes the newer run waits"
    assert world.step.begun == [OLD.run_id, NEW.run_id]
    assert world.step.log == [str(seq) for seq in range(12)]
    assert loop.status.run_id == NEW.run_id
    assert loop.status.completed
    assert world.store.reasons() == ["stale_run", "superseded"]
    assert {(row["reason"], row["seq"], row["run_id"]) for row in world.store["dead_letters"].values()} == {
        ("superseded", 9, OLD.run_id),
        ("stale_run", 3, OLD.run_id),
    }
    assert world.topic.unacked == 0
    assert len(world.store["model_metrics"]) == 3 + 12


class Accounts:
    """What is said of runs, as rows of `runs`; away, it cannot be said now."""

    def __init__(self) -> None:
        self.away = False
        self.given: list[tuple[str, str]] = []

    def __call__(self, run_id: str, state: RunState) -> list[Row]:
        if self.away:
            raise Unavailable("its manifest cannot be read")
        self.given.append((run_id, state))
        return [("runs", {"run_id": run_id, "state": state})]


def states(world: World) -> dict[str, str]:
    return {row["run_id"]: row["state"] for row in world.store["runs"].values()}


@pytest.mark.parametrize("last", [9, 24])
def test_what_became_of_a_run_is_said_when_a_newer_one_begins_though_the_process_dies_then(tmp_path: Path, last: int) -> None:
    world, accounts = World(tmp_path, OLD), Accounts()
    world.publish(range(last))
    newer(world, *range(12))
    with pytest.raises(Killed):
        world.loop(gap=killing("begun", 2), account=accounts).run()
    loop = world.loop(account=accounts)
    world.time.at(world.time.now + 60.0, loop.stop)
    loop.run()
    assert loop.status.run_id == NEW.run_id
    assert states(world) == {OLD.run_id: "completed" if last == OLD.batches else "superseded", NEW.run_id: "completed"}


@pytest.mark.parametrize("point", KILL_POINTS)
def test_a_completed_run_is_said_to_be_wherever_the_process_is_killed(tmp_path: Path, point: str) -> None:
    """At every time that it comes to the point: what is said must not depend on anybody living long enough to look."""
    for nth in range(1, 200):
        world, accounts = World(tmp_path / str(nth), NEW), Accounts()
        world.publish(range(NEW.batches))
        loop = world.loop(gap=killing(point, nth), account=accounts)
        try:
            loop.run(until_complete=NEW.run_id)
        except Killed:
            world.time.advance(200.0)
            world.finish(account=accounts)
            assert states(world) == {NEW.run_id: "completed"}
        else:
            break
    assert nth > 1 or point == "letters_published"


def test_a_run_that_was_completed_in_the_last_turn_before_a_stop_is_said_to_be(tmp_path: Path) -> None:
    world, accounts = World(tmp_path, NEW), Accounts()
    world.publish(range(NEW.batches))
    applied: list[str] = []

    def gap(point: str) -> None:
        applied.extend([point] * (point == "applied"))
        if len(applied) == NEW.batches:
            loop.stop()

    loop = world.loop(gap=gap, account=accounts)
    assert loop.run() is Ending.STOPPED
    assert loop.status.completed
    assert states(world) == {NEW.run_id: "completed"}


def test_a_run_of_which_nothing_can_be_said_now_is_completed_when_it_can(tmp_path: Path) -> None:
    world, accounts = World(tmp_path, NEW), Accounts()
    world.publish(range(11))
    seen: list[bool] = []
    loop = world.loop(account=accounts)
    world.time.at(20.0, lambda: setattr(accounts, "away", True))
    world.time.at(21.0, lambda: world.publish([11]))
    world.time.at(40.0, lambda: seen.append(loop.status.completed))
    world.time.at(40.0, lambda: setattr(accounts, "away", False))
    world.time.at(60.0, loop.stop)
    loop.run()
    assert seen == [False]
    assert accounts.given == [(NEW.run_id, "running"), (NEW.run_id, "completed")]
    assert states(world) == {NEW.run_id: "completed"}
    assert loop.status.completed
    assert world.topic.unacked == 0


def test_a_newer_run_begins_when_something_can_be_said_of_the_old_one(tmp_path: Path) -> None:
    world, accounts = World(tmp_path, OLD), Accounts()
    world.publish([0, 1, 2, 9])
    loop, begun = world.loop(account=accounts), []
    world.time.at(10.0, lambda: setattr(accounts, "away", True))
    world.time.at(11.0, lambda: newer(world, *range(12)))
    world.time.at(30.0, lambda: begun.extend(world.step.begun))
    world.time.at(30.0, lambda: setattr(accounts, "away", False))
    world.time.at(60.0, loop.stop)
    loop.run()
    assert begun == [OLD.run_id]
    assert world.step.begun == [OLD.run_id, NEW.run_id]
    assert loop.status.completed
    assert states(world) == {OLD.run_id: "superseded", NEW.run_id: "completed"}


def test_the_old_run_ends_with_a_checkpoint_of_its_own(tmp_path: Path) -> None:
    world = World(tmp_path, OLD)
    world.publish([0, 1, 2])
    # Nothing of the old run is durable when the newer one comes.
    loop = world.loop(gap=killing("begun", 2), settings=replace(SETTINGS, checkpoint_min=50.0, checkpoint_every=50.0))
    world.time.at(10.0, lambda: newer(world, 0))
    with pytest.raises(Killed):
        loop.run()
    checkpoint = FolderCheckpoints(tmp_path).load()
    assert checkpoint is not None
    assert checkpoint.meta["step"]["log"] == ["0", "1", "2"]
    assert checkpoint.meta["loop"]["following"]["attributes"]["run_id"] == OLD.run_id


@pytest.mark.parametrize("point", ["begun", "letters_published", "body_written", "head_written", "acked"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_crash_while_the_runs_change_changes_nothing(tmp_path: Path, point: str, nth: int) -> None:
    world = World(tmp_path, OLD)
    world.publish([0, 1, 2, 9])
    newer(world, *range(12))
    loop = world.loop(gap=killing(point, nth))
    world.time.at(100.0, loop.stop)
    try:
        loop.run()
    except Killed:
        world.time.advance(200.0)
    loop = world.drained().loop()
    world.time.at(world.time.now + 30.0, loop.stop)
    loop.run()
    assert loop.status.run_id == NEW.run_id
    assert world.step.log == [str(seq) for seq in range(12)]
    assert world.topic.unacked == 0
    # A batch of the old run that was held is superseded, or stale if it comes back later; it is never lost.
    assert {row["seq"] for row in world.store["dead_letters"].values() if row["run_id"] == OLD.run_id} >= {9}


def test_the_newest_of_several_new_runs_is_followed(tmp_path: Path) -> None:
    newest = a_run(dates=1, started="20240303T000000Z")
    world = World(tmp_path, OLD)
    newer(world, 0, 1)
    world.topic.publish([message(newest, seq) for seq in range(4)])
    loop = world.loop()
    world.time.at(30.0, loop.stop)
    loop.run()
    assert loop.status.run_id == newest.run_id
    assert world.step.begun[-1] == newest.run_id
    assert set(world.store.reasons()) <= {"stale_run", "superseded"}
    assert world.topic.unacked == 0


def test_batches_of_a_run_to_come_are_held_within_bounds(tmp_path: Path) -> None:
    world = World(tmp_path, OLD)
    world.publish(range(3))
    huge = a_run(dates=100, started="20240202T000000Z")
    world.topic.publish([message(huge, seq) for seq in range(1, 100)])
    sizes: list[int] = []
    loop = world.loop()
    for second in range(60):
        world.time.at(float(second), lambda: sizes.append(loop.status.window))
    world.time.at(60.0, loop.stop)
    loop.run()
    assert max(sizes) <= SETTINGS.window
    assert world.topic.unacked == 99


def test_a_message_without_an_address_is_a_dead_letter_and_acked(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.topic.publish([
        Message(b"1", {}), Message(b"2", {"run_id": world.run.run_id}), Message(b"3", {"run_id": "today", "seq": "1"}),
        Message(b"4", {"run_id": world.run.run_id, "seq": "9" * 5000}), Message(b"5", {"run_id": world.run.run_id, "seq": "-1"}),
    ])  # fmt: skip
    world.publish(range(24))
    loop = world.finish()
    assert world.store.reasons() == ["unaddressed"] * 5
    assert {row["payload"] for row in world.store["dead_letters"].values()} == {b"1", b"2", b"3", b"4", b"5"}
    assert world.topic.unacked == 0
    assert loop.status.dead_letters == {"unaddressed": 5}


def test_a_message_without_an_address_is_acked_only_after_its_dead_letter_is_safe(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.topic.publish([Message(b"1", {})])
    world.store.away = {"dead_letters"}
    acked: list[int] = []
    world.time.at(8.0, lambda: acked.append(len(world.topic.acked)))
    world.time.at(9.0, lambda: world.store.away.clear())
    loop = world.loop()
    world.time.at(30.0, loop.stop)
    loop.run()
    assert acked == [0]
    assert len(world.topic.acked) == 1
    assert world.store.reasons() == ["unaddressed"]


@pytest.mark.parametrize(
    ("attribute", "value", "says"),
    [
        ("date", "None", "no attribute 'date'"),
        ("shards", "many", "cannot be read"),
        ("shard", "3", "contradicts the number"),
        ("date", "2022-05-05", "contradicts the number"),
        ("fingerprint", "0" * 64, "is not the run's"),
        ("synthetic", "true", "contradicts the run's"),
    ],
)
def test_a_batch_whose_attributes_cannot_be_used_passes_on_its_number(tmp_path: Path, attribute: str, value: str, says: str) -> None:
    world = World(tmp_path)
    world.publish(range(5))
    world.topic.publish([message(world.run, 5, **{attribute: value})])
    world.publish(range(6, 24))
    loop = world.finish()
    assert world.step.log == [f"undecodable {seq}" if seq == 5 else str(seq) for seq in range(24)]
    assert loop.status.batches == {"ok": 23, "undecodable": 1}
    assert loop.status.gaps == 0
    (letter,) = world.store["dead_letters"].values()
    assert (letter["reason"], letter["seq"], letter["payload"]) == ("undecodable", 5, b"rows of 5")
    assert says in letter["detail"]
    assert world.time.now < 60.0, "it goes on at once"


def test_a_first_batch_that_cannot_be_used_still_begins_its_run(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.topic.publish([message(world.run, 0, source="None")])
    world.publish(range(1, 24))
    world.finish()
    assert world.step.log == ["undecodable 0", *(str(seq) for seq in range(1, 24))]


def test_a_run_of_which_nothing_can_be_read_ends_in_the_dead_letters(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.topic.publish([message(world.run, seq, schema="None") for seq in range(3)])
    loop = world.loop()
    world.time.at(1000.0, loop.stop)
    loop.run()
    assert world.store.reasons() == ["undecodable"] * 3
    assert world.topic.unacked == 0
    assert loop.status.run_id == ""


def test_a_number_beyond_the_end_of_the_run_is_a_dead_letter_and_opens_no_hole(tmp_path: Path) -> None:
    world = World(tmp_path)
    beyond = a_run(dates=500)
    text = message(world.run, 0).attributes
    world.publish(range(10))
    world.topic.publish([message(beyond, 1000, run_id=text["run_id"], fingerprint=text["fingerprint"])])
    world.publish(range(10, 24))
    loop = world.finish()
    assert world.store.reasons() == ["undecodable"]
    assert loop.status.gaps == 0


def test_a_poisoned_batch_never_stops_the_stream(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish(range(24), dict.fromkeys((0, 11, 23), b"poison"))
    loop = world.finish()
    assert loop.status.watermark == 24
    assert loop.status.batches == {"ok": 21, "undecodable": 3}
    assert loop.status.dead_letters == {"undecodable": 3}


def test_dead_letters_go_to_their_topic_if_there_is_one(tmp_path: Path) -> None:
    world, letters = World(tmp_path), Published()
    world.topic.publish([Message(b"who?", {"a": "b"})])
    world.publish(range(24), {3: b"poison"})
    loop = world.loop()
    loop._outlets = replace(loop._outlets, dead_letters=letters)
    loop.run(until_complete=world.run.run_id)
    assert world.store["dead_letters"] == {}
    rows = [row for m in letters.messages for row in from_message(m).to_pylist()]
    assert [(row["reason"], row["payload"]) for row in rows] == [("unaddressed", b"who?"), ("undecodable", b"poison")]
    assert letters.messages[0].attributes["reason"] == "unaddressed"


def test_dead_letters_without_a_place_are_refused() -> None:
    with pytest.raises(ValueError, match="dead letters need a place"):
        Outlets(messages=Published())


def test_a_run_that_is_complete_is_not_begun_again_by_a_new_process(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish(range(24))
    world.finish()
    before = world.result()
    world.publish(range(24))
    loop = world.loop()
    world.time.at(world.time.now + 60.0, loop.stop)
    loop.run()
    assert world.step.begun == []
    assert world.result() == before
    assert loop.status.duplicates == 24
    assert world.topic.unacked == 0


def test_the_end_of_another_run_does_not_end_the_loop(tmp_path: Path) -> None:
    world = World(tmp_path, OLD)
    world.publish(range(24))
    world.finish()
    world.run = NEW
    newer(world, *range(12))
    loop = world.finish()
    assert loop.status.run_id == NEW.run_id
    assert world.step.log == [str(seq) for seq in range(12)]
    assert AnyLock().held()


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*message(OLD, 0).attributes, "x"]), st.text(max_size=30)), st.binary(max_size=20))
def test_no_attributes_whatsoever_raise(attributes: dict[str, str], data: bytes) -> None:
    from thundercast.stage.intake import Aside, Intake
    from thundercast.stage.protocols import Delivery
    from thundercast.stage.window import Place

    intake = Intake("test", lambda _: 1, lambda _: None, lambda _: True)
    text = dict(message(OLD, 3).attributes) | attributes
    assert isinstance(intake.place(Delivery(Message(data, text), "t", 0.0), 0.0), Aside | Place)


def test_the_manifest_says_what_the_run_is_and_not_its_first_batch(tmp_path: Path) -> None:
    world = World(tmp_path, OLD)
    world.topic.publish([message(OLD, 0, synthetic="true")])
    world.publish(range(1, OLD.batches))
    world.finish()
    assert world.store.reasons() == ["undecodable"]
    assert world.step.log == ["undecodable 0", *(str(seq) for seq in range(1, OLD.batches))]
