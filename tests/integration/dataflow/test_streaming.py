"""The pipeline as a process on Beam's DirectRunner, against Google's Pub/Sub emulator: what comes out equals the core's cleaning.

DirectRunner acknowledges at once and keeps state in memory: nothing is killed here.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core.exceptions import DeadlineExceeded
from google.cloud import pubsub_v1

import emulators
from thundercast.adapters.feeding import messages_of, run_of
from thundercast.adapters.sources.sample import SampleSource
from thundercast.domain.batch import Attributes, Message, decode
from thundercast.domain.runs import Run
from thundercast.stage.letters import from_message
from thundercast.stage.steps import CleanStep

pytestmark = [pytest.mark.usefixtures("pubsub_emulator"), pytest.mark.slow]

PROJECT = "demo-project"
SOURCE = "sample"
DATES = 3
SHARDS = 4
STARTS_AND_CLEANS_WITHIN = 400.0  # s


@dataclass(frozen=True)
class Meeting:
    """Topics and subscriptions of one test."""

    raw: str
    raw_subscription: str
    clean: str
    clean_subscription: str
    letters: str
    letters_subscription: str


@pytest.fixture
def meeting(pubsub_emulator: emulators.Running) -> Meeting:
    tag = uuid.uuid4().hex[:8]
    publisher = pubsub_v1.PublisherClient()
    names = []
    with pubsub_v1.SubscriberClient() as subscriber:
        for kind in ("raw", "clean", "letters"):
            topic, subscription = f"projects/{PROJECT}/topics/{kind}-{tag}", f"projects/{PROJECT}/subscriptions/{kind}-{tag}"
            publisher.create_topic(name=topic)
            subscriber.create_subscription(name=subscription, topic=topic)
            names += [topic, subscription]
    publisher.transport.close()
    return Meeting(*names)


@contextmanager
def cleaning(meeting: Meeting, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The pipeline in a process of its own; its log is in the folder."""
    command = [
        sys.executable, "-m", "thundercast_dataflow", "streaming", f"--project={PROJECT}", f"--checkpoints={folder / 'checkpoints'}",
        f"--raw_subscription={meeting.raw_subscription}", f"--clean_topic={meeting.clean}", f"--dead_letter_topic={meeting.letters}",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ}, cwd=folder)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(120)


def publish(topic: str, messages: list[Message]) -> None:
    publisher = pubsub_v1.PublisherClient()
    for future in [publisher.publish(topic, m.data, **m.attributes) for m in messages]:
        future.result(30)
    publisher.transport.close()


def collect(subscription: str, count: int, process: subprocess.Popen[bytes], log: Path) -> list[Message]:
    """So many messages, and whatever comes at once with them."""
    found: list[Message] = []
    until = time.monotonic() + STARTS_AND_CLEANS_WITHIN
    with pubsub_v1.SubscriberClient() as subscriber:
        while len(found) < count and time.monotonic() < until:
            assert process.poll() is None, log.read_text()
            try:
                answer = subscriber.pull(subscription=subscription, max_messages=20, timeout=20, return_immediately=False)
            except DeadlineExceeded:
                continue  # a pipeline may take longer than that to start
            found += [Message(r.message.data, dict(r.message.attributes)) for r in answer.received_messages]
            if answer.received_messages:
                subscriber.acknowledge(subscription=subscription, ack_ids=[r.ack_id for r in answer.received_messages])
    assert len(found) >= count, f"{len(found)} of {count} messages came\n{log.read_text()[-5000:]}"
    return found


def raw_run() -> tuple[Run, list[Message]]:
    source = SampleSource()
    info = source.open()
    run = run_of(
        info, started=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), shards=SHARDS, version="test", end=info.start + dt.timedelta(days=DATES - 1)
    )
    return run, [m for day in source.dates(run.start, run.end) for m in messages_of(day, run)[0]]


def rows(message: Message) -> pa.RecordBatch:
    return decode(message, Attributes.from_text(message.attributes))[0]


