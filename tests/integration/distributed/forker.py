"""Starts parts of the system on demand, each in a process of its own.

    python forker.py

Reads one line of JSON at a time and answers each with one: ``{"part": "trainer", "env": {}, "flags": [], "log": path, "pause": null}``
gives ``{"pid": 1}``; ``{"pid": 1}`` gives ``{"code": null}``, or the exit code once it has ended. ``pause`` names a point of
`points.KILL_POINTS` where the process stops itself with SIGSTOP, ``{"point": name, "nth": n}``. What still runs at the end of
the input is killed.

Parts are forked from this process, which has loaded everything and talked to nobody: so twenty of them cost what one does.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pyarrow as pa

import thundercast_cleaner.running
import thundercast_simulator.running
import thundercast_trainer.running
from thundercast.adapters import command
from thundercast.domain.models import logistic, thunder
from thundercast_cleaner.settings import CleanerSettings
from thundercast_simulator.settings import SimulatorSettings
from thundercast_trainer.settings import TrainerSettings

LOADED = (logistic, thunder)
PARTS: dict[str, tuple[Any, Callable[..., int]]] = {
    "simulator": (SimulatorSettings, thundercast_simulator.running.run),
    "cleaner": (CleanerSettings, thundercast_cleaner.running.run),
    "trainer": (TrainerSettings, thundercast_trainer.running.run),
}


def pausing(pause: dict[str, Any]) -> Callable[[str], None]:
    reached: Counter[str] = Counter()

    def gap(point: str) -> None:
        reached[point] += 1
        if (point, reached[point]) == (pause["point"], pause["nth"]):
            os.kill(os.getpid(), signal.SIGSTOP)

    return gap


def live(asked: dict[str, Any]) -> int:
    """Forks a part; returns its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        out = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.environ.update(asked["env"])
        settings, run = PARTS[asked["part"]]
        run = partial(run, gap=pausing(asked["pause"])) if asked["pause"] else run
        code = command.main(settings, run, prog=f"thundercast-{asked['part']}", about="", argv=asked["flags"])
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        code = 71
    finally:
        os._exit(code)


def main() -> None:
    # pyarrow looks for pandas at its first array: once here, not in every part.
    pa.array([1.0])
    running: set[int] = set()
    codes: dict[int, int] = {}
    for line in sys.stdin:
        asked = json.loads(line)
        if "part" in asked:
            pid = live(asked)
            running.add(pid)
            print(json.dumps({"pid": pid}), flush=True)
            continue
        pid = asked["pid"]
        if pid in running:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                running.remove(pid)
                codes[pid] = os.waitstatus_to_exitcode(status)
        print(json.dumps({"code": codes.get(pid)}), flush=True)
    for pid in running:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
