"""Files in any order, sorted once by date and station, out of core, into a cache that later reads use."""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from thundercast.adapters.sources import op_format, station_year_csv
from thundercast.adapters.sources.base import Progress, SourceError
from thundercast.adapters.sources.columns import Rejected, canonical, to_raw
from thundercast.adapters.sources.date_sort import sort_to_parquet
from thundercast.adapters.sources.inputs import Member, damage_named, members_of
from thundercast.adapters.sources.sorted_rows import BLOCK_ROWS, NO_ROWS, STORED, STORED_LAYOUT, Layout, SortedRows
from thundercast.adapters.sources.station_list import StationList
from thundercast.domain.deadletters import DeadLetter
from thundercast.domain.schema import RAW_SCHEMA

VERSION: Final = 1
"""Of the conversion: a sorted file made by another version is not used."""

MOST_REJECTED: Final = 100_000
"""A source with more unreadable rows than this is not GSOD, or broken as a whole."""

_ROWS: Final = "rows.parquet"
_REJECTED: Final = "rejected.jsonl"
_ABANDONED: Final = 86_400  # s
_SCHEMA: Final = pa.schema([RAW_SCHEMA.field(name) for name in STORED], metadata=RAW_SCHEMA.metadata)

Converted = Iterator[tuple[pa.RecordBatch, list[Rejected]]]


def sorted_form(
    files: list[tuple[str, Path]], stations: Path | None, *, identity: str, name: str, cache: Path, progress: Progress | None = None
) -> tuple[SortedRows, float]:
    """The rows of the files in order of date, and the seconds that making the sorted form took (0 if it was there).

    Raises:
        SourceError: a file cannot be read, there are no rows in them, or the cache cannot be written.
    """
    folder = cache / "sorted" / f"{identity}-v{VERSION}"
    began = time.monotonic()
    made = not folder.is_dir()
    if made:
        try:
            _make(folder, files, stations, name, progress)
        except OSError as error:
            raise SourceError(f"{cache}: the sorted form of {name} cannot be written there: {error}") from error
    try:
        with (folder / _REJECTED).open(encoding="utf-8") as lines:
            rejected = [Rejected(DeadLetter(**item["letter"]), item["day"]) for item in map(json.loads, lines)]
        rows = SortedRows(folder / _ROWS, STORED_LAYOUT, name=name, rejected=rejected)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SourceError(f"{folder}: the sorted form of {name} is damaged; delete this folder, it will be made again ({error})") from error
    return rows, time.monotonic() - began if made else 0.0


