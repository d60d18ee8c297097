"""`thundercast dead-letters`: what a person sees, and what goes out again."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from integration.google.pubsub_scene import PROJECT, Place, a_place, pull_all
from thundercast.adapters.places import open_checkpoints
from thundercast.adapters.refusals import Failed
from thundercast.adapters.sqlite import SqliteStore
from thundercast.domain import schema
from thundercast.domain.batch import Attributes, Message, encode
from thundercast.domain.deadletters import DeadLetter
from thundercast.domain.runs import Run
from thundercast.domain.tables import DEAD_LETTERS, RUNS
from thundercast.stage.letters import to_rows
from thundercast_standalone.letters_cli import app

THIS = Run(started="20240101T000000Z", source="sample", start=dt.date(2022, 1, 1), end=dt.date(2022, 1, 3), shards=4)


def message(seq: int, kind: str) -> Message:
    wanted = schema.RAW_SCHEMA if kind == schema.RAW else schema.CLEAN_SCHEMA
    attributes = Attributes.of(THIS, seq, kind)
    return encode(pa.RecordBatch.from_pylist([], schema=wanted), attributes if kind == schema.RAW else attributes.cleaned("empty", {}))


def undelivered(seq: int, kind: str = schema.CLEAN, *, reason: str = "undelivered") -> DeadLetter:
    m = message(seq, kind)
    return DeadLetter(reason, "given up", "dead letters", THIS.run_id, seq, "", "", dict(m.attributes), m.data)


ROW = DeadLetter("min_above_max", "min 40.0 > max 30.0", "cleaner", THIS.run_id, 7, "72503014732", "2022-01-02", {"min": 40.0})
GARBAGE = DeadLetter("unaddressed", "the message has no readable seq", "cleaner", payload=b"\x00garbage")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    run = {"run_id": THIS.run_id, "source": THIS.source, "state": "running"}
    letters = [undelivered(5), undelivered(9), undelivered(10, schema.RAW), ROW, GARBAGE]
    with SqliteStore(tmp_path / "store.sqlite") as store:
        store.write(RUNS, pa.Table.from_pylist([run], schema=RUNS.arrow))
        store.write(DEAD_LETTERS, to_rows(letters))
    return tmp_path


def ask(*arguments: object) -> Any:
    """The answer in JSON; raises what the command raised."""
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"], catch_exceptions=False)
    return json.loads(done.stdout) | {"exit_code": done.exit_code} if done.stdout.startswith("{") else json.loads(done.stdout)


def progress(state: Path, component: str, *, watermark: int, run_id: str = THIS.run_id) -> None:
    store = open_checkpoints(str(state / "checkpoints"), component)
    store.load()
    store.commit({}, {}, {"component": component, "run_id": run_id, "watermark": watermark, "total": THIS.batches})


def test_list_shows_counts_and_the_newest_of_the_newest_run(state: Path) -> None:
    found = ask("list", "--state", state)
    assert found["run_id"] == THIS.run_id
    assert found["counts"] == {"undelivered": 3, "min_above_max": 1}
    assert {(row["seq"], row["reason"]) for row in found["letters"]} == {
        (5, "undelivered"), (9, "undelivered"), (10, "undelivered"), (7, "min_above_max"),
    }  # fmt: skip
    assert [row["reason"] for row in ask("list", "--state", state, "--reason", "min_above_max")["letters"]] == ["min_above_max"]
    assert [row["reason"] for row in ask("list", "--state", state, "--run", "none")["letters"]] == ["unaddressed"]
    text = CliRunner().invoke(app, ["list", "--state", str(state)], catch_exceptions=False).stdout
    assert "4 dead letters" in text
    assert ROW.payload_hash in text


def test_show_tells_all_of_one_and_hands_out_its_bytes(state: Path, tmp_path: Path) -> None:
    (row,) = ask("show", ROW.payload_hash, "--state", state)
    assert (row["station"], row["original"], row["payload"]) == ("72503014732", {"min": 40.0}, 0)
    file = tmp_path / "payload"
    ask("show", GARBAGE.payload_hash, "--run", "none", "--state", state, "--payload", file)
    assert file.read_bytes() == GARBAGE.payload
    text = CliRunner().invoke(app, ["show", ROW.payload_hash, "--state", str(state)], catch_exceptions=False).stdout
    assert "the minimum temperature is above the maximum" in text
    with pytest.raises(Failed, match="has no payload: it is a row"):
        ask("show", ROW.payload_hash, "--state", state, "--payload", file)
    with pytest.raises(Failed, match="has no dead letter 'nonsense'; `thundercast dead-letters list` shows their hashes"):
        ask("show", "nonsense", "--state", state)


def test_list_writes_single_rows_to_a_file_that_can_be_laid_over_the_source(state: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    with pytest.raises(Failed, match="none of these dead letters is a single row"):
        ask("list", "--state", state, "--rows", file)
    full = DeadLetter("min_above_max", "", "cleaner", THIS.run_id, 7, "72503014732", "2022-01-02", {"station": "72503014732", "temp": 40.0})
    with SqliteStore(state / "store.sqlite") as store:
        store.write(DEAD_LETTERS, to_rows([full]))
    ask("list", "--state", state, "--rows", file)
    header, row = file.read_text().splitlines()
    assert dict(zip(header.split(","), row.split(","), strict=True))["temp"] == "40.0"


def test_a_store_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="there is no store at"):
        ask("list", "--state", tmp_path)


@pytest.fixture
def places(pubsub_emulator: object, monkeypatch: pytest.MonkeyPatch) -> tuple[Place, Place]:
    raw, clean = a_place(), a_place()
    monkeypatch.setenv("THUNDERCAST_PROJECT", PROJECT)
    monkeypatch.setenv("THUNDERCAST_RAW_TOPIC", raw.topic)
    monkeypatch.setenv("THUNDERCAST_CLEAN_TOPIC", clean.topic)
    return raw, clean


def waiting(place: Place) -> list[Message]:
    with place.subscriber() as subscription:
        found = subscription.pull(9, 1.0)
        subscription.ack([delivery.token for delivery in found])
        return [delivery.message for delivery in found]


def test_replay_publishes_what_is_still_ahead_and_nothing_else(state: Path, places: tuple[Place, Place]) -> None:
    raw, clean = places
    progress(state, "trainer", watermark=8)
    progress(state, "cleaner", watermark=8)
    there = ("--state", state, "--checkpoints", state / "checkpoints")
    told = ask("replay", "--dry-run", *there)
    assert told["published"] == 0
    assert {row["seq"]: row["again"] for row in told["letters"]} == {5: False, 9: True, 10: True}
    assert waiting(raw) == waiting(clean) == []
    told = ask("replay", *there)
    assert (told["published"], told["exit_code"]) == (2, 0)
    (why,) = [row["why"] for row in told["letters"] if row["seq"] == 5]
    assert "the trainer has passed batch 5 (its watermark is 8)" in why
    with clean.subscriber() as subscription:
        (delivery,) = pull_all(subscription, 1)
        assert delivery.message == message(9, schema.CLEAN)
        subscription.ack([delivery.token])
    with raw.subscriber() as subscription:
        (delivery,) = pull_all(subscription, 1)
        assert delivery.message == message(10, schema.RAW)
        subscription.ack([delivery.token])
    assert waiting(raw) == waiting(clean) == []


def test_what_is_named_and_cannot_go_again_fails_with_its_reason(state: Path, places: tuple[Place, Place]) -> None:
    progress(state, "trainer", watermark=0, run_id="20250101T000000Z-0123abcd")
    there = ("--state", state, "--checkpoints", state / "checkpoints")
    older, row = undelivered(9).payload_hash, ROW.payload_hash
    told = ask("replay", older, row, *there)
    assert told["exit_code"] == 1
    assert "the trainer follows run 20250101T000000Z-0123abcd, which is newer" in told["letters"][0]["why"]
    assert "it is a single row of a batch; what was wrong can only be put right in a new run" in told["letters"][1]["why"]
    told = ask("replay", GARBAGE.payload_hash, "--run", "none", *there)
    assert "it would be put aside again: the message has no readable run_id and seq" in told["letters"][0]["why"]
    assert waiting(places[0]) == waiting(places[1]) == []


def test_with_groups_of_shards_the_watermark_is_that_of_the_batchs_own(state: Path, places: tuple[Place, Place]) -> None:
    there = ("--state", state, "--checkpoints", state / "checkpoints")
    progress(state, "cleaner-0-of-2", watermark=12)
    progress(state, "cleaner-1-of-2", watermark=1)
    one = undelivered(10, schema.RAW).payload_hash
    assert not ask("replay", one, "--dry-run", "--groups", 2, *there)["letters"][0]["again"]
    assert ask("replay", one, "--dry-run", *there)["letters"][0]["again"], "a cleaner without a checkpoint has passed nothing"


def test_a_batch_that_cannot_be_decoded_is_not_sent_round_again(state: Path, places: tuple[Place, Place]) -> None:
    bad = undelivered(11, reason="undecodable")
    broken = DeadLetter("undecodable", "", "trainer", THIS.run_id, 11, "", "", bad.original, bad.payload[:20])
    with SqliteStore(state / "store.sqlite") as store:
        store.write(DEAD_LETTERS, to_rows([broken]))
    told = ask("replay", broken.payload_hash, "--state", state, "--checkpoints", state / "checkpoints")
    assert told["exit_code"] == 1
    assert "it would be put aside again" in told["letters"][0]["why"]
