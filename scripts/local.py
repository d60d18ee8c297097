#!/usr/bin/env python3
"""The distributed system on one machine: every part a process of its own, against stand-ins for Google's services.

    make local                                 the packed sample, cleaned by the pull worker
    python scripts/local.py --cleaner beam     cleaned by the Beam pipeline on the DirectRunner (not durable)
    python scripts/local.py --source file:gsod.parquet --speed max --until-complete

One log per part is in `.thundercast/local/`. Ctrl-C stops everything in order. The stand-ins forget when they end, so each
start is a new run.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import emulators

ROOT: Final = Path(__file__).resolve().parents[1]
BUCKET: Final = "thundercast-local"
_ENDS_WITHIN: Final = 60.0  # s


class Failed(Exception):
    """A part ended though it should not have; the message has the end of its log."""


@dataclass
class Part:
    """A process with a log.

    Attributes:
        url: where its health, readiness and metrics are.
    """

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    url: str = ""

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def end_of_log(self, size: int = 3000) -> str:
        return self.log.read_text(errors="replace")[-size:]

    def stop(self) -> int:
        """SIGTERM, and wait; returns the exit code."""
        if self.running:
            self.process.terminate()
        try:
            return self.process.wait(_ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failed(f"{self.name} did not stop within {_ENDS_WITHIN:g} s; the end of {self.log}:\n{self.end_of_log()}") from None

    def get(self, path: str) -> Any:
        """The JSON that it answers, whatever the status."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)


@dataclass
class System:
    """Parts that share an environment.

    Attributes:
        env: variables for all of them, the stand-ins' addresses among them.
        folder: of their logs.
    """

    env: Mapping[str, str]
    folder: Path
    parts: list[Part] = field(default_factory=list)

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str] | None = None, *, port: int | None = None) -> Part:
        """Starts a process; with ``port`` it is told to serve there."""
        log = self.folder / f"{name}.log"
        given = {**os.environ, **self.env, "THUNDERCAST_LOG_FORMAT": "json", **(env or {})}
        if port is not None:
            given["THUNDERCAST_PORT"] = str(port)
        with log.open("ab") as out:
            # A group of its own: Ctrl-C in the terminal is for this program, which stops the parts in order.
            process = subprocess.Popen(
                command, env=given, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True
            )
        part = Part(name, process, log, f"http://127.0.0.1:{port}" if port is not None else "")
        self.parts.append(part)
        return part

    def module(self, name: str, env: Mapping[str, str] | None = None, *, flags: Sequence[str] = (), as_name: str = "") -> Part:
        """Starts a part of the project: ``simulator``, ``cleaner``, ``trainer`` or ``dashboard``."""
        command = [sys.executable, "-m", f"thundercast_{name}", *flags]
        return self.start(as_name or name, command, env, port=emulators.free_port())

    def check(self) -> None:
        """Raises `Failed` if a part has ended with an error."""
        for part in self.parts:
            if part.process.poll() not in (None, 0):
                raise Failed(f"{part.name} ended with {part.process.returncode}; the end of {part.log}:\n{part.end_of_log()}")

    def stop(self) -> None:
        """Stops the parts in the order in which they were started; what was started first is fed by nobody."""
        problems = []
        for part in self.parts:
            try:
                part.stop()
            except Failed as failed:
                problems.append(str(failed))
        if problems:
            raise Failed("\n".join(problems))


def bootstrap(env: Mapping[str, str], *flags: str) -> None:
    """Makes topics, subscriptions, bucket and tables.

    Raises:
        Failed: it did not work; with what it said.
    """
    command = [sys.executable, "-m", "thundercast_standalone.cli", "bootstrap", *flags]
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, timeout=180)
    if done.returncode:
        raise Failed(f"bootstrap ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")


@contextmanager
def system(folder: Path, *, groups: int = 1) -> Iterator[System]:
    """Stand-ins that answer and know the topics, for parts to be started against; everything ends with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    with emulators.all_of_them(folder) as (env, _):
        common = {**env, "GOOGLE_CLOUD_PROJECT": "demo-project", "THUNDERCAST_CHECKPOINTS": f"gs://{BUCKET}/thundercast"}
        bootstrap(common, "--groups", str(groups))
        running = System(common, folder)
        try:
            yield running
        finally:
            running.stop()


def beam_command(*flags: str) -> list[str]:
    """The Beam pipeline as the cleaner, on the DirectRunner."""
    return [sys.executable, "-m", "thundercast_dataflow", "streaming", "--runner=DirectRunner", *flags]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="sample", help="where the rows come from; `thundercast sources` lists the forms")
    parser.add_argument("--speed", default="4", help="dates of the stream a second, or max (default: 4)")
    parser.add_argument("--shards", default="16", help="batches a date (default: 16)")
    parser.add_argument("--start", default=None, help="first date, YYYY-MM-DD")
    parser.add_argument("--end", default=None, help="last date, YYYY-MM-DD")
    parser.add_argument("--cleaner", choices=("worker", "beam"), default="worker", help="what cleans (default: worker)")
    parser.add_argument("--groups", type=int, default=1, help="groups of shards, with a worker each (default: 1)")
    parser.add_argument("--until-complete", action="store_true", help="end when the last date is learnt, with its time")
    parser.add_argument("--folder", type=Path, default=ROOT / ".thundercast" / "local", help="where the logs go")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with system(chosen.folder, groups=chosen.groups) as running:
            return _run(running, chosen)
    except (emulators.Missing, emulators.Failed, Failed) as error:
        print(f"local: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 0


def _run(running: System, chosen: argparse.Namespace) -> int:
    started = time.monotonic()
    feed = {"THUNDERCAST_SOURCE": chosen.source, "THUNDERCAST_SPEED": chosen.speed, "THUNDERCAST_SHARDS": chosen.shards}
    feed |= {f"THUNDERCAST_{name.upper()}": value for name in ("start", "end") if (value := getattr(chosen, name)) is not None}
    trainer = running.module("trainer")
    # The simulator first, so that it is the first to stop.
    simulator = running.module("simulator", feed | {"THUNDERCAST_TRAINER_URL": trainer.url})
    running.parts.remove(trainer)
    if chosen.cleaner == "beam":
        running.start("cleaner", beam_command())
    else:
        for group in range(chosen.groups):
            flags = ["--group", str(group), "--groups", str(chosen.groups)]
            running.module("cleaner", flags=flags, as_name=f"cleaner-{group}" if chosen.groups > 1 else "cleaner")
    running.parts.append(trainer)
    dashboard = running.module("dashboard", {"THUNDERCAST_STORE": "bigquery"})
    print(f"{len(running.parts)} parts are starting; their logs are in {running.folder}")
    for part in running.parts:
        print(f"  {part.name:12} {_place(part, dashboard)}")
    print("Ctrl-C stops them.")
    completed = False
    while True:
        running.check()
        time.sleep(0.5)
        if completed or simulator.running:
            continue
        try:
            status = trainer.get("/v1/status")
        except OSError:
            continue
        completed = bool(status.get("completed"))
        if completed:
            seconds = time.monotonic() - started
            print(f"run {status['run_id']} is complete: {status['rows']:,} rows were learnt, {seconds:.1f} s after the start")
            if chosen.until_complete:
                return 0


def _place(part: Part, dashboard: Part) -> str:
    """Where to look at a part."""
    if part is dashboard:
        return f"{part.url}  <- open this one"
    return f"{part.url}/readyz" if part.url else f"pid {part.process.pid}"


if __name__ == "__main__":
    sys.exit(main())
