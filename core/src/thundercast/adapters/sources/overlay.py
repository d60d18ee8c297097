"""`overlay:FILE:SOURCE`: a source with corrected station-days laid over it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from thundercast.adapters.sources.base import Estimate, Priced, Progress, Source, SourceDate, SourceError, SourceInfo


class Overlaid:
    """A source in which the station-days of another take the place of its own; those that it has not are added.

    It is another source to a run: its identity has the content of both. So corrections never get into a run that is under way.

    Args:
        source: what lies below.
        over: the corrections; all of their dates must be among the source's.
    """

    def __init__(self, source: Source, over: Source) -> None:
        self._source = source
        self._over = over
        self._info: tuple[SourceInfo, SourceInfo] | None = None

    def open(self, progress: Progress | None = None) -> SourceInfo:
        if self._info is None:
            below, over = self._source.open(progress), self._over.open(progress)
            if over.start < below.start or over.end > below.end:
                raise SourceError(
                    f"the corrections {over.identity} have dates from {over.start} to {over.end}, beyond those of {below.identity}, which "
                    f"are {below.start} to {below.end}: take them out"
                )
            # A correction may replace a row or add one, so how many there are is known only at the end.
            whole = replace(
                below, identity=f"overlay:{over.identity}:{below.identity}", rows=None, synthetic=below.synthetic or over.synthetic,
                prepare_seconds=below.prepare_seconds + over.prepare_seconds,
            )  # fmt: skip
            self._info = whole, over
        return self._info[0]

    def estimate(self, start: dt.date | None = None, end: dt.date | None = None) -> Estimate:
        """What reading the source below bills.

        Raises:
            SourceError: it bills nothing, or it cannot be told.
        """
        if not isinstance(self._source, Priced):
            raise SourceError("the source below the corrections bills nothing")
        return self._source.estimate(start, end)

    def dates(self, start: dt.date, end: dt.date) -> Iterator[SourceDate]:
        self.open()
        assert self._info is not None  # noqa: S101
        over = self._info[1]
        first, last = max(start, over.start), min(end, over.end)
        corrections = self._over.dates(first, last) if first <= last else iter(())
        for day in self._source.dates(start, end):
            yield _laid(next(corrections), day) if first <= day.date <= last else day


def _laid(over: SourceDate, day: SourceDate) -> SourceDate:
    """One date: what is corrected is gone from the rows, and from those that could not be read."""
    if not over.rows.num_rows and not over.rejected:
        return day
    corrected = over.rows.column("station")
    kept = day.rows.filter(pc.invert(pc.is_in(day.rows.column("station"), corrected)))
    # Ties stay in order: a sort of the indices is stable only with the position as a key.
    both = pa.Table.from_batches([kept, over.rows], schema=day.rows.schema).combine_chunks()
    at = both.append_column("_at", pa.array(range(both.num_rows), pa.int64()))
    order = pc.sort_indices(at, sort_keys=[("station", "ascending"), ("_at", "ascending")])
    rows = pa.RecordBatch.from_arrays([column.combine_chunks() for column in both.take(order).columns], schema=day.rows.schema)
    stations = set(corrected.to_pylist())
    # A row whose own date cannot be read is reported with some date, which says nothing of it.
    unread = [letter for letter in day.rejected if letter.station not in stations or letter.date != day.date.isoformat()]
    return SourceDate(day.date, rows, [*unread, *over.rejected])
