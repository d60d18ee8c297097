"""Unit prices, each with where it is published and how sure it is."""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

FILE: Final = Path(__file__).with_name("prices.toml")
Seen = Literal["transcribed", "copy", "secondhand", "unconfirmed"]
_SEEN: Final = ("transcribed", "copy", "secondhand", "unconfirmed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A price, in US dollars a unit.

    Attributes:
        page: where it is published.
        seen, date: how and when it was confirmed, see `prices.toml`; the date is None if it is not known.
        free, free_for: units that a month has for nothing, and for whom.
    """

    usd: float
    unit: str
    region: str
    page: str
    seen: Seen
    date: dt.date | None
    free: float = 0.0
    free_for: str = ""

    def of(self, quantity: float, *, free: bool = True) -> float:
        """USD of so many units in a month; what is free is left out unless somebody else has used it up."""
        return self.usd * max(0.0, quantity - (self.free if free else 0.0))


def read(path: Path = FILE) -> Mapping[str, Price]:
    """The kept prices by name."""
    return parsed(path.read_text())


def parsed(text: str) -> Mapping[str, Price]:
    """Prices from the text of a file.

    Raises:
        ValueError: a price is not complete; names it.
    """
    found = {}
    for name, kept in tomllib.loads(text).items():
        try:
            seen, date = kept.pop("seen"), kept.pop("date")
            price = Price(seen=seen, date=dt.date.fromisoformat(date) if date else None, **kept)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"price {name}: {error}") from error
        if seen not in _SEEN:
            raise ValueError(f"price {name}: seen is {seen!r}, not one of {', '.join(_SEEN)}")
        if price.usd < 0 or price.free < 0 or not price.page.startswith("https://"):
            raise ValueError(f"price {name}: a price is not negative and has the address of a page")
        if (seen == "transcribed") != (price.date is not None):
            raise ValueError(f"price {name}: a price that was read at its page has a date, and no other has")
        found[name] = price
    return found
