"""A stable sort by date and station of more rows than fit in memory.

Rows are dealt out by calendar month into one spill file; then each month, which fits, is read back, sorted and written. Two sequential
passes, and the memory of one block and one month, however long the stream: a month of the whole GSOD archive is about 400,000 rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from thundercast.domain.stations import keys_of

ROW_GROUP: Final = 122_880
_LEAST: Final = 65_536
_DEALT: Final = 262_144

Written = Callable[[int], None]
"""Called with the number of rows that were written since the last call."""


def sort_to_parquet(batches: Iterator[pa.RecordBatch], schema: pa.Schema, target: Path, *, spill: Path, written: Written) -> int:
    """Writes the rows in order of ``date`` (date32) and ``station`` to a parquet file; rows equal in both stay in the order of coming.

    Args:
        spill: a file to be made and deleted here; it grows to the size of the rows, uncompressed.

    Returns:
        The number of rows.
    """
    try:
        with pa.OSFile(str(spill), "wb") as sink:
            months, with_nulls = _dealt(batches, sink)
        # A column without nulls that says so is read a fifth faster.
        exact = pa.schema([field.with_nullable(field.name in with_nulls) for field in schema], metadata=schema.metadata)
        with pa.OSFile(str(spill), "rb") as pieces:
            return _write(_sorted_months(pieces, months, schema), exact, target, written)
    finally:
        spill.unlink(missing_ok=True)


def _dealt(batches: Iterator[pa.RecordBatch], sink: Any) -> tuple[dict[int, list[tuple[int, int]]], set[str]]:
    """Writes the rows piece by piece.

    Returns:
        Where the pieces of each month are: (offset, bytes), in the order of coming; and the columns that have nulls.
    """
    months: dict[int, list[tuple[int, int]]] = defaultdict(list)
    with_nulls: set[str] = set()
    for block in _blocks(batches):
        with_nulls.update(name for name, column in zip(block.schema.names, block.columns, strict=True) if column.null_count)
        days = _days(block)
        order = np.argsort(days, kind="stable")
        ordered, month = block.take(pa.array(order)), days[order].astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
        edges = [0, *(np.flatnonzero(np.diff(month)) + 1).tolist(), len(month)]
        for a, b in pairwise(edges):
            piece = ordered.slice(a, b - a).serialize()
            months[int(month[a])].append((sink.tell(), piece.size))
            sink.write(piece)
    return months, with_nulls


def _blocks(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows in larger blocks, so that a month's pieces are few."""
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        if batch.num_rows:
            held.append(batch)
            rows += batch.num_rows
        if rows >= _DEALT:
            yield pa.concat_batches(held)
            held, rows = [], 0
    if held:
        yield pa.concat_batches(held)


def _sorted_months(pieces: Any, months: dict[int, list[tuple[int, int]]], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for month in sorted(months):
        parts = []
        for offset, size in months[month]:
            pieces.seek(offset)
            parts.append(pa.ipc.read_record_batch(pieces.read_buffer(size), schema))
        rows = pa.concat_batches(parts)
        order = np.lexsort((keys_of(rows.column("station")), _days(rows)))
        yield rows.take(pa.array(order))


def _write(batches: Iterator[pa.RecordBatch], schema: pa.Schema, target: Path, written: Written) -> int:
    by = pq.SortingColumn.from_ordering(schema, [("date", "ascending"), ("station", "ascending")])
    total, held = 0, list[pa.RecordBatch]()
    # LZ4 is read a quarter faster than zstd and takes a tenth more room.
    with pq.ParquetWriter(target, schema, compression="lz4", sorting_columns=by) as writer:

        def flush() -> None:
            rows = sum(batch.num_rows for batch in held)
            groups = -(-rows // ROW_GROUP)
            if rows:
                writer.write_table(pa.Table.from_batches(held).cast(schema), row_group_size=-(-rows // groups))
                written(rows)
            held.clear()

        for batch in batches:
            held.append(batch)
            total += batch.num_rows
            if sum(one.num_rows for one in held) >= _LEAST:
                flush()
        flush()
    return total


def _days(rows: pa.RecordBatch) -> npt.NDArray[np.int32]:
    days: npt.NDArray[np.int32] = rows.column("date").cast(pa.int32()).to_numpy()
    return days
