"""Rates of the distributed system against the stand-ins, beside the one-process rate of the same run: part of `make bench`.

    python tests/benchmarks/distributed.py [--data FOLDER] [--dates 60] [--json]

Everything is on one machine, so the emulators take their share of its cores: what a part reaches alone is higher.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bench
import pyarrow as pa
import pyarrow.parquet as pq
from google.cloud import pubsub_v1

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import emulators
from thundercast.adapters.feeding import messages_of, run_of
from thundercast.adapters.filelock import FileLock
from thundercast.adapters.folder import FolderCheckpoints
from thundercast.adapters.google.bigquery_schema import ensure_tables
from thundercast.adapters.google.bigquery_store import BigQueryStore
from thundercast.adapters.google.pubsub_publisher import PubSubPublisher
from thundercast.adapters.google.pubsub_subscription import PubSubSubscription
from thundercast.adapters.settings import CloudSettings
from thundercast.adapters.sources import open_source
from thundercast.domain.batch import Attributes, Message
from thundercast.domain.models import registry
from thundercast.domain.runs import Run
from thundercast.domain.tables import Table
from thundercast.stage.loop import StageLoop
from thundercast.stage.protocols import RowWriter, Step
from thundercast.stage.settings import LoopSettings
from thundercast.stage.steps import ChainedStep, CleanStep, TrainStep
from thundercast.stage.unconfirmed import Outlets

PROJECT = "demo-project"
ROWS_A_BATCH = 750


class Nowhere:
    """Takes rows and forgets them: what a loop does without the cost of a store."""

    def write(self, table: Table, rows: pa.Table) -> None:
        pass


@dataclass
class Material:
    """A run's batches, raw and clean."""

    run: Run
    raw: list[Message]
    clean: list[Message]
    rows: int


def material(source_text: str, cache: Path, dates: int) -> Material:
    """Some dates of the source, in as many shards as give about 750 rows a batch."""
    source = open_source(source_text, cache=cache)
    info = source.open()
    end = info.start + dt.timedelta(days=dates - 1)
    days = list(source.dates(info.start, end))
    rows = sum(day.rows.num_rows for day in days)
    run = run_of(info, started=dt.datetime.now(dt.UTC), shards=max(1, round(rows / dates / ROWS_A_BATCH)), version="bench", end=end)
    raw = [message for day in days for message in messages_of(day, run)[0]]
    step = CleanStep()
    clean = [m for message in raw for m in step.apply(Attributes.from_text(message.attributes), message).messages]
    return Material(run, raw, clean, rows)


def _timed(rows: int, work: Callable[[], object]) -> dict[str, Any]:
    began = time.perf_counter()
    work()
    seconds = time.perf_counter() - began
    return {"rows": rows, "seconds": round(seconds, 2), "rows_per_second": round(rows / seconds)}


def _topic(name: str) -> None:
    publisher = pubsub_v1.PublisherClient()
    with pubsub_v1.SubscriberClient() as subscriber:
        topic = f"projects/{PROJECT}/topics/{name}"
        publisher.create_topic(name=topic)
        subscriber.create_subscription(
            request={"name": f"projects/{PROJECT}/subscriptions/{name}-s", "topic": topic, "ack_deadline_seconds": 60}
        )
    publisher.transport.close()


def _publish(name: str, messages: Sequence[Message]) -> None:
    with PubSubPublisher(PROJECT, name, timeout=300.0) as publisher:
        for at in range(0, len(messages), 256):
            publisher.publish(messages[at : at + 256])


def _pull(name: str, count: int) -> None:
    with PubSubSubscription(PROJECT, f"{name}-s", ack_deadline=60) as subscription:
        seen = 0
        while seen < count:
            found = subscription.pull(256, 5.0)
            subscription.ack([delivery.token for delivery in found])
            seen += len(found)


def _loop(found: Material, step: Step, name: str, folder: Path, *, out: str | None, store: RowWriter) -> dict[str, Any]:
    """A stage loop over the subscription until the run is complete, its last checkpoint included."""
    checkpoints = FolderCheckpoints(folder / name)
    checkpoints.write_manifest(found.run.run_id, found.run.to_json())
    with PubSubSubscription(PROJECT, f"{name}-s", ack_deadline=60) as subscription:
        publisher = PubSubPublisher(PROJECT, out) if out else None
        loop = StageLoop(
            name, step, subscription=subscription, checkpoints=checkpoints, lock=FileLock(folder / f"{name}.lock"),
            outlets=Outlets(messages=publisher, store=store), settings=LoopSettings(ack_deadline=60.0),
        )  # fmt: skip
        timing = _timed(found.rows, lambda: loop.run(until_complete=found.run.run_id))
        if publisher is not None:
            publisher.close()
    return timing


