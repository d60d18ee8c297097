"""Settings and data that the suites of the domain share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import settings

from thundercast.domain.schema import COUNTED, RAW_SCHEMA, WEATHER
from unit.domain.rawrows import Stream

# A first call may have to compile a kernel; how long a test takes is nobody's promise here.
settings.register_profile("kernels", deadline=None)
settings.load_profile("kernels")


@pytest.fixture(scope="session")
def real_month(real_data: Path) -> Stream:
    """July 2023 of about 650 stations with their real gaps, sentinels and flags: (date, batch sorted by station)."""
    table = pq.ParquetFile(real_data / "gsod_real.parquet").read_row_group(3)
    renamed = {"latitude": "lat", "longitude": "lon", "elevation": "elev", "mxspd": "mxpsd"}
    table = table.rename_columns([renamed.get(name, name) for name in table.column_names])
    day = table.column("date").cast(pa.int32()).to_numpy()
    table = table.filter(pa.array((day >= 19539) & (day < 19539 + 31)))
    digits = {*WEATHER, "thunder"}
    text = table.column("station").cast(pa.string())
    halves = {"stn": pa.compute.utf8_slice_codeunits(text, 0, 6), "wban": pa.compute.utf8_slice_codeunits(text, 6, 11)}

    def column(field: pa.Field) -> pa.ChunkedArray:
        if field.name in halves:
            return halves[field.name]
        own = table.column(field.name)
        return pa.compute.cast(own.cast(pa.string()) if field.name in digits else own, field.type)

    assert {f"count_{name}" for name in COUNTED} <= set(table.column_names)
    rows = pa.table({f.name: column(f) for f in RAW_SCHEMA}, schema=RAW_SCHEMA).sort_by([("date", "ascending"), ("station", "ascending")])
    day = rows.column("date").cast(pa.int32()).to_numpy()
    starts = np.flatnonzero(np.diff(day, prepend=-1))
    parts = [rows.slice(a, b - a).combine_chunks().to_batches()[0] for a, b in zip(starts, [*starts[1:], len(day)], strict=True)]
    return [(int(part.column("date").cast(pa.int32())[0].as_py()), part) for part in parts]
