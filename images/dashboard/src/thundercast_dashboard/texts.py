"""The page's words in the viewer's language: texts by key, numbers, dates and times."""

from __future__ import annotations

import datetime as dt
import gettext
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from thundercast.domain.scores.champion import BASELINE

LANGUAGES: Final = {"en": "English", "es": "Español"}
FOLDER: Final = Path(__file__).with_name("locales")


@cache
def catalogue(language: str) -> gettext.GNUTranslations:
    """The texts of a language by ``section.key``.

    Raises:
        FileNotFoundError: the catalogue was not compiled; says what does it.
    """
    compiled = FOLDER / language / "LC_MESSAGES" / "dashboard.mo"
    try:
        with compiled.open("rb") as file:
            return gettext.GNUTranslations(file)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{compiled} is not there: building the distribution makes it (in a working copy, `make catalogues`)"
        ) from error


def preferred(locale: str | None) -> str:
    """The language for a browser's locale, such as ``es-MX``; English where there is none of ours."""
    code = (locale or "").split("-")[0].lower()
    return code if code in LANGUAGES else "en"


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one language. What is not known or not defined is a dash.

    >>> t = Texts("es")
    >>> t.number(1234567), t.decimal(0.9662, 3), t.share(0.0459, 1), t.date(dt.date(2023, 3, 1))
    ('1.234.567', '0,966', '4,6 %', '1 de marzo de 2023')
    """

    language: str

    def __call__(self, key: str, **values: Any) -> str:
        """The text of a key, with ``{names}`` filled in."""
        return catalogue(self.language).gettext(key).format(**values)

    def known(self, key: str, otherwise: str) -> str:
        """The text of a key that may not be in the catalogue."""
        text = catalogue(self.language).gettext(key)
        return otherwise if text == key else text

    def reason(self, code: str) -> str:
        """A dead letter's reason in words; a code that is not known stays as it is."""
        return self.known(f"reasons.{code}", code)

    def model(self, name: str) -> str:
        """A model's name; the baseline's in words."""
        return self("skill.climatology") if name == BASELINE else name

    def _localized(self, text: str) -> str:
        return text.translate({ord(","): self("thousands"), ord("."): self("decimal_point")})

    def number(self, value: float | None) -> str:
        """A whole number."""
        return self("none") if value is None else self._localized(f"{round(value):,}")

    def decimal(self, value: float | None, places: int) -> str:
        """A number to so many places."""
        if value is None or math.isnan(value):
            return self("none")
        return self._localized(f"{value:,.{places}f}").replace("-", "\N{MINUS SIGN}")

    def share(self, value: float | None, places: int = 0) -> str:
        """A share as percentage."""
        return self("none") if value is None else f"{self.decimal(100 * value, places)}\N{NO-BREAK SPACE}%"

    def date(self, day: dt.date | None) -> str:
        if day is None:
            return self("none")
        return self("date", day=day.day, month=self("months").split()[day.month - 1], year=day.year)

    def month(self, number: int) -> str:
        """The name of a month, 1 to 12."""
        return self("months").split()[number - 1]

    def time(self, at: dt.datetime | None) -> str:
        """A time of the day, UTC."""
        return self("none") if at is None else f"{at.astimezone(dt.UTC):%H:%M:%S}\N{NO-BREAK SPACE}UTC"

    def duration(self, seconds: float | None) -> str:
        """A time span in its two largest units.

        >>> Texts("en").duration(4.4), Texts("en").duration(192), Texts("en").duration(90061)
        ('4 s', '3 min 12 s', '1 d 1 h')
        """
        if seconds is None:
            return self("none")
        left = max(0, round(seconds))
        parts: list[str] = []
        for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
            count, left = divmod(left, size)
            if count or (unit == "s" and not parts):
                parts.append(f"{self.number(count)}\N{NO-BREAK SPACE}{unit}")
        return " ".join(parts[:2])

    def size(self, count: float | None) -> str:
        """A number of bytes."""
        if count is None:
            return self("none")
        for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
            if count >= size:
                return f"{self.decimal(count / size, 1)}\N{NO-BREAK SPACE}{unit}"
        return f"{self.number(count)}\N{NO-BREAK SPACE}B"

    @property
    def vega(self) -> dict[str, Any]:
        """Numbers and dates of charts, as Vega's locale."""
        months = [month.capitalize() if self.language == "en" else month for month in self("months").split()]
        days = ["day"] * 7  # no chart shows one
        return {
            "number": {
                "decimal": self("decimal_point"), "thousands": self("thousands"), "grouping": [3], "currency": ["", ""],
                "percent": "\N{NO-BREAK SPACE}%",
            },
            "time": {
                "dateTime": "%x, %X", "date": "%Y-%m-%d", "time": "%H:%M:%S", "periods": ["", ""], "days": days, "shortDays": days,
                "months": months, "shortMonths": [month[:3] for month in months],
            },
        }  # fmt: skip
