"""What goes wrong between the parts changes nothing of what comes out: no row, no bit of a model, nothing lost, nothing twice.

`test_kill_points` has the crashes. Here are repeats and disorder, two writers, dependencies that go silent, damage on the disk,
batches that never come and runs that overtake each other.
"""

from __future__ import annotations

import itertools
import json
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import emulators
from integration.distributed import lives, proxy, scene
from integration.distributed.lives import Life, Lives, Scenarios
from integration.distributed.scene import Expected, Names
from thundercast.adapters.google.bigquery_schema import ensure_tables
from thundercast.adapters.settings import CloudSettings
from thundercast.domain import tables
from thundercast.domain.batch import Attributes, Message
from thundercast.domain.runs import Run
from thundercast.stage.steps import CleanStep

DATASET = "fault_scenarios"
DATE = scene.SHARDS
"""Batches of a date."""
LIFE = {
    "THUNDERCAST_ACK_DEADLINE": "10", "THUNDERCAST_CHECKPOINT_MIN": "0", "THUNDERCAST_CHECKPOINT_SECONDS": "0.01",
    "THUNDERCAST_PULL_LIMIT": "7", "THUNDERCAST_MODELS": json.dumps(scene.MODELS), "THUNDERCAST_DRAIN_DEAD_LETTERS": "false",
    "THUNDERCAST_STANDBY_SECONDS": "0.5",
}  # fmt: skip
LOST = 20
"""The seq of a batch that never comes, where a scenario wants one."""

scenario = Scenarios()
_numbers = itertools.count(5_000)


@dataclass
class Own:
    """A scenario's own topics, place and run, and what its trainer must come to.

    Attributes:
        clean: the run's clean batches in order; one of them cannot be read.
    """

    lives: Lives
    names: Names
    run: Run
    clean: list[Message]

    def part(self, part: str, *more: Mapping[str, str], **how: Any) -> Life:
        return self.lives.start(part, self.names.env, LIFE, *more, **how)

    def trainer(self, *more: Mapping[str, str], **how: Any) -> Life:
        return self.part("trainer", *more, **how)

    def publish(self, messages: Sequence[Message], topic: str = "clean") -> None:
        scene.publish(f"{topic}-{self.names.key}", messages)

    def lock(self, name: str) -> dict[str, str]:
        return {"THUNDERCAST_LOCK": f"file:{self.lives.folder / self.names.key}-{name}.lock"}

    def equals(self, expected: Expected) -> None:
        """Every row is there, once; the models of the checkpoint are equal to the last bit."""
        assert expected.same_rows(scene.found_rows(DATASET, self.run.run_id)) == []
        assert scene.checkpointed_models(self.names.place) == expected.models

    def equals_undisturbed(self) -> None:
        """The same, for a run whose batches have all come; and what could not be read is among the dead letters."""
        expected = scene.expected(damaged=True)
        self.equals(expected)
        assert scene.letters_of(self.names) == [letter for letter in expected.letters if letter.startswith("trainer")]


@dataclass
class Stage:
    """What scenarios share."""

    lives: Lives
    pubsub: emulators.Running
    bigquery: emulators.Running
    storage: emulators.Running

    def own(self, key: str, *, place: str = "") -> Own:
        run = scene.a_run(next(_numbers))
        names = Names(key, place or str(self.lives.folder / key), DATASET)
        names.make(run)
        return Own(self.lives, names, run, scene.clean_messages(run, damaged=True))


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pubsub_emulator: emulators.Running,
    bigquery_emulator: emulators.Running, storage_emulator: emulators.Running,
) -> Iterator[dict[str, Future[None]]]:  # fmt: skip
    ensure_tables(CloudSettings(project=scene.PROJECT, dataset=DATASET))
    scene.bucket()
    with (
        lives.forking(tmp_path_factory.mktemp("faults")) as forked,
        scenario.running(request, Stage(forked, pubsub_emulator, bigquery_emulator, storage_emulator)) as running,
    ):
        yield running


# --- repeats and disorder ---------------------------------------------------------------------------------


@scenario
def acked_messages_come_again_while_the_trainer_runs(stage: Stage) -> None:
    own, since = stage.own("again-running"), time.time() - 60
    own.publish(own.clean[: 2 * DATE])
    trainer = own.trainer()
    trainer.reaches(2 * DATE)
    scene.seek("clean-again-running-s", since)
    trainer.until(lambda: trainer.status().get("duplicates", 0) >= 2 * DATE, "it was given everything again")
    own.publish(own.clean[2 * DATE :])
    trainer.completes()
    trainer.stop()
    own.equals_undisturbed()


