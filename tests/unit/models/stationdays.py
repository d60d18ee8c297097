"""Made-up station-days with something to learn in them."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from thundercast.domain.rows import CleanRows
from thundercast.domain.schema import CLEAN_VALUES, IMPUTABLE, VALUE_INDEX, WEATHER

FIRST_DATE: Final = 19_000  # 2022-01-08


def make_date(date: int = FIRST_DATE, n: int = 50, *, seed: int = 0, missing: float = 0.2) -> CleanRows:
    """n stations; thunder comes with moist air, low pressure and at some stations more than at others; a share of values is null."""
    rng = np.random.default_rng([seed, date])
    places = np.random.default_rng(seed)
    values = rng.normal(size=(n, len(CLEAN_VALUES))).astype(np.float32)

    def put(name: str, column: object) -> None:
        values[:, VALUE_INDEX[name]] = column

    station = places.normal(size=n)
    temp = rng.normal(18, 8, n)
    dewp = temp - np.abs(rng.normal(6, 4, n))
    slp = rng.normal(1013, 8, n)
    put("lat", places.uniform(-60, 60, n))
    put("lon", places.uniform(-180, 180, n))
    put("temp", temp)
    put("dewp", dewp)
    put("slp", slp)
    put("wdsp", np.abs(rng.normal(4, 2, n)))
    put("prcp", np.where(rng.random(n) < 0.3, rng.exponential(5, n), 0))
    put("thunder_1d", rng.random(n) < 0.2)
    logit = -1.5 + 0.25 * (dewp - 12) - 0.08 * (slp - 1013) + 1.5 * station
    label = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    gaps = rng.random(values.shape) < missing
    gaps[:, [VALUE_INDEX[name] for name in ("lat", "lon", "thunder_1d")]] = False
    values[gaps] = np.nan
    return CleanRows(
        date=date,
        key=np.arange(n, dtype=np.int64) * 36 + 10**12,
        values=values,
        imputed=(rng.random((n, len(IMPUTABLE))) < 0.1) & ~gaps[:, : len(IMPUTABLE)],
        weather=rng.random((n, len(WEATHER))) < 0.2,
        label=label,
        reports=station > -1,
        country=pa.array(["US"] * n),
    )


def make_stream(dates: int, n: int = 50, *, seed: int = 0, missing: float = 0.2) -> list[CleanRows]:
    """Consecutive dates of the same n stations."""
    return [make_date(FIRST_DATE + i, n, seed=seed, missing=missing) for i in range(dates)]


def copy_of(rows: CleanRows) -> CleanRows:
    """Rows that may be changed."""
    return rows.take(np.arange(len(rows)))
