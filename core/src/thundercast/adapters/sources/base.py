"""The protocol of a source of raw rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import pyarrow as pa

from thundercast.domain.deadletters import DeadLetter

Progress = Callable[[str, float, float], None]
"""Called with (what is being done, amount done, total amount) while a source prepares itself."""


class SourceError(Exception):
    """The source cannot be read; the message names the thing and the way out."""


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a run's fingerprint and manifest need to know of a source.

    Attributes:
        identity: the source's name and its content's identity (hash or size and time), equal on every read.
        start, end: first and last date with rows.
        rows: number of rows, if known without reading them.
        synthetic: the rows are generated, not observed.
        rights: notice that goes with the data.
        prepare_seconds: time spent sorting or fetching before the first row; 0 if it was there already.
    """

    identity: str
    start: dt.date
    end: dt.date
    rows: int | None = None
    synthetic: bool = False
    rights: str = ""
    prepare_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class SourceDate:
    """All rows of one date: `gsod.raw/1`, sorted by station (ties in the order of the source), and what could not be read."""

    date: dt.date
    rows: pa.RecordBatch
    rejected: list[DeadLetter] = field(default_factory=list)


class Source(Protocol):
    """Rows in order of date."""

    def open(self, progress: Progress | None = None) -> SourceInfo:
        """Checks, fetches and sorts what is needed. May take long the first time; later calls reuse the work.

        Raises:
            SourceError: there is nothing to read, or it cannot be read.
        """
        ...

    def dates(self, start: dt.date, end: dt.date) -> Iterator[SourceDate]:
        """Each date from start to end, both included, in order; a date without rows is yielded empty."""
        ...


@dataclass(frozen=True, slots=True)
class Estimate:
    """What reading a source once bills.

    Attributes:
        bytes_by_year: bytes billed.
        usd_per_tib: the price they were multiplied with.
    """

    bytes_by_year: dict[int, int]
    usd_per_tib: float

    @property
    def total_bytes(self) -> int:
        return sum(self.bytes_by_year.values())

    @property
    def usd(self) -> float:
        return self.total_bytes / 2**40 * self.usd_per_tib


@runtime_checkable
class Priced(Protocol):
    """A source whose reading is billed."""

    def estimate(self, start: dt.date | None = None, end: dt.date | None = None) -> Estimate:
        """What reading the dates from start to end bills; asking costs nothing.

        Raises:
            SourceError: there is nothing to read, or it cannot be told.
        """
        ...