def _make(folder: Path, files: list[tuple[str, Path]], stations: Path | None, name: str, progress: Progress | None) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder.parent)
    # Everything is made beside and named in one step: a killed conversion leaves nothing that looks whole.
    work = folder.with_name(f"{folder.name}.{uuid.uuid4().hex}.tmp")
    work.mkdir()
    try:
        rejected: list[Rejected] = []
        read = 0
        written = 0

        def counted(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            nonlocal read
            for batch in batches:
                read += batch.num_rows
                yield batch

        def wrote(rows: int) -> None:
            nonlocal written
            written += rows
            if progress is not None:
                progress("sorting", written, read)

        batches = counted(_read(_converted(files, stations, progress), rejected, name))
        if sort_to_parquet(batches, _SCHEMA, work / _ROWS, spill=work / "spill", written=wrote) == 0:
            why = f"; the first of {len(rejected):,} that cannot be read: {rejected[0].letter.detail}" if rejected else ""
            raise SourceError(f"{name}: there are no station-days in it{why}")
        with (work / _REJECTED).open("w", encoding="utf-8") as lines:
            for item in rejected:
                letter = {k: v for k, v in asdict(item.letter).items() if k != "payload"}
                lines.write(json.dumps({"day": item.day, "letter": letter}) + "\n")
        try:
            work.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was as quick, with the same content
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _sweep(parent: Path) -> None:
    """Deletes what conversions that were killed have left."""
    for left in parent.glob("*.tmp"):
        if time.time() - left.stat().st_mtime > _ABANDONED:
            shutil.rmtree(left, ignore_errors=True)


def _read(converted: Converted, rejected: list[Rejected], name: str) -> Iterator[pa.RecordBatch]:
    """The columns to be stored; what was set aside goes to ``rejected``."""
    for rows, set_aside in converted:
        rejected += set_aside
        if len(rejected) > MOST_REJECTED:
            raise SourceError(f"{name}: more than {MOST_REJECTED:,} rows cannot be read, the first because of {rejected[0].letter.detail}")
        yield rows.select(list(STORED))


def _converted(files: list[tuple[str, Path]], station_file: Path | None, progress: Progress | None) -> Converted:
    total = float(sum(path.stat().st_size for _, path in files))
    done = 0.0

    def consumed(count: float) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress("reading", done, total)

    stations = StationList.read(station_file) if station_file is not None else None
    gathered = _Gathered(stations)
    for member in members_of(files, consumed):
        if member.kind == "parquet":
            yield from gathered.flushed()
            yield from _parquet(member, stations, consumed)
        else:
            yield from gathered.read(member)
    yield from gathered.flushed()


def _parquet(member: Member, stations: StationList | None, consumed: Callable[[float], None]) -> Converted:
    layout = parquet_layout(member.path, member.name, stations)
    size = member.path.stat().st_size
    try:
        with pq.ParquetFile(member.path, pre_buffer=False, read_dictionary=list(layout.dictionaries)) as file:
            row = 0
            for block in file.iter_batches(BLOCK_ROWS, columns=list(layout.columns), use_threads=False):
                yield layout.decode(block, row)
                row += block.num_rows
                consumed(size * block.num_rows / file.metadata.num_rows)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{member.name}: the file is damaged or cut off: {error}") from error


def parquet_layout(path: Path, name: str, stations: StationList | None) -> Layout:
    """How to read a parquet file as `gsod.raw/1`.

    Raises:
        SourceError: it is not a parquet file, or its columns are not those of station-days.
    """
    schema = parquet_schema(path, name)
    names = canonical(schema.names, where=name)
    inverse = {own: known for known, own in names.items()}
    texts = [own for own in inverse if pa.types.is_string(schema.field(own).type) or pa.types.is_large_string(schema.field(own).type)]

    def decode(block: pa.RecordBatch, row: int) -> tuple[pa.RecordBatch, list[Rejected]]:
        table = pa.Table.from_batches([block])
        table = table.rename_columns([inverse[column] for column in table.schema.names])
        try:
            return to_raw(table, where=lambda i: f"{name} row {row + i + 1}", stations=stations)
        except SourceError as error:
            raise SourceError(f"{name}: {error}") from error
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise SourceError(f"{name}: its columns are not of the types of station-days: {error}") from error

    return Layout(list(inverse), names["date"], decode, dictionaries=texts)


def parquet_schema(path: Path, name: str) -> pa.Schema:
    """The columns of a parquet file.

    Raises:
        SourceError: it is not a parquet file.
    """
    try:
        if not path.stat().st_size:
            raise SourceError(f"{name}: the file is empty")
        return pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{name}: not a parquet file, or cut off: {error}") from error


class _Gathered:
    """Rows of many small text files, turned into `gsod.raw/1` many at a time."""

    def __init__(self, stations: StationList | None) -> None:
        self._stations = stations
        self._tables: list[pa.Table] = []
        self._names: list[str] = []
        self._rows = 0

    def read(self, member: Member) -> Converted:
        reader = {"csv": station_year_csv.read, "op": op_format.read}[member.kind]
        with damage_named(member.name):
            for table, rejected in reader(member.stream, member.name):
                if rejected:
                    yield NO_ROWS, rejected
                if not table.num_rows:
                    continue
                if self._tables and table.schema != self._tables[0].schema:
                    yield from self.flushed()
                self._tables.append(table)
                self._names.append(member.name)
                self._rows += table.num_rows
                if self._rows >= BLOCK_ROWS:
                    yield from self.flushed()

    def flushed(self) -> Converted:
        if not self._tables:
            return
        table = pa.concat_tables(self._tables)
        starts = np.cumsum([0] + [t.num_rows for t in self._tables])
        names, lines = self._names, table.column(station_year_csv.ROW)
        self._tables, self._names, self._rows = [], [], 0

        def where(i: int) -> str:
            return f"{names[int(np.searchsorted(starts, i, side='right')) - 1]} line {lines[i].as_py()}"

        yield to_raw(table, where=where, stations=self._stations)