def _train() -> TrainStep:
    return TrainStep(lambda: [registry.make("thunder", "nowcast")])


def measure(source_text: str, cache: Path, dates: int) -> dict[str, Any]:
    """All figures."""
    found = material(source_text, cache, dates)
    wire = {kind: round(sum(m.size for m in messages) / found.rows, 1) for kind, messages in (("raw", found.raw), ("clean", found.clean))}
    parts: dict[str, dict[str, Any]] = {}

    def one_process() -> None:
        step = ChainedStep(CleanStep(), _train())
        for message in found.raw:
            step.apply(Attributes.from_text(message.attributes), message)

    one_process()  # compiles the kernels
    parts["one process: decode, clean, train (thunder, nowcast)"] = _timed(found.rows, one_process)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with emulators.all_of_them(folder / "logs") as (env, _):
            os.environ |= env
            for name in ("wire", "raw", "clean", "bare", "stored"):
                _topic(name)
            parts["publish (clean batches)"] = _timed(found.rows, lambda: _publish("wire", found.clean))
            parts["pull and ack (clean batches)"] = _timed(found.rows, lambda: _pull("wire", len(found.clean)))
            _publish("raw", found.raw)
            parts["cleaner worker (pull, clean, publish)"] = _loop(found, CleanStep(), "raw", folder, out="clean", store=Nowhere())
            _publish("bare", found.clean)
            parts["trainer, pull mode, rows to nowhere"] = _loop(found, _train(), "bare", folder, out=None, store=Nowhere())
            settings = CloudSettings(project=PROJECT, dataset="bench")
            ensure_tables(settings)
            _publish("stored", found.clean)
            with BigQueryStore(settings) as store:
                parts["trainer, pull mode, rows to the BigQuery emulator"] = _loop(found, _train(), "stored", folder, out=None, store=store)
        parts["Beam, batch, one core (DirectRunner, parquet to parquet)"] = _beam(source_text, folder, cache, found)
    base = next(iter(parts.values()))["rows_per_second"]
    for figures in parts.values():
        figures["ratio"] = round(figures["rows_per_second"] / base, 2)
    return {
        "source": source_text.split("/")[-1], "batches": len(found.raw), "rows_a_batch": round(found.rows / len(found.raw)),
        "bytes_a_row": wire, "parts": parts, "machine": bench.machine(), "date": dt.datetime.now(dt.UTC).date().isoformat(),
    }  # fmt: skip


def _beam(source_text: str, folder: Path, cache: Path, found: Material) -> dict[str, Any]:
    """The rate over the whole source, start of the interpreter included."""
    out = folder / "beam"
    command = [sys.executable, "-m", "thundercast_dataflow", "batch", "--input", source_text, "--output", str(out), "--shards", "1"]
    timing = _timed(1, lambda: subprocess.run([*command, "--cache", str(cache)], check=True, capture_output=True, timeout=600) and None)
    rows = sum(pq.read_metadata(path).num_rows for path in out.glob("clean-*.parquet"))
    return timing | {"rows": rows, "rows_per_second": round(rows / timing["seconds"])}


def main() -> None:
    """Prints a table, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with gsod_real.parquet")
    parser.add_argument("--dates", type=int, default=60, help="dates through the emulators (default 60)")
    parser.add_argument("--cache", type=Path, default=None, help="folder of the sorted file (default: a temporary one)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as temporary:
            found = measure(bench._source_text(options.data), options.cache or Path(temporary), options.dates)
    except emulators.Missing as missing:
        print(f"the distributed rates are left out: {missing}", file=sys.stderr)
        return
    if options.json:
        json.dump(found, sys.stdout, indent=2)
        print()
        return
    print(f"{found['source']}; {found['rows_a_batch']} rows a batch; {found['machine']}; {found['date']}")
    print(f"{'part':60s} {'rows':>10s} {'rows/s':>12s} {'ratio':>8s}")
    for name, figures in found["parts"].items():
        print(f"{name:60s} {figures['rows']:10,d} {figures['rows_per_second']:12,d} {figures['ratio']:8.2f}")
    print(f"bytes a row on the wire: raw {found['bytes_a_row']['raw']}, clean {found['bytes_a_row']['clean']}")


if __name__ == "__main__":
    main()
