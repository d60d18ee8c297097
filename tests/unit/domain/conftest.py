"""Data that the suites of the domain share."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from thundercast.domain.schema import RAW_SCHEMA, WEATHER
from unit.domain.rawrows import Stream


@pytest.fixture(scope="session")
def real_month(real_data: Path) -> Stream:
    """July 2023 with its real gaps, sentinels and flags: (date, batch sorted by station), about 5,100 rows a date."""
    month = [("date", ">=", dt.date(2023, 7, 1)), ("date", "<=", dt.date(2023, 7, 31))]
    table = pq.read_table(real_data / "gsod_real.parquet", filters=month)
    renamed = {"latitude": "lat", "longitude": "lon", "elevation": "elev", "mxspd": "mxpsd"}
    table = table.rename_columns([renamed.get(name, name) for name in table.column_names])
    digits = {*WEATHER, "thunder"}
    text = table.column("station").cast(pa.string())
    halves = {"stn": pc.utf8_slice_codeunits(text, 0, 6), "wban": pc.utf8_slice_codeunits(text, 6, 11)}

    def column(field: pa.Field) -> pa.ChunkedArray:
        if field.name in halves:
            return halves[field.name]
        own = table.column(field.name)
        return pc.cast(own.cast(pa.string()) if field.name in digits else own, field.type)

    rows = pa.table({f.name: column(f) for f in RAW_SCHEMA}, schema=RAW_SCHEMA).sort_by([("date", "ascending"), ("station", "ascending")])
    day = rows.column("date").cast(pa.int32()).to_numpy()
    starts = np.flatnonzero(np.diff(day, prepend=-1))
    parts = [rows.slice(a, b - a).combine_chunks().to_batches()[0] for a, b in zip(starts, [*starts[1:], len(day)], strict=True)]
    return [(int(part.column("date").cast(pa.int32())[0].as_py()), part) for part in parts]
