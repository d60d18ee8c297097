"""`file:PATH`: station-days in a file, a folder or an archive."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from thundercast.adapters.sources import fields, inputs
from thundercast.adapters.sources.base import Progress, SourceDate, SourceError, SourceInfo
from thundercast.adapters.sources.columns import canonical
from thundercast.adapters.sources.conversion import parquet_layout, parquet_schema
from thundercast.adapters.sources.rights import WORLD
from thundercast.adapters.sources.sorted_rows import SortedRows, is_sorted
from thundercast.adapters.sources.sorting import VERSION, sorted_form
from thundercast.adapters.sources.station_list import StationList


class FileSource:
    """Parquet, NCEI station-year CSV and `.op` files, alone or together in a folder or archive.

    A parquet file in order of date is read where it is. All else is sorted once into the cache.
    """

    def __init__(self, path: Path, *, cache: Path) -> None:
        self._path = path
        self._cache = cache
        self._opened: tuple[SourceInfo, SortedRows] | None = None

    def open(self, progress: Progress | None = None) -> SourceInfo:
        if self._opened is None:
            self._opened = self._open(progress)
        return self._opened[0]

    def dates(self, start: dt.date, end: dt.date) -> Iterator[SourceDate]:
        if self._opened is None:
            self._opened = self._open(None)
        yield from self._opened[1].dates(start, end)

    def _open(self, progress: Progress | None) -> tuple[SourceInfo, SortedRows]:
        path = self._path.expanduser()
        files = inputs.files_of(path)
        name = path.resolve().name
        stations = inputs.station_list_of(path) if _needs_stations(files) else None
        total = float(sum(file.stat().st_size for _, file in files))
        done = 0.0

        def consumed(count: float) -> None:
            nonlocal done
            done += count
            if progress is not None:
                progress("checking", done, total)

        identity = inputs.identity_of(files, stations, consumed)
        seconds = 0.0
        rows = _in_order(files, stations)
        if rows is None:
            rows, seconds = sorted_form(files, stations, identity=identity, name=name, cache=self._cache, progress=progress)
        info = SourceInfo(
            identity=f"file:{name}#{identity[:16]}.{VERSION}",
            start=rows.start,
            end=rows.end,
            rows=rows.rows,
            rights=WORLD,
            prepare_seconds=seconds,
        )
        return info, rows


def _needs_stations(files: list[tuple[str, Path]]) -> bool:
    """Whether there are rows which do not say place and country: all but those of a complete parquet file."""
    for name, path in files:
        if inputs.kind_of(name) != "parquet":
            return True
        if not {"lat", "lon", "elev", "country"} <= canonical(parquet_schema(path, name).names, where=name).keys():
            return True
    return False


def _in_order(files: list[tuple[str, Path]], stations: Path | None) -> SortedRows | None:
    """The rows of a single parquet file whose rows are in order of date as they are."""
    if len(files) != 1 or inputs.kind_of(files[0][0]) != "parquet":
        return None
    name, path = files[0]
    layout = parquet_layout(path, name, StationList.read(stations) if stations else None)
    try:
        if parquet_schema(path, name).field(layout.date).type != pa.date32() or not is_sorted(path, layout.date):
            return None
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{name}: the file is damaged or cut off: {error}") from error
    rows = SortedRows(path, layout, name=name)
    # A wild date would stretch the source over centuries; the conversion sets its row aside.
    return rows if rows.start >= fields.FIRST_DATE and rows.end <= fields.LAST_DATE else None
