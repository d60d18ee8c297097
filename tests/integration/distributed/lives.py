"""Parts as processes that a test starts, stops, halts and asks; and many scenarios of them side by side."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import emulators

FORKER = Path(__file__).with_name("forker.py")
PATIENCE = 600.0  # s; what has not come about by then has failed. A busy machine takes ten times as long as an idle one
# The BigQuery emulator takes few writes a second: two dozen processes that tell of themselves each second can keep it from all else.
COMMON = {"THUNDERCAST_LOG_FORMAT": "json", "THUNDERCAST_STATUS_SECONDS": "5", "GOOGLE_CLOUD_PROJECT": "demo-project"}


def until(condition: Callable[[], Any], what: str) -> Any:
    """Waits for something; returns what the condition gave."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError(f"it did not come about: {what}")


@dataclass
class Life:
    """One process."""

    pid: int
    part: str
    log: Path
    url: str
    code: Callable[[], int | None]

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def events(self) -> list[dict[str, Any]]:
        """The events of its log."""
        return [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]

    def complaint(self) -> str:
        """What it has written that is no event of the log: a program's last words."""
        return "\n".join(line for line in self.text().splitlines() if not line.startswith("{"))

    def until(self, condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
        """Waits for something while the process lives; returns what the condition gave."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if found := condition():
                return found
            code = self.code()
            assert code is None, f"{self.part} ended with {code} before {what}\n{self.text()[-3000:]}"
            time.sleep(0.1)
        raise AssertionError(f"{self.part} did not come to it: {what}\n{self.text()[-3000:]}")

    def ended(self, patience: float = PATIENCE) -> int:
        """Waits for its end; returns the exit code."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            code = self.code()
            if code is not None:
                return code
            time.sleep(0.1)
        raise AssertionError(f"{self.part} did not end\n{self.text()[-3000:]}")

    def stop(self) -> None:
        """SIGTERM, and it must end well."""
        self.signal(signal.SIGTERM)
        assert self.ended() == 0, self.text()[-3000:]

    @property
    def halted(self) -> bool:
        """Whether it is stopped, as SIGSTOP does."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        assert self.ended() == -signal.SIGKILL

    def ask(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and JSON of an answer; status 0 if nobody listens yet."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)
        except OSError:
            return 0, {}

    def reasons(self) -> str:
        """Why it is not ready, in one text; empty if it is, or if it does not say."""
        return "\n".join(f"{name}: {why}" for name, why in self.ask("/readyz")[1].get("reasons", {}).items())

    def ready(self) -> bool:
        return self.ask("/readyz")[0] == 200

    def status(self) -> dict[str, Any]:
        """A trainer's status; empty if it does not answer yet."""
        status, found = self.ask("/v1/status")
        return found if status == 200 else {}

    def metric(self, name: str) -> float:
        """The sum of a metric's samples; 0 if it is not there yet."""
        try:
            with urllib.request.urlopen(f"{self.url}/metrics", timeout=30) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return 0.0
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))

    def completes(self) -> None:
        """Waits until a trainer's run is complete, and everything of it is in the store."""
        self.until(lambda: self.is_complete, "its run was complete")

    @property
    def is_complete(self) -> bool:
        """Whether a trainer's run is complete, and everything of it is in the store."""
        status = self.status()
        return bool(status.get("completed")) and not status["outbox"]

    def reaches(self, watermark: int) -> None:
        """Waits until a trainer has applied, and made durable, everything below a watermark."""

        def there() -> bool:
            status = self.status()
            return status.get("watermark", 0) >= watermark and status.get("unacked") == 0

        self.until(there, f"its watermark was {watermark}")


@dataclass
class Lives:
    """Starts processes, from any thread."""

    folder: Path
    process: subprocess.Popen[str]
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _logs: int = 0

    def start(
        self, part: str, *envs: Mapping[str, str], flags: Sequence[str] = (), pause: tuple[str, int] | None = None, port: int | None = None
    ) -> Life:
        """A simulator, cleaner or trainer, whose settings are the environments laid over each other.

        Args:
            pause: the point where it stops itself with SIGSTOP, and at which time of reaching it.
        """
        port = port or emulators.free_port()
        env = COMMON | {"THUNDERCAST_PORT": str(port)}
        for one in envs:
            env |= one
        with self._lock:
            self._logs += 1
            log = self.folder / f"{self._logs:03}-{part}.log"
        point = {"point": pause[0], "nth": pause[1]} if pause else None
        pid = self._ask({"part": part, "env": env, "flags": list(flags), "log": str(log), "pause": point})["pid"]
        return Life(pid, part, log, f"http://127.0.0.1:{port}", lambda: self._ask({"pid": pid})["code"])

    def _ask(self, question: dict[str, Any]) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with self._lock:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline())


@contextmanager
def forking(folder: Path) -> Iterator[Lives]:
    """Processes can be started within the block; those that still run at its end are killed."""
    process = subprocess.Popen([sys.executable, FORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        yield Lives(folder, process)
    finally:
        process.communicate(timeout=60)


Scenario = Callable[..., None]
SIDE_BY_SIDE = 9
"""Scenarios at once. All of them would be quicker where there is nothing else to do; where there is, the stand-ins fall behind."""


class Scenarios:
    """Scenarios that run side by side, because most of their time is spent waiting: for leases, for patience with a hole.

    A module has one, decorates its scenarios with it, and has one test that is parametrized by their names.
    """

    def __init__(self) -> None:
        self._all: dict[str, Scenario] = {}

    def __call__(self, scenario: Scenario) -> Scenario:
        self._all[scenario.__name__] = scenario
        return scenario

    @property
    def names(self) -> list[str]:
        return list(self._all)

    @contextmanager
    def running(self, request: pytest.FixtureRequest, *arguments: Any) -> Iterator[dict[str, Future[None]]]:
        """Runs those whose tests were chosen."""
        chosen = {
            item.callspec.params["scenario"]
            for item in request.session.items
            if isinstance(item, pytest.Function) and item.path == request.path and "scenario" in getattr(item, "fixturenames", ())
        }
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            yield {name: pool.submit(self._all[name], *arguments) for name in self._all if name in chosen}
