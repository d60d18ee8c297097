"""Runs the standalone system in processes that are killed, and prints what came of it as JSON.

    python restart_driver.py STATE CACHE PLAN

PLAN is JSON: ``settings`` (of `RunSettings`) and ``kills``, a list of {"point": name, "nth": n} (the process kills itself
when it reaches the point for the n-th time) or {"seconds": s} (it is killed from outside after so long). After the last
kill one more process runs to the end. Each process is forked from this one, which has loaded everything and run nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa

import thundercast_standalone.backtest
from thundercast.adapters.folder import FolderCheckpoints
from thundercast.adapters.settings import RunSettings
from thundercast.adapters.sqlite_reader import SqliteReader
from thundercast.domain.models import logistic, thunder
from thundercast_standalone.running import run

LOADED = (thundercast_standalone.backtest, logistic, thunder)
PATIENCE = 60.0  # seconds for one process; far more than it needs
NOT_COMPARED = {"run_id", "timestamp", "written_at"}


def _child(settings: RunSettings, cache: Path, kill: dict[str, Any] | None) -> int:
    """The exit status of a process that runs until it is killed or done."""
    pid = os.fork()
    if pid == 0:
        reached: Counter[str] = Counter()

        def gap(point: str) -> None:
            reached[point] += 1
            if kill is not None and kill.get("point") == point and reached[point] == kill["nth"]:
                os.kill(os.getpid(), signal.SIGKILL)

        code = 70
        try:
            code = run(settings, cache=cache, until_complete=True, gap=gap)
        finally:
            os._exit(code)
    until = time.monotonic() + PATIENCE
    kill_at = time.monotonic() + kill["seconds"] if kill and "seconds" in kill else None
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if kill_at is not None and time.monotonic() >= kill_at:
            os.kill(pid, signal.SIGKILL)
            kill_at = None
        if time.monotonic() > until:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise TimeoutError(f"the process did not end within {PATIENCE:g} s")
        time.sleep(0.01)


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    kept = [{k: v for k, v in row.items() if k not in NOT_COMPARED} for row in table.to_pylist()]
    return sorted(kept, key=lambda row: json.dumps(row, default=str, sort_keys=True))


def _digest(rows: list[dict[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(rows, default=str, sort_keys=True).encode()).hexdigest()


def outcome(state: Path) -> dict[str, Any]:
    """What a finished run left: digests of its rows and of each model's canonical state, and some counts."""
    checkpoint = FolderCheckpoints(state / "checkpoints").load()
    assert checkpoint is not None
    models = {
        name: hashlib.sha256(a.tobytes()).hexdigest() for name, a in checkpoint.arrays.items() if "/models/" in name or "/scores/" in name
    }
    reader = SqliteReader(state / "store.sqlite")
    run_id = reader.runs().to_pylist()[0]["run_id"]
    metrics = _rows(reader.metrics(run_id))
    predictions = {}
    for task in ("nowcast", "dayahead"):
        last = reader.latest_date(run_id, task=task, model="thunder")
        predictions[task] = _digest(_rows(reader.predictions(run_id, last, task=task, model="thunder"))) if last else ""
    counts = checkpoint.meta["loop"]["counts"]
    letters = {row["reason"]: row["count"] for row in reader.dead_letter_counts(run_id).to_pylist()}
    reader.close()
    return {
        "models": models, "metrics": _digest(metrics), "metric_rows": len(metrics), "predictions": predictions, "dead_letters": letters,
        "rows": counts["rows"], "batches": counts["batches"], "gaps": counts["gaps"],
    }  # fmt: skip


def main() -> None:
    """Carries out a plan."""
    state, cache, plan = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    settings = RunSettings(**plan["settings"], state=state, metrics_port=0, dashboard=False)
    killed = 0
    for kill in [*plan["kills"], None]:
        code = _child(settings, cache, kill)
        killed += code == -signal.SIGKILL
        if code == 0:
            break
        if code != -signal.SIGKILL:
            raise SystemExit(f"a process ended with {code}")
    print(json.dumps({"killed": killed, **outcome(state)}))


if __name__ == "__main__":
    main()
