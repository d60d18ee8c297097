"""The launcher's command line against stand-ins: of Dataflow's API, and of Cloud Storage."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from apache_beam.internal.gcp.auth import _Credentials
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

import emulators
from thundercast_launcher.__main__ import main
from unit.launcher.dataflow_api import FakeDataflow

NAME = "thundercast-cleaner"
IMAGE = "us-central1-docker.pkg.dev/demo-project/thundercast/dataflow:v1"
ACCOUNT = "worker@demo-project.iam.gserviceaccount.com"


@dataclass
class Done:
    """What a run of the program gave."""

    code: int
    out: str
    err: str


@dataclass
class Launcher:
    """Runs the program with all that it needs, and what a test adds."""

    dataflow: FakeDataflow
    bucket: str
    capsys: pytest.CaptureFixture[str]
    more: list[str] = field(default_factory=list)

    @property
    def flags(self) -> list[str]:
        return [
            "--project=demo-project", f"--checkpoints=gs://{self.bucket}/thundercast", f"--sdk-container-image={IMAGE}",
            f"--service-account-email={ACCOUNT}", f"--dataflow-endpoint={self.dataflow.url}", "--poll-seconds=0.05", "--request-seconds=60",
            "--running-seconds=120", "--stop-seconds=120", "--submit-seconds=120", *self.more,
        ]  # fmt: skip

    def __call__(self, *words: str) -> Done:
        self.capsys.readouterr()
        code = main([*self.flags, *words])
        out, err = self.capsys.readouterr()
        return Done(code, out, err)


@pytest.fixture
def dataflow() -> Iterator[FakeDataflow]:
    """Dataflow's API. A request or an answer that is not of Google's document is a failure."""
    with FakeDataflow().serving() as service:
        yield service
    assert service.violations == []


@pytest.fixture
def storage_client(storage_emulator: emulators.Running) -> Iterator[storage.Client]:
    client = storage.Client(project="demo-project", credentials=AnonymousCredentials())
    yield client
    client.close()


@pytest.fixture
def bucket(storage_client: storage.Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    # Beam looks for credentials for half a minute before it goes without; Google's own client knows the stand-in.
    monkeypatch.setattr(_Credentials, "_credentials_init", True)
    monkeypatch.chdir(tmp_path)
    name = f"launcher-{uuid.uuid4().hex[:8]}"
    storage_client.create_bucket(name)
    return name


@pytest.fixture
def launcher(dataflow: FakeDataflow, bucket: str, capsys: pytest.CaptureFixture[str]) -> Launcher:
    return Launcher(dataflow, bucket, capsys)


@pytest.fixture(params=["direct", "flex-template"])
def either(request: pytest.FixtureRequest, launcher: Launcher) -> Launcher:
    """A launcher for each way to submit."""
    launcher.more = [f"--mode={request.param}", "--template=gs://my-templates/launcher.json"]
    return launcher
