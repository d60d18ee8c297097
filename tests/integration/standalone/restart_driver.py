"""Runs the standalone system in processes that are killed, and prints what came of it as JSON.

    python restart_driver.py STATE CACHE PLAN

PLAN is JSON: ``settings`` (of `RunSettings`) and ``kills``, a list of {"point": name, "nth": n} (the process kills itself
when it reaches the point for the n-th time) or {"seconds": s} (it is killed from outside after so long). After the last
kill one more process runs to the end. Each process is forked from this one, which has loaded everything and run nothing.
With ``disorder`` (of `Disordered`) the topic shuffles batches and repeats some of them.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

import thundercast_standalone.backtest
import thundercast_standalone.running
from thundercast.adapters.folder import FolderCheckpoints
from thundercast.adapters.memory import MemoryTopic
from thundercast.adapters.settings import RunSettings
from thundercast.adapters.sqlite_reader import SqliteReader
from thundercast.domain.batch import Message
from thundercast.domain.models import logistic, thunder
from thundercast_standalone.running import run

LOADED = (thundercast_standalone.backtest, logistic, thunder)
PATIENCE = 300.0  # seconds for one process; far more than it needs
NOT_COMPARED = {"run_id", "timestamp", "written_at"}


class Disordered(MemoryTopic):
    """A topic that hands batches on in a random order within ``reach`` batches, some twice, and some again much later."""

    def __init__(self, *, capacity: int, seed: int, reach: int, repeated: float) -> None:
        # The oldest batch may be behind all that was given back: there has to be room for it.
        super().__init__(capacity=max(capacity, 4 * reach))
        self._random = random.Random(seed)
        self._reach = reach
        self._repeated = repeated
        self._held: list[Message] = []
        self._old: list[Message] = []

    def publish(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self._held.append(message)
            if len(self._held) < self._reach and message.attributes["last"] == "false":
                continue
            again = [m for m in (*self._held, *self._old) if self._random.random() < self._repeated]
            self._old = (self._old + self._held)[-10 * self._reach :]
            out = self._held + again
            self._held = []
            self._random.shuffle(out)
            super().publish(out)


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


def _digest(rows: list[Any]) -> str:
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
    run = reader.runs().to_pylist()[0]
    dates = [run["start_date"] + dt.timedelta(n) for n in range((run["end_date"] - run["start_date"]).days + 2)]  # and the day ahead
    names = sorted({(row["task"], row["model_name"]) for row in metrics})
    predictions = {
        f"{task}/{name}": [_rows(reader.predictions(run_id, date, task=task, model=name)) for date in dates] for task, name in names
    }
    final = {
        f"{row['task']}/{row['model_name']}/{row['gate']}": row
        for row in metrics
        if row["scope"] == "run" and row["date"] == run["end_date"]
    }
    counts = checkpoint.meta["loop"]["counts"]
    letters = {row["reason"]: row["count"] for row in reader.dead_letter_counts(run_id).to_pylist()}
    reader.close()
    return {
        "models": models, "metrics": _digest(metrics), "metric_rows": len(metrics), "final": json.loads(json.dumps(final, default=str)),
        "predictions": {name: _digest(rows) for name, rows in predictions.items()},
        "prediction_rows": sum(len(rows) for by_date in predictions.values() for rows in by_date),
        "dead_letters": letters, "rows": counts["rows"], "batches": counts["batches"], "gaps": counts["gaps"],
        "duplicates": counts["duplicates"],
    }  # fmt: skip


def main() -> None:
    """Carries out a plan."""
    state, cache, plan = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    settings = RunSettings(**plan["settings"], state=state, metrics_port=0, dashboard=False)
    if disorder := plan.get("disorder"):
        thundercast_standalone.running.MemoryTopic = partial(Disordered, **disorder)  # type: ignore[misc]
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
