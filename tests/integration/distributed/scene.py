"""A small run for fault tests, what it must come to, and names of its own on the shared stand-ins.

Three dates of the packed sample in 16 shards, with a row and a batch that cannot be used. What is expected comes from the
core's steps driven by hand, in order, once.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from google.api_core.exceptions import ResourceExhausted
from google.cloud import pubsub_v1

from thundercast.adapters.feeding import messages_of, run_of
from thundercast.adapters.google.bigquery_clients import read_client
from thundercast.adapters.google.bigquery_rows import literal, read_rows
from thundercast.adapters.google.pubsub_topics import group_subscription
from thundercast.adapters.google.storage_clients import ensure_bucket
from thundercast.adapters.places import open_checkpoints, open_manifests
from thundercast.adapters.settings import CloudSettings
from thundercast.adapters.sources import open_source
from thundercast.adapters.sources.base import SourceDate
from thundercast.domain import tables
from thundercast.domain.batch import Attributes, Message
from thundercast.domain.models import registry
from thundercast.domain.runs import Run
from thundercast.domain.tables import Table
from thundercast.stage.letters import from_message
from thundercast.stage.outbox import to_arrow
from thundercast.stage.protocols import Effects
from thundercast.stage.steps import CleanStep, TrainStep

PROJECT = "demo-project"
START, DATES, SHARDS = dt.date(2022, 5, 1), 3, 16
MODELS, TASKS = ["thunder", "logistic"], ["nowcast", "dayahead"]
POISONED = 21
"""The seq of a raw batch whose bytes are no Arrow stream."""
DAMAGED = 37
"""The seq of a clean batch whose bytes are no Arrow stream, where a scenario wants one."""
NOT_COMPARED = {"run_id", "timestamp", "written_at", "fingerprint"}


@functools.cache
def sample_dates() -> tuple[SourceDate, ...]:
    source = open_source("sample", cache=Path("/nonexistent"))
    source.open()
    return tuple(source.dates(START, START + dt.timedelta(days=DATES - 1)))


def a_run(number: int) -> Run:
    """One of many runs of the same data: they differ in their start."""
    source = open_source("sample", cache=Path("/nonexistent"))
    started = dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(minutes=number)
    return run_of(source.open(), started=started, shards=SHARDS, version="test", start=START, end=START + dt.timedelta(days=DATES - 1))


def raw_messages(run: Run, *, faulty: bool = True) -> list[Message]:
    """The run's batches in order; if ``faulty``, in one a row cannot be right, another cannot be read."""
    out: list[Message] = []
    for day in sample_dates():
        rows = day.rows
        if faulty and day.date == START:
            at = rows.schema.get_field_index("temp")
            values = rows.column(at).to_pylist()
            values[0] = 900.0  # °F
            rows = rows.set_column(at, rows.schema.field(at), pa.array(values, rows.schema.field(at).type))
        out += messages_of(SourceDate(day.date, rows), run)[0]
    if faulty:
        out[POISONED] = Message(b"no Arrow stream", out[POISONED].attributes)
    return out


def applied(step: CleanStep | TrainStep, messages: Iterable[Message], *, lost: int | None = None) -> Effects:
    """The effects of all messages, in order; the one of seq ``lost`` never came."""
    total = Effects()
    for i, message in enumerate(messages):
        attributes = Attributes.from_text(message.attributes)
        if i == 0:
            total.add(step.begin(attributes))
        if i == lost:
            total.add(step.skip(replace(attributes, outcome="skipped", counts={})))
        else:
            total.add(step.apply(attributes, message))
    return total


def clean_messages(run: Run, *, faulty: bool = True, damaged: bool = False) -> list[Message]:
    """What the cleaner makes of them; ``damaged`` has one that a trainer cannot read."""
    out = applied(CleanStep(), raw_messages(run, faulty=faulty)).messages
    if damaged:
        out[DAMAGED] = Message(b"no Arrow stream", out[DAMAGED].attributes)
    return out


@dataclass(frozen=True)
class Expected:
    """What must be there in the end, whatever happened on the way: rows by table without what tells runs apart."""

    rows: dict[str, list[str]]
    letters: list[str]
    models: str

    def same_rows(self, found: dict[str, list[str]]) -> list[str]:
        """The tables that differ, with an example of each kind of row that is too many or too few."""
        return [
            f"{name}: missing {len(missing)} {missing[:1]}, not expected {len(surplus)} {surplus[:1]}"
            for name, rows in self.rows.items()
            for missing, surplus in [(_beyond(rows, found[name]), _beyond(found[name], rows))]
            if missing or surplus
        ]


