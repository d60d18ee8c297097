"""Memory that is free is given back to the system, also where it lies between what is in use."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

PROGRAM = """
import os, threading
from pathlib import Path
from thundercast.adapters import allocation

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

allocation.few_arenas()
before, kept, barrier = resident(), [], threading.Barrier(8)

def work():
    blocks = [b"x" * 100_000 for _ in range(250)]
    barrier.wait()
    kept.append(blocks[::50])

threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
held = resident() - before
assert allocation.give_back()
print(held, resident() - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="only glibc has malloc_trim")
def test_what_was_freed_between_what_is_in_use_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    held, left = map(int, done.stdout.split())
    in_use = 8 * 5 * 100_000
    assert held > 10 * in_use, "malloc kept most of it: else there is nothing to be shown"
    assert left < 3 * in_use


TIDIED = """
import threading, time, weakref
from thundercast.adapters import allocation

class Cycle:
    pass

given = threading.Event()
real = allocation.give_back
allocation.give_back = lambda: given.set() or real()
import gc
gc.disable()
cycle = Cycle()
cycle.itself = cycle
gone = weakref.ref(cycle)
del cycle
assert gone() is not None
thread = allocation.tidying(0.05)
assert given.wait(60)
assert gone() is None and thread.daemon
"""


def test_a_thread_collects_cycles_and_gives_back_and_does_not_keep_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", TIDIED], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
