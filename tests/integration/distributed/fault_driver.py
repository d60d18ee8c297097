"""Lives and deaths of parts, many scenarios side by side.

    python fault_driver.py PLAN

PLAN is a JSON file: a list of scenarios, each with ``name``, ``part`` (trainer or cleaner), ``env`` and ``kills``: points at
which a process kills itself, one life after the other; ``{"point": name, "nth": n}``. After the last death one more life goes
on until the run is complete and is then ended with SIGTERM. Prints what became of each as JSON.

Lives are forked from this process, which has loaded everything and talked to nobody: so twenty of them cost what one does.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

import thundercast_cleaner.running
import thundercast_trainer.running
from thundercast.adapters.folder import FolderCheckpoints
from thundercast.domain.models import logistic, thunder
from thundercast_cleaner.settings import CleanerSettings
from thundercast_trainer.settings import TrainerSettings

LOADED = (logistic, thunder)
PATIENCE = 600.0  # s; for all
PARTS: dict[str, tuple[Any, Callable[..., int]]] = {
    "trainer": (TrainerSettings, thundercast_trainer.running.run),
    "cleaner": (CleanerSettings, thundercast_cleaner.running.run),
}


def killing(kill: dict[str, Any]) -> Callable[[str], None]:
    reached: Counter[str] = Counter()

    def gap(point: str) -> None:
        reached[point] += 1
        if point == kill["point"] and reached[point] == kill.get("nth", 1):
            os.kill(os.getpid(), signal.SIGKILL)

    return gap


@dataclass
class Scenario:
    name: str
    part: str
    env: dict[str, str]
    kills: list[dict[str, Any]]
    log: Path
    pid: int = 0
    deaths: list[int] = field(default_factory=list)
    ended: bool = False
    terminated: bool = False

    def live(self) -> None:
        """Forks the next life."""
        kill = self.kills[len(self.deaths)] if len(self.deaths) < len(self.kills) else None
        self.pid = os.fork()
        if self.pid:
            return
        code = 70
        try:
            out = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(out, 1)
            os.dup2(out, 2)
            os.environ.update(self.env)
            settings, run = PARTS[self.part]
            code = run(settings(), gap=killing(kill)) if kill else run(settings())
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            code = 71
        finally:
            os._exit(code)

    def look(self) -> None:
        """Sees whether it has died, and whether it may end."""
        done, status = os.waitpid(self.pid, os.WNOHANG)
        if done:
            self.deaths.append(os.waitstatus_to_exitcode(status))
            self.ended = self.deaths[-1] != -signal.SIGKILL or len(self.deaths) > len(self.kills)
            if not self.ended:
                # Also a life that was killed on its way out.
                self.terminated = False
                self.live()
        elif not self.terminated and self._complete() and self._can_be_told():
            # Also a life that was to be killed and never came to the place.
            self.terminated = True
            os.kill(self.pid, signal.SIGTERM)

    def _complete(self) -> bool:
        place = self.env["THUNDERCAST_CHECKPOINTS"]
        summary = FolderCheckpoints(Path(place) / self.part).summary()
        return bool(summary and summary.get("completed")) and (self.part != "trainer" or self._all_written())

    def _all_written(self) -> bool:
        """Whether a trainer has no rows left that the store has not taken; a busy store may take longer than a leave does."""
        served = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{") and '"serving"' in line]
        if len(served) <= len(self.deaths):
            return False
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{served[-1]['port']}/v1/status", timeout=5) as answer:
                status = json.load(answer)
        except OSError:
            return False
        return bool(status["completed"]) and not status["outbox"]

    def _can_be_told(self) -> bool:
        """Whether it handles SIGTERM by now: where the life before had all but finished, this one is to end while it still starts."""
        (caught,) = (line for line in Path(f"/proc/{self.pid}/status").read_text().splitlines() if line.startswith("SigCgt:"))
        return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text())
    folder = Path(sys.argv[1]).parent
    scenarios = [Scenario(one["name"], one["part"], one["env"], one["kills"], folder / f"{one['name']}.log") for one in plan]
    # pyarrow looks for pandas at its first array: once here, not in every life.
    pa.array([1.0])
    for scenario in scenarios:
        scenario.live()
    until = time.monotonic() + PATIENCE
    while not all(scenario.ended for scenario in scenarios) and time.monotonic() < until:
        for scenario in scenarios:
            if not scenario.ended:
                scenario.look()
        time.sleep(0.05)
    for scenario in scenarios:
        if not scenario.ended:
            os.kill(scenario.pid, signal.SIGKILL)
            os.waitpid(scenario.pid, 0)
    print(json.dumps({s.name: {"deaths": s.deaths, "ended": s.ended} for s in scenarios}))


if __name__ == "__main__":
    main()
