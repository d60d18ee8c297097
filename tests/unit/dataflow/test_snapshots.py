"""Snapshots in the checkpoint place: whole or not at all, and none counts before it is settled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from thundercast.domain.arrays import BadState
from thundercast.domain.runs import Run
from thundercast_dataflow.lane import Lane
from thundercast_dataflow.snapshots import MARGIN, Snapshot, Snapshots
from unit.dataflow.streams import NOW, ListBag, delivered, raw_messages, run_of

RUN = run_of(3, 2)
RAW = raw_messages(RUN, n=8)
KEY = (RUN.run_id, 0)


def snapshot(*seqs: int, key: tuple[str, int] = KEY, published: float = NOW) -> Snapshot:
    lane, bag = Lane(key), ListBag()
    for seq in seqs:
        lane.receive(delivered(RAW[seq], published), NOW, bag, lambda _: RUN)
    return Snapshot.of(lane, bag.items)


def write_manifest(place: Path, run: Run) -> None:
    (place / "manifests").mkdir(exist_ok=True)
    for name in (run.run_id, "current"):
        (place / "manifests" / f"{name}.json").write_text(json.dumps(run.to_json()))


def test_what_was_written_is_loaded_with_what_waits(tmp_path: Path) -> None:
    place, wanted = Snapshots(str(tmp_path)), snapshot(0, 4)
    assert place.load(KEY) is None
    place.write(KEY, wanted)
    found = place.load(KEY)
    assert found == wanted
    assert len(wanted.waiting) == 1
    assert [path.name for path in (tmp_path / "cleaner" / RUN.run_id).iterdir()] == ["0"]


def test_patience_with_a_hole_begins_anew_after_a_snapshot() -> None:
    assert snapshot(0, 4).lane(KEY, NOW + 5000).held == {4: NOW + 5000}


def test_a_pending_snapshot_counts_only_when_it_is_promoted(tmp_path: Path) -> None:
    place, older, newer = Snapshots(str(tmp_path)), snapshot(0), snapshot(0, 2)
    place.write(KEY, older)
    place.write_pending(KEY, 4, newer)
    assert place.load(KEY) == older
    place.promote(KEY, 4)
    assert place.load(KEY) == newer


def test_promoting_twice_is_promoting_once(tmp_path: Path) -> None:
    """A bundle that failed afterwards does it again."""
    place, newer = Snapshots(str(tmp_path)), snapshot(0, 2)
    place.write_pending(KEY, 4, newer)
    place.promote(KEY, 4)
    place.promote(KEY, 4)
    place.discard(KEY, 4)
    assert place.load(KEY) == newer


@pytest.mark.parametrize("at", [0, 30, 100, -1])
def test_a_damaged_snapshot_is_refused_by_name(tmp_path: Path, at: int) -> None:
    place = Snapshots(str(tmp_path))
    place.write(KEY, snapshot(0))
    path = tmp_path / "cleaner" / RUN.run_id / "0"
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(BadState, match="cleaner/.*/0 cannot be used"):
        place.load(KEY)


def test_the_job_that_follows_needs_what_came_after_the_oldest_snapshot(tmp_path: Path) -> None:
    place = Snapshots(str(tmp_path))
    write_manifest(tmp_path, RUN)
    place.write((RUN.run_id, 0), snapshot(0, published=NOW + 50))
    place.write((RUN.run_id, 1), snapshot(1, key=(RUN.run_id, 1), published=NOW + 20))
    assert place.seek_time() == NOW + 20 - MARGIN


def test_what_is_pending_does_not_count_for_the_time_to_seek_to(tmp_path: Path) -> None:
    place = Snapshots(str(tmp_path))
    write_manifest(tmp_path, RUN)
    for shard in (0, 1):
        place.write((RUN.run_id, shard), snapshot(shard, key=(RUN.run_id, shard)))
        place.write_pending((RUN.run_id, shard), 4, snapshot(shard, key=(RUN.run_id, shard), published=NOW - 9000))
    assert place.seek_time() == NOW - MARGIN


def test_a_shard_without_snapshot_needs_its_run_from_the_start(tmp_path: Path) -> None:
    place = Snapshots(str(tmp_path))
    write_manifest(tmp_path, RUN)
    place.write(KEY, snapshot(0))
    assert place.seek_time() == 1_767_225_600.0 - MARGIN  # 2026-01-01T00:00:00Z


def test_nothing_is_sought_where_there_are_no_snapshots_or_all_are_complete(tmp_path: Path) -> None:
    place = Snapshots(str(tmp_path))
    assert place.seek_time() is None
    write_manifest(tmp_path, RUN)
    place.write((RUN.run_id, 0), snapshot(0, 2, 4))
    place.write((RUN.run_id, 1), snapshot(1, 3, 5, key=(RUN.run_id, 1)))
    assert place.seek_time() is None


def test_manifests_are_the_ones_that_the_simulator_writes(tmp_path: Path) -> None:
    place = Snapshots(str(tmp_path))
    assert place.manifest(RUN.run_id) is None
    write_manifest(tmp_path, RUN)
    assert place.manifest(RUN.run_id) == RUN
