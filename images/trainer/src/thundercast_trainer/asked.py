"""What a request for predictions asks: its rows, in the form that models take, and what is wrong with the others."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from thundercast.domain import runs
from thundercast.domain.deadletters import REASONS
from thundercast.domain.rows import UNKNOWN, CleanRows
from thundercast.domain.schema import CLEAN_SCHEMA, IMPUTABLE, MEASUREMENTS, RAW_SCHEMA, WEATHER
from thundercast.domain.stations import BAD_KEY, keys_of
from thundercast_trainer.fields import CLEAN, DATE, OBSERVATIONS, STATION, checked
from thundercast_trainer.history import Stations
from thundercast_trainer.problems import Problem

MAX_ROWS: Final = 10_000
PLACE: Final = ("lat", "lon", "elev", "country")
_ASKED: Final = {"station": STATION, "date": DATE}
# All that the cleaner looks at beside the label: a row that has every one of them leaves nothing to be taken from the station's last.
_FULL: Final = frozenset({m.raw for m in MEASUREMENTS} | {"flag_prcp", *WEATHER, *PLACE})
_WAYS_OUT: Final = {
    "bad_station": "give the eleven characters of the station list, USAF and WBAN number",
    "unknown_station": "ask for a station that the stream has had, or give the date and every column of its raw row",
    "before_history": "ask for the date of the station's last row or a later one",
    "bad_date": "give an earlier date",
    "duplicate": "ask for a station-day once in a request",
}


@dataclass(frozen=True, slots=True)
class RowError:
    """Why a row has no prediction."""

    reason: str
    what: str

    def to_json(self, where: str) -> dict[str, str]:
        way_out = _WAYS_OUT.get(self.reason, "correct the value, or leave it out: it is then imputed")
        return {"reason": self.reason, "what": self.what, "where": where, "way_out": way_out}


@dataclass(slots=True)
class Row:
    """One row of a request.

    Attributes:
        given: of `gsod.raw/1` (observations) or `gsod.clean/1`.
        key, slot: of the station; slot -1 if it is not known.
        date: days since 1970-01-01; None where it is not known.
        age: days from the station's last row to this one; None where there is none, or the row brings its history along.
        assumed: columns that were not given and were taken from the station's last row, or as "not reported".
    """

    station: str
    given: Mapping[str, Any]
    key: int
    slot: int
    date: int | None = None
    age: int | None = None
    assumed: tuple[str, ...] = ()
    error: RowError | None = None


@dataclass(slots=True)
class Asked:
    """The rows of a request, and by date those that can be predicted.

    Attributes:
        name: of the list in the request.
        groups: clean rows sorted by station, with the places of their rows in ``rows``.
    """

    name: str
    rows: list[Row]
    groups: list[tuple[CleanRows, list[int]]] = field(default_factory=list)


def read(body: bytes) -> tuple[str, list[Any]]:
    """The list of rows of a request's body, and its name.

    Raises:
        Problem: the body is not such a request, or has too many rows.
    """

    def refused(what: str, where: str = "body") -> Problem:
        return Problem(HTTPStatus.BAD_REQUEST, what, where=where, way_out='send {"rows": […]} or {"clean_rows": […]}, see /openapi.json')

    def no_number(text: str) -> None:
        raise ValueError(f"{text} is not JSON")

    try:
        given = json.loads(body, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        raise refused(f"the body is not JSON: {error}") from error
    if not isinstance(given, dict) or len(given) != 1 or next(iter(given)) not in ("rows", "clean_rows"):
        raise refused('the body is not an object with either "rows" or "clean_rows"')
    ((name, rows),) = given.items()
    if not isinstance(rows, list):
        raise refused(f"{name} is not a list", name)
    if len(rows) > MAX_ROWS:
        raise Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"{len(rows):,} rows are more than {MAX_ROWS:,}",
            where=name,
            way_out="ask in several requests",
        )
    return name, rows


def asked(name: str, rows: list[Any], stations: Stations) -> Asked:
    """The rows of a request over what is known of the stations.

    Raises:
        Problem: a row is not of its schema.
    """
    if name == "clean_rows":
        return _clean(name, [checked(row, CLEAN, f"{name}[{i}]") for i, row in enumerate(rows)], stations)
    given = []
    for i, row in enumerate(rows):
        where = f"{name}[{i}]"
        if not isinstance(row, dict):
            raise Problem(HTTPStatus.BAD_REQUEST, "a row is not an object", where=where, way_out="see /openapi.json")
        observations = checked(row.get("observations", {}), OBSERVATIONS, f"{where}.observations")
        address = checked({k: v for k, v in row.items() if k != "observations"}, _ASKED, where)
        given.append((address["station"], address.get("date"), observations))
    return _observed(name, given, stations)


def _rows(found: Iterable[tuple[str, dt.date | None, Mapping[str, Any]]], stations: Stations) -> list[Row]:
    """The rows with their stations looked up, and the ones that have none, no date or a twin set aside."""
    found = list(found)
    key = keys_of(pa.array([station for station, _, _ in found], pa.string()))
    # A key that is none is found nowhere.
    slots = stations.find(key).tolist()
    rows = [Row(station, given, k, slot) for (station, _, given), k, slot in zip(found, key.tolist(), slots, strict=True)]
    seen: set[tuple[int, int]] = set()
    for row, (_, date, _) in zip(rows, found, strict=True):
        last = int(stations.follower.last[row.slot]) if row.slot >= 0 else None
        if date is not None:
            row.date = runs.ordinal(date)
        elif last is not None:
            row.date = last + 1
        if row.key == BAD_KEY:
            row.error = RowError("bad_station", REASONS["bad_station"])
        elif row.date is not None and row.date >= runs.ordinal(dt.date.max):
            row.error = RowError("bad_date", "there is no date after this one")
        elif row.date is not None and (row.key, row.date) in seen:
            row.error = RowError("duplicate", REASONS["duplicate"])
        elif row.date is not None:
            seen.add((row.key, row.date))
            row.age = row.date - last if last is not None else None
    return rows


def _grouped(rows: list[Row]) -> dict[int, list[int]]:
    """Places of the rows that are left, by date, sorted by station."""
    groups: dict[int, list[int]] = {}
    for i in sorted((i for i, row in enumerate(rows) if row.error is None), key=lambda i: rows[i].key):
        date = rows[i].date
        if date is None:
            raise ValueError("a row without a date was not set aside")
        groups.setdefault(date, []).append(i)
    return groups


def _clean(name: str, given: list[dict[str, Any]], stations: Stations) -> Asked:
    rows = _rows(((row["station"], row["date"], row) for row in given), stations)
    asked = Asked(name, rows)
    for row in rows:
        row.age = None
    for date, places in _grouped(rows).items():
        columns = [_column(f, [rows[i].given.get(f.name) for i in places]) for f in CLEAN_SCHEMA]
        asked.groups.append((CleanRows.from_arrow(pa.RecordBatch.from_arrays(columns, schema=CLEAN_SCHEMA), date), places))
    return asked


def _observed(name: str, given: list[tuple[str, dt.date | None, dict[str, Any]]], stations: Stations) -> Asked:
    rows = _rows(given, stations)
    for row in rows:
        if row.error is not None:
            continue
        if row.slot < 0 and (row.date is None or not row.given.keys() >= _FULL):
            row.error = RowError("unknown_station", "the stream has had no row of this station")
        elif row.age is not None and row.age < 0:
            last = runs.day(int(stations.follower.last[row.slot]))
            row.error = RowError("before_history", f"the history of this station goes to {last} already")
    asked = Asked(name, rows)
    for date, places in _grouped(rows).items():
        _clean_group(asked, date, places, stations)
    return asked


def _clean_group(asked: Asked, date: int, places: list[int], stations: Stations) -> None:
    """The core's own cleaner, with a copy of the histories of these stations, makes the rows of a date."""
    rows = [asked.rows[i] for i in places]
    known = np.array([row.slot for row in rows if row.slot >= 0], np.int32)
    last = iter(_places_of(stations.last_rows(known)) if len(known) else ())
    filled: list[Mapping[str, Any]] = []
    for row in rows:
        default = _NOT_REPORTED | (next(last) if row.slot >= 0 else {})
        row.assumed = tuple(name for name in default if name not in row.given)
        filled.append({**default, **row.given})
    # The cleaner takes no row without a label; nothing but the label and the history after this row depends on it.
    label = [row.given.get("thunder") for row in rows]
    columns: dict[str, list[Any]] = {
        "station": [row.station for row in rows],
        "date": [runs.day(date)] * len(rows),
        "thunder": [0 if y is None else y for y in label],
    }
    batch = pa.RecordBatch.from_arrays(
        [_column(f, columns[f.name] if f.name in columns else [row.get(f.name) for row in filled]) for f in RAW_SCHEMA], schema=RAW_SCHEMA
    )
    done = stations.follower.cleaner(known, date).clean(batch, date)
    bad = {letter.station: letter for letter in done.dead_letters}
    good: list[int] = []
    for i, row, y in zip(places, rows, label, strict=True):
        if (letter := bad.get(row.station)) is not None:
            row.error = RowError(letter.reason, letter.detail)
        else:
            if y is None:
                done.rows.label[len(good)] = UNKNOWN
            good.append(i)
    if good:
        asked.groups.append((done.rows, good))


_NOT_REPORTED: Final[dict[str, Any]] = dict.fromkeys(WEATHER, 0)


def _places_of(rows: CleanRows) -> list[dict[str, Any]]:
    """lat, lon, elev and country of the rows, as a raw row has them."""
    numbers = [[None if np.isnan(x) else x for x in rows.column(name).tolist()] for name in PLACE[:3]]
    return [dict(zip(PLACE, place, strict=True)) for place in zip(*numbers, rows.country.to_pylist(), strict=True)]


def _column(kind: pa.Field, values: list[Any]) -> pa.Array:
    return pa.array(values, kind.type)


def imputed(rows: CleanRows) -> list[list[str]]:
    """Names of the imputed measurements of each row."""
    return _names(rows.imputed)


def missing(rows: CleanRows) -> list[list[str]]:
    """Names of the measurements of each row that could be imputed but had nothing to be imputed from."""
    return _names(np.isnan(rows.values[:, : len(IMPUTABLE)]))


def _names(flags: npt.NDArray[np.bool_]) -> list[list[str]]:
    return [[name for name, flag in zip(IMPUTABLE, row, strict=True) if flag] for row in flags.tolist()]