@scenario
def acked_messages_come_again_between_two_lives_of_the_trainer(stage: Stage) -> None:
    own, since = stage.own("again-between"), time.time() - 60
    own.publish(own.clean[: 2 * DATE + 5])
    trainer = own.trainer()
    trainer.reaches(2 * DATE + 5)
    trainer.stop()
    scene.seek("clean-again-between-s", since)
    own.publish(own.clean[2 * DATE + 5 :])
    trainer = own.trainer()
    trainer.completes()
    trainer.until(lambda: trainer.status().get("duplicates", 0) >= 2 * DATE + 5, "it was given everything again")
    trainer.stop()
    own.equals_undisturbed()


@scenario
def unacked_messages_come_again_to_a_trainer_that_slept_past_their_leases(stage: Stage) -> None:
    own = stage.own("again-unacked")
    own.publish([*own.clean[:17], *own.clean[18:]])
    trainer = own.trainer()
    trainer.until(lambda: trainer.status().get("window") == len(own.clean) - 18, "it held what comes after the hole")
    trainer.signal(signal.SIGSTOP)
    time.sleep(13.0)  # longer than a lease
    trainer.signal(signal.SIGCONT)
    trainer.until(lambda: trainer.status().get("duplicates", 0) > 0, "what it holds was delivered again")
    own.publish(own.clean[17:18])
    trainer.completes()
    trainer.stop()
    own.equals_undisturbed()


def _disordered(messages: Sequence[Message]) -> list[Message]:
    """Every batch twice and some three times, in an order that has nothing to do with theirs."""
    several = [*messages, *messages, *messages[::5]]
    random.Random(11).shuffle(several)
    return several


@scenario
def shuffled_and_repeated_messages_reach_the_trainer(stage: Stage) -> None:
    own = stage.own("shuffled-clean")
    own.publish(_disordered(own.clean))
    trainer = own.trainer()
    trainer.completes()
    trainer.until(lambda: trainer.status().get("duplicates", 0) >= len(own.clean), "all repeats had come")
    trainer.stop()
    own.equals_undisturbed()


@scenario
def shuffled_and_repeated_messages_reach_the_cleaner_and_what_it_makes_of_them_the_trainer(stage: Stage) -> None:
    own = stage.own("shuffled-raw")
    own.publish(_disordered(scene.raw_messages(own.run)), "raw")
    cleaner, trainer = own.part("cleaner"), own.trainer()
    trainer.completes()
    for part in (cleaner, trainer):
        part.stop()
    expected = scene.expected()
    own.equals(expected)
    assert scene.letters_of(own.names) == expected.letters


# --- two writers ------------------------------------------------------------------------------------------


@scenario
def a_standby_is_ready_and_predicts_and_leads_when_the_leader_ends(stage: Stage) -> None:
    own = stage.own("standby")
    own.publish(own.clean[: DATE + 3])
    leader = own.trainer()
    leader.reaches(DATE + 3)
    standby = own.trainer()
    standby.until(standby.ready, "it was ready")
    status = standby.status()
    assert (status["leader"], status["state"]) == (False, "waiting")
    assert f"held by process {leader.pid}" in status["detail"]
    code, model = standby.ask("/v1/model")
    assert (code, model["learnt_to"]) == (200, scene.START.isoformat())
    own.publish(own.clean[DATE + 3 : 2 * DATE])
    # It looks again and again for a newer checkpoint.
    standby.until(lambda: standby.ask("/v1/model")[1]["learnt_to"] > scene.START.isoformat(), "it followed the leader")
    assert not standby.status()["leader"]
    leader.stop()
    own.publish(own.clean[2 * DATE :])
    standby.completes()
    standby.stop()
    own.equals_undisturbed()


@scenario
def of_two_trainers_that_both_hold_a_lock_one_commits_and_the_other_is_refused(stage: Stage) -> None:
    own = stage.own("two-locks")
    own.publish(own.clean[: 2 * DATE])
    one = own.trainer(own.lock("one"))
    one.reaches(2 * DATE)
    other = own.trainer(own.lock("other"))
    other.until(lambda: other.status().get("leader") and other.status().get("watermark") == 2 * DATE, "it led too")
    own.publish(own.clean[2 * DATE :])
    lives.until(lambda: one.code() is not None or other.code() is not None, "one of them was refused")
    refused, left = (one, other) if one.code() is not None else (other, one)
    assert refused.ended() == 1
    assert "another process has written checkpoint" in refused.complaint()
    left.completes()
    left.stop()
    own.equals_undisturbed()


