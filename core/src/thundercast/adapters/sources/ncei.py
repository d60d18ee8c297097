"""`ncei:YEARS`: NCEI's station-year CSVs over HTTPS.

A whole year is one archive, ``archive/<year>.tar.gz``, so it is fetched by one request instead of twelve thousand. Only where a few
stations are asked for are their files fetched one by one, from ``access/<year>/<station>.csv``.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import requests
import structlog

from thundercast.adapters.sources.base import Progress, SourceDate, SourceError, SourceInfo
from thundercast.adapters.sources.download import Absent, fetch, session
from thundercast.adapters.sources.file import FileSource
from thundercast.adapters.sources.rights import WORLD

BASE_URL: Final = "https://www.ncei.noaa.gov/data/global-summary-of-the-day"
FIRST_YEAR: Final = 1929
_SETTLED: Final = dt.timedelta(days=120)
"""Observations come in late: a year's files may change for this long after its end."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Year:
    source: FileSource
    info: SourceInfo


class NceiSource:
    """Station-days of one or more years, each year fetched, cached and sorted apart.

    Args:
        years: in order, without gaps.
        stations: only these; empty for all.
        cache: folder for what is fetched and for the sorted forms.
        base_url: where ``archive/`` and ``access/`` are.
        http: for other timing of retries than `download.session`'s.
    """

    def __init__(
        self, years: range, *, cache: Path, stations: Sequence[str] = (), base_url: str = BASE_URL, http: requests.Session | None = None
    ) -> None:
        self._numbers, self._stations, self._cache = years, sorted(set(stations)), cache
        self._base = base_url.rstrip("/")
        # Files of a mirror are never taken for NCEI's.
        origin = "ncei" if self._base == BASE_URL else "ncei-" + hashlib.sha256(self._base.encode()).hexdigest()[:8]
        self._folder = cache / origin
        self._http = http
        self._years: list[_Year] = []

    def open(self, progress: Progress | None = None) -> SourceInfo:
        if not self._years:
            self._years = self._opened(progress)
        infos = [year.info for year in self._years]
        content = hashlib.sha256("\n".join(info.identity for info in infos).encode()).hexdigest()[:16]
        years = f"{self._numbers[0]}-{self._numbers[-1]}" if len(self._numbers) > 1 else f"{self._numbers[0]}"
        chosen = f",stations={'+'.join(self._stations)}" if self._stations else ""
        return SourceInfo(
            identity=f"ncei:{years}{chosen}#{content}",
            start=infos[0].start,
            end=infos[-1].end,
            rows=sum(info.rows or 0 for info in infos),
            rights=WORLD,
            prepare_seconds=sum(info.prepare_seconds for info in infos),
        )

    def dates(self, start: dt.date, end: dt.date) -> Iterator[SourceDate]:
        self.open()
        asked = [year for year in self._years if year.info.start <= end] or self._years[:1]
        day = start
        for i, year in enumerate(asked):
            # A year's part goes on to the next one's first date, so that days without rows come once.
            last = end if i == len(asked) - 1 else min(end, asked[i + 1].info.start - dt.timedelta(days=1))
            if day <= last:
                yield from year.source.dates(day, last)
                day = last + dt.timedelta(days=1)

    def _opened(self, progress: Progress | None) -> list[_Year]:
        years = []
        with self._http or session() as http:
            fetched = [(number, self._fetched(http, number, progress)) for number in self._numbers]
        for number, path in fetched:
            if path is None:
                continue
            source = FileSource(path, cache=self._cache)
            try:
                info = source.open(progress)
            except SourceError as error:
                raise SourceError(f"{error} (it is in {path}; delete it to fetch it again)") from error
            if (info.start.year, info.end.year) != (number, number):
                raise SourceError(f"{path}: the rows of {number} go from {info.start} to {info.end}: this is not one year of NCEI's files")
            years.append(_Year(source, info))
        if not years:
            raise SourceError(
                f"{self._base} has no file of the stations {', '.join(self._stations)} in {self._numbers[0]}-{self._numbers[-1]}"
            )
        return years

    def _fetched(self, http: requests.Session, year: int, progress: Progress | None) -> Path | None:
        """The archive of a year, or the folder with the stations asked for; None if none of them has a file of that year."""

        def may_change(fetched: dt.date) -> bool:
            return fetched < dt.date(year, 12, 31) + _SETTLED

        def received(size: float, total: float) -> None:
            if progress is not None:
                progress(f"fetching {year}", size, total)

        if not self._stations:
            target = self._folder / f"{year}.tar.gz"
            fetch(http, f"{self._base}/archive/{year}.tar.gz", target, may_change=may_change, received=received)
            return target
        # A folder of its own for each choice of stations, because a folder is read whole.
        chosen = hashlib.sha256("+".join(self._stations).encode()).hexdigest()[:8]
        folder = self._folder / f"{year}-{chosen}"
        for station in self._stations:
            try:
                fetch(
                    http, f"{self._base}/access/{year}/{station}.csv", folder / f"{station}.csv", may_change=may_change, received=received
                )
            except Absent:
                _log.warning("station_year_absent", station=station, year=year)
        return folder if any(folder.glob("*.csv")) else None
