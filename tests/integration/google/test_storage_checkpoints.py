"""Checkpoints in Cloud Storage when answers are lost, the service goes away, or the bucket is not there."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from google.cloud import storage
from requests.adapters import HTTPAdapter

import emulators
from thundercast.adapters.google.storage_checkpoints import StorageCheckpoints, StorageObjects
from thundercast.adapters.google.storage_clients import LARGE, SMALL, ensure_bucket, storage_client
from thundercast.adapters.settings import CloudSettings
from thundercast.adapters.swapping import ABSENT, Changed
from thundercast.domain.arrays import pack
from thundercast.stage.protocols import Unavailable

STATE = {"weights": np.arange(1000, dtype=np.float64)}


class LosesAnswers(HTTPAdapter):
    """Sends a request and, if ``loses`` says so, drops the connection after the service has answered."""

    def __init__(self) -> None:
        super().__init__()
        self.loses: Callable[[requests.PreparedRequest], bool] = lambda _: False
        self.lost: list[int] = []

    def send(self, request: requests.PreparedRequest, *args: Any, **more: Any) -> requests.Response:
        response = super().send(request, *args, **more)
        if self.loses(request):
            self.lost.append(response.status_code)
            response.close()
            raise requests.ConnectionError("the connection was lost before the answer came")
        return response


def is_head(request: requests.PreparedRequest) -> bool:
    return request.method == "POST" and b'"name": "stage/HEAD"' in (request.body or b"")


@pytest.fixture
def bucket(storage_emulator: emulators.Running) -> str:
    name = f"checkpoints-{uuid.uuid4().hex}"
    assert ensure_bucket(CloudSettings(checkpoints=f"gs://{name}")) == "made"
    return name


@pytest.fixture
def losing() -> Iterator[tuple[storage.Client, LosesAnswers]]:
    client, adapter = storage_client(), LosesAnswers()
    client._http.mount("http://", adapter)
    yield client, adapter
    client.close()


def numbers(bucket: str) -> list[int]:
    return sorted(int(name.partition("-")[0]) for name in StorageObjects(bucket, "stage").names() if name != "HEAD")


def test_a_bucket_is_made_once(bucket: str) -> None:
    assert ensure_bucket(CloudSettings(checkpoints=f"gs://{bucket}/elsewhere")) == "there"


def test_head_written_but_the_answer_lost_is_seen_by_the_repeated_request(bucket: str, losing: tuple[storage.Client, LosesAnswers]) -> None:
    client, adapter = losing
    store = StorageCheckpoints(bucket, "stage", client=client)
    store.commit(STATE, {"n": 1}, {})
    adapter.loses = lambda request: is_head(request) and not adapter.lost
    assert store.commit(STATE, {"n": 2}, {}).number == 2
    assert adapter.lost == [200]
    assert store.commit(STATE, {"n": 3}, {}).number == 3
    assert numbers(bucket) == [1, 2, 3]


@pytest.mark.parametrize("same", [True, False])
def test_head_written_but_every_answer_lost_is_success_on_the_next_commit(
    bucket: str, losing: tuple[storage.Client, LosesAnswers], monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    monkeypatch.setitem(SMALL, "retry", None)
    client, adapter = losing
    store = StorageCheckpoints(bucket, "stage", client=client)
    store.commit(STATE, {"n": 1}, {})
    adapter.loses = is_head
    with pytest.raises(Unavailable, match=f"object gs://{bucket}/stage/HEAD could not be written: .*{os.environ['STORAGE_EMULATOR_HOST']}"):
        store.commit(STATE, {"n": 2}, {})
    assert adapter.lost == [200]
    assert (StorageCheckpoints(bucket, "stage").summary() or {})["number"] == 2
    adapter.loses = lambda _: False
    done = store.commit(STATE, {"n": 2 if same else 3}, {})
    assert done.number == (2 if same else 3)
    loaded = StorageCheckpoints(bucket, "stage").load()
    assert loaded is not None
    assert loaded.meta == {"n": 2 if same else 3}
    assert numbers(bucket) == list(range(1, done.number + 1))


def test_a_large_body_comes_back_whole(bucket: str) -> None:
    state = {"noise": np.random.default_rng(0).random(2_700_000)}
    done = StorageCheckpoints(bucket, "stage").commit(state, {}, {})
    assert done.size > 18_000_000
    loaded = StorageCheckpoints(bucket, "stage").load()
    assert loaded is not None
    assert pack(loaded.arrays) == pack(state)


def test_a_large_body_whose_upload_lost_its_last_answer_is_uploaded_anew(bucket: str, losing: tuple[storage.Client, LosesAnswers]) -> None:
    client, adapter = losing
    state = {"noise": np.random.default_rng(0).random(1_500_000)}
    store = StorageCheckpoints(bucket, "stage", client=client)
    adapter.loses = lambda request: request.method == "PUT" and not adapter.lost
    # Cloud Storage remembers an upload that is complete; the stand-in has forgotten it.
    with pytest.raises(Unavailable, match="it must begin anew"):
        store.commit(state, {}, {})
    assert adapter.lost == [200]
    assert store.commit(state, {}, {}).number == 1
    loaded = StorageCheckpoints(bucket, "stage").load()
    assert loaded is not None
    assert pack(loaded.arrays) == pack(state)
    assert numbers(bucket) == [1]


def test_a_store_that_goes_away_and_comes_back_has_lost_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        running = emulators.start_storage(tmp_path / "log", folder=tmp_path / "files")
    except emulators.Missing as missing:
        pytest.skip(str(missing))
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", running.env["STORAGE_EMULATOR_HOST"])
    monkeypatch.setitem(SMALL, "retry", None)
    monkeypatch.setitem(LARGE, "retry", None)
    try:
        assert ensure_bucket(CloudSettings(checkpoints="gs://comes-and-goes")) == "made"
        store = StorageCheckpoints("comes-and-goes", "stage")
        store.commit(STATE, {"n": 1}, {})
        running.stop()
        for effect in (store.load, store.summary, lambda: store.read_manifest("run"), lambda: store.write_manifest("run", {})):
            with pytest.raises(Unavailable, match="STORAGE_EMULATOR_HOST.* does not answer; start it, or unset the variable"):
                effect()
        with pytest.raises(Unavailable, match="STORAGE_EMULATOR_HOST.* does not answer; start it, or unset the variable"):
            store.commit(STATE, {"n": 2}, {})
        running = emulators.start_storage(tmp_path / "log", port=running.ports["http"], folder=tmp_path / "files")
        assert store.commit(STATE, {"n": 2}, {}).number == 2
        loaded = StorageCheckpoints("comes-and-goes", "stage").load()
        assert loaded is not None
        assert loaded.meta == {"n": 2}
    finally:
        running.stop()


def test_a_store_that_takes_requests_and_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    for times in (SMALL, LARGE):
        monkeypatch.setitem(times, "retry", None)
        monkeypatch.setitem(times, "timeout", (0.5, 0.5))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{silent.getsockname()[1]}")
        store = StorageCheckpoints("a-bucket", "stage")
        for effect in (store.load, lambda: store.commit(STATE, {}, {}), lambda: store.read_manifest("run")):
            with pytest.raises(Unavailable, match="STORAGE_EMULATOR_HOST.* does not answer"):
                effect()


def test_a_missing_bucket_is_named_with_what_makes_it(storage_emulator: emulators.Running) -> None:
    store = StorageCheckpoints("not-made-by-anybody", "stage")
    line = "bucket gs://not-made-by-anybody does not exist: `thundercast bootstrap` makes it"
    for effect in (store.load, store.summary, lambda: store.commit(STATE, {}, {}), lambda: store.read_manifest("run")):
        with pytest.raises(Unavailable, match=line):
            effect()


def test_a_generation_that_was_read_is_refused_once_another_was_written(bucket: str) -> None:
    objects = StorageObjects(bucket, "stage")
    first = objects.swap("HEAD", b"1", ABSENT)
    with pytest.raises(Changed):
        objects.swap("HEAD", b"2", ABSENT)
    second = objects.swap("HEAD", b"2", first)
    with pytest.raises(Changed):
        objects.swap("HEAD", b"3", first)
    assert objects.read("HEAD") == (b"2", second)
    objects.delete("HEAD")
    with pytest.raises(Changed):
        objects.swap("HEAD", b"3", second)
    objects.swap("HEAD", b"3", ABSENT)