def test_shuffled_repeated_and_broken_messages_come_out_as_the_core_cleans_them(meeting: Meeting, tmp_path: Path) -> None:
    run, messages = raw_run()
    broken = Message(b"garbage", dict(messages[7].attributes))
    in_order = [*messages[:7], broken, *messages[8:]]
    step = CleanStep()
    wanted = {int(m.attributes["seq"]): m for raw in in_order for m in step.apply(Attributes.from_text(raw.attributes), raw).messages}
    sent = [*in_order, in_order[0], in_order[5], Message(b"stray", {"from": "nowhere"})]
    random.Random(11).shuffle(sent)
    with cleaning(meeting, tmp_path) as process:
        publish(meeting.raw, sent)
        clean = collect(meeting.clean_subscription, len(wanted), process, tmp_path / "log")
        letters = collect(meeting.letters_subscription, 2, process, tmp_path / "log")
    assert sorted(int(m.attributes["seq"]) for m in clean) == sorted(wanted), "every number once"
    for message in clean:
        ours = wanted[int(message.attributes["seq"])]
        assert dict(message.attributes) == dict(ours.attributes)
        assert rows(message).equals(rows(ours))
    aside = {row["reason"]: row for letter in letters for row in from_message(letter).to_pylist()}
    assert sorted(aside) == ["unaddressed", "undecodable"]
    assert (aside["unaddressed"]["payload"], aside["undecodable"]["payload"]) == (b"stray", b"garbage")
    assert (aside["undecodable"]["run_id"], aside["undecodable"]["seq"], aside["undecodable"]["stage"]) == (run.run_id, 7, "cleaner")


def test_batch_mode_writes_the_rows_of_the_stream(tmp_path: Path) -> None:
    run, messages = raw_run()
    step = CleanStep()
    wanted = [rows(m) for raw in messages for m in step.apply(Attributes.from_text(raw.attributes), raw).messages]
    command = [
        sys.executable, "-m", "thundercast_dataflow", "batch", f"--input={SOURCE}", f"--output={tmp_path / 'out'}", f"--end={run.end}",
        "--shards=2", f"--cache={tmp_path / 'cache'}",
    ]  # fmt: skip
    subprocess.run(command, check=True, timeout=400, cwd=tmp_path, capture_output=True)
    order = [("date", "ascending"), ("station", "ascending")]
    found = pa.concat_tables([pq.read_table(path) for path in sorted((tmp_path / "out").glob("clean-*.parquet"))])
    assert found.sort_by(order).equals(pa.Table.from_batches(wanted).sort_by(order))


def run_streaming(meeting: Meeting, tmp_path: Path, **other: str) -> subprocess.CompletedProcess[str]:
    """A start that fails."""
    names = {"raw_subscription": meeting.raw_subscription, "clean_topic": meeting.clean, "dead_letter_topic": meeting.letters} | other
    command = [sys.executable, "-m", "thundercast_dataflow", "streaming", f"--project={PROJECT}", f"--checkpoints={tmp_path}"]
    flags = [f"--{name}={value}" for name, value in names.items()]
    return subprocess.run([*command, *flags], capture_output=True, text=True, timeout=400, cwd=tmp_path)


@pytest.mark.parametrize(
    ("option", "kind"), [("raw_subscription", "subscriptions"), ("clean_topic", "topics"), ("dead_letter_topic", "topics")]
)
def test_what_does_not_exist_is_one_line_that_names_it_and_what_mends_it(meeting: Meeting, tmp_path: Path, option: str, kind: str) -> None:
    missing = f"projects/{PROJECT}/{kind}/not-there"
    ended = run_streaming(meeting, tmp_path, **{option: missing})
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert missing in line
    assert "`thundercast bootstrap` makes it" in line


def test_a_topic_that_nobody_reads_is_not_published_to(meeting: Meeting, tmp_path: Path) -> None:
    with pubsub_v1.SubscriberClient() as subscriber:
        subscriber.delete_subscription(subscription=meeting.clean_subscription)
    ended = run_streaming(meeting, tmp_path)
    assert ended.returncode == 1
    assert f"topic {meeting.clean} has no subscription" in ended.stderr
