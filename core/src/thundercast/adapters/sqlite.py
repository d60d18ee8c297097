"""The store in one SQLite file: the writing side.

Write-ahead logging lets any number of readers look on while one writer writes.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from thundercast.adapters import sqlite_schema
from thundercast.adapters.reading import StoreMismatch
from thundercast.domain.tables import TABLES, Table, checked
from thundercast.stage.protocols import Unavailable

_DAY_US = 86_400_000_000


@contextmanager
def answering(path: Path, doing: str) -> Iterator[None]:
    """Says in the store's own terms what SQLite complains of.

    Raises:
        Unavailable: not now (locked, disk full, I/O error); with the file, what was tried and SQLite's words.
        StoreMismatch: the file is damaged.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        raise Unavailable(
            f"the store {path} could not {doing}: {error}. Is the disk full or read-only, or does another program hold the file?"
        ) from error
    except sqlite3.DatabaseError as error:
        # Only the bare class tells of the file; its subclasses tell of what was asked.
        if type(error) is not sqlite3.DatabaseError:
            raise
        raise StoreMismatch(f"{path} is damaged ({error}): put a copy in its place, or move the file away to start a new store.") from error


class SqliteStore:
    """Writes rows; implements `thundercast.stage.protocols.RowWriter`. One connection, safe to share between threads.

    Args:
        path: the database's file; it and its folder are made if they are not there.
        clock: seconds since 1970-01-01 UTC. Whatever it says, ``written_at`` grows from write to write, also over restarts:
            a reader that has seen everything up to a time never misses a row.
        patience: seconds to wait for another program that holds the file.

    Raises:
        StoreMismatch: the file is not a store, or has other columns than this version writes.
        Unavailable: the file cannot be opened now.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time, patience: float = 5.0) -> None:
        self.path = path
        self._clock = clock
        self._lock = threading.Lock()
        with answering(path, "be opened"):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise Unavailable(f"the folder of the store {path} cannot be made: {error}") from error
            self._connection = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self) -> None:
        ours = sqlite_schema.check_owner(self._connection, self.path)
        if not ours:
            self._connection.execute("PRAGMA page_size = 8192")
        self._connection.execute("PRAGMA journal_mode = WAL")
        # A checkpoint of the stage says that its rows are here, so they must be on the disk as surely as it is.
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA cache_size = -32768")  # KiB
        self._connection.execute("PRAGMA wal_autocheckpoint = 4000")  # pages
        with self._transaction():
            for table in TABLES:
                for statement in sqlite_schema.missing_columns(self._connection, table, self.path):
                    self._connection.execute(statement)
            if not ours:
                self._connection.execute(
                    f"CREATE TABLE IF NOT EXISTS {sqlite_schema.CLOCK} (id INTEGER PRIMARY KEY CHECK (id = 0), at INTEGER NOT NULL)"
                )
                self._connection.execute(f"INSERT OR IGNORE INTO {sqlite_schema.CLOCK} VALUES (0, 0)")
                self._connection.execute(f"PRAGMA application_id = {sqlite_schema.APPLICATION_ID}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            # SQLite itself rolls back on a full disk; a second rollback would hide the reason.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def write(self, table: Table, rows: pa.Table) -> None:
        """Adds the rows, or replaces those with equal keys, all or none.

        Args:
            rows: the table's columns in any order; ``written_at`` may be there and is replaced.

        Raises:
            ValueError: the rows do not fit the table.
            Unavailable: none were taken; writing all again is safe.
        """
        rows = checked(table, rows)
        if not rows.num_rows:
            return
        with self._lock, answering(self.path, f"take {rows.num_rows} rows of {table.name}"), self._transaction():
            now = int(self._clock() * 1e6)
            ((at,),) = self._connection.execute(f"UPDATE {sqlite_schema.CLOCK} SET at = max(at + 1, ?) RETURNING at", (now,)).fetchall()
            stamped = rows.append_column("written_at", pa.array([at] * rows.num_rows, pa.int64()))
            self._connection.executemany(*sqlite_schema.insertion(table, stamped))

    def expire(self) -> dict[str, int]:
        """Deletes the rows of tables with ``keep_days`` that were written longer ago; returns how many by table.

        Raises:
            Unavailable: the store could not do it now.
        """
        deleted: dict[str, int] = {}
        for table in TABLES:
            if table.keep_days is None:
                continue
            before = int(self._clock() * 1e6) - table.keep_days * _DAY_US
            with self._lock, answering(self.path, f"expire rows of {table.name}"), self._transaction():
                deleted[table.name] = self._connection.execute(f"DELETE FROM {table.name} WHERE written_at < ?", (before,)).rowcount
        return deleted

    @property
    def written_at(self) -> dt.datetime | None:
        """When the newest row was written; None while the store is empty."""
        with self._lock, answering(self.path, "tell its clock"):
            (at,) = self._connection.execute(f"SELECT at FROM {sqlite_schema.CLOCK}").fetchone()
        return dt.datetime.fromtimestamp(at / 1e6, dt.UTC) if at else None

    def close(self) -> None:
        """Folds the write-ahead log into the file and closes it."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> SqliteStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
