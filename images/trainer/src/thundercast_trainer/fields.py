"""The fields of a row in a request: one table that requests are checked by and the API's document is made from."""

from __future__ import annotations

import datetime as dt
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Literal

import pyarrow as pa

from thundercast.domain.schema import CLEAN_SCHEMA, RAW_SCHEMA
from thundercast_trainer.problems import Problem

Kind = Literal["number", "integer", "boolean", "string", "date"]
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LARGEST: Final = sys.float_info.max
_BOUND: Final = 1e5
# What a model takes as a share, an angle or a place must be one; everything else that is measured is far within ±100,000.
_BOUNDS: Final[dict[str, tuple[float, float]]] = {
    "lat": (-90.0, 90.0), "lon": (-180.0, 180.0), **dict.fromkeys(("thunder_1d", "thunder_7d", "thunder_30d", "thunder_rate"), (0.0, 1.0)),
    **dict.fromkeys(("season_sin", "season_cos", "local_season_sin", "local_season_cos"), (-1.0, 1.0)),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """One field.

    Attributes:
        low, high: bounds of a number, both included; what a float can hold where there are none.
        about: unit and meaning, for the document.
    """

    name: str
    kind: Kind
    null: bool
    required: bool
    low: float = -_LARGEST
    high: float = _LARGEST
    about: str = ""

    def check(self, value: Any) -> Any:
        """The value as Python has it.

        Raises:
            ValueError: it is of another type, or out of bounds.
        """
        kind = type(value)
        if kind is float or kind is int:  # true and false are none
            if self.low <= value <= self.high:
                if self.kind == "number":
                    return float(value)
                if self.kind == "integer" and value == int(value):
                    return int(value)
        elif value is None:
            if self.null:
                return None
        elif self.kind == "boolean":
            if isinstance(value, bool):
                return value
        elif isinstance(value, str):
            if self.kind == "string" and _is_text(value):
                return value
            if self.kind == "date" and (date := _date(value)) is not None:
                return date
        raise ValueError(f"{_shown(value)} is not {self.words}")

    @property
    def bounded(self) -> bool:
        return self.high < _LARGEST

    @property
    def words(self) -> str:
        """What a value must be."""
        bounds = f" within {self.low:g} to {self.high:g}" if self.bounded else ""
        return _WORDS[self.kind] + bounds + (" or null" if self.null else "")

    def to_openapi(self) -> dict[str, Any]:
        """The field as a JSON Schema (2020-12)."""
        kind = "string" if self.kind == "date" else self.kind
        found: dict[str, Any] = {"type": [kind, "null"] if self.null else kind}
        if self.kind == "date":
            found["format"] = "date"
        if self.bounded:
            found |= {"minimum": self.low, "maximum": self.high}
        if self.about:
            found["description"] = self.about
        return found


_WORDS: Final[dict[Kind, str]] = {
    "number": "a number", "integer": "a whole number", "boolean": "true or false", "string": "a text", "date": "a date YYYY-MM-DD",
}  # fmt: skip


def _is_text(value: str) -> bool:
    # JSON can spell half a character, which no UTF-8 has.
    return value.isascii() or not any("\ud800" <= c <= "\udfff" for c in value)


def _date(text: str) -> dt.date | None:
    # `fromisoformat` reads other spellings as well.
    if not _DATE.fullmatch(text):
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _about(field: pa.Field) -> str:
    metadata = {k.decode(): v.decode() for k, v in (field.metadata or {}).items()}
    unit = metadata.get("unit", "1")
    return "; ".join(filter(None, ["" if unit == "1" else unit, metadata.get("about", "")]))


def _observation(field: pa.Field) -> Field:
    # What a measurement or a digit may be is the core's to say, row by row; here only what its type holds.
    if pa.types.is_floating(field.type):
        return Field(field.name, "number", null=True, required=False, about=_about(field))
    if pa.types.is_integer(field.type):
        most = 2.0 ** (field.type.bit_width - 1)
        return Field(field.name, "integer", null=True, required=False, low=-most, high=most - 1, about=_about(field))
    return Field(field.name, "string", null=True, required=False, about=_about(field))


def _clean(field: pa.Field) -> Field:
    if field.name in ("station", "date"):
        return Field(field.name, "string" if field.name == "station" else "date", null=False, required=True, about=_about(field))
    if pa.types.is_boolean(field.type):
        label = field.name == "thunder"
        return Field(field.name, "boolean", null=label, required=not label, about=_about(field))
    if pa.types.is_floating(field.type):
        low, high = _BOUNDS.get(field.name, (-_BOUND, _BOUND))
        return Field(field.name, "number", null=True, required=True, low=low, high=high, about=_about(field))
    return Field(field.name, "string", null=True, required=False, about=_about(field))


OBSERVATIONS: Final[Mapping[str, Field]] = {f.name: _observation(f) for f in RAW_SCHEMA if f.name not in ("station", "date")}
"""What `gsod.raw/1` has beside station and date: in its units and with its sentinels."""

CLEAN: Final[Mapping[str, Field]] = {f.name: _clean(f) for f in CLEAN_SCHEMA}
"""`gsod.clean/1`."""

STATION: Final = Field("station", "string", null=False, required=True)
DATE: Final = Field("date", "date", null=False, required=False)


def checked(given: Any, fields: Mapping[str, Field], where: str) -> dict[str, Any]:
    """An object's values as Python has them.

    Raises:
        Problem: it is no object, or a field is unknown, missing or not of its type.
    """

    def refused(what: str, where: str = where, way_out: str = "see /openapi.json") -> Problem:
        return Problem(HTTPStatus.BAD_REQUEST, what, where=where, way_out=way_out)

    if not isinstance(given, dict):
        raise refused(f"{_shown(given)} is not an object")
    found: dict[str, Any] = {}
    for name, value in given.items():
        if (field := fields.get(name)) is None:
            raise refused(f"there is no field {_shown(name)}", way_out=f"there are {', '.join(fields)}")
        try:
            found[name] = field.check(value)
        except ValueError as error:
            raise refused(str(error), f"{where}.{name}") from error
    if len(found) < len(fields):
        for name, field in fields.items():
            if field.required and name not in found:
                raise refused(f"the field {name!r} is missing")
    return found


def to_openapi(fields: Mapping[str, Field]) -> dict[str, Any]:
    """An object of such fields as a JSON Schema."""
    required = [f.name for f in fields.values() if f.required]
    properties = {f.name: f.to_openapi() for f in fields.values()}
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
