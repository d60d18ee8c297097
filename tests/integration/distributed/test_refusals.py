"""What stands in a part's way is told in one line that names the thing and what mends it.

Where it may pass, the process waits and readiness tells the line; where it cannot, the process ends: 1 failed, 2 usage.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from google.cloud import bigquery

import emulators
from integration.distributed import lives, scene
from integration.distributed.lives import Life, Lives
from integration.distributed.scene import Names
from thundercast.adapters.google.bigquery_clients import rest_client
from thundercast.adapters.google.bigquery_schema import ensure_tables
from thundercast.adapters.settings import CloudSettings

DATASET = "refusals"
PARTS = ("simulator", "cleaner", "trainer")
SMALL = {"THUNDERCAST_MODELS": json.dumps(scene.MODELS), "THUNDERCAST_START": "2022-05-01", "THUNDERCAST_END": "2022-05-02"}
MEND = "`thundercast bootstrap` makes it"

pytestmark = pytest.mark.usefixtures("pubsub_emulator", "bigquery_emulator", "storage_emulator")


@pytest.fixture(scope="module")
def forked(
    tmp_path_factory: pytest.TempPathFactory, pubsub_emulator: emulators.Running, bigquery_emulator: emulators.Running
) -> Iterator[Lives]:
    ensure_tables(CloudSettings(project=scene.PROJECT, dataset=DATASET))
    folder = tmp_path_factory.mktemp("refusals")
    Names("refusals", str(folder), DATASET).make()
    with lives.forking(folder) as running:
        yield running


@pytest.fixture
def start(forked: Lives, tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Life]:
    """Starts a part on topics and tables that are all there, but for what a test changes."""

    def started(part: str, **env: str) -> Life:
        own = {"THUNDERCAST_CACHE": str(tmp_path / "cache")}
        life = forked.start(part, Names("refusals", str(tmp_path / part), DATASET).env, SMALL, own, env)
        request.addfinalizer(lambda: life.kill() if life.code() is None else None)
        return life

    return started


def waits(life: Life, *words: str) -> None:
    """Readiness says 503 with a reason of one line that has all the words; SIGTERM ends the wait at once, and well."""

    def line() -> str:
        reasons = life.ask("/readyz")[1].get("reasons", {})
        return next((reason for reason in reasons.values() if all(word in reason for word in words)), "")

    found = life.until(line, f"readiness had a line with {words}: {life.reasons()}")
    assert "\n" not in found
    assert life.ask("/readyz")[0] == 503
    life.stop()
    assert life.complaint() == "", "no traceback, no stray words"


def refused(life: Life, *words: str, code: int) -> None:
    """It ends with the code, and its last words are one line that has all the words."""
    assert life.ended() == code, life.text()
    (line,) = life.complaint().splitlines()
    assert line.startswith(f"thundercast-{life.part}: ")
    for word in words:
        assert word in line


TOPIC = {"simulator": "raw-refusals", "cleaner": "clean-refusals", "trainer": "dead-refusals"}
"""What each part publishes to; the trainer dead letters only."""
SUBSCRIPTION = {"simulator": "raw-refusals-s", "cleaner": "raw-refusals-s", "trainer": "clean-refusals-s"}


@pytest.mark.parametrize("part", PARTS)
def test_in_a_wrong_project_nothing_is_there_and_the_variable_that_sets_it_is_named(start: Callable[..., Life], part: str) -> None:
    life = start(part, GOOGLE_CLOUD_PROJECT="another-project")
    waits(life, "projects/another-project/", "does not exist", MEND, "THUNDERCAST_PROJECT", "GOOGLE_CLOUD_PROJECT")


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_topic_is_named(start: Callable[..., Life], part: str) -> None:
    kind = TOPIC[part].partition("-")[0].replace("dead", "dead_letter")
    life = start(part, **{f"THUNDERCAST_{kind.upper()}_TOPIC": "nowhere"})
    waits(life, f"topic projects/{scene.PROJECT}/topics/nowhere does not exist", MEND)


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_subscription_is_named(start: Callable[..., Life], part: str) -> None:
    kind = SUBSCRIPTION[part].partition("-")[0]
    life = start(part, **{f"THUNDERCAST_{kind.upper()}_SUBSCRIPTION": "nobody"})
    waits(life, f"subscription projects/{scene.PROJECT}/subscriptions/nobody does not exist", MEND)


@pytest.mark.parametrize("part", ["simulator", "cleaner"])
def test_a_subscription_to_another_topic_is_no_subscription(start: Callable[..., Life], part: str) -> None:
    kind = TOPIC[part].partition("-")[0]
    life = start(part, **{f"THUNDERCAST_{kind.upper()}_SUBSCRIPTION": "dead-refusals-s"})
    waits(life, "dead-refusals-s is to topic", f"not to projects/{scene.PROJECT}/topics/{kind}-refusals", "`thundercast bootstrap`")


@pytest.mark.parametrize("part", PARTS)
def test_a_pubsub_emulator_that_does_not_answer_is_named_with_its_variable(start: Callable[..., Life], part: str) -> None:
    address = f"127.0.0.1:{emulators.free_port()}"
    waits(start(part, PUBSUB_EMULATOR_HOST=address), address, "PUBSUB_EMULATOR_HOST", "does not answer")


@pytest.mark.parametrize("part", ["cleaner", "trainer"])
def test_a_bigquery_emulator_that_does_not_answer_is_named_with_its_variable(start: Callable[..., Life], part: str) -> None:
    url = f"http://127.0.0.1:{emulators.free_port()}"
    waits(start(part, BIGQUERY_EMULATOR_HOST=url), url, "BIGQUERY_EMULATOR_HOST", "does not answer")


@pytest.mark.parametrize("part", PARTS)
def test_a_storage_emulator_that_does_not_answer_is_named_with_its_variable(start: Callable[..., Life], part: str) -> None:
    url = f"http://127.0.0.1:{emulators.free_port()}"
    life = start(part, STORAGE_EMULATOR_HOST=url, THUNDERCAST_CHECKPOINTS="gs://thundercast-refusals/somewhere")
    waits(life, url, "STORAGE_EMULATOR_HOST", "does not answer", "gs://thundercast-refusals")


@pytest.mark.parametrize("part", ["cleaner", "trainer"])
def test_a_missing_bucket_is_named(start: Callable[..., Life], part: str) -> None:
    waits(start(part, THUNDERCAST_CHECKPOINTS="gs://thundercast-missing"), "bucket gs://thundercast-missing does not exist", MEND)


def test_a_store_of_another_schema_is_named_and_nothing_is_trained_into_it(start: Callable[..., Life]) -> None:
    client = rest_client(scene.PROJECT)
    client.create_dataset("strange", exists_ok=True)
    full = f"{scene.PROJECT}.strange.model_metrics"
    client.create_table(bigquery.Table(full, schema=[bigquery.SchemaField("roc_auc", "STRING"), bigquery.SchemaField("batch_id", "DATE")]))
    client.close()
    words = (f"table {full}", "roc_auc as STRING", "expected is FLOAT64", "THUNDERCAST_DATASET")
    waits(start("trainer", THUNDERCAST_DATASET="strange"), *words)


@pytest.mark.parametrize("part", PARTS)
def test_an_address_in_use_is_refused(start: Callable[..., Life], part: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused(start(part, THUNDERCAST_PORT=str(port)), f"cannot listen on 127.0.0.1:{port}", "--port", code=2)


MALFORMED = [
    *((part, {"THUNDERCAST_PORT": "http"}, "THUNDERCAST_PORT") for part in PARTS),
    *((part, {"THUNDERCAST_CHECKPOINTS": "s3://bucket"}, "s3://bucket") for part in PARTS),
    ("simulator", {"THUNDERCAST_END": "2022-04-01"}, "before the start"),
    ("simulator", {"THUNDERCAST_SPEED": "quick"}, "THUNDERCAST_SPEED"),
    ("simulator", {"THUNDERCAST_SOURCE": "nothing:at-all"}, "nothing"),
    ("simulator", {"THUNDERCAST_START": "1901-01-01", "THUNDERCAST_END": "1901-02-01"}, "1901"),
    ("cleaner", {"THUNDERCAST_GROUP": "3"}, "group 3"),
    ("cleaner", {"THUNDERCAST_LOCK": "somewhere"}, "somewhere"),
    ("trainer", {"THUNDERCAST_MODELS": '["oracle"]'}, "oracle"),
    ("trainer", {"THUNDERCAST_MODE": "push"}, "push_audience"),
    ("trainer", {"THUNDERCAST_GAP_TIMEOUT": "10"}, "gap_timeout"),
]


@pytest.mark.parametrize(("part", "env", "word"), MALFORMED)
def test_malformed_settings_are_refused(start: Callable[..., Life], part: str, env: dict[str, str], word: str) -> None:
    life = start(part, **env)
    assert life.ended() == 2, life.text()
    assert word in life.complaint()
    assert "Traceback" not in life.text()
    assert len(life.complaint().splitlines()) <= 2
