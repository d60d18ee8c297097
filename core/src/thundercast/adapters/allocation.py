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

TIDY_EVERY: Final = 30.0  # s, for which malloc may keep memory that is free

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


def tidy() -> None:
    """Looks for cyclic garbage and gives back what is free."""
    # Cycles that hold whole batches are few, and so would be looked for only after hours.
    gc.collect()
    give_back()


def tidying(every: float = TIDY_EVERY) -> threading.Thread:
    """Starts a thread that tidies every so many seconds, for a program without a loop to do it in; it ends with the process."""

    def keep_tidy() -> None:
        while True:
            time.sleep(every)
            tidy()

    thread = threading.Thread(target=keep_tidy, name="tidy", daemon=True)
    thread.start()
    return thread


def _glibc(name: str) -> ctypes._NamedFuncPointer | None:
    found: ctypes._NamedFuncPointer | None = getattr(ctypes.CDLL(None), name, None)
    return found