def _under_lease(start: Callable[[], Life], condition: Callable[[Life], bool], what: str) -> Life:
    """Starts a trainer, and another when it has lost its lease, as a supervisor does: on a busy machine six seconds pass soon."""
    while True:
        life = start()
        lives.until(lambda life=life: life.code() is not None or condition(life), what)
        if life.code() is None:
            return life
        assert (life.ended(), "does not hold the lock any more" in life.complaint()) == (1, True), life.text()[-3000:]


def _overslept(stage: Stage, key: str, point: str) -> str:
    """A leader stops in the middle of a date, another one takes over, and the first wakes; returns its last words."""
    own = stage.own(key)
    lock = {"THUNDERCAST_LOCK": f"gs://{scene.bucket()}/{key}.lock"}
    own.publish(own.clean)
    leader = _under_lease(lambda: own.trainer(lock, pause=(point, 3)), lambda life: life.halted, f"it was stopped at {point}")
    other = _under_lease(lambda: own.trainer(lock), lambda life: life.is_complete, "its run was complete")
    leader.signal(signal.SIGCONT)
    assert leader.ended() == 1
    other.stop()
    own.equals_undisturbed()
    return leader.complaint()


@scenario
def a_leader_stopped_past_its_lease_retires_when_it_wakes(stage: Stage) -> None:
    assert "does not hold the lock any more" in _overslept(stage, "overslept-applied", "applied")


@scenario
def a_leader_stopped_past_its_lease_in_the_middle_of_a_commit_is_refused_when_it_wakes(stage: Stage) -> None:
    assert "another process has written checkpoint" in _overslept(stage, "overslept-commit", "body_written")


# --- dependencies -----------------------------------------------------------------------------------------


