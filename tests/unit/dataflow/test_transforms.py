"""The streaming transforms on Beam's own runner and test clock: in order, once each, nothing lost silently."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from thundercast.domain.batch import Message
from thundercast_dataflow.transforms import Pace
from unit.dataflow.streams import (
    FAR,
    assert_same,
    changed,
    cleaned,
    outcomes,
    raw_messages,
    rows_of,
    run_of,
    through,
)

RUN = run_of(4, 3)


@pytest.fixture(scope="module")
def raw() -> list[Message]:
    return raw_messages(RUN)


@pytest.fixture
def place(tmp_path: Path) -> str:
    return str(tmp_path / "checkpoints")


def write_manifest(place: str) -> None:
    folder = Path(place, "manifests")
    folder.mkdir(parents=True)
    (folder / f"{RUN.run_id}.json").write_text(json.dumps(RUN.to_json()))


def shuffled(messages: list[Message], seed: int = 1) -> list[Message]:
    order = list(messages)
    random.Random(seed).shuffle(order)
    return order


def test_shuffled_and_repeated_batches_leave_once_each_as_the_core_cleans_them_in_order(raw: list[Message], place: str) -> None:
    came = through(place, [*shuffled(raw), *shuffled(raw[:5], 2)])
    assert_same(came.clean, cleaned(raw))
    assert came.letters == []
    assert came.counters["duplicates"] == 5
    assert came.counters["batches_ok"] == len(raw)
    assert came.counters["rows_out"] == sum(rows_of(m).num_rows for m in came.clean)


def test_batches_of_a_shard_leave_in_order(raw: list[Message], place: str) -> None:
    came = through(place, shuffled(raw))
    for shard in range(RUN.shards):
        seqs = [int(m.attributes["seq"]) for m in came.clean if m.attributes["shard"] == str(shard)]
        assert seqs == sorted(seqs)


def test_a_batch_that_never_comes_is_skipped_when_patience_runs_out_and_counted_out_if_it_comes_late(
    raw: list[Message], place: str
) -> None:
    there = [m for m in raw if m.attributes["seq"] != "4"]
    came = through(place, there, FAR, [raw[4]])
    assert outcomes(came.clean) == {seq: "skipped" if seq == 4 else "ok" for seq in range(len(raw))}
    (letter,) = came.letter_rows
    assert (letter["reason"], letter["stage"], letter["run_id"], letter["seq"]) == ("late_after_skip", "cleaner", RUN.run_id, 4)
    assert letter["payload"] == raw[4].data
    assert json.loads(letter["original"]) == dict(raw[4].attributes)


def test_before_patience_runs_out_nothing_is_skipped(raw: list[Message], place: str) -> None:
    there = [m for m in raw if m.attributes["seq"] != "4"]
    came = through(place, there, 10.0, [raw[4]])
    assert_same(came.clean, cleaned(raw))


def test_an_undecodable_batch_is_a_dead_letter_and_its_number_passes_on_empty(raw: list[Message], place: str) -> None:
    broken = [changed(m, data=b"garbage") if m.attributes["seq"] == "4" else m for m in raw]
    came = through(place, shuffled(broken))
    assert outcomes(came.clean)[4] == "undecodable"
    assert_same(came.clean, cleaned(broken))
    (letter,) = came.letter_rows
    assert (letter["reason"], letter["seq"], letter["payload"]) == ("undecodable", 4, b"garbage")


def test_with_unreadable_attributes_too_the_number_passes_on(raw: list[Message], place: str) -> None:
    write_manifest(place)
    broken = [changed(m, date=None, shard="x", shards="") if m.attributes["seq"] == "4" else m for m in raw]
    came = through(place, shuffled(broken))
    assert outcomes(came.clean) == {seq: "undecodable" if seq == 4 else "ok" for seq in range(len(raw))}
    assert came.reasons == ["undecodable"]


def test_a_message_of_no_known_shard_is_a_dead_letter_and_its_number_is_skipped(raw: list[Message], place: str) -> None:
    broken = [changed(m, date=None, shards=None) if m.attributes["seq"] == "4" else m for m in raw]
    came = through(place, broken, FAR)
    assert outcomes(came.clean)[4] == "skipped"
    assert came.reasons == ["undecodable"]


@pytest.mark.parametrize("attributes", [{"run_id": None}, {"seq": "-1"}, {"seq": "four"}, {"run_id": "no run"}])
def test_a_message_without_run_or_number_is_a_dead_letter(raw: list[Message], place: str, attributes: dict[str, str | None]) -> None:
    stray = changed(raw[0], **attributes)
    came = through(place, [*raw, stray])
    assert_same(came.clean, cleaned(raw))
    (letter,) = came.letter_rows
    assert letter["reason"] == "unaddressed"
    assert json.loads(letter["original"]) == dict(stray.attributes)
    assert letter["payload"] == stray.data
    assert came.counters["dead_letters_unaddressed"] == 1


def test_a_drained_job_hands_its_state_and_what_waits_to_the_next(raw: list[Message], place: str) -> None:
    first, second = [m for m in raw[:6] if m.attributes["seq"] != "1"], [raw[1], *raw[6:]]
    before = through(place, first)
    after = through(place, second)
    assert_same([*before.clean, *after.clean], cleaned(raw))
    assert "4" not in {m.attributes["seq"] for m in before.clean}, "batch 4 waited for batch 1"


def test_what_a_drained_job_has_done_is_not_done_again(raw: list[Message], place: str) -> None:
    assert_same(through(place, raw).clean, cleaned(raw))
    again = through(place, raw)
    assert again.clean == []
    assert again.counters["duplicates"] == len(raw)


def test_a_hole_in_a_snapshot_is_given_up_by_the_next_job(raw: list[Message], place: str) -> None:
    before = through(place, [m for m in raw[:6] if m.attributes["seq"] != "1"])
    after = through(place, raw[6:], FAR)
    assert outcomes([*before.clean, *after.clean]) == {seq: "skipped" if seq == 1 else "ok" for seq in range(len(raw))}


def test_snapshots_are_written_while_the_stream_goes_and_count_when_what_they_say_has_settled(raw: list[Message], place: str) -> None:
    pace = Pace(snapshot_dates=1, settled=0.0, idle_timeout=3 * FAR)
    came = through(place, raw, pace=pace)
    # One for each date of each shard; those at the drain are counted by no local runner.
    assert came.counters["snapshots"] == RUN.batches
    kept = sorted(path.name for path in Path(place, "cleaner", RUN.run_id).iterdir())
    assert kept == [str(shard) for shard in range(RUN.shards)]


def test_two_runs_at_once_do_not_touch_each_other(raw: list[Message], place: str) -> None:
    newer = run_of(2, 2)
    other = raw_messages(newer)
    came = through(place, shuffled([*raw, *other]))
    assert_same([m for m in came.clean if m.attributes["run_id"] == RUN.run_id], cleaned(raw))
    assert_same([m for m in came.clean if m.attributes["run_id"] == newer.run_id], cleaned(other))


def test_a_completed_shard_forgets_its_stations_and_still_knows_duplicates(raw: list[Message], place: str) -> None:
    write_manifest(place)
    assert_same(through(place, raw).clean, cleaned(raw))
    sizes = [path.stat().st_size for path in Path(place, "cleaner", RUN.run_id).iterdir()]
    assert len(sizes) == RUN.shards
    assert max(sizes) < 2_000
    assert through(place, raw[-2:]).counters["duplicates"] == 2
