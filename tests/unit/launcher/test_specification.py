"""The hash tells whether a running job is the one that is wanted: it follows from what the job does and runs on, and from nothing else."""

from __future__ import annotations

import re
from typing import Any

import pytest

from thundercast_launcher import specification
from thundercast_launcher.settings import LauncherSettings
from thundercast_launcher.specification import STATE, Specification
from thundercast_launcher.translating import translate

BASE: dict[str, Any] = {
    "project": "demo-project", "checkpoints": "gs://my-bucket/x", "sdk_container_image": "a/b:1", "service_account_email": "w@p.iam.gserviceaccount.com",
}  # fmt: skip


def settings(**more: Any) -> LauncherSettings:
    return LauncherSettings(**{**BASE, **more})


@pytest.mark.parametrize(
    "more",
    [
        {"machine_type": "n1-standard-4"}, {"disk_size_gb": 31}, {"sdk_container_image": "a/b:2"}, {"service_account_email": "x@p"}, {"use_public_ips": True},
        {"gap_timeout": 800.0}, {"idle_timeout": 80_000.0}, {"snapshot_dates": 31}, {"raw_subscription": "another"}, {"checkpoints": "gs://my-bucket/y"},
        {"subnetwork": "regions/us-central1/subnetworks/a"}, {"beam_options": ["--experiments=a"]}, {"beam_options": ["--labels=team=weather"]},
    ],
    ids=str,
)  # fmt: skip
def test_what_makes_another_job_makes_another_hash(more: dict[str, Any]) -> None:
    assert Specification.of(settings(**more)).digest != Specification.of(settings()).digest


@pytest.mark.parametrize(
    "more",
    [
        {"max_num_workers": 9}, {"mode": "flex-template", "template": "gs://t/x.json"}, {"running_seconds": 5.0}, {"dry_run": True},
        {"transform_name_mapping": {"Old": "Clean"}}, {"clean_subscription": "another"}, {"beam_options": ["--enable_streaming_engine"]},
    ],
    ids=str,
)  # fmt: skip
def test_what_makes_the_same_job_makes_the_same_hash(more: dict[str, Any]) -> None:
    assert Specification.of(settings(**more)).digest == Specification.of(settings()).digest


def test_another_version_of_the_program_makes_another_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Specification.of(settings()).digest
    monkeypatch.setattr(specification.thundercast, "__version__", "99.0.0")
    assert Specification.of(settings()).digest != before


def test_labels_are_such_as_google_takes() -> None:
    labels = Specification.of(settings(beam_options=["--labels=team=weather"])).labels
    assert labels["team"] == "weather"
    assert labels[STATE] == "1"
    assert all(re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key) and re.fullmatch(r"[a-z0-9_-]{0,63}", value) for key, value in labels.items())


def test_another_pipeline_lies_elsewhere() -> None:
    places = {translate(one, Specification.of(one), request_id="a").place for one in (settings(), settings(gap_timeout=800.0))}
    assert len(places) == 2


def test_the_request_has_the_id_and_the_job_that_it_replaces() -> None:
    made = translate(settings(), Specification.of(settings()), request_id="an-id", replaced="a-job", mapping={"Old": "Clean"}).request
    assert made.job.client_request_id == "an-id"
    assert made.job.replace_job_id == "a-job"
    assert dict(made.job.transform_name_mapping) == {"Old": "Clean"}
