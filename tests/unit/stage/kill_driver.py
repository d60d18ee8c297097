"""Runs a stage in child processes that kill themselves at a point, until one comes to the end; prints what is left.

``python kill_driver.py FOLDER POINT...``: for each point two children die when they reach it for the first time, one when it
does for the second time; then one is left alone. With the point ``none`` nobody dies. What outlives a process is in files.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pyarrow as pa

from thundercast.adapters.filelock import FileLock
from thundercast.adapters.folder import FolderCheckpoints
from thundercast.domain.batch import Message
from thundercast.domain.tables import Table
from thundercast.stage.loop import StageLoop
from thundercast.stage.protocols import Delivery
from thundercast.stage.settings import LoopSettings
from thundercast.stage.unconfirmed import Outlets
from unit.stage.scene import POISON, CountingStep, a_run, message

RUN = a_run(dates=8, shards=4)
UNADDRESSED = Message(b"who am I?", {"hello": "there"})
DEATHS = (1, 1, 2)


class Journal:
    """Lines in a file: once written they outlive a SIGKILL."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, lines: Sequence[Any]) -> None:
        with self.path.open("a") as file:
            file.write("".join(json.dumps(line) + "\n" for line in lines))

    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []


class Broker:
    """Delivers what nobody has acked, a little shuffled and sometimes twice, anew in each process."""

    def __init__(self, folder: Path) -> None:
        self.acks = Journal(folder / "acked")
        messages = {str(seq): message(RUN, seq, POISON if seq in (9, 31) else None) for seq in range(RUN.batches)}
        messages["unaddressed"] = UNADDRESSED
        messages["30 again"] = message(RUN, 30)
        acked = {name for line in self.acks.lines() for name in line}
        order = [name for name in messages if name not in acked]
        rng = random.Random(len(acked))
        order.sort(key=lambda name: (int(name) if name.isdigit() else 15) + rng.uniform(0, 5))
        self.unacked = set(order)
        self.queue = [Delivery(messages[name], f"{name}/{copy}", 0.0) for name in order for copy in range(1 + (rng.random() < 0.2))]

    def pull(self, limit: int, timeout: float) -> list[Delivery]:
        pulled, self.queue = self.queue[:limit], self.queue[limit:]
        return pulled

    def ack(self, tokens: Sequence[str]) -> None:
        names = sorted({token.rpartition("/")[0] for token in tokens})
        self.acks.append([names])
        self.unacked -= set(names)

    def nack(self, tokens: Sequence[str]) -> None:
        raise AssertionError("the window is large enough")

    def extend(self, tokens: Sequence[str]) -> None: ...

    def seek(self, time: float) -> None:
        raise AssertionError("no checkpoint is bad")

    def close(self) -> None: ...


class PublishedLines:
    def __init__(self, folder: Path) -> None:
        self.journal = Journal(folder / "published")

    def publish(self, messages: Sequence[Message]) -> None:
        self.journal.append([[m.attributes["message_id"], m.data.decode()] for m in messages])


class StoreLines:
    def __init__(self, folder: Path) -> None:
        self.journal = Journal(folder / "rows")

    def write(self, table: Table, rows: pa.Table) -> None:
        lines = [[table.name, [str(row[k]) for k in table.key], {k: str(v) for k, v in row.items()}] for row in rows.to_pylist()]
        self.journal.append(lines)


def killing(point: str, nth: int) -> Callable[[str], None]:
    hits = 0

    def gap(name: str) -> None:
        nonlocal hits
        hits += name == point
        if name == point and hits == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    return gap


def live(folder: Path, point: str, nth: int) -> None:
    """One process's life."""
    step, broker, gap = CountingStep(), Broker(folder), killing(point, nth)
    loop = StageLoop(
        "test", step, subscription=broker, checkpoints=FolderCheckpoints(folder / "checkpoints", gap=gap),
        lock=FileLock(folder / "lock"), outlets=Outlets(messages=PublishedLines(folder), store=StoreLines(folder)),
        settings=LoopSettings(window=16, pull_limit=5, poll=0.01, checkpoint_min=0.0, checkpoint_every=0.0, unacked=16), gap=gap,
    )  # fmt: skip
    loop.run(until_complete=RUN.run_id)
    (folder / "result").write_text(hashlib.sha256(step.canonical()).hexdigest() + " " + json.dumps(step.log))
    (folder / "unacked").write_text(json.dumps(sorted(broker.unacked)))


def child(folder: Path, point: str, nth: int) -> int:
    """The signal that ended a child, or its exit code negated."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            live(folder, point, nth)
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status)


def run(folder: Path, point: str) -> dict[str, Any]:
    """Kills as often as planned, lets the last one live, and reads what is left."""
    folder.mkdir()
    FolderCheckpoints(folder / "checkpoints").write_manifest(RUN.run_id, RUN.to_json())
    deaths = [child(folder, point, nth) for nth in DEATHS] if point != "none" else []
    last = child(folder, "none", 0)
    published: dict[str, set[str]] = {}
    for name, data in Journal(folder / "published").lines():
        published.setdefault(name, set()).add(data)
    rows = {f"{table} {key}": row for table, key, row in Journal(folder / "rows").lines()}
    return {
        "deaths": deaths, "last": last, "result": (folder / "result").read_text(), "unacked": json.loads((folder / "unacked").read_text()),
        "published": {name: sorted(data) for name, data in sorted(published.items())},
        "contradictions": sorted(name for name, data in published.items() if len(data) > 1), "rows": dict(sorted(rows.items())),
    }  # fmt: skip


if __name__ == "__main__":
    # pyarrow looks for pandas at its first array: once here, not in every child.
    pa.array([1.0])
    print(json.dumps({point: run(Path(sys.argv[1]) / point, point) for point in sys.argv[2:]}))
