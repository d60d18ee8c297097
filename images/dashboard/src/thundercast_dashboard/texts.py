"""The page's words in the viewer's language: texts by key, numbers, dates and times."""

from __future__ import annotations

import datetime as dt
import math
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

LANGUAGES: Final = {"en": "English", "es": "Español"}
BASELINE: Final = "climatology"
"""The model that the others are measured against."""
_FOLDER: Final = Path(__file__).with_name("locales")


@cache
def catalogue(language: str) -> dict[str, str]:
    """The texts of a language by ``section.key``."""
    raw = tomllib.loads((_FOLDER / f"{language}.toml").read_text(encoding="utf-8"))
    flat = {name: value for name, value in raw.items() if isinstance(value, str)}
    for section, texts in raw.items():
        if not isinstance(texts, str):
            flat |= {f"{section}.{key}": value.strip("\n") for key, value in texts.items()}
    return flat


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

    @property
    def _texts(self) -> dict[str, str]:
        return catalogue(self.language)

    def __call__(self, key: str, **values: Any) -> str:
        """The text of a key, with ``{names}`` filled in."""
        return self._texts[key].format(**values)

    def reason(self, code: str) -> str:
        """A dead letter's reason in words; a code that is not known stays as it is."""
        return self._texts.get(f"reasons.{code}", code)

    def model(self, name: str) -> str:
        """A model's name; the baseline's in words."""
        return self._texts["skill.climatology"] if name == BASELINE else name

    def _localized(self, text: str) -> str:
        return text.translate({ord(","): self._texts["thousands"], ord("."): self._texts["decimal_point"]})

    def number(self, value: float | None) -> str:
        """A whole number."""
        return self._texts["none"] if value is None else self._localized(f"{round(value):,}")

    def decimal(self, value: float | None, places: int) -> str:
        """A number to so many places."""
        if value is None or math.isnan(value):
            return self._texts["none"]
        return self._localized(f"{value:,.{places}f}").replace("-", "\N{MINUS SIGN}")

    def share(self, value: float | None, places: int = 0) -> str:
        """A share as percentage."""
        return self._texts["none"] if value is None else f"{self.decimal(100 * value, places)}\N{NO-BREAK SPACE}%"

    def date(self, day: dt.date | None) -> str:
        if day is None:
            return self._texts["none"]
        return self._texts["date"].format(day=day.day, month=self._texts["months"].split()[day.month - 1], year=day.year)

    def time(self, at: dt.datetime | None) -> str:
        """A time of the day, UTC."""
        return self._texts["none"] if at is None else f"{at.astimezone(dt.UTC):%H:%M:%S}\N{NO-BREAK SPACE}UTC"

    def duration(self, seconds: float | None) -> str:
        """A time span in its two largest units.

        >>> Texts("en").duration(4.4), Texts("en").duration(192), Texts("en").duration(90061)
        ('4 s', '3 min 12 s', '1 d 1 h')
        """
        if seconds is None:
            return self._texts["none"]
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
            return self._texts["none"]
        for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
            if count >= size:
                return f"{self.decimal(count / size, 1)}\N{NO-BREAK SPACE}{unit}"
        return f"{self.number(count)}\N{NO-BREAK SPACE}B"

    @property
    def vega(self) -> dict[str, Any]:
        """Numbers and dates of charts, as Vega's locale."""
        months = [month.capitalize() if self.language == "en" else month for month in self._texts["months"].split()]
        days = ["day"] * 7  # no chart shows one
        return {
            "number": {
                "decimal": self._texts["decimal_point"], "thousands": self._texts["thousands"], "grouping": [3], "currency": ["", ""],
                "percent": "\N{NO-BREAK SPACE}%",
            },
            "time": {
                "dateTime": "%x, %X", "date": "%Y-%m-%d", "time": "%H:%M:%S", "periods": ["", ""], "days": days, "shortDays": days,
                "months": months, "shortMonths": [month[:3] for month in months],
            },
        }  # fmt: skip
