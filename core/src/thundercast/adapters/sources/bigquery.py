"""`bigquery:YEARS`: NOAA's station-days in BigQuery, a year at a time, in order of date and station.

One query a year puts the year in order and adds the places; its result is read as one ordered stream, so memory holds a batch or two. Each
query reads the year's whole table, which is not partitioned; what it may cost is bounded, and told beforehand by `estimate`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import structlog
from google.api_core import exceptions
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryReadClient
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from thundercast.adapters.google.bigquery_clients import PATIENCE, read_client, rest_client
from thundercast.adapters.google.bigquery_rows import literal, read_rows
from thundercast.adapters.google.errors import BIGQUERY, answering
from thundercast.adapters.settings import Settings
from thundercast.adapters.sources.base import Estimate, Progress, SourceDate, SourceError, SourceInfo
from thundercast.adapters.sources.columns import STAGE, Rejected, to_raw
from thundercast.adapters.sources.rights import WORLD
from thundercast.adapters.sources.sorted_rows import NO_ROWS
from thundercast.domain import runs
from thundercast.domain.deadletters import DeadLetter
from thundercast.domain.schema import RAW_SCHEMA
from thundercast.domain.stations import keys_of
from thundercast.stage.protocols import Unavailable

STATIONS: Final = "stations"
PLACE: Final = ("lat", "lon", "elev", "country")
COLUMNS: Final = tuple(name for name in RAW_SCHEMA.names if name not in ("station", *PLACE))
"""What is read of a year's table; BigQuery's names are those of `gsod.raw/1`."""
MINIMUM_BILLED: Final = 10 * 2**20
"""Bytes that are billed at least, for each table of a query."""
ROLE: Final = "roles/bigquery.jobUser and roles/bigquery.readSessionUser on your project"

_QUERY_TAKES: Final = 600.0  # s, at most
_SESSION_LASTS: Final = 6 * 3600.0  # s
_PAGE_ROWS: Final = 20_000
_RETRY: Final = bigquery.DEFAULT_RETRY.with_timeout(4 * PATIENCE)

_log = structlog.get_logger(__name__)


class GsodSettings(Settings):
    """Where `bigquery:YEARS` finds the station-days, who pays, and how much at most."""

    model_config = SettingsConfigDict(extra="ignore")

    project: str = Field(
        min_length=1,
        default_factory=lambda: os.environ.get("GOOGLE_CLOUD_PROJECT", "demo-project"),
        description="Google Cloud project that runs the queries and pays; `GOOGLE_CLOUD_PROJECT` if that is set",
    )
    gsod_project: str = Field("bigquery-public-data", min_length=1, description="project of the dataset with NOAA's station-days")
    gsod_dataset: str = Field("noaa_gsod", min_length=1, description="dataset with the tables `gsodYYYY` and `stations`")
    gsod_max_bytes_billed: int = Field(20_000_000_000, ge=MINIMUM_BILLED, description="bytes that the query of one year may bill at most")
    gsod_usd_per_tib: float = Field(6.25, ge=0, description="price of a TiB, for estimates; the first of a month is free")
    bigquery_endpoint: str | None = Field(None, description="URL of BigQuery's REST API, where it is not Google's public one")
    bigquery_storage_endpoint: str | None = Field(None, description="HOST:PORT of BigQuery's Storage API, likewise")


class BigQuerySource:
    """The tables ``gsodYYYY`` of some years, with the places of ``stations``.

    Args:
        years: in order, without gaps.
        rest, storage: for other clients than those that the settings and the environment's variables name.
    """

    def __init__(
        self,
        years: range,
        *,
        settings: GsodSettings | None = None,
        rest: bigquery.Client | None = None,
        storage: BigQueryReadClient | None = None,
    ) -> None:
        self._years = years
        self._settings = settings or GsodSettings()
        self._rest, self._storage = rest, storage
        self._info: SourceInfo | None = None

    @property
    def dataset(self) -> str:
        return f"{self._settings.gsod_project}.{self._settings.gsod_dataset}"

    def open(self, progress: Progress | None = None) -> SourceInfo:
        if self._info is None:
            self._info = self._open(progress)
        return self._info

    def dates(self, start: dt.date, end: dt.date) -> Iterator[SourceDate]:
        self.open()
        day = start
        for year in self._years:
            first, last = max(day, dt.date(year, 1, 1)), min(end, dt.date(year, 12, 31))
            if first > last:
                continue
            for found in self._year(year, first, last):
                yield from _empty(day, found.date)
                yield found
                day = found.date + dt.timedelta(1)
        yield from _empty(day, end + dt.timedelta(1))

    def estimate(self, start: dt.date | None = None, end: dt.date | None = None) -> Estimate:
        """What reading the dates from start to end bills, by dry runs, which are free.

        Raises:
            SourceError: there is nothing to read, or it cannot be told.
        """
        billed = {}
        for year in self._years:
            first, last = max(start or dt.date.min, dt.date(year, 1, 1)), min(end or dt.date.max, dt.date(year, 12, 31))
            if first <= last:
                with self._answering(year, "be estimated"):
                    job = self._rest_client().query(
                        self._sql(year), job_config=self._config(first, last, dry_run=True), retry=_RETRY, timeout=PATIENCE
                    )
                billed[year] = max(int(job.total_bytes_processed or 0), 2 * MINIMUM_BILLED)
        return Estimate(billed, self._settings.gsod_usd_per_tib)

    # --- the tables ---------------------------------------------------------------------------------------

    def _open(self, progress: Progress | None) -> SourceInfo:
        seen, rows = [], 0
        for i, year in enumerate(self._years):
            with self._answering(year, "be looked at"):
                table = self._rest_client().get_table(f"{self.dataset}.gsod{year}", retry=_RETRY, timeout=PATIENCE)
            if missing := sorted(set(COLUMNS) - {field.name for field in table.schema}):
                raise SourceError(f"table {self.dataset}.gsod{year} has no column {', '.join(missing)}: these are not GSOD station-days")
            rows += table.num_rows or 0
            seen.append(f"{year} {table.num_rows} {table.modified.isoformat()}")
            if progress is not None:
                progress("looking at tables", i + 1.0, float(len(self._years)))
        with self._answering(None, "be looked at"):
            places = self._rest_client().get_table(f"{self.dataset}.{STATIONS}", retry=_RETRY, timeout=PATIENCE)
        seen.append(f"{STATIONS} {places.num_rows} {places.modified.isoformat()}")
        first, last = self._years[0], self._years[-1]
        start, end = self._span(first)
        if last != first:
            _, end = self._span(last)
        years = f"{first}-{last}" if last != first else f"{first}"
        content = hashlib.sha256("\n".join(seen).encode()).hexdigest()[:16]
        return SourceInfo(identity=f"bigquery:{self.dataset}:{years}#{content}", start=start, end=end, rows=rows, rights=WORLD)

    def _span(self, year: int) -> tuple[dt.date, dt.date]:
        """First and last date of a year's table."""
        sql = f"SELECT MIN(date) AS first, MAX(date) AS last FROM `{self.dataset}.gsod{year}` WHERE EXTRACT(YEAR FROM date) = {year}"
        config = bigquery.QueryJobConfig(maximum_bytes_billed=self._settings.gsod_max_bytes_billed)
        with self._answering(year, "be asked for its dates"):
            (row,) = self._rest_client().query(sql, job_config=config, retry=_RETRY, timeout=PATIENCE).result(timeout=_QUERY_TAKES)
        if row["first"] is None:
            raise SourceError(f"table {self.dataset}.gsod{year} has no dates of {year}: leave that year out")
        return row["first"], row["last"]

    def _sql(self, year: int) -> str:
        """The year's rows between two dates. What is not of the year comes first, and only with its first day.

        Of a station's several entries in the list the one that was used last counts, always the same. The number 99999999999 stands for
        many stations, so it has no place. Rows that are equal in date and station keep one order, because the cleaner takes the first.
        """
        table, places = f"`{self.dataset}.gsod{year}`", f"`{self.dataset}.{STATIONS}`"
        columns = ", ".join(f"g.`{name}`" for name in COLUMNS)
        order = ", ".join(f"g.`{name}`" for name in ("date", "stn", "wban", *(n for n in COLUMNS if n not in ("date", "stn", "wban"))))
        known = "s.lat IS NOT NULL AND s.lon IS NOT NULL AND NOT (s.lat = 0 AND s.lon = 0)"
        return (
            f"SELECT {columns}, p.lat, p.lon, p.elev, p.country FROM {table} AS g LEFT JOIN ("
            f"SELECT s.usaf, s.wban, IF({known}, s.lat, NULL) AS lat, IF({known}, s.lon, NULL) AS lon, "
            f"SAFE_CAST(s.elev AS FLOAT64) AS elev, s.country FROM {places} AS s WHERE NOT (s.usaf = '999999' AND s.wban = '99999') "
            "QUALIFY ROW_NUMBER() OVER (PARTITION BY s.usaf, s.wban "
            "ORDER BY s.`end` DESC, s.`begin` DESC, s.lat, s.lon, s.elev, s.country) = 1"
            ") AS p ON p.usaf = g.stn AND p.wban = g.wban "
            "WHERE g.date BETWEEN @start AND @end "
            f"OR (@start = DATE '{year}-01-01' AND (g.date IS NULL OR EXTRACT(YEAR FROM g.date) != {year})) "
            f"ORDER BY g.date BETWEEN @start AND @end, {order}"
        )

    def _config(self, first: dt.date, last: dt.date, *, dry_run: bool = False) -> bigquery.QueryJobConfig:
        return bigquery.QueryJobConfig(
            dry_run=dry_run,
            use_query_cache=not dry_run,
            maximum_bytes_billed=None if dry_run else self._settings.gsod_max_bytes_billed,
            query_parameters=[bigquery.ScalarQueryParameter(name, "DATE", day) for name, day in (("start", first), ("end", last))],
        )

    # --- the rows -----------------------------------------------------------------------------------------

    def _year(self, year: int, first: dt.date, last: dt.date) -> Iterator[SourceDate]:
        """The dates of a year that have rows, or rows that cannot be read."""
        with self._answering(year, "be queried"):
            job = self._rest_client().query(self._sql(year), job_config=self._config(first, last), retry=_RETRY, timeout=PATIENCE)
            result = job.result(page_size=_PAGE_ROWS, timeout=_QUERY_TAKES)
        if os.environ.get(BIGQUERY.emulator) and self._storage is None:
            # Stand-ins keep no table of a query's result; pages of it are slow, but they need not be fast.
            with self._answering(year, "be read"):
                yield from self._by_date(year, result.to_arrow_iterable(bqstorage_client=None, max_queue_size=1), first, last)
            return
        kept = f"projects/{job.destination.project}/datasets/{job.destination.dataset_id}/tables/{job.destination.table_id}"
        day, resumed = first, ""
        while True:
            begun = day
            try:
                for found in self._by_date(year, self._result(kept, resumed), day, last):
                    yield found
                    day = found.date + dt.timedelta(1)
                return
            except exceptions.GoogleAPICallError as error:
                # A session ends after some hours, and a slow replay may take longer; the result is kept for a day.
                if day == begun:
                    with self._answering(year, "be read"):
                        raise
                resumed = f"date >= {literal(day)}"
                _log.warning("reading_resumed", table=f"{self.dataset}.gsod{year}", date=str(day), reason=str(error))

    def _result(self, table: str, where: str) -> Iterator[pa.RecordBatch]:
        if self._storage is None:
            self._storage = read_client(endpoint=self._settings.bigquery_storage_endpoint)
        columns = [*COLUMNS, *PLACE]
        return read_rows(self._storage, table, project=self._settings.project, columns=columns, where=where, patience=_SESSION_LASTS)

    def _by_date(self, year: int, batches: Iterator[pa.RecordBatch], first: dt.date, last: dt.date) -> Iterator[SourceDate]:
        """Cuts ordered batches into dates; one date and one batch are held."""
        where, row = f"{self.dataset}.gsod{year}", 0
        day, parts, letters = runs.ordinal(first), list[pa.RecordBatch](), list[DeadLetter]()
        for batch in batches:
            rows, rejected = self._raw(batch, where, row, first, last)
            row += batch.num_rows
            set_aside: dict[int, list[DeadLetter]] = {}
            for item in rejected:
                set_aside.setdefault(day if item.day is None else item.day, []).append(item.letter)
            days = rows.column("date").cast(pa.int32()).to_numpy()
            if len(days) and (days[0] < day or np.any(days[1:] < days[:-1])):
                raise SourceError(f"{where}: the result of the query did not come in order of date")
            for at in sorted({*np.unique(days).tolist(), *set_aside}):
                if at > day:
                    if parts or letters:
                        yield _date(day, parts, letters)
                    day, parts, letters = at, [], []
                low, high = np.searchsorted(days, [at, at + 1]).tolist()
                parts += [rows.slice(low, high - low)] if high > low else []
                letters += set_aside.get(at, [])
        if parts or letters:
            yield _date(day, parts, letters)

    def _raw(self, batch: pa.RecordBatch, where: str, row: int, first: dt.date, last: dt.date) -> tuple[pa.RecordBatch, list[Rejected]]:
        table = pa.Table.from_batches([batch])
        days = table.column("date")
        astray = pc.fill_null(pc.invert(pc.and_(pc.greater_equal(days, pa.scalar(first)), pc.less_equal(days, pa.scalar(last)))), True)
        letters = []
        if pc.any(astray).as_py():
            letters = [_astray(original, where) for original in table.filter(astray).to_pylist()]
            row += len(letters)
            table = table.filter(pc.invert(astray))
        rows, rejected = to_raw(table, where=lambda i: f"{where} row {row + i + 1} in order of date")
        return rows, letters + rejected

    # --- clients ------------------------------------------------------------------------------------------

    def _rest_client(self) -> bigquery.Client:
        if self._rest is None:
            self._rest = rest_client(self._settings.project, endpoint=self._settings.bigquery_endpoint)
        return self._rest

    @contextmanager
    def _answering(self, year: int | None, doing: str) -> Iterator[None]:
        table = f"table {self.dataset}.{STATIONS if year is None else f'gsod{year}'}"
        try:
            with answering(BIGQUERY, table, doing, role=ROLE, mend="NOAA's GSOD in BigQuery has the years 1929 to 2025"):
                yield
        except Unavailable as error:
            billed = isinstance(error.__cause__, exceptions.ClientError) and "bytes billed" in str(error.__cause__)
            way_out = "; THUNDERCAST_GSOD_MAX_BYTES_BILLED raises the limit" if billed else ""
            raise SourceError(f"{error}{way_out}") from error


def _empty(start: dt.date, end: dt.date) -> Iterator[SourceDate]:
    """Dates without rows, from start to before end."""
    for day in range(runs.ordinal(start), runs.ordinal(end)):
        yield SourceDate(runs.day(day), NO_ROWS)


def _date(day: int, parts: list[pa.RecordBatch], letters: list[DeadLetter]) -> SourceDate:
    rows = NO_ROWS if not parts else parts[0] if len(parts) == 1 else pa.concat_batches(parts)
    keys = keys_of(rows.column("station"))
    if np.any(keys[1:] < keys[:-1]):
        rows = rows.take(pa.array(np.argsort(keys, kind="stable")))
    return SourceDate(runs.day(day), rows, letters)


def _astray(original: dict[str, object], where: str) -> Rejected:
    """A row without a date, or in another year's table."""
    date = original["date"]
    reason = "bad_date" if date is None else "wrong_date"
    letter = DeadLetter(
        reason,
        f"{where}: date = {date}",
        STAGE,
        station=f"{original['stn'] or ''}{original['wban'] or ''}",
        date=str(date or ""),
        original={name: value if isinstance(value, str | int | None) else str(value) for name, value in original.items()},
    )
    return Rejected(letter, None)
