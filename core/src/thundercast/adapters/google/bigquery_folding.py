"""The store's tables in BigQuery as those see them who take, of rows with equal keys, the one written last.

No queries: rows are read by the Storage Read API and folded here.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from google.api_core import exceptions
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryReadClient

from thundercast.adapters.google.bigquery_clients import PATIENCE, read_client, rest_client
from thundercast.adapters.google.bigquery_rows import READ_ROLE, literal, read_rows
from thundercast.adapters.google.bigquery_schema import MEND, differences
from thundercast.adapters.google.errors import BIGQUERY, BIGQUERY_STORAGE, answering
from thundercast.adapters.reading import StoreMissing, merged
from thundercast.adapters.settings import CloudSettings
from thundercast.domain.tables import Table

OVERLAP: Final = dt.timedelta(minutes=10)
"""Rows may appear in another order than that of their `written_at`, which their writers set: this far apart at most."""

_READING: Final = 30.0
"""Seconds that one reading may take."""
_DEFINITIONS_LAST: Final = 60.0
"""Seconds for which a table is taken to be as it was seen."""
_FOLDS: Final = 32
_PENDING: Final = 20_000  # rows
_RECENT: Final = dt.timedelta(hours=1)
_RETRY: Final = bigquery.DEFAULT_RETRY.with_timeout(PATIENCE)

Wanted = Mapping[str, "str | dt.date | None"]
Trim = Callable[[pa.Table], pa.Table]


@dataclass(slots=True)
class _Definition:
    """A table as it was seen: when (monotonic seconds), when it was made, and which of our columns it has."""

    seen: float
    made: dt.datetime | None
    columns: frozenset[str]


@dataclass(slots=True)
class _Fold:
    """What a question has come to so far: rows that were written up to ``since`` need not be read again."""

    made: dt.datetime | None
    rows: pa.Table
    since: dt.datetime | None = None


class FoldedTables:
    """Reads rows, one per key. What is asked again and again is read on from the last time, and what overlaps with it.

    Args:
        rest, storage, clock, monotonic: see `BigQueryReader`.

    All methods raise `StoreMissing`, `StoreMismatch` and `Unavailable` as `reading.StoreReader` says.
    """

    def __init__(
        self,
        settings: CloudSettings,
        *,
        rest: bigquery.Client | None = None,
        storage: BigQueryReadClient | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._dataset = f"{settings.project}.{settings.dataset}"
        self._rest, self._storage = rest, storage
        self._clock, self._monotonic = clock, monotonic
        self._lock = threading.RLock()
        self._definitions: dict[str, _Definition] = {}
        self._folds: OrderedDict[tuple[object, ...], _Fold] = OrderedDict()

    def close(self) -> None:
        with self._lock:
            if self._rest is not None:
                self._rest.close()
            if self._storage is not None:
                self._storage.transport.close()
            self._rest, self._storage = None, None
            self._definitions.clear()
            self._folds.clear()

    def folded(
        self, table: Table, wanted: Wanted, *, columns: Sequence[str] = (), trim: Trim | None = None, more: tuple[object, ...] = ()
    ) -> pa.Table:
        """The rows that are wanted, one per key, read on from where the last asking of the same ended.

        Args:
            columns: at least the key and ``written_at``; empty for all.
            trim: keeps what the answer needs; of rows with equal keys it must keep the newest if it keeps any.
            more: tells apart foldings that are trimmed otherwise.
        """
        columns = tuple(columns or table.arrow.names)
        with self._lock:
            fold = self._fold(table, (table.name, columns, *wanted.values(), *more), columns)
            self._extend(fold, table, wanted, columns, since=None if fold.since is None else fold.since - OVERLAP, trim=trim, keyed=True)
            return fold.rows

    def latest_date(self, table: Table, wanted: Wanted) -> dt.date | None:
        """The latest ``date`` of the rows that are wanted."""

        def last(rows: pa.Table) -> pa.Table:
            return rows.take(pc.select_k_unstable(rows, 1, sort_keys=[("date", "descending")]))

        columns = ("date", "written_at")
        with self._lock:
            fold = self._fold(table, (table.name, "latest", *wanted.values()), columns)
            if fold.since is None:
                # Millions of rows, of which the latest date has a few: its like is among what came in last, and what is later still
                # can then be asked for.
                recent = dt.datetime.fromtimestamp(self._clock(), dt.UTC) - _RECENT
                first = _Fold(fold.made, fold.rows)
                self._extend(first, table, wanted, columns, since=recent, trim=last)
                later = f"date > {literal(first.rows.column('date')[0].as_py())}" if first.rows.num_rows else ""
                self._extend(first, table, wanted, columns, since=None, trim=last, where=later)
                # Only now: where the second reading failed, the first alone is no answer.
                fold.rows, fold.since = first.rows, first.since
            else:
                self._extend(fold, table, wanted, columns, since=fold.since - OVERLAP, trim=last)
            return fold.rows.column("date")[0].as_py() if fold.rows.num_rows else None

    def rows(
        self, table: Table, wanted: Wanted, *, columns: Sequence[str] = (), since: dt.datetime | None = None, where: str = ""
    ) -> pa.Table:
        """The rows that are wanted, one per key."""
        columns = tuple(columns or table.arrow.names)
        rows = pa.schema([table.arrow.field(name) for name in columns]).empty_table()
        for page in self._pages(table, wanted, columns, since=since, where=where):
            rows = merged(table, rows, page)
        return rows

    def _fold(self, table: Table, key: tuple[object, ...], columns: Sequence[str]) -> _Fold:
        made = self._definition(table).made
        fold = self._folds.get(key)
        if fold is None or fold.made != made:
            schema = pa.schema([table.arrow.field(name) for name in columns])
            fold = self._folds[key] = _Fold(made, schema.empty_table())
        self._folds.move_to_end(key)
        while len(self._folds) > _FOLDS:
            self._folds.popitem(last=False)
        return fold

    def _extend(
        self,
        fold: _Fold,
        table: Table,
        wanted: Wanted,
        columns: Sequence[str],
        *,
        since: dt.datetime | None,
        trim: Trim | None,
        keyed: bool = False,
        where: str = "",
    ) -> None:
        rows, newest = fold.rows, fold.since
        for page in self._pages(table, wanted, columns, since=since, where=where):
            last = pc.max(page.column("written_at")).as_py()
            newest = last if newest is None or (last is not None and last > newest) else newest
            rows = merged(table, rows, page) if keyed else pa.concat_tables([rows, page])
            rows = rows if trim is None else trim(rows)
        # Only now: a reading that failed half-way must be done again.
        fold.rows, fold.since = rows.combine_chunks(), newest

    def _pages(
        self, table: Table, wanted: Wanted, columns: Sequence[str], *, since: dt.datetime | None, where: str = ""
    ) -> Iterator[pa.Table]:
        """The rows in tables that are large enough to be worth a merging."""
        schema = pa.schema([table.arrow.field(name) for name in columns])
        known = self._definition(table).columns
        conditions = [f"{name} = {literal(value)}" for name, value in wanted.items() if value is not None]
        conditions += [f"written_at > {literal(since)}"] if since is not None else []
        conditions += [where] if where else []
        pending: list[pa.RecordBatch] = []
        with self._answering(table, "be read", storage=True):
            for batch in read_rows(
                self._storage_client(),
                f"projects/{self._settings.project}/datasets/{self._settings.dataset}/tables/{table.name}",
                project=self._settings.project,
                columns=[name for name in columns if name in known],
                where=" AND ".join(conditions),
                patience=_READING,
            ):
                pending.append(_completed(batch, schema))
                if sum(part.num_rows for part in pending) >= _PENDING:
                    yield pa.Table.from_batches(pending, schema)
                    pending = []
        if pending:
            yield pa.Table.from_batches(pending, schema)

    # --- what is there --------------------------------------------------------------------------------------

    def _definition(self, table: Table) -> _Definition:
        with self._lock:
            now = self._monotonic()
            known = self._definitions.get(table.name)
            if known is not None and now - known.seen < _DEFINITIONS_LAST:
                return known
            with self._answering(table, "be looked at"):
                found = self._rest_client().get_table(f"{self._dataset}.{table.name}", retry=_RETRY, timeout=PATIENCE)
            full = f"{self._dataset}.{table.name}"
            lacking = [column.name for column in differences(full, table, found)[0]]
            if not {*table.key, "written_at"}.isdisjoint(lacking):
                raise StoreMissing(f"the table {full} lacks the columns {', '.join(lacking)}: `thundercast bootstrap` adds them")
            columns = frozenset(table.arrow.names).difference(lacking)
            definition = self._definitions[table.name] = _Definition(now, found.created, columns)
            return definition

    @contextmanager
    def _answering(self, table: Table, doing: str, *, storage: bool = False) -> Iterator[None]:
        full = f"{self._dataset}.{table.name}"
        service = BIGQUERY_STORAGE if storage else BIGQUERY
        with answering(service, f"table {full}", doing, role=READ_ROLE, mend=MEND):
            try:
                yield
            except exceptions.GoogleAPICallError as error:
                with self._lock:
                    # Whatever it is, the table may not be what it was.
                    self._definitions.pop(table.name, None)
                if isinstance(error, exceptions.NotFound):
                    raise StoreMissing(f"there is no table {full}: {MEND}") from error
                raise

    def _rest_client(self) -> bigquery.Client:
        with self._lock:
            if self._rest is None:
                self._rest = rest_client(self._settings.project)
            return self._rest

    def _storage_client(self) -> BigQueryReadClient:
        with self._lock:
            if self._storage is None:
                self._storage = read_client()
            return self._storage


def _completed(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with the columns of a schema; those that it lacks are null."""
    found = set(batch.schema.names)
    arrays = [batch.column(f.name).cast(f.type) if f.name in found else pa.nulls(batch.num_rows, f.type) for f in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
