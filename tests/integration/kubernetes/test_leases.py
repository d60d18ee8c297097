"""A lease among processes, kept by a real API server and by a real object: one suite over both."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from integration.kubernetes.conftest import Cluster
from integration.kubernetes.holding import TIMING, open_lease
from thundercast.adapters.google.storage_clients import ensure_bucket
from thundercast.adapters.locks import Elector
from thundercast.adapters.settings import CloudSettings

CHILD = Path(__file__).with_name("holding.py")
Where = tuple[str, str, str]


@pytest.fixture(params=["kubernetes", "gs"])
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Where:
    name = f"trainer-{uuid.uuid4().hex[:12]}"
    if request.param == "kubernetes":
        cluster: Cluster = request.getfixturevalue("cluster")
        monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
        return "kubernetes", cluster.namespace, name
    request.getfixturevalue("storage_emulator")
    assert ensure_bucket(CloudSettings(checkpoints=f"gs://{name}")) == "made"
    return "gs", name, "some/trainer.lock"


@pytest.fixture
def opened(where: Where) -> Iterator[Callable[[], Elector]]:
    leases: list[Elector] = []

    def another() -> Elector:
        leases.append(open_lease(*where))
        return leases[-1]

    yield another
    for lease in leases:
        lease.release()


@contextmanager
def another_process(where: Where) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lease."""
    command = [sys.executable, str(CHILD), *where]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "holding\n"
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()


def ask(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("held?\n")
    process.stdin.flush()


def answer(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_one_holds_it_and_the_other_knows_who(opened: Callable[[], Elector]) -> None:
    one, two = opened(), opened()
    assert one.acquire(0)
    assert one.held()
    assert not two.acquire(0)
    assert not two.held()
    assert two.holder().split()[1] == os.uname().nodename


def test_it_is_kept_for_longer_than_its_duration_and_then_handed_over(opened: Callable[[], Elector]) -> None:
    one, two = opened(), opened()
    assert one.acquire(0)
    assert not two.acquire(1.2 * TIMING.duration)
    assert one.held()
    one.release()
    assert not one.held()
    assert two.acquire(60.0)


def test_a_process_that_was_stopped_past_its_lease_wakes_without_it(where: Where, opened: Callable[[], Elector]) -> None:
    other = opened()
    with another_process(where) as process:
        ask(process)
        assert answer(process) == "True"
        assert not other.acquire(0)
        os.kill(process.pid, signal.SIGSTOP)
        # It is the first thing that it will do when it wakes.
        ask(process)
        assert other.acquire(120.0)
        os.kill(process.pid, signal.SIGCONT)
        assert answer(process) == "False"
        assert other.held()
        # What it releases is not ours.
        process.communicate(timeout=60.0)
        assert process.returncode == 0
        assert other.held()
        assert other.attempt()


def test_the_lease_of_a_killed_process_runs_out(where: Where, opened: Callable[[], Elector]) -> None:
    other = opened()
    with another_process(where) as process:
        assert not other.acquire(0)
        process.kill()
        process.wait(60.0)
        assert other.acquire(120.0)


def test_a_process_that_ends_in_order_hands_it_over(where: Where, opened: Callable[[], Elector]) -> None:
    with another_process(where) as process:
        other = opened()
        assert not other.acquire(0)
        process.communicate(timeout=60.0)
        assert other.acquire(TIMING.duration / 2)
