"""A lock object in Cloud Storage: what it says, and what is told when it cannot be had."""

from __future__ import annotations

import json
import uuid

import pytest

import emulators
from thundercast.adapters.google.storage_checkpoints import StorageObjects
from thundercast.adapters.google.storage_clients import ensure_bucket
from thundercast.adapters.google.storage_lock import StorageLock
from thundercast.adapters.locks import open_lock
from thundercast.adapters.settings import CloudSettings
from thundercast.stage.protocols import Unavailable


@pytest.fixture
def bucket(storage_emulator: emulators.Running) -> str:
    name = f"lock-{uuid.uuid4().hex}"
    assert ensure_bucket(CloudSettings(checkpoints=f"gs://{name}")) == "made"
    return name


def says(bucket: str) -> dict[str, object]:
    found = StorageObjects(bucket, "").read("trainer.lock")
    assert found is not None
    content: dict[str, object] = json.loads(found[0])
    return content


def test_the_object_tells_who_how_often_renewed_and_how_often_it_changed(bucket: str) -> None:
    one, two = StorageLock(bucket, "trainer.lock"), StorageLock(bucket, "trainer.lock")
    assert one.acquire(0)
    first = says(bucket)
    assert (first["renewals"], first["transitions"], first["duration"]) == (1, 0, 10.0)
    assert one.attempt()
    renewed = says(bucket)
    assert renewed == first | {"renewals": 2}
    one.release()
    assert says(bucket)["holder"] == ""
    assert two.acquire(0)
    assert says(bucket)["transitions"] == 1
    assert says(bucket)["holder"] not in ("", first["holder"])
    two.release()


def test_an_object_that_somebody_removed_is_lost_and_made_anew(bucket: str) -> None:
    lock = StorageLock(bucket, "trainer.lock")
    assert lock.attempt()
    StorageObjects(bucket, "").delete("trainer.lock")
    assert not lock.attempt()
    assert not lock.held()
    assert lock.attempt()


def test_another_object_in_its_place_is_left_alone_and_told(bucket: str) -> None:
    StorageObjects(bucket, "").replace("trainer.lock", b"my notes")
    with pytest.raises(Unavailable, match=f"gs://{bucket}/trainer.lock is not a lock .*: remove it, or set another place"):
        open_lock(f"gs://{bucket}/trainer.lock").acquire(0)
    found = StorageObjects(bucket, "").read("trainer.lock")
    assert found is not None
    assert found[0] == b"my notes"


def test_a_missing_bucket_is_named_with_what_makes_it(storage_emulator: emulators.Running) -> None:
    lock = open_lock("gs://not-made-by-anybody/trainer.lock")
    with pytest.raises(Unavailable, match="bucket gs://not-made-by-anybody does not exist: `thundercast bootstrap` makes it"):
        lock.acquire(0)
    assert not lock.held()
    lock.release()


def test_a_store_that_cannot_be_reached_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{emulators.free_port()}")
    lock = open_lock("gs://a-bucket/trainer.lock")
    with pytest.raises(Unavailable, match="object gs://a-bucket/trainer.lock could not be read: .*STORAGE_EMULATOR_HOST"):
        lock.acquire(0)
    assert lock.holder() == ""
