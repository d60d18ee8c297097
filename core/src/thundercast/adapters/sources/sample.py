"""`sample`: real station-days packed with the program, exact to the last decimal.

Measurements are kept as whole tenths or hundredths, which pack well; divided again they are the very float64 that NOAA's decimals read as,
because a division of two whole numbers is rounded correctly.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from thundercast.adapters.sources.base import Progress, SourceDate, SourceError, SourceInfo
from thundercast.adapters.sources.columns import Rejected
from thundercast.adapters.sources.fields import split_station
from thundercast.adapters.sources.rights import UNITED_STATES
from thundercast.adapters.sources.sorted_rows import STORED, Layout, SortedRows
from thundercast.domain.schema import MEASUREMENTS, RAW_SCHEMA

PATH: Final = Path(__file__).parent / "data" / "sample.parquet"
_PER_UNIT: Final = {m.raw: 100.0 if m.raw == "prcp" else 10.0 for m in MEASUREMENTS}
"""Whole numbers in one unit: precipitation has two decimals, all else one."""


class SampleSource:
    """The packed stations of the USA; see `data/PROVENANCE.md`."""

    def __init__(self) -> None:
        self._rows: SortedRows | None = None

    def open(self, progress: Progress | None = None) -> SourceInfo:  # noqa: ARG002 (nothing takes long)
        rows = self._opened()
        content = hashlib.sha256(PATH.read_bytes()).hexdigest()[:16]
        return SourceInfo(identity=f"sample#{content}", start=rows.start, end=rows.end, rows=rows.rows, rights=UNITED_STATES)

    def dates(self, start: dt.date, end: dt.date) -> Iterator[SourceDate]:
        yield from self._opened().dates(start, end)

    def _opened(self) -> SortedRows:
        if self._rows is None:
            if not PATH.is_file():
                raise SourceError(f"{PATH} is missing: this installation is not whole; install thundercast-core again")
            self._rows = SortedRows(PATH, LAYOUT, name="sample")
        return self._rows


def pack(rows: pa.Table) -> pa.Table:
    """Rows of `gsod.raw/1` as the sample keeps them, the `STORED` columns with measurements as whole numbers.

    Raises:
        ValueError: a value has more decimals than are kept.
    """
    columns = {name: rows.column(name) for name in STORED}
    for name, per_unit in _PER_UNIT.items():
        values = columns[name].to_numpy()
        whole = np.rint(values * per_unit)
        if not np.array_equal(whole / per_unit, values):
            raise ValueError(f"a value of {name} has more decimals than {per_unit:g} to the unit keep")
        columns[name] = pa.chunked_array([pa.array(whole.astype(np.int32))])
    return pa.table(columns)


def unpack(block: pa.RecordBatch, _first: int) -> tuple[pa.RecordBatch, list[Rejected]]:
    """The inverse of `pack`, by block."""
    columns = {name: block.column(name) for name in STORED}
    for name, per_unit in _PER_UNIT.items():
        columns[name] = pa.array(columns[name].to_numpy() / per_unit)
    columns["stn"], columns["wban"] = split_station(columns["station"])
    return pa.RecordBatch.from_arrays([columns[name] for name in RAW_SCHEMA.names], schema=RAW_SCHEMA), []


LAYOUT: Final = Layout(STORED, "date", unpack, by_station=True)


def write(rows: pa.Table, path: Path) -> None:
    """Writes rows, which are in order of date and station, as the sample."""
    packed = pack(rows)
    by = pq.SortingColumn.from_ordering(packed.schema, [("date", "ascending"), ("station", "ascending")])
    pq.write_table(packed, path, compression="zstd", compression_level=19, row_group_size=65_536, sorting_columns=by)
