"""The inputs of the `thunder` model: from clean rows to a matrix of features, NaN where nothing was observed.

Imputed values count as missing here: the model has a bin of its own for them, which says more than a filled-in mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numba as nb
import numpy as np
import numpy.typing as npt

from thundercast.domain.models.base import Task
from thundercast.domain.rows import CleanRows
from thundercast.domain.schema import IMPUTABLE, VALUE_INDEX, WEATHER

CELLS: Final = 1024
"""Cells of the fixed grid on which each feature's distribution is counted."""


@dataclass(frozen=True, slots=True)
class Feature:
    """A number with the physical range over which its bins are laid; values outside fall into the outer bins."""

    name: str
    low: float
    high: float


# Values taken from the clean row as they are.
_TAKEN: Final = (
    Feature("temp", -60, 50), Feature("dewp", -60, 35), Feature("slp", 940, 1060), Feature("wdsp", 0, 25), Feature("max", -60, 55),
    Feature("min", -60, 40), Feature("visib", 0, 50), Feature("mxspd", 0, 40), Feature("gust", 0, 50), Feature("stp", 600, 1050),
    Feature("dew_point_depression", 0, 35), Feature("diurnal_range", 0, 35), Feature("temp_tendency", -20, 20),
    Feature("dewp_tendency", -20, 20), Feature("slp_tendency", -30, 30), Feature("temp_ma7", -60, 50), Feature("dewp_ma7", -60, 35),
    Feature("slp_ma7", 940, 1060), Feature("lat", -90, 90), Feature("lon", -180, 180), Feature("elev", -100, 4000),
    Feature("season_sin", -1, 1), Feature("season_cos", -1, 1), Feature("local_season_sin", -1, 1), Feature("local_season_cos", -1, 1),
    Feature("thunder_1d", 0, 1), Feature("thunder_7d", 0, 1), Feature("thunder_30d", 0, 1), Feature("thunder_rate", 0, 1),
)  # fmt: skip
# Derived here.
_DERIVED: Final = (
    Feature("log_prcp", 0, 7), Feature("log_prcp_ma7", 0, 6), Feature("abs_lat", 0, 90),
    Feature("near_thunder", 0, 1), Feature("around_thunder", 0, 1),
)  # fmt: skip
_DIGITS: Final = tuple(Feature(name, 0, 1) for name in WEATHER)
_TODAY: Final = Feature("thunder_today", 0, 1)

_PAIRS: Final = (
    ("rain_drizzle", "log_prcp"), ("rain_drizzle", "dewp"), ("rain_drizzle", "thunder_rate"), ("rain_drizzle", "around_thunder"),
    ("rain_drizzle", "thunder_7d"), ("rain_drizzle", "lat"), ("visib", "log_prcp"), ("gust", "visib"), ("wdsp", "gust"),
    ("temp", "dew_point_depression"), ("thunder_1d", "log_prcp"), ("lat", "season_cos"), ("lon", "season_cos"), ("lat", "lon"),
)  # fmt: skip
_PAIRS_AHEAD: Final = (("dewp", "around_thunder"), ("thunder_30d", "around_thunder"), ("thunder_today", "thunder_rate"))

_VALUES: Final = np.array([VALUE_INDEX[f.name] for f in _TAKEN])
_IMPUTED: Final = np.array([IMPUTABLE.index(f.name) if f.name in IMPUTABLE else -1 for f in _TAKEN])
_PRCP, _PRCP7 = VALUE_INDEX["prcp"], VALUE_INDEX["prcp_ma7"]
_PRCP_IMPUTED: Final = IMPUTABLE.index("prcp")
_LAT, _LON, _YESTERDAY = VALUE_INDEX["lat"], VALUE_INDEX["lon"], VALUE_INDEX["thunder_1d"]

# Thunder of yesterday (nowcast) or today (day ahead) in the 4 degree cell of a station, and in the 3 x 3 around it.
_CELL_DEGREES: Final = 4.0
ROWS_OF_CELLS: Final = 45
COLUMNS_OF_CELLS: Final = 90


def features(task: Task) -> tuple[Feature, ...]:
    """The features of a task, in the order of the columns of `design`."""
    return _TAKEN + _DERIVED + _DIGITS + ((_TODAY,) if task == "dayahead" else ())


