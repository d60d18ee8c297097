"""Any table of station-days to `gsod.raw/1`: names, types, and the rows whose fields are not of their type.

Every format ends here, so a value means the same whatever file it came from. Columns may be typed (parquet) or
text (CSV, .op). Sentinels are left as they are; a field that cannot be read sets its row aside, never a wrong number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from thundercast.adapters.sources import fields
from thundercast.adapters.sources.base import SourceError
from thundercast.adapters.sources.station_list import StationList
from thundercast.domain import runs
from thundercast.domain.deadletters import DeadLetter
from thundercast.domain.schema import COUNTED, MEASUREMENTS, RAW_SCHEMA
from thundercast.domain.stations import BAD_KEY, Keys, keys_of

STAGE: Final = "source"
FLAGGED: Final = ("max", "min", "prcp")
DIGITS: Final = ("fog", "rain_drizzle", "snow_ice_pellets", "hail", "thunder", "tornado_funnel_cloud")
"""The six digits of FRSHTT, in order."""

ALIASES: Final[dict[str, str]] = {
    "latitude": "lat", "longitude": "lon", "elevation": "elev", "mxspd": "mxpsd",
    **{f"{name}_attributes": f"count_{name}" for name in COUNTED}, **{f"{name}_attributes": f"flag_{name}" for name in FLAGGED},
}  # fmt: skip
"""Lower-case names of NCEI's CSVs and of the tidy table, to the names of `gsod.raw/1`."""

_OPTIONAL: Final = (*[f"count_{n}" for n in COUNTED], *[f"flag_{n}" for n in FLAGGED], "lat", "lon", "elev", "name", "country")
KNOWN: Final = frozenset(("station", "stn", "wban", "date", "frshtt", *[m.raw for m in MEASUREMENTS], *DIGITS, *_OPTIONAL))

