"""The two row schemas, `gsod.raw/1` and `gsod.clean/1`, with units in the field metadata.

Raw rows keep NOAA's names, units and missing-value sentinels. Clean rows are SI and can be audited by a
person: a ``*_imputed`` flag stands beside each value that may have been filled in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

RAW: Final = "gsod.raw/1"
CLEAN: Final = "gsod.clean/1"


def _field(name: str, kind: pa.DataType, unit: str = "1", about: str = "") -> pa.Field:
    metadata = {"unit": unit} | ({"about": about} if about else {})
    return pa.field(name, kind, nullable=True, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One of the twelve measurements of a station-day.

    Args:
        raw: name in `gsod.raw/1` (BigQuery's spelling), value in ``raw_unit``.
        clean: name in `gsod.clean/1`, value in ``unit``.
        sentinels: values which mean "missing" in the raw column.
        low, high: physical bounds in ``raw_unit``; a reported value outside cannot be right.
        scale, shift: clean value = (raw value + shift) * scale.
        imputed: whether the cleaner may fill the value in from the station's own past.
    """

    raw: str
    clean: str
    raw_unit: str
    unit: str
    sentinels: tuple[float, ...]
    low: float
    high: float
    scale: float = 1.0
    shift: float = 0.0
    imputed: bool = True


_KNOT: Final = 1852.0 / 3600.0  # m/s
_MILE: Final = 1.609344  # km
_INCH: Final = 25.4  # mm
_FAHRENHEIT: Final = {"raw_unit": "degF", "unit": "degC", "scale": 5.0 / 9.0, "shift": -32.0}

# The first five are the seed's features and the ones with moving averages; the order is part of the schemas.
MEASUREMENTS: Final[tuple[Measurement, ...]] = (
    Measurement("temp", "temp", sentinels=(9999.9,), low=-130.0, high=140.0, **_FAHRENHEIT),  # type: ignore[arg-type]
    Measurement("dewp", "dewp", sentinels=(9999.9,), low=-148.0, high=122.0, **_FAHRENHEIT),  # type: ignore[arg-type]
    Measurement("slp", "slp", "hPa", "hPa", (9999.9,), 850.0, 1100.0),
    Measurement("wdsp", "wdsp", "kn", "m/s", (999.9,), 0.0, 200.0, _KNOT),
    Measurement("prcp", "prcp", "in", "mm", (99.99,), 0.0, 80.0, _INCH),
    Measurement("stp", "stp", "hPa", "hPa", (999.9, 9999.9), 300.0, 1100.0),
    Measurement("visib", "visib", "mi", "km", (999.9,), 0.0, 100.0, _MILE),
    Measurement("mxpsd", "mxspd", "kn", "m/s", (999.9,), 0.0, 250.0, _KNOT),
    Measurement("max", "max", sentinels=(9999.9,), low=-130.0, high=140.0, **_FAHRENHEIT),  # type: ignore[arg-type]
    Measurement("min", "min", sentinels=(9999.9,), low=-130.0, high=140.0, **_FAHRENHEIT),  # type: ignore[arg-type]
    # A missing gust or snow depth means "none reported": the absence is information, so it is never filled in.
    Measurement("gust", "gust", "kn", "m/s", (999.9,), 0.0, 250.0, _KNOT, imputed=False),
    Measurement("sndp", "sndp", "in", "mm", (999.9,), 0.0, 600.0, _INCH, imputed=False),
)

COUNTED: Final = ("temp", "dewp", "slp", "stp", "visib", "wdsp")
"""Measurements with a number of observations, in raw columns ``count_*``."""

WEATHER: Final = ("fog", "rain_drizzle", "snow_ice_pellets", "hail", "tornado_funnel_cloud")
"""The day's present-weather digits but for thunder, which is the label."""

# As in BigQuery.
_RAW_ORDER: Final = ("temp", "dewp", "slp", "stp", "visib", "wdsp", "mxpsd", "gust", "max", "min", "prcp", "sndp")

