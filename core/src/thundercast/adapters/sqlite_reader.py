"""The store in one SQLite file: the reading side. The only SQL that reads it is here."""

from __future__ import annotations

import datetime as dt
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from thundercast.adapters import sqlite_schema
from thundercast.adapters.reading import OUTCOMES, PREDICTIONS_ON_MAP, StoreMissing
from thundercast.adapters.sqlite import answering
from thundercast.domain import tables
from thundercast.domain.tables import Table


def _microseconds(time: dt.datetime) -> int:
    return round(time.timestamp() * 1e6)


class SqliteReader:
    """Answers the questions of `reading.StoreReader`. Never writes; safe to share between threads.

    The file may be made, and made again, while the reader lives: it is looked for at each question.

    Args:
        path: the database's file.
        patience: seconds to wait for a program that holds the file.
    """

    def __init__(self, path: Path, *, patience: float = 5.0) -> None:
        self._path = path
        self._patience = patience
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._columns: dict[str, frozenset[str]] = {}

    def _open(self) -> sqlite3.Connection:
        try:
            found = self._path.stat()
        except FileNotFoundError as error:
            self._close()
            raise StoreMissing(f"there is no store at {self._path}") from error
        identity = (found.st_dev, found.st_ino)
        if self._connection is None or identity != self._identity:
            self._close()
            connection = sqlite3.connect(
                f"file:{quote(str(self._path.absolute()))}?mode=ro",
                uri=True,
                timeout=self._patience,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                if not sqlite_schema.check_owner(connection, self._path):
                    raise StoreMissing(f"the store at {self._path} has no tables yet")
                columns = {t.name: frozenset(row[1] for row in connection.execute(f"PRAGMA table_info({t.name})")) for t in tables.TABLES}
            except BaseException:
                connection.close()
                raise
            self._connection, self._identity, self._columns = connection, identity, columns
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection, self._identity = None, None

    def close(self) -> None:
        with self._lock:
            self._close()

    def _ask(self, schema: pa.Schema, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        with self._lock, answering(self._path, "be read"):
            rows = self._open().execute(sql, parameters).fetchall()
        return sqlite_schema.to_arrow(schema, rows)

    def _select(
        self,
        table: Table,
        clauses: str,
        parameters: Sequence[Any] = (),
        *,
        first: str = "",
        source: str = "",
        without: tuple[str, ...] = (),
    ) -> pa.Table:
        """``first`` SELECT the table's columns but ``without`` FROM ``source`` (else the table) ``clauses``."""
        schema = pa.schema([field for field in table.arrow if field.name not in without])
        with self._lock, answering(self._path, "be read"):
            connection = self._open()
            # A store made by an older version lacks columns until its writer adds them: they read as null.
            known = self._columns[table.name]
            names = ", ".join(name if name in known else f"NULL AS {name}" for name in schema.names)
            rows = connection.execute(f"{first} SELECT {names} FROM {source or table.name} {clauses}", parameters).fetchall()
        return sqlite_schema.to_arrow(schema, rows)

    def runs(self) -> pa.Table:
        return self._select(tables.RUNS, "ORDER BY run_id DESC")

    def status(self, run_id: str) -> pa.Table:
        return self._select(tables.STATUS, "WHERE run_id = ? ORDER BY written_at DESC", (run_id,))

    def metrics(
        self,
        run_id: str,
        *,
        since: dt.datetime | None = None,
        scope: str | None = None,
        gate: str | None = None,
        task: str | None = None,
        model: str | None = None,
        limit: int | None = None,
    ) -> pa.Table:
        wanted = {"run_id": run_id, "scope": scope, "gate": gate, "task": task, "model_name": model}
        given = {name: value for name, value in wanted.items() if value is not None}
        where = "WHERE " + " AND ".join(f"{name} = ?" for name in given)
        parameters = [*given.values(), -1 if since is None else _microseconds(since)]
        page = self._select(
            tables.MODEL_METRICS,
            f"{where} AND written_at > ? ORDER BY written_at, batch_id LIMIT ?",
            [*parameters, -1 if limit is None else limit + 1],
        )
        if limit is None or page.num_rows <= limit:
            return page
        # The page ends among rows of one write: the rest of them must come along, for `since` cannot point between them.
        last = _microseconds(page.column("written_at")[limit - 1].as_py())
        return self._select(
            tables.MODEL_METRICS, f"{where} AND written_at > ? AND written_at <= ? ORDER BY written_at, batch_id", [*parameters, last]
        )

    def latest_date(self, run_id: str, *, task: str | None = None, model: str | None = None) -> dt.date | None:
        wanted = {name: value for name, value in (("task", task), ("model_name", model)) if value is not None}
        conditions = "".join(f" AND {name} = ?" for name in wanted)
        sql = f"SELECT date FROM predictions WHERE run_id = ?{conditions} ORDER BY date DESC LIMIT 1"
        found = self._ask(pa.schema([pa.field("date", pa.date32())]), sql, (run_id, *wanted.values()))
        return found.column("date")[0].as_py() if found.num_rows else None

    def predictions(self, run_id: str, date: dt.date, *, task: str, model: str) -> pa.Table:
        return self.outcomes(run_id, date, date, task=task, model=model).select(PREDICTIONS_ON_MAP.names)

    def outcomes(self, run_id: str, first: dt.date, last: dt.date, *, task: str, model: str) -> pa.Table:
        return self._ask(
            OUTCOMES,
            "SELECT p.date, p.station, p.probability, p.threshold, coalesce(p.label, outcome.thunder), p.made_from, "
            "place.lat, place.lon, place.elev, place.country "
            "FROM predictions p "
            "LEFT JOIN observations place ON place.run_id = p.run_id AND place.date = p.made_from AND place.station = p.station "
            "LEFT JOIN observations outcome ON outcome.run_id = p.run_id AND outcome.date = p.date AND outcome.station = p.station "
            "WHERE p.run_id = ? AND p.date BETWEEN ? AND ? AND p.model_name = ? AND p.task = ? ORDER BY p.date, p.station",
            (run_id, first.isoformat(), last.isoformat(), model, task),
        )

    def station_predictions(self, run_id: str, station: str) -> pa.Table:
        return self._of_station(tables.PREDICTIONS, run_id, station, "day, task, model_name")

    def dead_letter_counts(self, run_id: str) -> pa.Table:
        schema = pa.schema([pa.field("reason", pa.string()), pa.field("count", pa.int64()), pa.field("last", pa.timestamp("us", "UTC"))])
        return self._ask(
            schema,
            "SELECT reason, count(*), max(written_at) FROM dead_letters WHERE run_id = ? GROUP BY reason ORDER BY 2 DESC, 1",
            (run_id,),
        )

    def dead_letters(self, run_id: str, *, reason: str | None = None, limit: int = 100) -> pa.Table:
        of_reason, parameters = ("", [run_id, limit]) if reason is None else ("AND reason = ?", [run_id, reason, limit])
        order = "ORDER BY written_at DESC, seq DESC, station LIMIT ?"
        return self._select(tables.DEAD_LETTERS, f"WHERE run_id = ? {of_reason} {order}", parameters, without=("payload",))

    def dead_letter(self, run_id: str, payload_hash: str) -> pa.Table:
        return self._select(tables.DEAD_LETTERS, "WHERE run_id = ? AND payload_hash = ? ORDER BY seq, station", (run_id, payload_hash))

    def gaps(self, run_id: str) -> pa.Table:
        return self._select(tables.GAPS, "WHERE run_id = ? ORDER BY seq, component", (run_id,))

    def events(self, run_id: str) -> pa.Table:
        return self._select(tables.MODEL_EVENTS, "WHERE run_id = ? ORDER BY date, task, model_name", (run_id,))

    def station_history(self, run_id: str, station: str) -> pa.Table:
        return self._of_station(tables.OBSERVATIONS, run_id, station, "day")

    def _of_station(self, table: Table, run_id: str, station: str, order: str) -> pa.Table:
        # The key begins with run and date: from each date the next is found, and there the station, without reading what lies between.
        days = (
            f"WITH RECURSIVE days(day) AS (SELECT min(date) FROM {table.name} WHERE run_id = ? UNION ALL "
            f"SELECT (SELECT min(date) FROM {table.name} WHERE run_id = ? AND date > day) FROM days WHERE day IS NOT NULL)"
        )
        where = f"WHERE run_id = ? AND date = day AND station = ? ORDER BY {order}"
        return self._select(table, where, (run_id, run_id, run_id, station), first=days, source=f"days CROSS JOIN {table.name}")