def _beyond(rows: list[str], others: list[str]) -> list[str]:
    """What is in ``rows`` and not in ``others``, repeats counted."""
    return sorted((Counter(rows) - Counter(others)).elements())


def models_digest(arrays: Any) -> str:
    """Of every array of models and scores."""
    wanted = {name: array for name, array in arrays.items() if "/models/" in f"/{name}" or "/scores/" in f"/{name}"}
    assert wanted
    short = {name.removeprefix("train/"): hashlib.sha256(array.tobytes()).hexdigest() for name, array in wanted.items()}
    return json.dumps(short, sort_keys=True)


@functools.cache
def expected(*, faulty: bool = True, damaged: bool = False, lost: int | None = None) -> Expected:
    """What three dates come to.

    Args:
        faulty: as `raw_messages`.
        damaged: as `clean_messages`.
        lost: the seq of a clean batch that never comes.
    """
    run = a_run(0)
    cleaned = applied(CleanStep(), raw_messages(run, faulty=faulty))
    cleaned.messages = clean_messages(run, faulty=faulty, damaged=damaged)
    step = TrainStep(lambda: [registry.make(name, task) for task in TASKS for name in MODELS])
    trained = applied(step, cleaned.messages, lost=lost)
    found: dict[str, list[str]] = {}
    for name, row in trained.outbox:
        table = next(t for t in tables.TABLES if t.name == name)
        found.setdefault(name, []).extend(plain(to_arrow(table, [row])))
    for table, rows in trained.rows:
        found.setdefault(table.name, []).extend(plain(rows))
    letters = [f"{letter.stage} {letter.reason} {letter.seq} {letter.station}" for letter in cleaned.dead_letters + trained.dead_letters]
    return Expected({name: sorted(rows) for name, rows in found.items()}, sorted(letters), models_digest(step.state()[0]))


def plain(rows: pa.Table) -> list[str]:
    """Each row as text, equal where the rows are."""
    kept = [{k: v for k, v in row.items() if k not in NOT_COMPARED} for row in rows.to_pylist()]
    return [json.dumps(row, default=str, sort_keys=True) for row in kept]


# --- what is there ----------------------------------------------------------------------------------------


def stored(dataset: str, table: Table, run_id: str, dates: Sequence[dt.date] = ()) -> pa.Table:
    """A run's rows as they were written, repeats included.

    Args:
        dates: read one by one: the stand-in answers with one message, whose size has a limit. By default all at once.
    """
    path = f"projects/{PROJECT}/datasets/{dataset}/tables/{table.name}"
    wanted = f"run_id = {literal(run_id)}"

    def read(where: str) -> list[pa.Table]:
        found = read_rows(read_client(), path, project=PROJECT, columns=table.arrow.names, where=where, patience=60.0)
        return [pa.table([part.column(name) for name in table.arrow.names], table.arrow) for part in found]

    def read_date(where: str) -> list[pa.Table]:
        try:
            return read(where)
        except ResourceExhausted:
            # What a slow store was given again is there several times.
            return [part for low, high in pairwise(("", "4", "7", "72", "73", "8", "~")) for part in read(_between(where, low, high))]

    parts = [part for date in dates for part in read_date(f"{wanted} AND date = {literal(date)}")] if dates else read(wanted)
    return pa.concat_tables([table.arrow.empty_table(), *parts])


def _between(where: str, low: str, high: str) -> str:
    """Stations of the rows are at least ``low`` and below ``high``."""
    return f"{where} AND station >= {literal(low)} AND station < {literal(high)}"


def once(table: Table, rows: pa.Table) -> list[str]:
    """One row per key; rows of one key that differ are two truths and both are given."""
    seen: dict[str, str] = {}
    for row, text in zip(rows.to_pylist(), plain(rows), strict=True):
        seen.setdefault(json.dumps([[str(row[key]) for key in table.key], text]), text)
    return sorted(seen.values())


def found_rows(dataset: str, run_id: str, dates: Sequence[dt.date] = ()) -> dict[str, list[str]]:
    compared = (tables.MODEL_METRICS, tables.PREDICTIONS, tables.OBSERVATIONS)
    return {table.name: once(table, stored(dataset, table, run_id, dates)) for table in compared}


def checkpointed_models(place: str) -> str:
    checkpoint = open_checkpoints(place, "trainer").load()
    assert checkpoint is not None
    return models_digest(checkpoint.arrays)


# --- places -----------------------------------------------------------------------------------------------


@functools.cache
def bucket() -> str:
    """A bucket on the stand-in for Cloud Storage."""
    name = "thundercast-tests"
    ensure_bucket(CloudSettings(project=PROJECT, checkpoints=f"gs://{name}/any"))
    return name


