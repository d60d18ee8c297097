"""Starts bqemulator with as many threads as it needs, and a DuckDB cursor for each of them.

Version 1.4.0 answers gRPC calls in several threads. An append stream holds one for as long as it is open, and by default there are few more
than cores. And all use one DuckDB connection, which is for one thread only: a read beside a write hangs, or gets the other one's rows.
Run by the Python that bqemulator is installed for, with its arguments.
"""

from __future__ import annotations

import concurrent.futures
import functools
import sys
import threading
from typing import Any

import grpc.aio
from bqemulator.cli import main  # type: ignore[import-not-found]
from bqemulator.storage.engine import DuckDBEngine  # type: ignore[import-not-found]

_thread = threading.local()
_shared = DuckDBEngine.connection.fget


def _own_cursor(engine: DuckDBEngine) -> Any:
    connection = _shared(engine)
    if getattr(_thread, "connection", None) is not connection:
        _thread.connection, _thread.cursor = connection, connection.cursor()
        # A cursor begins with the machine's time zone.
        _thread.cursor.execute("SET TimeZone = 'UTC'")
    return _thread.cursor


if __name__ == "__main__":
    grpc.aio.server = functools.partial(grpc.aio.server, migration_thread_pool=concurrent.futures.ThreadPoolExecutor(500))
    DuckDBEngine.connection = property(_own_cursor)
    sys.argv[0] = "bqemulator"
    main()
