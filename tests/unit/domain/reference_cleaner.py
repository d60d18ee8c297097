"""The cleaner's rules once more, as plainly as they can be said: one station-day at a time, looking back through all of its past.

It shares nothing with the cleaner but the names of the columns. It keeps every row it has ever seen, and knows no rings,
sums, slots or arrays.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

Row = dict[str, Any]

SENTINELS = {
    "temp": [9999.9], "dewp": [9999.9], "slp": [9999.9], "stp": [999.9, 9999.9], "visib": [999.9], "wdsp": [999.9], "mxpsd": [999.9],
    "gust": [999.9], "max": [9999.9], "min": [9999.9], "prcp": [99.99], "sndp": [999.9],
}  # fmt: skip
CLEAN_NAMES = {name: name for name in SENTINELS} | {"mxpsd": "mxspd"}
FILLED = ["temp", "dewp", "slp", "wdsp", "prcp", "stp", "visib", "mxspd", "max", "min"]
DIGITS = ["fog", "rain_drizzle", "snow_ice_pellets", "hail", "tornado_funnel_cloud"]


def single(x: float | Fraction | None) -> float | None:
    """Rounded to float32, once."""
    return None if x is None else float(np.float32(float(x)))


def decimal(x: float) -> Fraction:
    """The number that was written, not the binary one nearest to it."""
    return Fraction(str(x))


def celsius(x: float) -> Fraction:
    return (decimal(x) - 32) * 5 / 9


def metres_a_second(x: float) -> Fraction:
    return decimal(x) * 1852 / 3600


UNITS = {
    "temp": celsius, "dewp": celsius, "max": celsius, "min": celsius, "slp": decimal, "stp": decimal,
    "wdsp": metres_a_second, "mxpsd": metres_a_second, "gust": metres_a_second,
    "visib": lambda x: decimal(x) * Fraction("1.609344"), "prcp": lambda x: decimal(x) * Fraction("25.4"),
    "sndp": lambda x: decimal(x) * Fraction("25.4"),
}  # fmt: skip


def reported(row: Row, name: str) -> float | None:
    """The value in raw units, None where nothing was reported."""
    x = row[name]
    if x is None or math.isnan(x) or any(math.isclose(x, s) for s in SENTINELS[name]):
        return None
    if name == "stp" and 0 <= x < 100:
        return float(decimal(x) + 1000)
    if name == "prcp" and row["flag_prcp"] in ("H", "I") and x == 0:
        return None
    return float(x)


def faults(row: Row, date: dt.date) -> set[str]:
    """Every reason for which a row cannot be right."""
    found = set()
    station = row["station"]
    if station is None or len(station) != 11 or any(c not in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ" for c in station):
        found.add("bad_station")
    if row["date"] is None:
        found.add("bad_date")
    elif row["date"] != date:
        found.add("wrong_date")
    if row["thunder"] not in (0, 1):
        found.add("bad_label")
    if any(row[name] not in (0, 1) for name in DIGITS):
        found.add("bad_value")
    x = {name: reported(row, name) for name in SENTINELS}
    for name in ("temp", "max", "min"):
        if x[name] is not None and not -90 <= celsius(x[name]) <= 60:
            found.add("temperature_out_of_range")
    if x["dewp"] is not None and not -100 <= celsius(x["dewp"]) <= 50:
        found.add("temperature_out_of_range")
    limits = {
        "slp": (850, 1100),
        "stp": (300, 1100),
        "wdsp": (0, 200),
        "mxpsd": (0, 250),
        "gust": (0, 250),
        "visib": (0, 100),
        "prcp": (0, 80),
        "sndp": (0, 600),
    }
    for name, (low, high) in limits.items():
        if x[name] is not None and not low <= x[name] <= high:
            found.add("value_out_of_range")
    if x["dewp"] is not None and x["temp"] is not None and decimal(x["dewp"]) - decimal(x["temp"]) > Fraction("0.15"):
        found.add("dew_point_above_temperature")
    if x["min"] is not None and x["max"] is not None and decimal(x["min"]) - decimal(x["max"]) > Fraction("0.15"):
        found.add("min_above_max")
    return found


@dataclass
class Observed:
    """What a station really reported on a day."""

    values: dict[str, float | None]
    label: int


@dataclass
class ReferenceCleaner:
    past: dict[str, dict[dt.date, Observed]] = field(default_factory=dict)

    def clean(self, rows: list[Row], date: dt.date) -> tuple[list[Row], list[tuple[Row, set[str]]]]:
        """Clean rows sorted by station with None for null, and the rejected rows, each with every reason that would do."""
        taken: dict[str, Row] = {}
        rejected = []
        for row in rows:
            wrong = faults(row, date)
            if wrong:
                rejected.append((row, wrong))
            elif row["station"] in taken:
                rejected.append((row, {"duplicate"}))
            else:
                taken[row["station"]] = row
        return [self._clean(taken[station], date) for station in sorted(taken)], rejected

    def _clean(self, row: Row, date: dt.date) -> Row:
        past = self.past.setdefault(row["station"], {})

        def ago(days: int) -> Observed | None:
            return past.get(date - dt.timedelta(days=days))

        observed = {CLEAN_NAMES[name]: single(UNITS[name](x)) if (x := reported(row, name)) is not None else None for name in SENTINELS}
        out: Row = {"station": row["station"], "date": date, "country": row["country"], **observed}
        for name in FILLED:
            out[f"{name}_imputed"] = False
            if observed[name] is None:
                recent = [o.values[name] for d in range(1, 31) if (o := ago(d)) is not None and o.values[name] is not None]
                month = [o.values[name] for day, o in past.items() if day.month == date.month and o.values[name] is not None]
                if basis := recent or month:
                    out[name] = single(math.fsum(basis) / len(basis))
                    out[f"{name}_imputed"] = True
        out["dew_point_depression"] = difference(observed["temp"], observed["dewp"])
        out["diurnal_range"] = difference(observed["max"], observed["min"])
        yesterday = ago(1)
        for name in ("temp", "dewp", "slp"):
            out[f"{name}_tendency"] = difference(observed[name], yesterday.values[name]) if yesterday else None
        for name in ("temp", "dewp", "slp", "wdsp", "prcp"):
            for days in (3, 7, 30):
                window = [observed[name], *(o.values[name] for d in range(1, days) if (o := ago(d)) is not None)]
                known = [x for x in window if x is not None]
                out[f"{name}_ma{days}"] = single(math.fsum(known) / len(known)) if known else None
        angle = 2 * math.pi * date.timetuple().tm_yday / 365.25
        lat = row["lat"]
        out["season_sin"], out["season_cos"] = single(math.sin(angle)), single(math.cos(angle))
        for name in ("season_sin", "season_cos"):
            out[f"local_{name}"] = None if lat is None else out[name] * (0 if lat == 0 else math.copysign(1, lat))
        for name in ("lat", "lon", "elev"):
            out[name] = single(row[name])
        labels = [o.label if (o := ago(d)) is not None else None for d in range(1, 31)]
        out["thunder_1d"] = labels[0]
        for days in (7, 30):
            told = [y for y in labels[:days] if y is not None]
            out[f"thunder_{days}d"] = single(sum(told) / len(told)) if told else None
        thunder_days = sum(o.label for o in past.values())
        out["thunder_rate"] = single(thunder_days / (len(past) + 20))
        out["reports_thunder"] = thunder_days > 0
        out["thunder"] = row["thunder"] == 1
        out |= {name: row[name] == 1 for name in DIGITS}
        past[date] = Observed(observed, row["thunder"])
        return out


def difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else single(a - b)