RAW_SCHEMA: Final = pa.schema(
    [
        _field("station", pa.string(), about="stn + wban, 11 characters 0-9A-Z"),
        _field("stn", pa.string(), about="USAF number"),
        _field("wban", pa.string()),
        _field("date", pa.date32(), "d", "the GMT day"),
        *[
            field
            for m in sorted(MEASUREMENTS, key=lambda m: _RAW_ORDER.index(m.raw))
            for field in (
                _field(m.raw, pa.float64(), m.raw_unit),
                *([_field(f"count_{m.raw}", pa.int16(), about="observations used")] if m.raw in COUNTED else []),
                *([_field(f"flag_{m.raw}", pa.string())] if m.raw in ("max", "min", "prcp") else []),
            )
        ],
        *[_field(name, pa.int8(), about="0 means no, or not reported") for name in (*WEATHER[:4], "thunder", WEATHER[4])],
        _field("lat", pa.float64(), "degree_north"),
        _field("lon", pa.float64(), "degree_east"),
        _field("elev", pa.float64(), "m"),
        _field("country", pa.string(), about="FIPS code of the station list"),
    ],
    metadata={"schema": RAW},
)

# --- clean rows -------------------------------------------------------------------------------------------

AVERAGED: Final = ("temp", "dewp", "slp", "wdsp", "prcp")
WINDOWS: Final = (3, 7, 30)
TENDENCIES: Final = ("temp", "dewp", "slp")

_AVERAGE_UNITS: Final = {"temp": "degC", "dewp": "degC", "slp": "hPa", "wdsp": "m/s", "prcp": "mm/d"}

CLEAN_VALUES: Final[tuple[tuple[str, str, str], ...]] = (
    *[(m.clean, m.unit, "") for m in MEASUREMENTS],
    ("dew_point_depression", "K", "temp - dewp; null if either is imputed"),
    ("diurnal_range", "K", "max - min; null if either is imputed"),
    *[(f"{name}_tendency", {"slp": "hPa/d"}.get(name, "K/d"), "observed today less observed yesterday") for name in TENDENCIES],
    *[
        (f"{name}_ma{days}", _AVERAGE_UNITS[name], f"mean of the values observed in the last {days} days, this one included")
        for name in AVERAGED
        for days in WINDOWS
    ],
    ("season_sin", "1", "sin of the day of the year"),
    ("season_cos", "1", "cos of the day of the year"),
    ("local_season_sin", "1", "season_sin * sign of the latitude"),
    ("local_season_cos", "1", "season_cos * sign of the latitude"),
    ("lat", "degree_north", ""),
    ("lon", "degree_east", ""),
    ("elev", "m", ""),
    ("thunder_1d", "1", "label of the day before; null if there is none"),
    ("thunder_7d", "1", "share of days with thunder among the 7 days before"),
    ("thunder_30d", "1", "share of days with thunder among the 30 days before"),
    ("thunder_rate", "1", "thunder days before this date / (days before this date + 20)"),
)
"""(name, unit, about) of the float32 columns, in the order of `CleanRows.values`."""

VALUE_INDEX: Final[dict[str, int]] = {name: i for i, (name, _, _) in enumerate(CLEAN_VALUES)}
IMPUTABLE: Final = tuple(m.clean for m in MEASUREMENTS if m.imputed)
"""Measurements with a ``*_imputed`` flag, in the order of `CleanRows.imputed`; they come first in `CLEAN_VALUES`."""

CLEAN_SCHEMA: Final = pa.schema(
    [
        _field("station", pa.string()),
        _field("date", pa.date32(), "d"),
        _field("country", pa.string()),
        *[_field(name, pa.float32(), unit, about) for name, unit, about in CLEAN_VALUES],
        *[_field(f"{name}_imputed", pa.bool_()) for name in IMPUTABLE],
        *[_field(name, pa.bool_()) for name in WEATHER],
        _field("reports_thunder", pa.bool_(), about="has reported thunder at least once before this date"),
        _field("thunder", pa.bool_(), about="the label"),
    ],
    metadata={"schema": CLEAN},
)