def _storage_at(port: int) -> dict[str, str]:
    return {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"}


@scenario
def head_is_written_and_the_answer_is_lost(stage: Stage) -> None:
    own = stage.own("head-answer", place=f"gs://{scene.bucket()}/head-answer")
    uploads = itertools.count()
    with proxy.before(stage.storage.ports["http"]) as between:
        between.lose_answer_to(lambda data: b'trainer/HEAD"' in data and next(uploads) % 3 == 1)
        own.publish(own.clean)
        trainer = own.trainer(_storage_at(between.port))
        trainer.completes()
        assert between.lost >= 2
        trainer.stop()
    own.equals_undisturbed()


@scenario
def the_checkpoint_store_goes_silent_for_some_seconds(stage: Stage) -> None:
    own = stage.own("store-silent", place=f"gs://{scene.bucket()}/store-silent")
    with proxy.before(stage.storage.ports["http"]) as between:
        trainer = own.trainer(_storage_at(between.port), own.lock("file"))
        own.publish(own.clean[: DATE + 2])
        trainer.reaches(DATE + 2)
        between.silence()
        own.publish(own.clean[DATE + 2 :])
        trainer.until(lambda: "STORAGE_EMULATOR_HOST" in trainer.reasons(), "readiness named the store")
        trainer.until(lambda: trainer.status()["away"].get("the checkpoint store"), "the loop missed the store")
        assert trainer.status()["state"] == "waiting"
        between.go_on()
        trainer.completes()
        trainer.until(trainer.ready, "it was ready again")
        trainer.stop()
    own.equals_undisturbed()


@scenario
def bigquery_goes_silent_and_the_trainer_stops_pulling_when_its_outbox_is_full(stage: Stage) -> None:
    own, ports = stage.own("bigquery-silent"), stage.bigquery.ports
    with proxy.before(ports["rest"]) as rest, proxy.before(ports["grpc"]) as grpc:
        env = {
            "BIGQUERY_EMULATOR_HOST": f"http://127.0.0.1:{rest.port}", "BIGQUERY_STORAGE_EMULATOR_HOST": f"127.0.0.1:{grpc.port}",
            "THUNDERCAST_OUTBOX": "10",
        }  # fmt: skip
        trainer = own.trainer(env)
        own.publish(own.clean[:DATE])
        trainer.reaches(DATE)
        trainer.until(lambda: trainer.status()["outbox"] == 0, "the first date's scores were written")
        for between in (rest, grpc):
            between.silence()
        own.publish(own.clean[DATE:])
        trainer.until(lambda: "nothing is pulled" in trainer.reasons(), "readiness said that the outbox is full")
        status = trainer.status()
        assert status["state"] == "waiting"
        assert "nothing is pulled" in status["detail"]
        assert "BIGQUERY_STORAGE_EMULATOR_HOST" in trainer.reasons()
        # The second date has filled the outbox; of the third nothing is applied.
        assert (status["outbox"] >= 10, status["watermark"]) == (True, 2 * DATE)
        time.sleep(3.0)
        assert trainer.status()["watermark"] == 2 * DATE
        for between in (rest, grpc):
            between.go_on()
        trainer.completes()
        trainer.until(trainer.ready, "it was ready again")
        trainer.stop()
    own.equals_undisturbed()


@scenario
def the_newest_checkpoint_is_damaged(stage: Stage) -> None:
    own = stage.own("damaged")
    own.publish(own.clean[: 2 * DATE])
    trainer = own.trainer()
    trainer.reaches(2 * DATE)
    trainer.stop()
    newest = max((Path(own.names.place) / "trainer").glob("[0-9]*-*"), key=lambda path: int(path.name.partition("-")[0]))
    body = bytearray(newest.read_bytes())
    body[len(body) // 2] ^= 0xFF
    newest.write_bytes(body)
    trainer = own.trainer()
    assert trainer.ended() == 1
    (line,) = trainer.complaint().splitlines()
    assert newest.name in line
    assert "--fall-back" in line
    own.publish(own.clean[2 * DATE :])
    trainer = own.trainer(flags=["--fall-back"])
    trainer.completes()
    assert trainer.status()["duplicates"] > 0, "the subscription was not sought back"
    trainer.stop()
    own.equals_undisturbed()


# --- holes ------------------------------------------------------------------------------------------------


@scenario
def a_batch_never_reaches_the_trainer_and_comes_too_late(stage: Stage) -> None:
    own, expected = stage.own("hole-clean"), scene.expected(damaged=True, lost=LOST)
    own.publish([*own.clean[:LOST], *own.clean[LOST + 1 :]])
    trainer = own.trainer({"THUNDERCAST_GAP_TIMEOUT": "40"})
    trainer.until(lambda: f"for batch {LOST}, with" in trainer.status().get("detail", ""), "it said what it waits for")
    trainer.completes()
    own.publish(own.clean[LOST : LOST + 1])
    trainer.until(lambda: trainer.status()["dead_letters"].get("late_after_skip"), "the late batch was set aside")
    trainer.stop()
    own.equals(expected)
    (gap,) = scene.stored(DATASET, tables.GAPS, own.run.run_id).to_pylist()
    assert (gap["component"], gap["seq"], gap["shard"]) == ("trainer", LOST, LOST % DATE)
    missing = [json.loads(row) for row in expected.rows["model_metrics"]]
    # With the one that cannot be read: that is a date later.
    assert {row["date"] for row in missing if row["scope"] == "day" and row["shards_missing"]} == {"2022-05-02", "2022-05-03"}
    letters = [letter for letter in expected.letters if letter.startswith("trainer")]
    assert scene.letters_of(own.names) == sorted([*letters, f"trainer late_after_skip {LOST} "])


@scenario
def a_batch_never_reaches_the_cleaner(stage: Stage) -> None:
    own = stage.own("hole-raw")
    raw = scene.raw_messages(own.run)
    expected = scene.applied(CleanStep(), raw, lost=LOST).messages
    own.publish([*raw[:LOST], *raw[LOST + 1 :]], "raw")
    cleaner = own.part("cleaner", {"THUNDERCAST_GAP_TIMEOUT": "40"})
    published: dict[int, tuple[str, bytes]] = {}

    def all_out() -> bool:
        for message in scene.waiting("clean-hole-raw-s"):
            attributes = Attributes.from_text(message.attributes)
            published[attributes.seq] = (attributes.outcome, message.data)
        return len(published) == len(expected)

    cleaner.until(all_out, "every seq was published")
    cleaner.stop()
    assert published == {(a := Attributes.from_text(m.attributes)).seq: (a.outcome, m.data) for m in expected}
    assert published[LOST][0] == "skipped"
    (gap,) = scene.stored(DATASET, tables.GAPS, own.run.run_id).to_pylist()
    assert (gap["component"], gap["seq"]) == ("cleaner", LOST)


# --- runs that overtake each other ------------------------------------------------------------------------


def _newer(stage: Stage, own: Own) -> tuple[Run, list[Message]]:
    """Another run of the same data into the same topics, begun later."""
    run = scene.a_run(next(_numbers))
    scene.open_manifests(own.names.place).write_manifest(run.run_id, run.to_json())
    return run, scene.clean_messages(run, damaged=True)


def _states(run: Run) -> list[str]:
    """What the table of runs has said of a run, in order."""
    return [row["state"] for row in scene.stored(DATASET, tables.RUNS, run.run_id).sort_by("written_at").to_pylist()]


@scenario
def a_newer_run_begins_while_the_old_one_is_in_flight(stage: Stage) -> None:
    own = stage.own("newer")
    old = own.run
    own.publish([*own.clean[: 2 * DATE], *own.clean[40:]])
    trainer = own.trainer()
    trainer.until(lambda: trainer.status().get("window") == 8, "it held batches of the old run")
    trainer.until(lambda: _states(old)[-1:] == ["running"], "the old run was entered")
    own.run, clean = _newer(stage, own)
    own.publish(clean)
    trainer.completes()
    own.publish(own.clean[32:36])
    trainer.until(lambda: trainer.status()["dead_letters"].get("stale_run") == 4, "late batches of the old run were set aside")
    trainer.until(lambda: _states(own.run)[-1:] == ["completed"], "the new run's end was entered")
    trainer.stop()
    expected = scene.expected(damaged=True)
    own.equals(expected)
    assert _states(old)[-1] == "superseded"
    letters = {(reason, int(seq)) for _, reason, seq in (letter.split() for letter in scene.letters_of(own.names))}
    assert letters == {("undecodable", scene.DAMAGED)} | {("superseded", seq) for seq in range(40, 48)} | {
        ("stale_run", seq) for seq in range(32, 36)
    }
    # What the old run had learnt is there, to its last date, and it is what an undisturbed run says of these dates.
    found = scene.found_rows(DATASET, old.run_id)
    assert set(found["model_metrics"]) == {row for row in expected.rows["model_metrics"] if json.loads(row)["date"] < "2022-05-03"}
    for name, rows in found.items():
        assert rows
        assert set(rows) <= set(expected.rows[name])


@scenario
def a_newer_run_waits_when_the_trainer_starts(stage: Stage) -> None:
    own = stage.own("newer-waits")
    old = own.run
    own.publish(own.clean[: DATE + 4])
    trainer = own.trainer()
    trainer.reaches(DATE + 4)
    trainer.until(lambda: _states(old)[-1:] == ["running"], "the old run was entered")
    trainer.kill()
    own.run, clean = _newer(stage, own)
    own.publish(clean)
    trainer = own.trainer()
    trainer.completes()
    trainer.until(lambda: _states(own.run)[-1:] == ["completed"], "the new run's end was entered")
    trainer.stop()
    own.equals_undisturbed()
    assert _states(old)[-1] == "superseded"


# --- push -------------------------------------------------------------------------------------------------


@scenario
def pubsub_pushes_to_a_trainer_that_is_killed_and_what_cannot_be_read_comes_into_the_table(stage: Stage) -> None:
    own, port = stage.own("pushed"), emulators.free_port()
    scene.push("clean-pushed-s", f"http://127.0.0.1:{port}/predict-and-train")
    pushed = {"THUNDERCAST_MODE": "push", "THUNDERCAST_PUSH_AUTH": "none", "THUNDERCAST_DRAIN_DEAD_LETTERS": "true"}
    trainer = own.trainer(pushed, port=port)
    own.publish(own.clean[: DATE + 5])
    trainer.reaches(DATE + 5)
    own.publish([Message(b"rows of nowhere", {"from": "nowhere"}), *own.clean[DATE + 5 :]])
    trainer.kill()
    trainer = own.trainer(pushed, port=port)
    trainer.completes()

    def aside() -> set[tuple[str, int, bytes]]:
        rows = [row for run in (own.run.run_id, "") for row in scene.stored(DATASET, tables.DEAD_LETTERS, run).to_pylist()]
        return {(row["reason"], row["seq"], row["payload"]) for row in rows if row["stage"] == "trainer"}

    wanted = {("undecodable", scene.DAMAGED, own.clean[scene.DAMAGED].data), ("unaddressed", -1, b"rows of nowhere")}
    trainer.until(lambda: aside() >= wanted, "what could not be read was in the table of dead letters")
    assert aside() == wanted
    trainer.stop()
    own.equals(scene.expected(damaged=True))


@pytest.mark.parametrize("scenario", scenario.names)
def test_nothing_is_lost_and_nothing_comes_twice_though(outcomes: dict[str, Future[None]], scenario: str) -> None:
    outcomes[scenario].result()
