"""How long `POST /v1/predict` takes, asked from another process, with nothing beside it and with a trainer that learns in the same process.

    python tests/benchmarks/serving.py [--data FOLDER] [--rows 100] [--requests 400] [--pace 5000]

With the real station-days (``--data``, or THUNDERCAST_REAL_DATA, or ``../shared/data``) or else with synthetic ones, and says so.
"""

from __future__ import annotations

import argparse
import datetime as dt
import http.client
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bench
import numpy as np
import pyarrow as pa
from prometheus_client import CollectorRegistry

from thundercast.adapters.metrics import Metrics
from thundercast.adapters.service import serving
from thundercast.adapters.sources import open_source
from thundercast.domain import schema
from thundercast.domain.batch import Attributes, Message, encode
from thundercast.domain.models import registry
from thundercast.domain.runs import Run
from thundercast.domain.stations import keys_of, shards_of
from thundercast.stage.status import LoopStatus
from thundercast.stage.steps import CleanStep, TrainStep
from thundercast_trainer.api import api_routes
from thundercast_trainer.pauses import keep_pauses_short
from thundercast_trainer.problems import BODY_LIMIT
from thundercast_trainer.serving import ServedStep

PAUSE = 0.02  # s between two requests


def measure(
    source: str, cache: Path, *, rows: int = 100, requests: int = 400, pace: float = 5000.0, dates: int = 120, learnt: int = 40
) -> dict[str, Any]:
    """Latencies in milliseconds, idle and while learning ``pace`` rows a second.

    Args:
        rows: of a request: raw rows of the date after the last one learnt before the measurement.
        dates, learnt: of the source, and how many of them are learnt before.
    """
    keep_pauses_short()
    opened = open_source(source, cache=cache)
    info = opened.open()
    end = min(info.end, info.start + dt.timedelta(days=dates - 1))
    days = [day.rows for day in opened.dates(info.start, end)]
    run = Run(started="20240101T000000Z", source="bench", start=info.start, end=end)
    messages = _messages(days, run)
    step = ServedStep(TrainStep(lambda: [registry.make(n, t) for t in ("nowcast", "dayahead") for n in ("thunder", "river-logistic")]))
    for message in itertools.islice(messages, learnt * run.shards):
        step.apply(*message)
    body = json.dumps({"rows": [_question(row) for row in days[learnt].slice(0, rows).to_pylist()]})
    began = time.perf_counter()
    snapshot = step.snapshot()
    published = time.perf_counter() - began
    if snapshot is None:
        raise ValueError("nothing was learnt: there is nothing to ask")
    exposed = CollectorRegistry()
    routes = api_routes(step.snapshot, lambda: LoopStatus(component="trainer"), Metrics(exposed, version="bench"))
    with serving(host="127.0.0.1", port=0, readiness=dict, exposed=exposed, more=routes, limit=BODY_LIMIT) as port:

        def ask() -> list[float]:
            return _asked_from_another_process(port, body, requests)

        ask()
        idle = ask()
        trained, learning = _beside(_training(step, messages, pace), ask)
    return {
        "source": source.split("/")[-1], "synthetic": info.synthetic, "machine": bench.machine(), "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "stations": len(snapshot.stations), "rows_a_request": rows, "requests": requests, "copy_ms": round(1000 * published, 1),
        "idle_ms": _percentiles(idle), "learning_ms": _percentiles(learning), "rows_learnt_per_second": round(trained),
    }  # fmt: skip


def _question(row: dict[str, Any]) -> dict[str, Any]:
    observations = {k: v for k, v in row.items() if k not in ("station", "date")}
    return {"station": row["station"], "date": row["date"].isoformat(), "observations": observations}


def _messages(days: list[pa.RecordBatch], run: Run) -> Iterator[tuple[Attributes, Message]]:
    """The clean batches of the days, as a trainer gets them."""
    cleaner = CleanStep()
    for number, rows in enumerate(days):
        shards = shards_of(keys_of(rows.column("station")), run.shards)
        for shard in range(run.shards):
            attributes = Attributes.of(run, number * run.shards + shard, schema.RAW)
            raw = encode(rows.take(pa.array(np.flatnonzero(shards == shard))), attributes)
            (clean,) = cleaner.apply(attributes, raw).messages
            yield Attributes.from_text(clean.attributes), clean


def _training(step: ServedStep, messages: Iterator[tuple[Attributes, Message]], pace: float) -> Callable[[threading.Event], float]:
    # Cleaned before, so that only training runs beside the requests.
    batches = list(messages)

    def train(ended: threading.Event) -> float:
        began, rows = time.perf_counter(), 0
        for attributes, message in batches:
            rows += step.apply(attributes, message).row_count
            if ended.wait(max(0.0, rows / pace - (time.perf_counter() - began))):
                break
        return rows / (time.perf_counter() - began)

    return train


def _beside(work: Callable[[threading.Event], float], ask: Callable[[], list[float]]) -> tuple[float, list[float]]:
    ended, found = threading.Event(), [0.0]

    def run() -> None:
        found[0] = work(ended)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        latencies = ask()
        if not thread.is_alive():
            print("the dates ran out before the requests did: give more --dates", file=sys.stderr)
    finally:
        ended.set()
        thread.join()
    return found[0], latencies


def _asked_from_another_process(port: int, body: str, requests: int) -> list[float]:
    """Latencies in seconds; the client must not share the server's interpreter."""
    command = [sys.executable, __file__, "--client", str(port), "--requests", str(requests)]
    done = subprocess.run(command, input=body, capture_output=True, text=True, check=True)
    found: list[float] = json.loads(done.stdout)
    return found


def _client(port: int, requests: int) -> None:
    body, latencies = sys.stdin.read(), []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for _ in range(requests):
        time.sleep(PAUSE)
        began = time.perf_counter()
        connection.request("POST", "/v1/predict", body)
        response = connection.getresponse()
        response.read()
        latencies.append(time.perf_counter() - began)
        if response.status != 200:
            raise SystemExit(f"status {response.status}")
    json.dump(latencies, sys.stdout)


def _percentiles(seconds: list[float]) -> dict[str, float]:
    p50, p90, p99 = np.percentile(seconds, [50, 90, 99])
    return {"p50": round(1000 * p50, 1), "p90": round(1000 * p90, 1), "p99": round(1000 * p99, 1), "max": round(1000 * max(seconds), 1)}


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with gsod_real.parquet")
    parser.add_argument("--cache", type=Path, help="folder of the sorted file (default: a temporary one)")
    parser.add_argument("--rows", type=int, default=100, help="rows a request (default 100)")
    parser.add_argument("--requests", type=int, default=400, help="requests a measurement (default 400)")
    parser.add_argument("--pace", type=float, default=5000.0, help="rows learnt a second (default 5000)")
    parser.add_argument("--dates", type=int, default=120, help="dates of the source that are used (default 120)")
    parser.add_argument("--client", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client is not None:
        _client(options.client, options.requests)
        return
    with tempfile.TemporaryDirectory() as temporary:
        cache = options.cache or Path(temporary)
        found = measure(
            bench._source_text(options.data), cache, rows=options.rows, requests=options.requests, pace=options.pace, dates=options.dates
        )
    json.dump(found, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
