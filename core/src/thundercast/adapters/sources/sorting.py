"""Files in any order, sorted once by date and station, out of core, into a cache that later reads use."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

import pyarrow as pa

from thundercast.adapters.sources.base import Progress, SourceError
from thundercast.adapters.sources.columns import Rejected
from thundercast.adapters.sources.conversion import Converted, converted
from thundercast.adapters.sources.date_sort import sort_to_parquet
from thundercast.adapters.sources.sorted_rows import STORED, STORED_LAYOUT, SortedRows
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

        batches = counted(_read(converted(files, stations, progress), rejected, name))
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
        with contextlib.suppress(FileNotFoundError):  # another process may be sweeping, too
            if time.time() - left.stat().st_mtime > _ABANDONED:
                shutil.rmtree(left, ignore_errors=True)


def _read(batches: Converted, rejected: list[Rejected], name: str) -> Iterator[pa.RecordBatch]:
    """The columns to be stored; what was set aside goes to ``rejected``."""
    for rows, set_aside in batches:
        rejected += set_aside
        if len(rejected) > MOST_REJECTED:
            raise SourceError(f"{name}: more than {MOST_REJECTED:,} rows cannot be read, the first because of {rejected[0].letter.detail}")
        yield rows.select(list(STORED))
