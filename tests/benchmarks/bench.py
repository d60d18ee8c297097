"""`make bench`: rows per second of every part, and the ratios to the replaced system's loop, from one run on one machine.

    python tests/benchmarks/bench.py [--data FOLDER] [--loop-rows N] [--json]

With the real station-days (``--data``, or THUNDERCAST_REAL_DATA, or ``../shared/data``) the whole is a backtest of all of
them; without, of synthetic ones, and says so.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import seed_loop

from thundercast.adapters.sources import open_source
from thundercast.adapters.sources.base import SourceDate
from thundercast.domain import batch, runs, schema
from thundercast.domain.batch import Attributes
from thundercast.domain.cleaning import Cleaner
from thundercast.domain.models.thunder import Thunder
from thundercast.domain.rows import CleanRows
from thundercast_standalone.backtest import backtest

ROOT = Path(__file__).resolve().parents[2]
SYNTHETIC = "synthetic:5000,end=2022-12-31"


def _source_text(folder: Path | None) -> str:
    folder = folder or Path(os.environ.get("THUNDERCAST_REAL_DATA", ROOT.parent / "shared" / "data"))
    real = folder / "gsod_real.parquet"
    return f"file:{real}" if real.is_file() else SYNTHETIC


def _timed(work: Callable[[], int]) -> dict[str, Any]:
    began = time.perf_counter()
    rows = work()
    seconds = time.perf_counter() - began
    return {"rows": rows, "seconds": round(seconds, 3), "rows_per_second": round(rows / seconds)}


def _of(timing: seed_loop.Timing) -> dict[str, Any]:
    return {"rows": timing.rows, "seconds": round(timing.seconds, 3), "rows_per_second": round(timing.rows_per_second)}


def measure(source: str, loop_rows: int, cache: Path) -> dict[str, Any]:
    """All figures. The parts work on the first 120 dates in memory, the whole on the source from its date-sorted file."""
    opened = open_source(source, cache=cache)
    info = opened.open()
    end = min(info.end, info.start + dt.timedelta(days=119))
    # The first run on a machine compiles the kernels, which takes seconds and is kept: it is told apart.
    began = time.perf_counter()
    backtest(opened, info, [Thunder("nowcast")], end=min(end, info.start + dt.timedelta(days=2)))
    warmed = round(time.perf_counter() - began, 1)
    days: list[SourceDate] = list(opened.dates(info.start, end))
    cleaner = Cleaner()
    clean: list[CleanRows] = [cleaner.clean(day.rows, runs.ordinal(day.date)).rows for day in days]
    x, label = seed_loop.matrix_of(clean, loop_rows)
    rows = seed_loop.river_rows(x, label)
    parts: dict[str, dict[str, Any]] = {}
    parts["seed's loop (River: scaler, logistic, ROCAUC, accuracy, two predictions)"] = _of(seed_loop.seed_loop(rows))
    parts["River predict + learn"] = _of(seed_loop.river_predict_learn(rows))
    full_x, full_label = seed_loop.matrix_of(clean, 10**9)
    parts["logistic (row by row)"] = _of(seed_loop.logistic_kernel(full_x, full_label))
    parts["thunder (predict, learn)"] = _timed(lambda: _thunder(clean))
    parts["cleaner"] = _timed(lambda: _clean(days))
    parts["encode + decode, raw"] = _timed(lambda: _wire([day.rows for day in days], schema.RAW))
    parts["encode + decode, clean"] = _timed(lambda: _wire([c.to_arrow() for c in clean], schema.CLEAN))
    result = backtest(opened, info, [Thunder("nowcast")])
    parts["whole backtest (file to scores, one thunder model)"] = {
        "rows": result.rows, "seconds": round(result.seconds, 3), "rows_per_second": round(result.rows / result.seconds),
    }  # fmt: skip
    base = next(iter(parts.values()))["rows_per_second"]
    for figures in parts.values():
        figures["ratio"] = round(figures["rows_per_second"] / base, 2)
    return {
        "source": source.split("/")[-1], "synthetic": info.synthetic, "parts": parts,
        "logistic_to_river": round(parts["logistic (row by row)"]["rows_per_second"] / parts["River predict + learn"]["rows_per_second"], 1),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024), "machine": machine(),
        "first_three_dates_s": warmed, "date": dt.datetime.now(dt.UTC).date().isoformat(),
    }  # fmt: skip


def machine() -> str:
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        model = next((line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")), model)
    kind = "optimised" if seed_loop.optimised_interpreter() else "NOT optimised: the seed's loop is slower here than it could be"
    return f"{os.cpu_count()} cores, {model}, Python {platform.python_version()} ({kind})"


def resident(pid: int) -> float:
    """The resident memory of a process, in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _thunder(clean: list[CleanRows]) -> int:
    model = Thunder("nowcast")
    for rows in clean:
        model.predict(rows)
        model.learn(rows, rows.label)
        model.close_date(rows.date)
    return sum(map(len, clean))


def _clean(days: list[SourceDate]) -> int:
    cleaner = Cleaner()
    return sum(len(cleaner.clean(day.rows, runs.ordinal(day.date)).rows) for day in days)


def _wire(tables: list[pa.RecordBatch], kind: str) -> int:
    day = dt.date(2022, 1, 1)
    run = runs.Run(started="20220101T000000Z", source="bench", start=day, end=day, shards=1)
    attributes = Attributes.of(run, 0, kind)
    done = 0
    for table in tables:
        for start in range(0, table.num_rows, 750):
            rows, _ = batch.decode(batch.encode(table.slice(start, 750), attributes), attributes)
            done += rows.num_rows
    return done


def main() -> None:
    """Prints a table, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with gsod_real.parquet")
    parser.add_argument("--loop-rows", type=int, default=200_000, help="rows for River's loops (default 200000)")
    parser.add_argument("--cache", type=Path, default=None, help="folder of the sorted file (default: a temporary one)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        found = measure(_source_text(options.data), options.loop_rows, options.cache or Path(temporary))
    if options.json:
        json.dump(found, sys.stdout, indent=2)
        print()
        return
    print(f"{found['source']}{' (SYNTHETIC)' if found['synthetic'] else ''}; {found['machine']}; {found['date']}")
    print(f"{'part':75s} {'rows':>10s} {'rows/s':>12s} {'ratio':>8s}")
    for name, figures in found["parts"].items():
        print(f"{name:75s} {figures['rows']:10,d} {figures['rows_per_second']:12,d} {figures['ratio']:8.2f}")
    print(f"logistic to River predict + learn: {found['logistic_to_river']}; peak memory of it all: {found['peak_memory_mb']:,} MB")
    print(f"the first three dates, with what had to be compiled: {found['first_three_dates_s']} s")


if __name__ == "__main__":
    main()
