"""Checkpoints in a folder: whole or not at all, one writer, nothing left behind."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thundercast.adapters import folder as folder_module
from thundercast.adapters.folder import FolderCheckpoints, compressed, decompressed, read_body
from thundercast.domain.arrays import BadState, pack
from thundercast.stage.protocols import BadCheckpoint, Fenced, Unavailable

STATE = {"weights": np.arange(1000, dtype=np.float64), "names": np.array([b"a", b"bc"])}


def names(path: Path) -> list[str]:
    return sorted(p.name for p in path.iterdir() if p.name[0].isdigit())


def test_what_is_committed_is_what_is_loaded(tmp_path: Path) -> None:
    store = FolderCheckpoints(tmp_path / "deep" / "folder")
    assert store.load() is None
    assert store.summary() is None
    done = store.commit(STATE, {"n": 1}, {"watermark": 17})
    assert done.number == 1
    loaded = FolderCheckpoints(tmp_path / "deep" / "folder").load()
    assert loaded is not None
    assert (loaded.number, loaded.meta) == (1, {"n": 1})
    assert pack(loaded.arrays) == pack(STATE)
    assert store.summary() == {"number": 1, "watermark": 17}
    (body,) = names(tmp_path / "deep" / "folder")
    assert (tmp_path / "deep" / "folder" / body).stat().st_size == done.size
    assert read_body(tmp_path / "deep" / "folder" / body).meta == {"n": 1}


def test_the_last_three_are_kept_and_can_be_loaded_from_new_to_old(tmp_path: Path) -> None:
    store = FolderCheckpoints(tmp_path)
    for n in range(1, 8):
        assert store.commit(STATE, {"n": n}, {}).number == n
    assert [name.partition("-")[0] for name in names(tmp_path)] == ["5", "6", "7"]
    reader = FolderCheckpoints(tmp_path)
    loaded = [reader.load(), reader.load_older(), reader.load_older(), reader.load_older()]
    assert [c.meta["n"] if c else None for c in loaded] == [7, 6, 5, None]
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".HEAD")]


def test_after_falling_back_the_next_commit_forgets_what_was_bad(tmp_path: Path) -> None:
    store = FolderCheckpoints(tmp_path)
    for n in range(1, 4):
        store.commit(STATE, {"n": n}, {})
    (bad,) = [name for name in names(tmp_path) if name.startswith("3-")]
    (tmp_path / bad).write_bytes(b"")
    store = FolderCheckpoints(tmp_path)
    with pytest.raises(BadCheckpoint, match=bad):
        store.load()
    older = store.load_older()
    assert older is not None
    assert older.meta["n"] == 2
    assert store.commit(STATE, {"n": 33}, {}).number == 4
    assert [name.partition("-")[0] for name in names(tmp_path)] == ["1", "2", "4"]


def test_a_second_writer_is_fenced_and_leaves_nothing_behind(tmp_path: Path) -> None:
    first, second = FolderCheckpoints(tmp_path), FolderCheckpoints(tmp_path)
    first.load()
    second.load()
    first.commit(STATE, {"by": "first"}, {})
    with pytest.raises(Fenced, match="another process has written checkpoint 1"):
        second.commit(STATE, {"by": "second"}, {})
    assert len(names(tmp_path)) == 1
    loaded = FolderCheckpoints(tmp_path).load()
    assert loaded is not None
    assert loaded.meta == {"by": "first"}
    first.commit(STATE, {"by": "first again"}, {})


def test_of_writers_at_once_exactly_one_commits(tmp_path: Path) -> None:
    FolderCheckpoints(tmp_path).commit(STATE, {}, {})
    writers = [FolderCheckpoints(tmp_path) for _ in range(6)]
    for writer in writers:
        writer.load()
    outcomes: list[str] = []
    barrier = threading.Barrier(len(writers))

    def write(writer: FolderCheckpoints, name: int) -> None:
        barrier.wait()
        try:
            writer.commit(STATE, {"by": name}, {})
            outcomes.append("committed")
        except Fenced:
            outcomes.append("fenced")

    threads = [threading.Thread(target=write, args=(w, i)) for i, w in enumerate(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30.0)
    assert sorted(outcomes) == ["committed", *["fenced"] * 5]


@pytest.mark.parametrize("same", [True, False])
def test_head_written_but_the_answer_lost_is_success_on_the_next_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same: bool) -> None:
    store = FolderCheckpoints(tmp_path)
    store.commit(STATE, {"n": 1}, {})
    plain, failures = Path.replace, [1]

    def lost(self: Path, target: Path) -> Path:
        done = plain(self, target)
        if failures and Path(target).name == "HEAD":
            failures.pop()
            raise OSError("the disk went to sleep")
        return done

    monkeypatch.setattr(Path, "replace", lost)
    with pytest.raises(Unavailable, match="went to sleep"):
        store.commit(STATE, {"n": 2}, {})
    assert (store.summary() or {})["number"] == 2
    # What is committed next may be the same, or hold more by now.
    done = store.commit(STATE, {"n": 2 if same else 3}, {})
    assert done.number == (2 if same else 3)
    loaded = FolderCheckpoints(tmp_path).load()
    assert loaded is not None
    assert loaded.meta == {"n": 2 if same else 3}
    assert len(names(tmp_path)) == (2 if same else 3)
    assert store.commit(STATE, {"n": 4}, {}).number == done.number + 1


def test_a_full_disk_is_unavailable_and_leaves_no_growing_heap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FolderCheckpoints(tmp_path)
    store.commit(STATE, {"n": 1}, {})
    plain = os.fsync

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder_module.os, "fsync", full)
    for _ in range(5):
        with pytest.raises(Unavailable, match="No space left on device"):
            store.commit(STATE, {"n": 2}, {})
    assert len(names(tmp_path)) <= 2
    monkeypatch.setattr(folder_module.os, "fsync", plain)
    assert store.commit(STATE, {"n": 2}, {}).number == 2
    assert len(names(tmp_path)) == 2


def test_a_body_that_was_never_committed_goes_with_the_next_commit(tmp_path: Path) -> None:
    def dies(point: str) -> None:
        if point == "body_written":
            raise KeyboardInterrupt

    FolderCheckpoints(tmp_path).commit(STATE, {"n": 1}, {})
    dying = FolderCheckpoints(tmp_path, gap=dies)
    dying.load()
    with pytest.raises(KeyboardInterrupt):
        dying.commit(STATE, {"n": 2}, {})
    assert len(names(tmp_path)) == 2
    store = FolderCheckpoints(tmp_path)
    loaded = store.load()
    assert loaded is not None
    assert loaded.meta == {"n": 1}
    store.commit(STATE, {"n": 3}, {})
    assert [read_body(tmp_path / name).meta["n"] for name in names(tmp_path)] == [1, 3]


def test_a_head_that_cannot_be_read_is_refused_and_never_overwritten(tmp_path: Path) -> None:
    FolderCheckpoints(tmp_path).commit(STATE, {}, {})
    (tmp_path / "HEAD").write_text('{"checkpoints": [{"number": 1')
    store = FolderCheckpoints(tmp_path)
    with pytest.raises(BadCheckpoint, match="HEAD cannot be read"):
        store.load()
    assert store.load_older() is None
    with pytest.raises(BadCheckpoint, match="HEAD cannot be read"):
        store.commit(STATE, {}, {})


def test_a_body_of_another_checkpoint_is_not_taken_for_the_one_that_head_names(tmp_path: Path) -> None:
    store = FolderCheckpoints(tmp_path)
    store.commit(STATE, {"n": 1}, {})
    store.commit(STATE, {"n": 2}, {})
    old, new = names(tmp_path)
    (tmp_path / new).write_bytes((tmp_path / old).read_bytes())
    with pytest.raises(BadCheckpoint, match="not the body that HEAD names"):
        FolderCheckpoints(tmp_path).load()


@settings(deadline=None)
@given(st.data())
def test_no_damage_to_a_body_goes_unseen(data: st.DataObject) -> None:
    body = bytearray(compressed({"x": np.arange(40)}, {"a": 1}))
    kind = data.draw(st.sampled_from(["flip", "cut", "longer"]))
    if kind == "flip":
        body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
    elif kind == "cut":
        body = body[: data.draw(st.integers(0, len(body) - 1))]
    else:
        body += data.draw(st.binary(min_size=1, max_size=10))
    with pytest.raises(BadState):
        decompressed(bytes(body))


def test_manifests_are_kept_beside_the_checkpoints(tmp_path: Path) -> None:
    store = FolderCheckpoints(tmp_path)
    assert store.read_manifest("20240101T000000Z-00000000") is None
    manifest: dict[str, Any] = {"source": "sample", "shards": 16}
    store.write_manifest("20240101T000000Z-00000000", manifest)
    assert store.read_manifest("20240101T000000Z-00000000") == manifest
    assert json.loads((tmp_path / "manifests" / "20240101T000000Z-00000000.json").read_text()) == manifest


@pytest.mark.parametrize("name", ["", "../HEAD", "a/b", ".hidden"])
def test_a_manifest_cannot_be_anywhere_else(tmp_path: Path, name: str) -> None:
    store = FolderCheckpoints(tmp_path)
    with pytest.raises(ValueError, match="not a name for a manifest"):
        store.write_manifest(name, {})
    with pytest.raises(ValueError, match="not a name for a manifest"):
        store.read_manifest(name)


def test_a_manifest_that_is_no_json_is_named(tmp_path: Path) -> None:
    store = FolderCheckpoints(tmp_path)
    store.write_manifest("run", {})
    (tmp_path / "manifests" / "run.json").write_text("{")
    with pytest.raises(BadCheckpoint, match=r"run\.json is not JSON"):
        store.read_manifest("run")
