"""Rows of a date-sorted parquet file, date by date: constant memory, one block read ahead."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from thundercast.adapters.sources.base import SourceDate, SourceError
from thundercast.adapters.sources.columns import Rejected
from thundercast.adapters.sources.fields import split_station
from thundercast.domain import runs
from thundercast.domain.deadletters import DeadLetter
from thundercast.domain.schema import RAW_SCHEMA
from thundercast.domain.stations import keys_of

BLOCK_ROWS: Final = 65_536

STORED: Final = tuple(name for name in RAW_SCHEMA.names if name not in ("stn", "wban"))
"""Columns of a sorted file made here: all of `gsod.raw/1` but the two halves of ``station``."""

TEXTS: Final = ("station", "flag_max", "flag_min", "flag_prcp", "country")
"""Stored columns that are read as dictionaries, which is faster than as text."""

Decode = Callable[[pa.RecordBatch, int], tuple[pa.RecordBatch, list[Rejected]]]
"""A block of the file and the number of its first row, to `gsod.raw/1` and what cannot be read of it."""

NO_ROWS: Final = pa.RecordBatch.from_pylist([], schema=RAW_SCHEMA)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Layout:
    """How to read a parquet file.

    Attributes:
        columns: names to read.
        date: what the date32 column is called.
        decode: see `Decode`.
        dictionaries: columns to be decoded as dictionaries.
        by_station: the rows of a date are known to be in order of station.
    """

    columns: Sequence[str]
    date: str
    decode: Decode
    dictionaries: Sequence[str] = ()
    by_station: bool = False


def _stored_rows(block: pa.RecordBatch, _first: int) -> tuple[pa.RecordBatch, list[Rejected]]:
    columns = {name: block.column(name) for name in STORED}
    for name in TEXTS:
        columns[name] = columns[name].cast(pa.string())
    columns["stn"], columns["wban"] = split_station(columns["station"])
    return pa.RecordBatch.from_arrays([columns[name] for name in RAW_SCHEMA.names], schema=RAW_SCHEMA), []


STORED_LAYOUT: Final = Layout(STORED, "date", _stored_rows, TEXTS, by_station=True)


class SortedRows:
    """A parquet file whose rows are in order of date.

    Args:
        name: of the file, for messages.
        rejected: rows that were set aside when the file was made; those without a day come with the first date that is asked for.
    """

    def __init__(self, path: Path, layout: Layout, *, name: str, rejected: Iterable[Rejected] = ()) -> None:
        self._path, self._layout, self._name = path, layout, name
        metadata = pq.read_metadata(path)
        ranges = date_ranges(metadata, layout.date)
        if not ranges:
            raise SourceError(f"{name}: the file has no rows")
        self._ranges = ranges
        self._firsts = np.cumsum([0] + [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]).tolist()
        self.start, self.end = ranges[0][0], ranges[-1][1]
        self.rows: int = metadata.num_rows
        self._rejected: dict[int, list[DeadLetter]] = defaultdict(list)
        self._undated: list[DeadLetter] = []
        for item in rejected:
            if item.day is None:
                self._undated.append(item.letter)
            else:
                # A date that no good row has may lie outside the source's range, where nobody would ask for it.
                self._rejected[min(max(item.day, runs.ordinal(self.start)), runs.ordinal(self.end))].append(item.letter)

    def dates(self, start: dt.date, end: dt.date) -> Iterator[SourceDate]:
        """See `base.Source.dates`. Row groups outside the range are not read."""
        undated = self._undated
        day = runs.ordinal(start)
        for found, parts, letters in self._found(day, runs.ordinal(end)):
            for between in range(day, found):
                yield self._date(between, [], undated)
                undated = []
            yield self._date(found, parts, undated + letters)
            undated, day = [], found + 1
        for after in range(day, runs.ordinal(end) + 1):
            yield self._date(after, [], undated)
            undated = []

    def _date(self, day: int, parts: list[pa.RecordBatch], letters: list[DeadLetter]) -> SourceDate:
        rows = NO_ROWS
        if parts:
            rows = parts[0] if len(parts) == 1 else pa.concat_batches(parts)
            if not self._layout.by_station:
                keys = keys_of(rows.column("station"))
                if np.any(keys[1:] < keys[:-1]):
                    rows = rows.take(pa.array(np.argsort(keys, kind="stable")))
        return SourceDate(runs.day(day), rows, letters + self._rejected.get(day, []))

    def _found(self, first: int, last: int) -> Iterator[tuple[int, list[pa.RecordBatch], list[DeadLetter]]]:
        """(day, its rows in pieces, its rejected rows) of the days from first to last which have either, in order."""
        day, parts, letters = -(2**31), list[pa.RecordBatch](), list[DeadLetter]()
        for block, rejected in _read_ahead(self._blocks(runs.day(first), runs.day(last))):
            set_aside: dict[int, list[DeadLetter]] = defaultdict(list)
            for item in rejected:
                set_aside[first if item.day is None else item.day].append(item.letter)
            days = block.column("date").cast(pa.int32()).to_numpy()
            pieces = {int(days[a]): (a, b) for a, b in self._pieces(days, day)}
            for at in sorted(pieces.keys() | set_aside.keys()):
                if at > last:
                    break
                if at < first:
                    continue
                if at > day:
                    if day >= first:
                        yield day, parts, letters
                    day, parts, letters = at, [], []
                if at in pieces:
                    a, b = pieces[at]
                    parts.append(block.slice(a, b - a))
                letters += set_aside.get(at, [])
        if day >= first:
            yield day, parts, letters

    def _pieces(self, days: npt.NDArray[np.int32], before: int) -> Iterator[tuple[int, int]]:
        """Where each date of a block begins and ends."""
        if not len(days):
            return
        if days[0] < before or np.any(days[1:] < days[:-1]):
            at = 0 if days[0] < before else int(np.flatnonzero(days[1:] < days[:-1])[0]) + 1
            later = before if at == 0 else int(days[at - 1])
            raise SourceError(
                f"{self._name}: the date {runs.day(int(days[at]))} comes after {runs.day(later)}, though the file began in order of date; "
                "was it changed while it was read?"
            )
        edges = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(days)]
        yield from pairwise(edges)

    def _blocks(self, start: dt.date, end: dt.date) -> Iterator[tuple[pa.RecordBatch, list[Rejected]]]:
        layout = self._layout
        groups = [i for i, (low, high) in enumerate(self._ranges) if low <= end and high >= start]
        try:
            with pq.ParquetFile(self._path, pre_buffer=False, read_dictionary=list(layout.dictionaries)) as file:
                for group in groups:
                    row = self._firsts[group]
                    for block in file.iter_batches(BLOCK_ROWS, row_groups=[group], columns=list(layout.columns), use_threads=False):
                        yield layout.decode(block, row)
                        row += block.num_rows
        except (pa.ArrowException, OSError) as error:
            raise SourceError(f"{self._name}: the file is damaged or cut off: {error}") from error


def date_ranges(metadata: Any, date: str) -> list[tuple[dt.date, dt.date]]:
    """First and last date of each row group by its statistics; [] if a group has none, or has rows without a date."""
    names = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
    column = names.index(date)
    ranges = []
    for i in range(metadata.num_row_groups):
        statistics = metadata.row_group(i).column(column).statistics
        if statistics is None or not statistics.has_min_max or statistics.null_count != 0 or not isinstance(statistics.min, dt.date):
            return []
        ranges.append((statistics.min, statistics.max))
    return ranges


def is_sorted(path: Path, date: str) -> bool:
    """Whether the rows are in order of date: row groups by their statistics, then, if these allow it, all dates."""
    ranges = date_ranges(pq.read_metadata(path), date)
    if not ranges or any(low < high for (_, high), (low, _) in pairwise(ranges)):
        return False
    with pq.ParquetFile(path) as file:
        for block in file.iter_batches(1 << 20, columns=[date], use_threads=False):
            days = block.column(0).cast(pa.int32()).to_numpy()
            if np.any(days[1:] < days[:-1]):
                return False
    return True


def _read_ahead(blocks: Iterator[T]) -> Iterator[T]:
    """The same items, the next one being made in a thread while one is used."""
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as pool:
        following = pool.submit(next, blocks, None)
        while (block := following.result()) is not None:
            following = pool.submit(next, blocks, None)
            yield block
