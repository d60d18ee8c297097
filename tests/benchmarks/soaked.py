"""A part of the system for `soak.py`: it tells what of its memory is in use, and its store may forget.

    python soaked.py PART FILE nowhere|bigquery

Every five seconds a line of JSON goes to FILE: MB that malloc's callers use and that malloc holds of the system, MB of Arrow's
buffers, and Python's objects. Resident memory that grows while none of these does is malloc's, not the program's.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

EVERY = 5.0  # s


class Mallinfo(ctypes.Structure):
    """glibc's `struct mallinfo2`, over all arenas."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    ]


def in_use() -> dict[str, float]:
    """What of this process's memory is in use."""
    mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
    figures: dict[str, float] = {"arrow_mb": pa.total_allocated_bytes() / 1e6, "objects": sys.getallocatedblocks()}
    if mallinfo is not None:
        mallinfo.restype = Mallinfo
        found = mallinfo()
        figures |= {"malloc_mb": (found.uordblks + found.hblkhd) / 1e6, "held_mb": (found.arena + found.hblkhd) / 1e6}
    return figures


def tell(path: Path) -> None:
    """Writes lines until the process ends."""
    with path.open("a", buffering=1) as out:
        while True:
            print(json.dumps({"at": time.time()} | in_use()), file=out)
            time.sleep(EVERY)


class Nowhere:
    """A store that forgets, and everything that is asked of it."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __enter__(self) -> Nowhere:
        return self

    def __exit__(self, *_: object) -> None: ...

    def write(self, table: Any, rows: Any) -> None: ...

    def __call__(self) -> None: ...


def main() -> int:
    """Runs the part with the settings of the environment."""
    part, path, store = sys.argv[1:]
    threading.Thread(target=tell, args=(Path(path),), daemon=True).start()
    if store == "nowhere":
        running: Any = importlib.import_module(f"thundercast_{part}.running")
        running.BigQueryStore = running.StoreCheck = Nowhere
    sys.argv = [f"thundercast-{part}"]
    code: int = importlib.import_module(f"thundercast_{part}.__main__").main()
    return code


if __name__ == "__main__":
    sys.exit(main())
