"""How much flows in a month."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HOURS: Final = 730.0
"""Of a month, as Google reckons it."""
SECONDS: Final = HOURS * 3600
DAYS: Final = HOURS / 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A month's stream.

    Attributes:
        rows: station-days.
        stations: of a date.
        pace: rows a second while it is fed.
        pages: dashboard pages that are open, on average over the month.
    """

    name: str
    about: str
    rows: float
    stations: float
    pace: float
    pages: float = 1.0

    def __post_init__(self) -> None:
        for name in ("rows", "stations", "pace"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be more than 0, not {getattr(self, name)}")
        if self.rows > self.pace * SECONDS * (1 + 1e-9):
            raise ValueError(f"{self.rows:,.0f} rows do not pass in a month at {self.pace:,.0f} rows a second")

    @property
    def dates(self) -> float:
        return self.rows / self.stations

    @property
    def fed(self) -> float:
        """Seconds in which rows are published."""
        return self.rows / self.pace

    def at_most(self, every: float) -> float:
        """How often something happens that is done once a date, but not more often than every so many seconds."""
        return min(self.dates, self.fed / every) if self.fed / self.dates < every else self.dates


GSOD: Final = 11_000
"""Stations of a day of the Global Surface Summary of the Day."""
PACE: Final = 5_000.0
"""Rows a second: the chart's, and the replaced system's."""
REPLAY: Final = 44e6
"""Station-days of 2015 to 2025."""

LOADS: Final = (
    Load(name="live", about="each day's station-days as they appear", rows=GSOD * DAYS, stations=GSOD, pace=PACE),
    Load(name="a replay a month", about="2015 to 2025 once, 2.4 h at the chart's pace", rows=REPLAY, stations=GSOD, pace=PACE),
    Load(name="all the time", about="the chart's pace without an end", rows=PACE * SECONDS, stations=GSOD, pace=PACE),
)  # fmt: skip
