"""While a dependency does not answer nothing is lost and nothing is claimed; when it does, the stream goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from thundercast.adapters.folder import FolderCheckpoints
from thundercast.stage.loop import Ending, StageLoop
from thundercast.stage.protocols import Unavailable
from unit.stage.scene import SETTINGS, World, a_run


@pytest.fixture
def expected(tmp_path: Path) -> World:
    world = World(tmp_path / "expected", a_run(dates=10))
    world.publish(range(40))
    world.finish()
    return world


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path / "world", a_run(dates=10))
    world.publish(range(40))
    return world


def at_times(world: World, loop: StageLoop, *times: float) -> dict[float, tuple[str, str, int, int]]:
    """State, detail, number of applied batches and checkpoint at some times."""
    seen: dict[float, tuple[str, str, int, int]] = {}

    def look(time: float) -> Callable[[], None]:
        return lambda: seen.update({time: (loop.status.state, loop.status.detail, len(world.step.log), loop.status.checkpoint_number)})

    for time in times:
        world.time.at(time, look(time))
    return seen


def test_while_the_store_is_away_rows_wait_in_the_outbox_up_to_a_bound(tmp_path: Path, world: World, expected: World) -> None:
    world.store.away = {"model_metrics"}
    loop = world.loop(settings=replace(SETTINGS, outbox=20))
    seen = at_times(world, loop, 30.0, 60.0)
    pulls: list[int] = []
    world.time.at(30.0, lambda: pulls.append(len(world.topic.pulls)))
    world.time.at(60.0, lambda: pulls.append(len(world.topic.pulls)))
    world.time.at(61.0, lambda: world.store.away.clear())
    assert loop.run(until_complete=world.run.run_id) is Ending.COMPLETED
    state, detail, applied, number = seen[60.0]
    assert state == "waiting"
    assert "the store" in detail
    assert applied == seen[30.0][2]
    assert 20 <= applied < 40
    assert pulls[0] == pulls[1], "nothing is pulled"
    assert number > 0, "the checkpoint, and with it the ack, does not need the store"
    assert world.result() == expected.result()


def test_rows_of_the_outbox_outlive_the_process(tmp_path: Path, world: World, expected: World) -> None:
    world.store.away = {"model_metrics"}
    loop = world.loop()
    world.time.at(30.0, loop.stop)
    loop.run()
    assert loop.status.outbox == 40
    assert world.topic.unacked == 0
    world.store.away.clear()
    loop = world.finish()
    assert world.result() == expected.result()
    assert loop.status.outbox == 0


def test_while_the_store_takes_no_rows_no_checkpoint_is_written_over_them(tmp_path: Path, world: World, expected: World) -> None:
    world.store.away = {"*"}
    loop = world.loop()
    seen = at_times(world, loop, 30.0)
    world.time.at(30.0, lambda: acked.append(len(world.topic.acked)))
    world.time.at(31.0, lambda: world.store.away.clear())
    acked: list[int] = []
    loop.run(until_complete=world.run.run_id)
    state, detail, applied, number = seen[30.0]
    assert (state, detail) == ("waiting", "for the store (the store does not answer)")
    assert number == 0
    assert acked == [0]
    assert applied == SETTINGS.window, "and what is applied meanwhile is bounded"
    assert world.result() == expected.result()
    assert loop.status.last_error == "the store: the store does not answer"


def test_while_the_output_topic_is_away_nothing_is_acked(tmp_path: Path, world: World, expected: World) -> None:
    world.published.away = True
    loop = world.loop()
    seen = at_times(world, loop, 30.0)
    world.time.at(30.0, lambda: acked.append(len(world.topic.acked)))
    acked: list[int] = []
    world.time.at(31.0, lambda: setattr(world.published, "away", False))
    loop.run(until_complete=world.run.run_id)
    assert seen[30.0][:2] == ("waiting", "for the output topic (the topic does not answer)")
    assert seen[30.0][3] == 0
    assert acked == [0]
    assert world.result() == expected.result()


def test_while_the_checkpoint_store_is_away_nothing_is_acked(
    tmp_path: Path, world: World, expected: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, away = FolderCheckpoints.commit, [True]

    def commit(*args: object) -> object:
        if away[0]:
            raise Unavailable("no such bucket")
        return plain(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(FolderCheckpoints, "commit", commit)
    loop = world.loop()
    seen = at_times(world, loop, 30.0)
    world.time.at(30.0, lambda: acked.append(len(world.topic.acked)))
    acked: list[int] = []
    world.time.at(31.0, lambda: away.__setitem__(0, False))
    loop.run(until_complete=world.run.run_id)
    assert seen[30.0][:2] == ("waiting", "for the checkpoint store (no such bucket)")
    assert seen[30.0][2] == SETTINGS.unacked
    assert acked == [0]
    assert world.store["model_metrics"].keys() == expected.store["model_metrics"].keys()
    assert world.result() == expected.result()


def test_no_score_is_shown_before_it_is_durable(tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def commit(*args: object) -> object:
        raise Unavailable("no such bucket")

    monkeypatch.setattr(FolderCheckpoints, "commit", commit)
    loop = world.loop()
    world.time.at(30.0, loop.stop)
    loop.run()
    assert world.step.log
    assert world.store["model_metrics"] == {}


def test_a_checkpoint_store_that_does_not_answer_at_the_start_is_waited_for(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, away = FolderCheckpoints.load, [True]

    def load(self: FolderCheckpoints) -> object:
        if away[0]:
            raise Unavailable("no such bucket")
        return plain(self)

    monkeypatch.setattr(FolderCheckpoints, "load", load)
    loop = world.loop()
    seen = at_times(world, loop, 10.0)
    world.time.at(11.0, lambda: away.__setitem__(0, False))
    loop.run(until_complete=world.run.run_id)
    assert seen[10.0][:3] == ("waiting", "for the checkpoint store (no such bucket)", 0)
    assert len(world.step.log) == 40


def test_a_dependency_that_is_away_is_asked_once_a_pause(tmp_path: Path, world: World) -> None:
    asked: list[float] = []
    plain = world.published.publish

    def publish(messages: object) -> None:
        asked.append(world.time.now)
        plain(messages)  # type: ignore[arg-type]

    world.published.publish = publish  # type: ignore[method-assign]
    world.published.away = True
    loop = world.loop(settings=replace(SETTINGS, retry_after=5.0))
    world.time.at(60.0, loop.stop)
    loop.run()
    assert 10 <= len(asked) <= 14, "every five seconds, and once at the end"
    assert min(b - a for a, b in pairwise(asked[:-1])) >= 5.0


def test_a_subscription_that_is_away_is_told_and_waited_for(tmp_path: Path, world: World, expected: World) -> None:
    world.topic.away = True
    loop = world.loop()
    seen = at_times(world, loop, 10.0)
    world.time.at(11.0, lambda: setattr(world.topic, "away", False))
    loop.run(until_complete=world.run.run_id)
    assert seen[10.0][:2] == ("waiting", "for the subscription (nobody answers)")
    assert world.result() == expected.result()


def test_an_ack_that_fails_is_made_up_for(tmp_path: Path, world: World) -> None:
    plain, failures = world.topic.ack, [3]

    def ack(tokens: list[str]) -> None:
        if failures[0]:
            failures[0] -= 1
            raise Unavailable("not now")
        plain(tokens)

    world.topic.ack = ack  # type: ignore[method-assign]
    world.finish()
    assert failures == [0]
    assert world.topic.unacked == 0


def test_stopping_while_everything_is_away_ends_at_once_and_loses_nothing(tmp_path: Path, world: World, expected: World) -> None:
    world.store.away = {"*"}
    world.published.away = True
    loop = world.loop()
    world.time.at(20.0, loop.stop)
    assert loop.run() is Ending.STOPPED
    assert loop.status.detail == "16 batches were applied but could not be made durable: they will be done again"
    assert world.time.now < 25.0
    world.store.away.clear()
    world.published.away = False
    world.time.advance(60.0)
    world.finish()
    assert world.result() == expected.result()


def test_a_row_that_fits_no_table_is_an_error_of_the_step(tmp_path: Path, world: World) -> None:
    from thundercast.stage.outbox import Outbox

    with pytest.raises(ValueError, match=r"'scores'.*fits none"):
        Outbox().extend([("scores", {})])
    with pytest.raises(ValueError, match=r"'gaps'.*'day'"):
        Outbox().extend([("gaps", {"day": 1})])
    assert len(Outbox()) == 0


def test_messages_without_a_topic_are_an_error_of_the_setup(tmp_path: Path, world: World) -> None:
    loop = world.loop()
    loop._outlets = replace(loop._outlets, messages=None)
    with pytest.raises(ValueError, match="no topic"):
        loop.run()
    assert loop.status.state == "failed"
    assert "no topic" in loop.status.detail
    assert world.lock.released
