"""Made-up raw rows: single ones to plant faults in, and streams with gaps, sentinels and something to learn."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from thundercast.domain import runs
from thundercast.domain.arrays import pack
from thundercast.domain.cleaning import Cleaned, Cleaner
from thundercast.domain.rows import CleanRows
from thundercast.domain.schema import MEASUREMENTS, RAW_SCHEMA, WEATHER
from thundercast.domain.stations import keys_of, shards_of

DAY: Final = dt.date(2022, 7, 15)
A, B, C = "72509014739", "72530094846", "A0735500182"
Row = dict[str, Any]
Stream = list[tuple[int, pa.RecordBatch]]


def raw(station: str | None = A, date: dt.date | None = DAY, **changes: Any) -> Row:
    """A row of `gsod.raw/1` that is right, but for the changes."""
    row: Row = {
        "station": station, "stn": (station or "")[:6], "wban": (station or "")[6:], "date": date,
        "temp": 70.3, "count_temp": 24, "dewp": 60.1, "count_dewp": 24, "slp": 1013.2, "count_slp": 20, "stp": 987.6, "count_stp": 20,
        "visib": 9.4, "count_visib": 24, "wdsp": 7.3, "count_wdsp": 24, "mxpsd": 15.0, "gust": 22.9, "max": 82.9, "flag_max": "",
        "min": 59.0, "flag_min": "*", "prcp": 0.12, "flag_prcp": "G", "sndp": 1.2,
        "fog": 0, "rain_drizzle": 1, "snow_ice_pellets": 0, "hail": 0, "thunder": 0, "tornado_funnel_cloud": 0,
        "lat": 42.4, "lon": -71.0, "elev": 3.7, "country": "US",
    }  # fmt: skip
    unknown = set(changes) - set(row)
    if unknown:
        raise KeyError(f"no raw columns {unknown}")
    return row | changes


def batch_of(*rows: Row) -> pa.RecordBatch:
    """Rows in the order given."""
    return pa.RecordBatch.from_pylist(list(rows), schema=RAW_SCHEMA)


def clean(*rows: Row, date: dt.date = DAY, cleaner: Cleaner | None = None, **where: Any) -> Cleaned:
    """What a cleaner, by default a new one, makes of a batch."""
    return (cleaner or Cleaner()).clean(batch_of(*rows), runs.ordinal(date), **where)


def cleaned_days(days: Iterable[tuple[dt.date, Sequence[Row]]], cleaner: Cleaner | None = None) -> list[CleanRows]:
    """The clean rows of some dates in order."""
    cleaner = cleaner or Cleaner()
    return [clean(*rows, date=date, cleaner=cleaner).rows for date, rows in days]


def value(rows: CleanRows, name: str, i: int = 0) -> float:
    """One clean value; NaN is null."""
    return float(rows.column(name)[i])


def stations(n: int, seed: int = 0) -> list[str]:
    """n station ids in order, some with letters."""
    rng = np.random.default_rng([seed, 7])
    letters = np.array(list("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    found: set[str] = set()
    while len(found) < n:
        found.add("".join(letters[rng.integers(0, 10 if rng.random() < 0.8 else 36, 11)]))
    return sorted(found)


def make_stream(
    dates: int, n: int = 30, *, seed: int = 0, start: dt.date = DAY, missing: float = 0.15, absent: float = 0.1, placeless: float = 0.05
) -> Stream:
    """A raw stream: (date, batch sorted by station) of consecutive dates.

    Thunder comes with moist air, low pressure and rain, at some stations and in some places more than elsewhere.

    Args:
        missing: share of values that are NOAA's sentinel or, for prcp, flagged as not reported.
        absent: share of rows that are not there.
        placeless: share of stations without a place.
    """
    ids = stations(n, seed)
    place = np.random.default_rng([seed, 1])
    nature = place.normal(size=n)
    lat, lon = place.uniform(-60, 60, n).round(2), place.uniform(-180, 180, n).round(2)
    nowhere = place.random(n) < placeless
    stream: Stream = []
    for d in range(dates):
        date = start + dt.timedelta(days=d)
        rng = np.random.default_rng([seed, 2, runs.ordinal(date)])
        temp = rng.normal(60, 12, n)
        dewp = temp - np.abs(rng.normal(8, 6, n))
        rain = rng.random(n) < 1 / (1 + np.exp(-(dewp - 55) / 6))
        slp = rng.normal(1013, 7, n)
        logit = -2.4 + 0.12 * (dewp - 52) - 0.06 * (slp - 1013) + 1.6 * rain + 1.2 * nature
        thunder = rng.random(n) < 1 / (1 + np.exp(-logit))
        columns: dict[str, np.ndarray[Any, Any]] = {
            "temp": temp, "dewp": dewp, "slp": slp, "stp": np.where(slp - 15 >= 1000, slp - 1015, slp - 15),
            "visib": rng.uniform(1, 10, n), "wdsp": np.abs(rng.normal(7, 4, n)), "mxpsd": np.abs(rng.normal(14, 5, n)),
            "gust": np.abs(rng.normal(22, 8, n)), "max": temp + np.abs(rng.normal(8, 4, n)), "min": temp - np.abs(rng.normal(8, 4, n)),
            "prcp": np.where(rain, rng.exponential(0.4, n), 0.0), "sndp": np.abs(rng.normal(4, 2, n)),
        }  # fmt: skip
        flag = np.full(n, "G", dtype=object)
        for m in MEASUREMENTS:
            gone = rng.random(n) < (missing if m.imputed else 0.7)
            columns[m.raw] = np.round(columns[m.raw], 2 if m.raw == "prcp" else 1)
            columns[m.raw][gone] = rng.choice(m.sentinels, int(gone.sum()))
        unreported = rng.random(n) < missing
        flag[unreported], columns["prcp"][unreported] = rng.choice(["H", "I"], int(unreported.sum())), 0.0
        digits = {name: (rng.random(n) < 0.1).astype(np.int8) for name in WEATHER} | {"rain_drizzle": rain.astype(np.int8)}
        batch = {
            "station": ids, "stn": [s[:6] for s in ids], "wban": [s[6:] for s in ids], "date": [date] * n, **columns, **digits,
            "thunder": thunder.astype(np.int8), "flag_prcp": flag.tolist(), "flag_max": [""] * n, "flag_min": [""] * n,
            "lat": [None if gone else x for gone, x in zip(nowhere, lat.tolist(), strict=True)],
            "lon": [None if gone else x for gone, x in zip(nowhere, lon.tolist(), strict=True)],
            "elev": (50 * np.arange(n) % 3000).astype(float), "country": [None if i % 7 == 0 else ("US", "NO", "CA")[i % 3] for i in range(n)],
        }  # fmt: skip
        arrays = [pa.array(batch[f.name], f.type) if f.name in batch else pa.nulls(n, f.type) for f in RAW_SCHEMA]
        rows = pa.RecordBatch.from_arrays(arrays, schema=RAW_SCHEMA)
        stream.append((runs.ordinal(date), rows.take(pa.array(np.flatnonzero(rng.random(n) >= absent)))))
    return stream


def clean_stream(dates: int, n: int = 30, **settings: Any) -> list[CleanRows]:
    """`make_stream`, cleaned."""
    cleaner = Cleaner()
    return [cleaner.clean(rows, date).rows for date, rows in make_stream(dates, n, **settings)]


def of_shard(rows: pa.RecordBatch, shard: int, shards: int) -> pa.RecordBatch:
    """The rows whose stations fall in a shard."""
    return rows.take(pa.array(np.flatnonzero(shards_of(keys_of(rows.column("station")), shards) == shard)))


def state_bytes(cleaner: Cleaner) -> bytes:
    """The cleaner's whole state."""
    return pack(cleaner.arrays())


def assert_same_rows(found: CleanRows, wanted: CleanRows) -> None:
    """Every column is equal, bit by bit but for the kind of NaN."""
    assert found.date == wanted.date
    assert found.country.to_pylist() == wanted.country.to_pylist()
    for name in ("key", "values", "imputed", "weather", "label", "reports"):
        a, b = getattr(found, name), getattr(wanted, name)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b, err_msg=name, strict=True)
