"""Pods are killed, evicted, upgraded, rolled back, uninstalled: the results are those of a run that nobody disturbed, to the bit.

The stand-ins belong to another release, so that what they keep outlives the parts, as Google's services would.
"""

from __future__ import annotations

import datetime as dt
import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from google.api_core.exceptions import GoogleAPIError

from e2e.cluster.kube import Failed, Namespace
from integration.distributed import scene
from integration.distributed.whole import Data, Reference
from thundercast.domain import tables

pytestmark = pytest.mark.timeout(1500)
WORLD, RELEASE = "world", "tc"
START = dt.date(2022, 5, 1)
DATASET = "weather_data"
LEADS_WITHIN, CAUGHT_UP_WITHIN = 20.0, 60.0  # s; what users are promised
ENDS_WITHIN = 300.0  # s
TRIES = 4  # of reading what the stand-ins have
Read = TypeVar("Read")
PARTS = ("simulator", "cleaner", "trainer", "dashboard")


@pytest.fixture(scope="module")
def world(namespace: Namespace) -> Namespace:
    """Stand-ins that answer, without parts."""
    namespace.install(WORLD, {part: {"enabled": False} for part in PARTS} | {"bootstrap": {"enabled": False}})
    namespace.until("the stand-ins are ready", lambda: namespace.settled(WORLD))
    return namespace


def values(days: int, name: str, **more: Any) -> dict[str, Any]:
    """A small run of the packed sample with topics, a dataset and checkpoints of its own."""
    end = START + dt.timedelta(days=days - 1)
    own = {"global": {
        "emulators": {"enabled": True, "release": WORLD}, "dataset": f"{DATASET}_{name}",
        "checkpoints": {"place": f"gs://thundercast-{name}/e2e"},
        "pubsub": {
            "rawTopic": f"raw-{name}", "rawSubscription": f"raw-{name}-s", "cleanTopic": f"clean-{name}", "cleanSubscription": f"clean-{name}-s",
            "deadLetterTopic": f"dead-{name}", "deadLetterSubscription": f"dead-{name}-s",
        },
    }}  # fmt: skip
    # Slow, so that there is a stream to be disturbed; `completed` ends that.
    own["simulator"] = {"settings": {"start": START.isoformat(), "end": end.isoformat(), "speed": 0.5}}
    for key, value in more.items():
        own[key] = {**own.get(key, {}), **value}
    return own


def dates(days: int) -> list[dt.date]:
    return Data("sample", START, START + dt.timedelta(days=days - 1), Path("/nonexistent")).dates