def month_of(real_data: Path, folder: Path, start: dt.date, end: dt.date) -> Path:
    """Some dates of the real station-days as a file of their own."""
    table = pq.read_table(real_data / "gsod_real.parquet", filters=[("date", ">=", start), ("date", "<=", end)])
    path = folder / "month.parquet"
    pq.write_table(table, path)
    return path


# --- topics -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Names:
    """Topics and subscriptions of one scenario, and the settings that name them."""

    key: str
    place: str
    dataset: str

    @property
    def env(self) -> dict[str, str]:
        return {
            "GOOGLE_CLOUD_PROJECT": PROJECT, "THUNDERCAST_RAW_TOPIC": f"raw-{self.key}", "THUNDERCAST_RAW_SUBSCRIPTION": f"raw-{self.key}-s",
            "THUNDERCAST_CLEAN_TOPIC": f"clean-{self.key}", "THUNDERCAST_CLEAN_SUBSCRIPTION": f"clean-{self.key}-s",
            "THUNDERCAST_DEAD_LETTER_TOPIC": f"dead-{self.key}", "THUNDERCAST_DEAD_LETTER_SUBSCRIPTION": f"dead-{self.key}-s",
            "THUNDERCAST_DATASET": self.dataset, "THUNDERCAST_CHECKPOINTS": self.place,
        }  # fmt: skip

    def make(self, run: Run | None = None, *, groups: int = 1) -> None:
        """Topics, subscriptions (ack deadline 10 s, the least that Pub/Sub allows) and the run's manifest."""
        publisher, subscriber = pubsub_v1.PublisherClient(), pubsub_v1.SubscriberClient()
        with subscriber:
            for kind in ("raw", "clean", "dead"):
                topic = f"projects/{PROJECT}/topics/{kind}-{self.key}"
                publisher.create_topic(name=topic)
                week = {"seconds": 7 * 86_400}
                names = {f"{kind}-{self.key}-s"}
                if kind == "raw":
                    names |= {group_subscription(f"raw-{self.key}-s", group, groups) for group in range(groups)}
                for name in sorted(names):
                    subscriber.create_subscription(
                        request={
                            "name": f"projects/{PROJECT}/subscriptions/{name}", "topic": topic, "ack_deadline_seconds": 10,
                            "retain_acked_messages": True, "message_retention_duration": week,
                        }
                    )  # fmt: skip
        publisher.stop()
        publisher.transport.close()
        if run is not None:
            open_manifests(self.place).write_manifest(run.run_id, run.to_json())


def publish(topic: str, messages: Sequence[Message]) -> None:
    publisher = pubsub_v1.PublisherClient()
    for future in [publisher.publish(f"projects/{PROJECT}/topics/{topic}", m.data, **m.attributes) for m in messages]:
        future.result(30)
    publisher.stop()
    publisher.transport.close()


def waiting(subscription: str, limit: int = 1000) -> list[Message]:
    """Pulls (and acks) what waits there now; what others hold under a lease does not.

    The emulator answers at once, and with nothing only if there is nothing. The client's own `pull` frowns upon asking so.
    """
    found: list[Message] = []
    with pubsub_v1.SubscriberClient() as client:
        name = f"projects/{PROJECT}/subscriptions/{subscription}"
        at_once = pubsub_v1.types.PullRequest(subscription=name, max_messages=50, return_immediately=True)
        while (answer := client.transport.pull(at_once, timeout=60)).received_messages:
            found += [Message(r.message.data, dict(r.message.attributes)) for r in answer.received_messages]
            client.acknowledge(subscription=name, ack_ids=[r.ack_id for r in answer.received_messages])
    return found[:limit]


def seek(subscription: str, since: float) -> None:
    """Has everything delivered again that was published since then (UNIX seconds), acked or not."""
    with pubsub_v1.SubscriberClient() as client:
        at = dt.datetime.fromtimestamp(since, dt.UTC)
        client.seek(request={"subscription": f"projects/{PROJECT}/subscriptions/{subscription}", "time": at})


def push(subscription: str, url: str) -> None:
    """Has Pub/Sub push what the subscription gets, from now on."""
    with pubsub_v1.SubscriberClient() as client:
        name = f"projects/{PROJECT}/subscriptions/{subscription}"
        client.modify_push_config(request={"subscription": name, "push_config": {"push_endpoint": url}})


def letters_of(names: Names) -> list[str]:
    """The dead letters that wait in their subscription, each once."""
    letters = [row for message in waiting(f"dead-{names.key}-s") for row in from_message(message).to_pylist()]
    return sorted({f"{x['stage']} {x['reason']} {x['seq']} {x['station']}" for x in letters})
