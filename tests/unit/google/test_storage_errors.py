"""What Cloud Storage complains of is said in one line that names the thing and what mends it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from google.auth import exceptions as auth
from google.cloud import storage
from requests.adapters import HTTPAdapter

from thundercast.adapters.google import storage_clients
from thundercast.adapters.google.storage_checkpoints import StorageCheckpoints
from thundercast.adapters.google.storage_clients import SMALL, ensure_bucket, storage_client
from thundercast.adapters.settings import CloudSettings
from thundercast.stage.protocols import Unavailable


class Says(HTTPAdapter):
    """A service that answers with what it was told to, and keeps the requests."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, tuple[int, str]] = {}
        self.requests: list[requests.PreparedRequest] = []

    def send(self, request: requests.PreparedRequest, *args: Any, **more: Any) -> requests.Response:
        self.requests.append(request)
        response = requests.Response()
        response.request = request
        response.url = str(request.url)
        response.status_code, message = self.answers.get(str(request.method), (200, ""))
        response._content = json.dumps({"error": {"code": response.status_code, "message": message}} if message else {}).encode()
        response.headers["Content-Type"] = "application/json"
        return response


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[storage.Client, Says]]:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://storage.invalid")
    monkeypatch.setitem(SMALL, "retry", None)
    client, says = storage_client("a-project"), Says()
    client._http.mount("http://", says)
    monkeypatch.setattr(storage_clients, "storage_client", lambda _project: client)
    yield client, says
    client.close()


SETTINGS = CloudSettings(project="a-project", location="EU", checkpoints="gs://a-bucket/prefix")


def test_a_missing_permission_names_the_role(service: tuple[storage.Client, Says]) -> None:
    client, says = service
    says.answers = dict.fromkeys(("GET", "POST"), (403, "x@y does not have storage.objects.get access"))
    store = StorageCheckpoints("a-bucket", "trainer", client=client)
    with pytest.raises(
        Unavailable, match=r"object gs://a-bucket/trainer/HEAD could not be read: permission denied; .*roles/storage\.objectUser"
    ):
        store.load()
    with pytest.raises(
        Unavailable, match=r"object gs://a-bucket/trainer/1-.* could not be written: permission denied; .*roles/storage\.objectUser"
    ):
        store.commit({}, {}, {})


def test_missing_credentials_are_told_when_the_store_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nothing.json"))
    store = StorageCheckpoints("a-bucket", "trainer")
    with pytest.raises(Unavailable, match="no valid credentials; `gcloud auth application-default login` makes some") as caught:
        store.load()
    assert isinstance(caught.value.__cause__, auth.DefaultCredentialsError)


def test_a_bucket_is_made_with_one_kind_of_access_and_pays_for_nothing_that_was_deleted(service: tuple[storage.Client, Says]) -> None:
    _, says = service
    says.answers = {"GET": (404, "The specified bucket does not exist.")}
    assert ensure_bucket(SETTINGS, labels={"thundercast": "tc"}) == "made"
    asked = json.loads(says.requests[-1].body or b"")
    assert says.requests[-1].url is not None
    assert "project=a-project" in says.requests[-1].url
    assert (asked["name"], asked["location"]) == ("a-bucket", "EU")
    assert asked["iamConfiguration"]["uniformBucketLevelAccess"] == {"enabled": True}
    assert asked["iamConfiguration"]["publicAccessPrevention"] == "enforced"
    assert asked["labels"] == {"thundercast": "tc"}
    assert int(asked["softDeletePolicy"]["retentionDurationSeconds"]) == 0


def test_a_bucket_that_is_there_is_left_as_it_is(service: tuple[storage.Client, Says]) -> None:
    _, says = service
    assert ensure_bucket(SETTINGS) == "there"
    assert [request.method for request in says.requests] == ["GET"]


def test_a_bucket_that_another_made_in_between_is_there(service: tuple[storage.Client, Says]) -> None:
    _, says = service
    says.answers = {"GET": (404, "no"), "POST": (409, "you already own this bucket")}
    assert ensure_bucket(SETTINGS) == "there"


def test_a_bucket_of_somebody_else_is_told(service: tuple[storage.Client, Says]) -> None:
    _, says = service
    says.answers = {"GET": (403, "x@y does not have storage.buckets.get access")}
    with pytest.raises(Unavailable, match=r"gs://a-bucket may not be looked at: it belongs to another project .*roles/storage\.admin"):
        ensure_bucket(SETTINGS)


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (
            (403, "x@y does not have storage.buckets.create access"),
            r"bucket gs://a-bucket could not be made: permission denied; .*roles/storage\.admin",
        ),
        ((404, "unknown project"), "bucket gs://a-bucket does not exist: project a-project must exist"),
        ((400, "Invalid location EU"), "bucket gs://a-bucket could not be made: .*Invalid location EU"),
    ],
)
def test_a_bucket_that_cannot_be_made_says_why(service: tuple[storage.Client, Says], answer: tuple[int, str], line: str) -> None:
    _, says = service
    says.answers = {"GET": (404, "no"), "POST": answer}
    with pytest.raises(Unavailable, match=line):
        ensure_bucket(SETTINGS)


def test_a_folder_needs_no_bucket() -> None:
    assert ensure_bucket(CloudSettings(checkpoints="some/folder")) is None