@contextmanager
def reached(world: Namespace) -> Iterator[None]:
    """Google's clients in this process talk to the stand-ins in the cluster."""
    with ExitStack() as stack:
        rest, grpc, storage = (
            stack.enter_context(world.forwarded(f"svc/{WORLD}-{part}", port))
            for part, port in (("bigquery", 9050), ("bigquery", 9060), ("storage", 4443))
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("BIGQUERY_EMULATOR_HOST", f"http://{rest}")
            patch.setenv("BIGQUERY_STORAGE_EMULATOR_HOST", grpc)
            patch.setenv("STORAGE_EMULATOR_HOST", f"http://{storage}")
            patch.setenv("GOOGLE_CLOUD_PROJECT", scene.PROJECT)
            yield


def read(world: Namespace, what: Callable[[], Read]) -> Read:
    """What is read from the stand-ins. A forwarded port ends with the first connection that it loses: all are made anew then.

    Raises:
        AssertionError: they do not answer at all; it says how the pods are.
    """
    for _ in range(TRIES):
        try:
            with reached(world):
                return what()
        except (GoogleAPIError, OSError, Failed) as error:
            problem = error
    raise AssertionError(f"the stand-ins cannot be read\n{world.state()}") from problem


def status(world: Namespace) -> dict[str, Any]:
    """Where the leader stands. A standby tells of itself, so each pod is asked."""
    for pod in world.ready(RELEASE, "trainer"):
        with world.forwarded(f"pod/{pod}", 8080) as where:
            found: dict[str, Any] = _asked(f"http://{where}/v1/status")
            if found["leader"]:
                return found
    raise LookupError("no pod leads")


def _asked(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def goes_on(world: Namespace, *, within: float = 90.0) -> None:
    """Waits until the stream has gone on by two dates from where it is now."""
    was = world.until("somebody leads", lambda: status(world), within=within)
    assert not was["completed"], "the run was over before it could be disturbed"
    try:
        world.until("the stream goes on", lambda: status(world)["watermark"] >= was["watermark"] + 32, within=within)
    except AssertionError as error:
        error.add_note(f"It stood at {was}.\n{told_by_parts(world)}")
        raise


def told_by_parts(world: Namespace) -> str:
    """What each pod says of itself, for whoever reads a failure."""
    lines = []
    for component, path in (("simulator", "/metrics"), ("cleaner", "/metrics"), ("trainer", "/v1/status")):
        for pod in world.of(RELEASE, component=component):
            name = pod["metadata"]["name"]
            try:
                with world.forwarded(f"pod/{name}", 8080) as where, urllib.request.urlopen(f"http://{where}{path}", timeout=10) as answer:
                    said = answer.read().decode()
            except (OSError, Failed) as error:
                said = f"no answer: {error}"
            kept = [line for line in said.splitlines() if line.startswith("thundercast_") and "_bucket{" not in line] or [said]
            lines += [f"--- {name}", *kept]
    return "\n".join(lines)


def completed(world: Namespace, own: dict[str, Any]) -> str:
    """Lets the rest come as fast as it goes, and waits for the end; the run's id. The simulator goes on where it was."""
    settings = own["simulator"]["settings"] | {"speed": "max"}
    world.install(RELEASE, own | {"simulator": own["simulator"] | {"settings": settings}}, upgrade=True)
    found = world.until("the run is complete", lambda: (now := status(world))["completed"] and now, within=ENDS_WITHIN)
    return str(found["run_id"])


def undisturbed(world: Namespace, days: int) -> Reference:
    """What a run comes to that nobody disturbs, in the same images: other versions of the C library may give other bits."""
    name = f"calm{days}"
    world.install(RELEASE, values(days, name))
    run_id = completed(world, values(days, name))
    rows = settled_rows(world, name, run_id, days)
    models = read(world, lambda: scene.checkpointed_models(f"gs://thundercast-{name}/e2e"))
    world.uninstall(RELEASE)
    world.until("no pod is left", lambda: not world.of(RELEASE), within=120)
    assert all(rows.values())
    return Reference(rows, models)


def settled_rows(world: Namespace, name: str, run_id: str, days: int) -> dict[str, list[str]]:
    """The rows of a complete run, once nothing is added any more: the last scores follow the checkpoint."""
    rows: dict[str, list[str]] = {}
    until = time.monotonic() + 60.0
    while time.monotonic() < until:
        before, rows = rows, read(world, lambda: scene.found_rows(f"{DATASET}_{name}", run_id, dates(days)))
        if rows == before:
            break
        time.sleep(2.0)
    return rows


def equals(world: Namespace, expected: Reference, days: int, name: str, run_id: str, models: str | None) -> None:
    """Every row is there, once, and every bit of every model."""

    def found() -> dict[str, list[str]]:
        return scene.found_rows(f"{DATASET}_{name}", run_id, dates(days))

    rows = read(world, found)
    until = time.monotonic() + 60.0
    while rows != expected.rows and time.monotonic() < until:  # the last rows of scores follow the checkpoint
        time.sleep(2.0)
        rows = read(world, found)
    assert [table for table in expected.rows if expected.rows[table] != rows[table]] == []
    if models is not None:
        assert read(world, lambda: scene.checkpointed_models(models)) == expected.models
    assert read(world, lambda: scene.stored(f"{DATASET}_{name}", tables.GAPS, run_id)).num_rows == 0


def test_kills_evictions_an_upgrade_and_a_rollback_change_nothing(world: Namespace) -> None:
    days, name = 120, "kills"
    expected = undisturbed(world, days)
    world.install(RELEASE, values(days, name))
    world.until("somebody leads", lambda: status(world))
    goes_on(world)

    # The leader is killed: the standby leads within 20 s, and has caught up within a minute.
    old = world.leader(RELEASE)
    world.kubectl("delete", "pod", old, "--grace-period=0", "--force", "--wait=false")
    began = time.monotonic()
    new = world.until("the standby leads", lambda: (now := world.leader(RELEASE)) not in ("", old) and now, within=LEADS_WITHIN)
    print(f"\n{new} leads {time.monotonic() - began:.1f} s after {old} was killed")
    world.until("it has caught up", lambda: (now := status(world))["watermark"] > 0 and now["window"] <= 32, within=CAUGHT_UP_WITHIN)
    goes_on(world)

    # Every part gets other pods, and then the old ones again.
    changed = {part: {"podAnnotations": {"note": "second"}} for part in PARTS}
    world.install(RELEASE, values(days, name, **changed), upgrade=True)
    world.until("the upgrade is through", lambda: world.settled(RELEASE))
    goes_on(world)
    world.helm("rollback", RELEASE, "1")
    world.until("the rollback is through", lambda: world.settled(RELEASE))
    goes_on(world)

    # A node is drained, but for the stand-ins.
    for part in PARTS:
        for pod in world.of(RELEASE, component=part):
            if pod["status"]["phase"] != "Running" or "deletionTimestamp" in pod["metadata"]:
                continue
            world.until(
                f"{pod['metadata']['name']} may be evicted", lambda pod=pod: world.evict(pod["metadata"]["name"]) or True, within=90
            )
            world.until("another is ready", lambda: world.settled(RELEASE))
    run_id = completed(world, values(days, name))
    equals(world, expected, days, name, run_id, f"gs://thundercast-{name}/e2e")
    world.uninstall(RELEASE)


def test_checkpoints_on_a_volume_outlive_the_release(world: Namespace) -> None:
    days, name = 40, "volume"
    expected = undisturbed(world, days)
    own = values(days, name, trainer={"replicas": 1})
    own["global"] |= {"checkpoints": {"place": "", "volume": {"enabled": True, "size": "1Gi"}}}
    world.install(RELEASE, own)
    world.until("somebody leads", lambda: status(world))
    goes_on(world)
    world.uninstall(RELEASE)
    world.until("no pod is left", lambda: not world.of(RELEASE), within=120)
    assert [claim["metadata"]["name"] for claim in world.get("pvc")] == [f"{RELEASE}-checkpoints"]
    world.install(RELEASE, own)
    goes_on(world, within=180)
    run_id = completed(world, own)
    # The models are on the volume, and every score that they have made is in its row.
    equals(world, expected, days, name, run_id, None)
    world.uninstall(RELEASE)
    world.kubectl("delete", "pvc", f"{RELEASE}-checkpoints")