def pairs(task: Task) -> tuple[tuple[str, str], ...]:
    """The pairs of features that have a table of their own."""
    return _PAIRS + (_PAIRS_AHEAD if task == "dayahead" else ())


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _cell(lat: float, lon: float) -> tuple[int, int]:
    row = min(max(int((lat + 90.0) / _CELL_DEGREES), 0), ROWS_OF_CELLS - 1)
    return row, int((lon + 180.0) / _CELL_DEGREES) % COLUMNS_OF_CELLS


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _share(thunder: int, rows: int) -> np.float32:
    # A station that has moved since is taken out of a cell it was not in; what is left is still a share.
    return np.float32(min(max(thunder / rows, 0.0), 1.0))


@nb.njit(cache=True, nogil=True)
def count_cells(values: npt.NDArray[np.float32], label: npt.NDArray[np.int8]) -> npt.NDArray[np.int32]:
    """int32[45, 90, 2]: rows and thunder by cell of 4 degrees; rows without place or label are left out."""
    cells = np.zeros((ROWS_OF_CELLS, COLUMNS_OF_CELLS, 2), np.int32)
    for i in range(len(values)):
        lat, lon = values[i, _LAT], values[i, _LON]
        if label[i] >= 0 and not np.isnan(lat) and not np.isnan(lon):
            r, c = _cell(lat, lon)
            cells[r, c, 0] += 1
            cells[r, c, 1] += label[i]
    return cells


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _design(  # type: ignore[no-untyped-def]
    values, imputed, weather, own, cells, taken, taken_imputed, today, out
) -> None:
    nan = np.float32(np.nan)
    m = len(taken)
    for i in range(len(values)):
        for j in range(m):
            f = taken_imputed[j]
            out[i, j] = nan if f >= 0 and imputed[i, f] else values[i, taken[j]]
        # Hundredths of an inch, which is what NOAA measures in.
        out[i, m] = nan if imputed[i, _PRCP_IMPUTED] else np.log1p(values[i, _PRCP] / np.float32(0.254))
        out[i, m + 1] = np.log1p(values[i, _PRCP7] / np.float32(0.254))
        lat, lon = values[i, _LAT], values[i, _LON]
        out[i, m + 2] = abs(lat)
        near = nan
        around = nan
        if not np.isnan(lat) and not np.isnan(lon):
            r, c = _cell(lat, lon)
            # The station itself is not its own neighbour.
            rows = -1 if own[i] >= 0 else 0
            thunder = -1 if own[i] == 1 else 0
            if cells[r, c, 0] + rows > 0:
                near = _share(cells[r, c, 1] + thunder, cells[r, c, 0] + rows)
            for dr in range(-1, 2):
                for dc in range(-1, 2):
                    if 0 <= r + dr < ROWS_OF_CELLS:
                        rows += cells[r + dr, (c + dc) % COLUMNS_OF_CELLS, 0]
                        thunder += cells[r + dr, (c + dc) % COLUMNS_OF_CELLS, 1]
            if rows > 0:
                around = _share(thunder, rows)
        out[i, m + 3] = near
        out[i, m + 4] = around
        for j in range(weather.shape[1]):
            out[i, m + 5 + j] = weather[i, j]
        if today:
            out[i, m + 5 + weather.shape[1]] = own[i] if own[i] >= 0 else nan


def design(rows: CleanRows, task: Task, cells: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """float32[n, len(features(task))]; NaN where nothing was observed.

    Args:
        rows: n clean rows. For ``dayahead`` their label is known (today's) and is a feature.
        cells: `count_cells` of yesterday's rows (nowcast) or of the rows' own date (day ahead).
    """
    out = np.empty((len(rows), len(features(task))), np.float32)
    if task == "dayahead":
        own = rows.label
    else:
        yesterday = rows.values[:, _YESTERDAY]
        own = np.where(np.isnan(yesterday), -1, yesterday).astype(np.int8)
    _design(rows.values, rows.imputed, rows.weather, own, cells, _VALUES, _IMPUTED, task == "dayahead", out)
    return out
