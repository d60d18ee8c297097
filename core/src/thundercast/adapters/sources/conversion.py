"""Files of any format, one after another, as `gsod.raw/1`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from thundercast.adapters.sources import op_format, station_year_csv
from thundercast.adapters.sources.base import Progress, SourceError
from thundercast.adapters.sources.columns import Rejected, canonical, to_raw
from thundercast.adapters.sources.inputs import Member, damage_named, members_of
from thundercast.adapters.sources.sorted_rows import BLOCK_ROWS, NO_ROWS, Layout
from thundercast.adapters.sources.station_list import StationList

Converted = Iterator[tuple[pa.RecordBatch, list[Rejected]]]


def converted(files: list[tuple[str, Path]], station_file: Path | None, progress: Progress | None) -> Converted:
    """The rows of all files as `gsod.raw/1`, in the order of the files, and those that cannot be read.

    Raises:
        SourceError: a file cannot be read; it is named.
    """
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
