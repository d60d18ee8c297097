"""After a job that did not end in order, what it had acked and not yet saved is delivered again before the next one is created."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator

import pytest
from google.api_core import exceptions as api
from google.cloud import pubsub_v1

import emulators
from integration.launcher.conftest import NAME, Launcher
from thundercast.adapters.manifests import CURRENT
from thundercast.adapters.places import open_manifests
from thundercast.domain.runs import Run
from thundercast_dataflow.snapshots import MARGIN, Snapshots
from unit.dataflow.streams import run_of
from unit.launcher.dataflow_api import FakeDataflow


@pytest.fixture
def subscription(pubsub_emulator: emulators.Running) -> Iterator[str]:
    """A subscription whose only message was pulled and acked."""
    name = f"raw-{uuid.uuid4().hex[:8]}"
    with pubsub_v1.PublisherClient() as publisher, pubsub_v1.SubscriberClient() as subscriber:
        topic = publisher.create_topic(name=f"projects/demo-project/topics/{name}").name
        path = f"projects/demo-project/subscriptions/{name}"
        week = dt.timedelta(days=7)
        subscriber.create_subscription(
            request={
                "name": path,
                "topic": topic,
                "retain_acked_messages": True,
                "message_retention_duration": week,
                "ack_deadline_seconds": 15,
            }
        )
        publisher.publish(topic, b"a batch").result(30)
        (received,) = subscriber.pull(subscription=path, max_messages=1, timeout=30).received_messages
        subscriber.acknowledge(subscription=path, ack_ids=[received.ack_id])
        yield path


@pytest.fixture
def seeking(launcher: Launcher, subscription: str) -> Launcher:
    launcher.more = [f"--raw-subscription={subscription}"]
    return launcher


def delivered(subscription: str, *, patience: float = 60.0) -> list[bytes]:
    """What the subscription has now; where nothing is to come, for less patience."""
    with pubsub_v1.SubscriberClient() as subscriber:
        try:
            pulled = subscriber.pull(subscription=subscription, max_messages=10, timeout=patience, retry=None)
        except api.DeadlineExceeded:
            return []
        return [item.message.data for item in pulled.received_messages]


def under_way(launcher: Launcher) -> Run:
    """A run that has just begun, in the place of checkpoints."""
    run = run_of(3, 1)
    started = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    manifest = run.to_json() | {"run_id": f"{started}-{run.run_id[-8:]}", "started": started}
    open_manifests(f"gs://{launcher.bucket}/thundercast").write_manifest(CURRENT, manifest)
    return Run.from_json(manifest)


@pytest.mark.parametrize("ended", ["FAILED", "CANCELLED"])
def test_a_job_that_was_not_drained_is_made_up_for(seeking: Launcher, dataflow: FakeDataflow, subscription: str, ended: str) -> None:
    under_way(seeking)
    dataflow.add(NAME, f"JOB_STATE_{ended}")
    done = seeking()
    assert done.code == 0, done.err
    assert delivered(subscription) == [b"a batch"]
    assert len(dataflow.asked("create")) == 1


def test_the_seek_comes_before_the_job(seeking: Launcher, dataflow: FakeDataflow, subscription: str) -> None:
    under_way(seeking)
    dataflow.add(NAME, "JOB_STATE_FAILED")
    seen: list[list[bytes]] = []
    dataflow.meet = lambda: seen.append(delivered(subscription))
    assert seeking().code == 0
    assert seen == [[b"a batch"]]


def test_a_run_that_no_job_has_seen_is_delivered_from_its_start(seeking: Launcher, subscription: str) -> None:
    run = under_way(seeking)
    at = Snapshots(f"gs://{seeking.bucket}/thundercast").seek_time()
    assert at is not None
    assert at == pytest.approx(dt.datetime.strptime(run.started, "%Y%m%dT%H%M%S%z").timestamp() - MARGIN)
    assert f"{subscription} to {dt.datetime.fromtimestamp(at, dt.UTC):%Y-%m-%dT%H:%M:%SZ}" in seeking("--dry-run").out
    assert seeking().code == 0
    assert delivered(subscription) == [b"a batch"]


def test_after_a_drain_nothing_is_delivered_again(seeking: Launcher, dataflow: FakeDataflow, subscription: str) -> None:
    under_way(seeking)
    dataflow.add(NAME, "JOB_STATE_FAILED")
    dataflow.add(NAME, "JOB_STATE_DRAINED")
    assert seeking().code == 0
    assert delivered(subscription, patience=3.0) == []


def test_an_update_keeps_its_state_and_delivers_nothing_again(seeking: Launcher, dataflow: FakeDataflow, subscription: str) -> None:
    under_way(seeking)
    dataflow.add(NAME, "JOB_STATE_RUNNING", labels={"thundercast-specification": "another"})
    assert seeking().code == 0
    assert delivered(subscription, patience=3.0) == []


def test_without_a_run_there_is_nothing_to_seek(seeking: Launcher, dataflow: FakeDataflow, subscription: str) -> None:
    dataflow.add(NAME, "JOB_STATE_FAILED")
    assert seeking().code == 0
    assert delivered(subscription, patience=3.0) == []


def test_no_job_is_made_if_the_messages_are_gone(launcher: Launcher, dataflow: FakeDataflow, pubsub_emulator: emulators.Running) -> None:
    name = f"raw-{uuid.uuid4().hex[:8]}"
    with pubsub_v1.PublisherClient() as publisher, pubsub_v1.SubscriberClient() as subscriber:
        topic = publisher.create_topic(name=f"projects/demo-project/topics/{name}").name
        subscriber.create_subscription(name=f"projects/demo-project/subscriptions/{name}", topic=topic)
    under_way(launcher)
    dataflow.add(NAME, "JOB_STATE_FAILED")
    done = launcher(f"--raw-subscription={name}")
    assert done.code == 1
    assert "does not keep acked messages" in done.err
    assert dataflow.asked("create") == []


def test_no_job_is_made_if_a_snapshot_is_damaged(seeking: Launcher, dataflow: FakeDataflow, storage_client: object) -> None:
    run = under_way(seeking)
    bucket = storage_client.bucket(seeking.bucket)  # type: ignore[attr-defined]
    bucket.blob(f"thundercast/cleaner/{run.run_id}/0").upload_from_string(b"nonsense")
    dataflow.add(NAME, "JOB_STATE_CANCELLED")
    done = seeking()
    assert done.code == 1
    assert f"cleaner/{run.run_id}/0" in done.err
    assert dataflow.asked("create") == []
