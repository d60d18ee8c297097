"""The dashboard beside a live run: it is there, it stops with the run, and it does not outlive a killed one."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

THUNDERCAST = Path(sys.executable).with_name("thundercast")


@contextmanager
def run(state: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """A run, the address of its dashboard and that of its metrics."""
    command = [str(THUNDERCAST), "run", "--state", str(state), "--cache", str(state / "cache"), "--port", "0", "--metrics-port", "0"]
    command += ["--shards", "2", "--model", "thunder", *more]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    found = {}
    try:
        for line in process.stderr or ():
            name, _, address = line.partition(": ")
            if name in ("Dashboard", "Metrics"):
                found[name] = address.strip()
            if "feeding" in line:
                break
        assert set(found) == {"Dashboard", "Metrics"}, "the run did not say where it serves"
        yield process, found["Dashboard"], found["Metrics"]
    finally:
        process.kill()
        process.communicate(timeout=30)


def answers(address: str) -> bool:
    session = requests.Session()
    session.trust_env = False
    try:
        return session.get(address, timeout=5).ok
    except requests.ConnectionError:
        return False
    finally:
        session.close()


def gone(address: str) -> bool:
    for _ in range(150):
        if not answers(address):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_dashboard_outlives_its_run(tmp_path: Path, how: signal.Signals) -> None:
    with run(tmp_path, "--speed", "5") as (process, dashboard, metrics):
        assert answers(dashboard)
        assert answers(metrics)
        process.send_signal(how)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == (-how if how == signal.SIGKILL else 0), errors
        assert gone(dashboard)


def test_a_finished_run_goes_on_serving_until_it_is_stopped(tmp_path: Path) -> None:
    with run(tmp_path, "--speed", "max", "--end", "2022-01-08") as (process, dashboard, _):
        for line in process.stderr or ():
            if "dates are done" in line:
                break
        assert answers(dashboard)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 0
        assert gone(dashboard)
