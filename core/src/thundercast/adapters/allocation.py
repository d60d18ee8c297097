"""What glibc's malloc keeps of the memory that a program has freed. Elsewhere nothing happens.

Batches are allocated in one thread and freed in another, large ones beside small ones that stay. By default malloc then keeps an
arena for each few threads, with holes in each, and resident memory grows for long though the program uses no more.
"""

from __future__ import annotations

import ctypes
import gc
import threading
import time
from typing import Final

_ARENA_MAX: Final = -8  # M_ARENA_MAX of malloc.h
_ARENAS: Final = 2


def few_arenas() -> None:
    """Has all threads share two arenas; to be called before there are many threads."""
    if (mallopt := _glibc("mallopt")) is not None:
        mallopt(_ARENA_MAX, _ARENAS)


def give_back() -> bool:
    """Gives whole pages that are free back to the system, wherever they lie; takes some milliseconds. False where that cannot be done."""
    trim = _glibc("malloc_trim")
    return trim is not None and bool(trim(0))


def tidying(every: float = 30.0) -> threading.Thread:
    """Starts a thread that looks for cyclic garbage and gives back what is free, every so many seconds; it ends with the process."""

    def tidy() -> None:
        while True:
            time.sleep(every)
            gc.collect()
            give_back()

    thread = threading.Thread(target=tidy, name="tidy", daemon=True)
    thread.start()
    return thread


def _glibc(name: str) -> ctypes._NamedFuncPointer | None:
    found: ctypes._NamedFuncPointer | None = getattr(ctypes.CDLL(None), name, None)
    return found
