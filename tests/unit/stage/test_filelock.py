"""One process holds the lock, whatever happens to the others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from thundercast.adapters.filelock import FileLock, Locked, acquire_or_refuse

KEEPER = """
import sys
from pathlib import Path
from thundercast.adapters.filelock import FileLock
lock = FileLock(Path(sys.argv[1]))
assert lock.acquire(0)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_is_held_once(tmp_path: Path) -> None:
    one, two = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert not one.held()
    assert one.acquire(0)
    assert one.held()
    assert one.acquire(0), "asking again keeps it"
    assert not two.acquire(0.05)
    assert not two.held()
    one.release()
    assert not one.held()
    assert two.acquire(0)
    one.release()
    assert two.held()
    two.release()


def test_whoever_waits_gets_it_when_it_is_released(tmp_path: Path) -> None:
    import threading

    one, two = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    one.acquire(0)
    timer = threading.Timer(0.1, one.release)
    timer.start()
    assert two.acquire(30.0)
    timer.join()
    two.release()


def test_a_killed_process_gives_it_up_and_a_living_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "lock"
    with subprocess.Popen([sys.executable, "-c", KEEPER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            lock = FileLock(path)
            assert not lock.acquire(0)
            assert lock.holder() == f"process {process.pid}"
            with pytest.raises(Locked, match=f"{tmp_path} is in use by process {process.pid}: stop it, or use another folder"):
                acquire_or_refuse(lock, tmp_path)
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait(30.0)
        acquire_or_refuse(lock, tmp_path)
        assert lock.holder() == f"process {os.getpid()}"
        lock.release()


def test_a_lock_whose_file_was_removed_or_replaced_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = FileLock(path)
    assert lock.acquire(0)
    path.unlink()
    assert not lock.held()
    other = FileLock(path)
    assert other.acquire(0)
    assert not lock.held()
    lock.release()
    assert other.held()
    other.release()


def test_a_lock_that_nobody_ever_held_has_no_holder(tmp_path: Path) -> None:
    assert FileLock(tmp_path / "lock").holder() == ""