_NO_ELEVATION: Final = -999.0  # NOAA writes -999.9 and, in the station list, -999.0


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row set aside, and the day on which it is reported: None where its date cannot be read."""

    letter: DeadLetter
    day: int | None


def canonical(names: Sequence[str], *, where: str) -> dict[str, str]:
    """The names of `gsod.raw/1` (and ``name``, ``frshtt``) to the names as the file has them; other columns are left out.

    Raises:
        SourceError: a column that every station-day has is absent, or two columns mean the same.
    """
    found: dict[str, str] = {}
    for name in names:
        lower = name.strip().lower()
        known = ALIASES.get(lower, lower)
        if known not in KNOWN:
            continue
        if known in found:
            raise SourceError(f"{where}: bad header: the columns {found[known]!r} and {name!r} mean the same")
        found[known] = name
    needed = ["date", *[m.raw for m in MEASUREMENTS]]
    needed += [] if {"stn", "wban"} <= found.keys() else ["station"]
    needed += [] if "frshtt" in found else list(DIGITS)
    missing = [name for name in needed if name not in found]
    if set(DIGITS) <= set(missing):
        missing = [name for name in missing if name not in DIGITS] + ["FRSHTT"]
    if missing:
        columns = ", ".join(repr(name) for name in names[:6]) + (", …" if len(names) > 6 else "")
        raise SourceError(f"{where}: bad header: no column {', '.join(missing)} among {columns}: these are not GSOD station-days")
    return found


def to_raw(table: pa.Table, *, where: Callable[[int], str], stations: StationList | None = None) -> tuple[pa.RecordBatch, list[Rejected]]:
    """The rows of a table with `canonical` names as `gsod.raw/1`, in their order, and those that cannot be read.

    Args:
        where: names a row, given its position in the table.
        stations: gives place and country where the table has no such columns.

    Raises:
        SourceError: a column has a type that cannot hold its values.
    """
    table = table.combine_chunks()
    source = {name: fields.plain(table.column(name)) for name in table.schema.names}
    if "station" not in source:
        source["station"] = pc.binary_join_element_wise(fields.trimmed(source["stn"]), fields.trimmed(source["wban"]), "")
    if "frshtt" in source:
        source |= _six_digits(source["frshtt"])

    faults = _Faults(table.num_rows)
    station, keys = _stations(source["station"])
    days, unreadable = fields.days_of(source["date"])
    faults.add("bad_date", "date", unreadable)
    faults.add("bad_station", "station", keys == BAD_KEY)

    columns: dict[str, pa.Array] = {"station": station, "date": pa.array(days).cast(pa.date32())}
    for name in [m.raw for m in MEASUREMENTS] + ["lat", "lon", "elev"]:
        columns[name] = faults.checked(name, source.get(name), fields.numbers)
    for name in COUNTED:
        columns[f"count_{name}"] = faults.checked(f"count_{name}", source.get(f"count_{name}"), fields.counts)
    for name in DIGITS:
        columns[name] = faults.checked(name, source[name], fields.digits)
    for name in FLAGGED:
        flag = source.get(f"flag_{name}")
        columns[f"flag_{name}"] = pa.array([""]).take(_zeros(table.num_rows)) if flag is None else fields.trimmed(flag).fill_null("")
    if (elev := columns["elev"]) is not None:
        columns["elev"] = pc.if_else(pc.less_equal(elev, _NO_ELEVATION), None, elev)
    columns["country"] = _country(source)
    if stations is not None:
        stations.complete(columns, keys, country="country" not in source)

    good = np.flatnonzero(faults.reason == 0)
    taken = None if len(good) == table.num_rows else pa.array(good)
    arrays = []
    columns["stn"] = columns["wban"] = station  # placeholders, until only whole station ids are left
    for field in RAW_SCHEMA:
        array = columns[field.name]
        if array is None:
            array = pa.nulls(table.num_rows, field.type)
        arrays.append(array if taken is None else array.take(taken))
    halves = fields.split_station(arrays[RAW_SCHEMA.get_field_index("station")])
    for name, half in zip(("stn", "wban"), halves, strict=True):
        arrays[RAW_SCHEMA.get_field_index(name)] = half
    return pa.RecordBatch.from_arrays(arrays, schema=RAW_SCHEMA), [] if taken is None else faults.letters(table, source, days, where)


class _Faults:
    """What is wrong with each row: the first fault counts. ``bad_date`` goes before all, for it moves the row's report."""

    def __init__(self, rows: int) -> None:
        self.reason = np.zeros(rows, np.uint8)
        self._named: list[tuple[str, str]] = [("", "")]

    def add(self, reason: str, column: str, bad: fields.Mask | None) -> None:
        if bad is not None and bad.any():
            self._named.append((reason, column))
            self.reason[bad & (self.reason == 0)] = len(self._named) - 1

    def checked(self, name: str, array: pa.Array | None, convert: fields.Convert) -> pa.Array | None:
        if array is None:
            return None
        try:
            values, bad = fields.converted(array, convert)
        except pa.ArrowException as error:
            raise SourceError(f"column {name} is of type {array.type}, which is not what it should hold: {error}") from error
        self.add("bad_value", name, bad)
        return values

    def letters(
        self, table: pa.Table, source: dict[str, pa.Array], days: npt.NDArray[np.int32], where: Callable[[int], str]
    ) -> list[Rejected]:
        bad = np.flatnonzero(self.reason)
        shown = [name for name in table.schema.names if not name.startswith("_")]
        originals = table.select(shown).take(pa.array(bad)).to_pylist()
        letters = []
        for i, original in zip(bad.tolist(), originals, strict=True):
            reason, column = self._named[self.reason[i]]
            value = source[column][i].as_py()
            letter = DeadLetter(
                reason,
                f"{where(i)}: {column} = {value!r}",
                STAGE,
                station=str(source["station"][i].as_py() or "").strip(),
                date=str(source["date"][i].as_py() if reason == "bad_date" else runs.day(int(days[i]))),
                original={k: v if isinstance(v, str | int | None) else str(v) for k, v in original.items()},
            )
            letters.append(Rejected(letter, None if reason == "bad_date" else int(days[i])))
        return letters


def _stations(column: pa.Array) -> tuple[pa.Array, Keys]:
    """Station ids and their keys."""
    if not pa.types.is_dictionary(column.type):
        station = fields.trimmed(column)
        return station, keys_of(station)
    values = pa.concat_arrays([fields.trimmed(column.dictionary), pa.nulls(1, pa.string())])
    at = column.indices.fill_null(len(values) - 1)
    return values.take(at), keys_of(values)[at.to_numpy()]


def _country(source: dict[str, pa.Array]) -> pa.Array | None:
    """The country column, else the last word of the name after its last comma: 'MIAMI INTERNATIONAL AIRPORT, FL US' is in US."""
    if "country" in source:
        text = fields.trimmed(source["country"])
        return pc.if_else(pc.equal(text, ""), None, text)
    if "name" not in source:
        return None
    names = fields.trimmed(source["name"]).dictionary_encode()
    suffixes = [name.rpartition(",")[2].split()[-1:] if "," in name else [] for name in names.dictionary.to_pylist()]
    return pa.array([s[0] if s else None for s in suffixes], pa.string()).take(names.indices)


def _six_digits(frshtt: pa.Array) -> dict[str, pa.Array]:
    text = fields.trimmed(frshtt)
    # Fewer than six digits cannot be placed: leading zeros lost, or trailing ones.
    text = pc.if_else(pc.equal(pc.utf8_length(text), len(DIGITS)), text, None)
    return {name: pc.utf8_slice_codeunits(text, i, i + 1) for i, name in enumerate(DIGITS)}


def _zeros(n: int) -> pa.Array:
    return pa.array(np.zeros(n, np.int32))
