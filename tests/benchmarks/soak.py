"""Memory of every part while the stream runs fast for long, and while a hole holds the window open.

    python tests/benchmarks/soak.py [--minutes 10] [--rows-per-second 100000] [--store nowhere|bigquery]

Simulator, cleaner and trainer run as processes against the Pub/Sub emulator and fake-gcs-server, on SYNTHETIC rows. Each one's
resident memory is read every two seconds; after the first two minutes a line is fitted to it, and to what of it is in use
(`soaked.py`). In the end the simulator stops, and memory is read once more when the queue has run dry. The BigQuery emulator takes some
ten thousand rows a second, so by default the trainer's rows go nowhere; the cost of its own work is unchanged by that.
The Pub/Sub emulator keeps every message that it ever had, so it grows, and needs some 12 GB for ten minutes (``--heap``).

Then a trainer follows a run of which one batch never came: it holds a window full of batches, and gives back what is beyond.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import bench
import distributed
import numpy as np
from google.cloud import pubsub_v1

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import emulators
import local
from thundercast.adapters.google.pubsub_topics import group_subscription
from thundercast.adapters.google.storage_clients import ensure_bucket
from thundercast.adapters.places import open_manifests
from thundercast.adapters.settings import CloudSettings

PROJECT = "demo-project"
EVERY, WARM_UP = 2.0, 120.0  # s
SOURCE = "synthetic:5000,start=1960-01-01,end=2023-12-31"
SOAKED = Path(__file__).with_name("soaked.py")


def told(path: Path, since: float) -> dict[str, float]:
    """Slopes a minute of what a part said of its memory since a time (UNIX seconds)."""
    lines = [line for line in map(json.loads, path.read_text().splitlines()) if line["at"] >= since]
    minutes = [(line["at"] - since) / 60.0 for line in lines]
    names = [name for name in lines[0] if name != "at"] if len(lines) > 2 else []
    return {f"{name}_a_minute": round(float(np.polyfit(minutes, [line[name] for line in lines], 1)[0]), 2) for name in names}


def fitted(samples: list[tuple[float, float]], warm_up: float) -> dict[str, float]:
    """First, last and highest memory after the warm-up, and the fitted slope in MB a minute."""
    kept = [(t, mb) for t, mb in samples if t >= warm_up] or samples
    times, memory = np.array(kept).T
    slope = float(np.polyfit(times / 60.0, memory, 1)[0]) if len(kept) > 2 else float("nan")
    return {
        "first_mb": round(memory[0]),
        "last_mb": round(memory[-1]),
        "peak_mb": round(memory.max()),
        "slope_mb_a_minute": round(slope, 2),
    }


def _topics(groups: int) -> None:
    publisher = pubsub_v1.PublisherClient()
    with pubsub_v1.SubscriberClient() as subscriber:
        for topic, subscriptions in {
            "noaa-raw": ["noaa-raw-cleaner", *(group_subscription("noaa-raw-cleaner", g, groups) for g in range(groups))],
            "noaa-clean-for-ml": ["noaa-clean-for-ml-trainer"], "noaa-dead-letter": ["noaa-dead-letter-drain"],
        }.items():  # fmt: skip
            path = f"projects/{PROJECT}/topics/{topic}"
            publisher.create_topic(name=path)
            for name in dict.fromkeys(subscriptions):
                subscriber.create_subscription(
                    request={"name": f"projects/{PROJECT}/subscriptions/{name}", "topic": path, "ack_deadline_seconds": 15}
                )
    publisher.transport.close()


def measure(minutes: float, pace: float, store: str, folder: Path, heap: str = "14g") -> dict[str, Any]:
    """Runs the parts and returns what was fitted."""
    with emulators.all_of_them(folder, heap=heap) as (env, running):
        place = "gs://thundercast-soak/thundercast"
        os.environ |= env
        ensure_bucket(CloudSettings(project=PROJECT, checkpoints=place))
        _topics(1)
        if store == "bigquery":
            local.bootstrap({**env, "GOOGLE_CLOUD_PROJECT": PROJECT, "THUNDERCAST_CHECKPOINTS": place})
        common = {**env, "GOOGLE_CLOUD_PROJECT": PROJECT, "THUNDERCAST_CHECKPOINTS": place, "THUNDERCAST_MODELS": '["thunder"]'}
        system = local.System(common, folder)
        feed = {
            "THUNDERCAST_SOURCE": SOURCE,
            "THUNDERCAST_ROWS_PER_SECOND": str(pace),
            "THUNDERCAST_MAX_LEAD_DATES": "400",
            "THUNDERCAST_SHARDS": "7",
        }
        try:

            def start(part: str, extra: dict[str, str] | None = None) -> local.Part:
                command = [sys.executable, str(SOAKED), part, str(folder / f"{part}.memory"), store]
                return system.start(part, command, extra, port=emulators.free_port())

            trainer = start("trainer")
            start("cleaner")
            simulator = start("simulator", feed | {"THUNDERCAST_TRAINER_URL": trainer.url})
            pids = {part.name: part.process.pid for part in system.parts} | {one.name: one.process.pid for one in running}
            samples: dict[str, list[tuple[float, float]]] = {name: [] for name in pids}
            rows, began, began_at = [], time.monotonic(), time.time()
            while (now := time.monotonic() - began) < minutes * 60:
                system.check()
                for name, pid in pids.items():
                    samples[name].append((now, bench.resident(pid)))
                rows.append((now, _learnt(trainer)))
                time.sleep(EVERY)
            warm_up = min(WARM_UP, minutes * 60 / 4)
            settled = [(t, n) for t, n in rows if t >= warm_up]
            rate = (settled[-1][1] - settled[0][1]) / (settled[-1][0] - settled[0][0])
            parts = {name: fitted(found, warm_up) for name, found in samples.items()}
            for part in system.parts:
                parts[part.name]["in_use"] = told(folder / f"{part.name}.memory", began_at + warm_up)
            simulator.stop()
            _run_dry(trainer)
            for part in system.parts[:-1]:
                last = json.loads((folder / f"{part.name}.memory").read_text().splitlines()[-1])
                parts[part.name] |= {"dry_mb": round(bench.resident(part.process.pid)), "dry_in_use": last}
            return {"rows_per_second": round(rate), "rows": rows[-1][1], "parts": parts}
        finally:
            system.stop()


def _learnt(trainer: local.Part) -> int:
    try:
        return int(trainer.get("/v1/status")["rows"])
    except OSError:
        return 0


def _run_dry(trainer: local.Part, quiet: float = 15.0) -> None:
    """Waits until nothing was learnt for some seconds."""
    learnt, since = -1, time.monotonic()
    while time.monotonic() - since < quiet:
        if (now := _learnt(trainer)) != learnt:
            learnt, since = now, time.monotonic()
        time.sleep(EVERY)


def hole(minutes: float, folder: Path) -> dict[str, Any]:
    """Memory of a trainer that waits for a batch while 1,400 later ones are there."""
    with emulators.all_of_them(folder) as (env, _):
        os.environ |= env
        _topics(1)
        found = distributed.material(SOURCE, folder, 200)
        place = folder / "checkpoints"
        open_manifests(str(place)).write_manifest(found.run.run_id, found.run.to_json())
        distributed._publish("noaa-clean-for-ml", [message for seq, message in enumerate(found.clean) if seq != 1])
        common = {**env, "GOOGLE_CLOUD_PROJECT": PROJECT, "THUNDERCAST_CHECKPOINTS": str(place), "THUNDERCAST_MODELS": '["thunder"]'}
        system = local.System(common, folder)
        try:
            command = [sys.executable, str(SOAKED), "trainer", str(folder / "trainer.memory"), "nowhere"]
            trainer = system.start("trainer", command, port=emulators.free_port())
            samples, held, began = [], 0, time.monotonic()
            while (now := time.monotonic() - began) < minutes * 60:
                system.check()
                samples.append((now, bench.resident(trainer.process.pid)))
                if now > 10:
                    held = max(held, trainer.get("/v1/status")["window"])
                time.sleep(EVERY)
            return {"batches": len(found.clean) - 1, "held": held} | fitted(samples, minutes * 60 / 4)
        finally:
            system.stop()


def main() -> None:
    """Prints a table, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rows-per-second", type=float, default=100_000.0, help="pace of the simulator (default: 20 times the seed's)")
    parser.add_argument("--store", choices=("nowhere", "bigquery"), default="nowhere")
    parser.add_argument("--heap", default="14g", help="of the Pub/Sub emulator (default: 14g)")
    parser.add_argument("--no-hole", action="store_true", help="leave the trainer out that waits for a batch")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        found = measure(options.minutes, options.rows_per_second, options.store, Path(temporary) / "flow", options.heap)
        if not options.no_hole:
            found["hole"] = hole(min(options.minutes, 3.0), Path(temporary) / "hole")
    if options.json:
        json.dump(found, sys.stdout, indent=2)
        print()
        return
    print(
        f"SYNTHETIC rows; {found['rows_per_second']:,} rows/s learnt on average, {found['rows']:,} in all; store: {options.store}; {bench.machine()}"
    )
    print(f"{'part':24s} {'first MB':>9s} {'last MB':>9s} {'peak MB':>9s} {'run dry':>9s} {'MB/minute':>10s}  in use, a minute")
    for name, figures in found["parts"].items():
        in_use = ", ".join(f"{what.removesuffix('_a_minute')} {slope:+,.2f}" for what, slope in figures.get("in_use", {}).items())
        dry = f"{figures['dry_mb']:,d}" if "dry_mb" in figures else ""
        print(
            f"{name:24s} {figures['first_mb']:9,d} {figures['last_mb']:9,d} {figures['peak_mb']:9,d} {dry:>9s} "
            f"{figures['slope_mb_a_minute']:10.2f}  {in_use}"
        )
    if options.no_hole:
        return
    one = found["hole"]
    print(
        f"a trainer that waits for one batch, with {one['batches']:,} later ones there: {one['held']:,} held; "
        f"{one['first_mb']} to {one['last_mb']} MB, {one['slope_mb_a_minute']} MB a minute"
    )


if __name__ == "__main__":
    main()
