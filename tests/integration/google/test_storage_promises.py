"""What a checkpoint store promises, wherever it keeps them: one suite over a folder and over Cloud Storage."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thundercast.adapters.checkpointing import Checkpoints, Objects
from thundercast.adapters.folder import FolderCheckpoints, FolderObjects
from thundercast.adapters.google.storage_checkpoints import StorageCheckpoints, StorageObjects
from thundercast.adapters.google.storage_clients import ensure_bucket
from thundercast.adapters.places import open_checkpoints, open_manifests
from thundercast.adapters.settings import CloudSettings
from thundercast.domain.arrays import pack
from thundercast.stage.protocols import BadCheckpoint, Fenced, Unavailable

STATE = {"weights": np.arange(1000, dtype=np.float64), "names": np.array([b"a", b"bc"])}


class Place:
    """A fresh place, and what is really there."""

    def __init__(self, text: str, open_store: Callable[..., Checkpoints], objects: Objects) -> None:
        self.text = text
        self.open = open_store
        self.objects = objects

    def bodies(self) -> list[str]:
        return sorted(name for name in self.objects.names() if name[0].isdigit())

    def numbers(self) -> list[int]:
        return [int(name.partition("-")[0]) for name in self.bodies()]


@pytest.fixture(params=["folder", "storage"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        path = tmp_path / "deep" / "folder"
        return Place(str(path), lambda **how: FolderCheckpoints(path, **how), FolderObjects(path))
    request.getfixturevalue("storage_emulator")
    bucket = f"promises-{uuid.uuid4().hex}"
    assert ensure_bucket(CloudSettings(checkpoints=f"gs://{bucket}")) == "made"
    return Place(
        f"gs://{bucket}/some/prefix",
        lambda **how: StorageCheckpoints(bucket, "some/prefix", **how),
        StorageObjects(bucket, "some/prefix"),
    )


def test_what_is_committed_is_what_is_loaded(place: Place) -> None:
    store = place.open()
    assert store.load() is None
    assert store.load_older() is None
    assert store.summary() is None
    done = store.commit(STATE, {"n": 1}, {"watermark": 17})
    assert done.number == 1
    loaded = place.open().load()
    assert loaded is not None
    assert (loaded.number, loaded.meta) == (1, {"n": 1})
    assert pack(loaded.arrays) == pack(STATE)
    assert store.summary() == {"number": 1, "watermark": 17}
    (body,) = place.bodies()
    found = place.objects.read(body)
    assert found is not None
    assert len(found[0]) == done.size


def test_the_last_three_are_kept_and_can_be_loaded_from_new_to_old(place: Place) -> None:
    store = place.open()
    for n in range(1, 8):
        assert store.commit(STATE, {"n": n}, {}).number == n
    assert place.numbers() == [5, 6, 7]
    reader = place.open()
    loaded = [reader.load(), reader.load_older(), reader.load_older(), reader.load_older()]
    assert [c.meta["n"] if c else None for c in loaded] == [7, 6, 5, None]


def test_after_falling_back_the_next_commit_forgets_what_was_bad(place: Place) -> None:
    store = place.open()
    for n in range(1, 4):
        store.commit(STATE, {"n": n}, {})
    bad = place.bodies()[-1]
    place.objects.replace(bad, b"")
    store = place.open()
    with pytest.raises(BadCheckpoint, match=f"{bad} cannot be used.*--fall-back"):
        store.load()
    older = store.load_older()
    assert older is not None
    assert older.meta["n"] == 2
    assert store.commit(STATE, {"n": 33}, {}).number == 4
    assert place.numbers() == [1, 2, 4]


def test_a_body_that_is_gone_is_refused_by_name(place: Place) -> None:
    store = place.open()
    for n in range(1, 3):
        store.commit(STATE, {"n": n}, {})
    gone = place.bodies()[-1]
    place.objects.delete(gone)
    store = place.open()
    with pytest.raises(BadCheckpoint, match=f"{gone} is missing.*--fall-back"):
        store.load()
    older = store.load_older()
    assert older is not None
    assert older.meta["n"] == 1


def test_a_second_writer_is_fenced_and_leaves_nothing_behind(place: Place) -> None:
    first, second = place.open(), place.open()
    first.load()
    second.load()
    first.commit(STATE, {"by": "first"}, {})
    with pytest.raises(Fenced, match="another process has written checkpoint 1"):
        second.commit(STATE, {"by": "second"}, {})
    assert len(place.bodies()) == 1
    loaded = place.open().load()
    assert loaded is not None
    assert loaded.meta == {"by": "first"}
    first.commit(STATE, {"by": "first again"}, {})
    with pytest.raises(Fenced, match="another process has written checkpoint 2"):
        second.commit(STATE, {"by": "second"}, {})


def test_of_writers_at_once_exactly_one_commits(place: Place) -> None:
    place.open().commit(STATE, {}, {})
    writers = [place.open() for _ in range(6)]
    for writer in writers:
        writer.load()
    outcomes: list[str] = []
    barrier = threading.Barrier(len(writers))

    def write(writer: Checkpoints, name: int) -> None:
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
        thread.join(60.0)
    assert sorted(outcomes) == ["committed", *["fenced"] * 5]
    loaded = place.open().load()
    assert loaded is not None
    assert loaded.number == 2


class Killed(BaseException):
    """Ends a commit as a kill would."""


def killed_at(name: str) -> Callable[[str], None]:
    def gap(point: str) -> None:
        if point == name:
            raise Killed

    return gap


def test_a_body_that_was_never_committed_goes_with_the_next_commit(place: Place) -> None:
    place.open().commit(STATE, {"n": 1}, {})
    dying = place.open(gap=killed_at("body_written"))
    dying.load()
    with pytest.raises(Killed):
        dying.commit(STATE, {"n": 2}, {})
    assert place.numbers() == [1, 2]
    store = place.open()
    loaded = store.load()
    assert loaded is not None
    assert loaded.meta == {"n": 1}
    store.commit(STATE, {"n": 3}, {})
    assert place.numbers() == [1, 2]
    loaded = place.open().load()
    assert loaded is not None
    assert loaded.meta == {"n": 3}


def test_a_checkpoint_counts_once_head_is_written(place: Place) -> None:
    dying = place.open(gap=killed_at("head_written"))
    with pytest.raises(Killed):
        dying.commit(STATE, {"n": 1}, {})
    loaded = place.open().load()
    assert loaded is not None
    assert loaded.meta == {"n": 1}


def test_a_head_that_cannot_be_read_is_refused_and_never_overwritten(place: Place) -> None:
    place.open().commit(STATE, {}, {})
    place.objects.replace("HEAD", b'{"checkpoints": [{"number": 1')
    store = place.open()
    with pytest.raises(BadCheckpoint, match="HEAD cannot be read"):
        store.load()
    assert store.load_older() is None
    with pytest.raises(BadCheckpoint, match="HEAD cannot be read"):
        store.commit(STATE, {}, {})


def test_a_body_of_another_checkpoint_is_not_taken_for_the_one_that_head_names(place: Place) -> None:
    store = place.open()
    store.commit(STATE, {"n": 1}, {})
    store.commit(STATE, {"n": 2}, {})
    old, new = place.bodies()
    found = place.objects.read(old)
    assert found is not None
    place.objects.replace(new, found[0])
    with pytest.raises(BadCheckpoint, match="not the body that HEAD names"):
        place.open().load()


def test_a_reader_that_is_slower_than_the_writer_looks_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, reader = place.open(), place.open()
    writer.commit(STATE, {"n": 1}, {})
    plain = reader._objects.read
    overtaken: list[str] = []

    def slow(name: str) -> tuple[bytes, str] | None:
        found = plain(name)
        if name == "HEAD" and not overtaken:
            overtaken.append(name)
            for n in range(2, 6):
                writer.commit(STATE, {"n": n}, {})
        return found

    monkeypatch.setattr(reader._objects, "read", slow)
    loaded = reader.load()
    assert loaded is not None
    assert loaded.meta == {"n": 5}


def test_old_bodies_that_cannot_be_removed_do_not_undo_a_commit(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    store = place.open()
    for n in range(1, 4):
        store.commit(STATE, {"n": n}, {})

    def away(*_: Any) -> Iterable[str]:
        raise Unavailable("not now")

    for name in ("names", "delete"):
        with monkeypatch.context() as patch:
            patch.setattr(store._objects, name, away)
            store.commit(STATE, {"n": 4}, {})
    assert place.numbers() == [1, 2, 3, 4, 5]
    store.commit(STATE, {"n": 6}, {})
    assert place.numbers() == [4, 5, 6]


def test_manifests_are_kept_beside_the_checkpoints(place: Place) -> None:
    store = place.open()
    assert store.read_manifest("20240101T000000Z-00000000") is None
    manifest: dict[str, Any] = {"source": "sample", "shards": 16}
    store.write_manifest("20240101T000000Z-00000000", manifest)
    assert place.open().read_manifest("20240101T000000Z-00000000") == manifest
    found = place.objects.read("manifests/20240101T000000Z-00000000.json")
    assert found is not None
    assert json.loads(found[0]) == manifest
    store.write_manifest("20240101T000000Z-00000000", {"source": "other"})
    assert store.read_manifest("20240101T000000Z-00000000") == {"source": "other"}


@pytest.mark.parametrize("name", ["", "../HEAD", "a/b", ".hidden"])
def test_a_manifest_cannot_be_anywhere_else(place: Place, name: str) -> None:
    with pytest.raises(ValueError, match="not a name for a manifest"):
        place.open().write_manifest(name, {})
    with pytest.raises(ValueError, match="not a name for a manifest"):
        place.open().read_manifest(name)


def test_a_manifest_that_is_no_json_is_named(place: Place) -> None:
    place.objects.replace("manifests/run.json", b"{")
    with pytest.raises(BadCheckpoint, match=r"run\.json is not JSON"):
        place.open().read_manifest("run")


def test_each_component_has_checkpoints_of_its_own_and_all_read_the_same_manifests(place: Place) -> None:
    open_checkpoints(place.text, "trainer").commit(STATE, {"of": "trainer"}, {})
    open_checkpoints(f"{place.text}/", "cleaner").commit(STATE, {"of": "cleaner"}, {})
    for component in ("trainer", "cleaner"):
        loaded = open_checkpoints(place.text, component).load()
        assert loaded is not None
        assert loaded.meta == {"of": component}
    open_manifests(place.text).write_manifest("run", {"shards": 16})
    assert open_manifests(place.text).read_manifest("run") == {"shards": 16}
    assert open_manifests(place.text).load() is None
