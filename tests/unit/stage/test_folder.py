"""Checkpoints in a folder: whole or not at all, one writer, nothing left behind."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thundercast.adapters import folder as folder_module
from thundercast.adapters.checkpoint_format import compressed, decompressed
from thundercast.adapters.folder import FolderCheckpoints, read_body
from thundercast.domain.arrays import BadState
from thundercast.stage.protocols import BadCheckpoint, Unavailable

STATE = {"weights": np.arange(1000, dtype=np.float64), "names": np.array([b"a", b"bc"])}


def names(path: Path) -> list[str]:
    return sorted(p.name for p in path.iterdir() if p.name[0].isdigit())


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


def test_a_body_can_be_read_whatever_head_says(tmp_path: Path) -> None:
    store = FolderCheckpoints(tmp_path)
    store.commit(STATE, {"n": 1}, {})
    (tmp_path / "HEAD").unlink()
    (body,) = names(tmp_path)
    checkpoint = read_body(tmp_path / body)
    assert (checkpoint.number, checkpoint.meta) == (1, {"n": 1})
    (tmp_path / body).write_bytes(b"something else")
    with pytest.raises(BadCheckpoint, match=f"{body} cannot be used"):
        read_body(tmp_path / body)
    with pytest.raises(BadCheckpoint, match="2-x is missing"):
        read_body(tmp_path / "2-x")


def test_nothing_half_written_stays_beside_head(tmp_path: Path) -> None:
    store = FolderCheckpoints(tmp_path)
    for n in range(3):
        store.commit(STATE, {"n": n}, {})
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name[0].isdigit()) == [".commit", "HEAD"]
