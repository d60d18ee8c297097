"""Which raw values are missing, and which rows cannot be right. Compiled; one call a batch."""

from __future__ import annotations

from typing import Any, Final

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from thundercast.domain import schema
from thundercast.domain.schema import MEASUREMENTS

CODES: Final = (
    "", "bad_station", "bad_date", "wrong_date", "wrong_shard", "duplicate", "bad_value", "bad_label",
    "temperature_out_of_range", "value_out_of_range", "dew_point_above_temperature", "min_above_max",
)  # fmt: skip
_CODE: Final = {reason: i for i, reason in enumerate(CODES)}
BAD_STATION, BAD_DATE, WRONG_DATE = _CODE["bad_station"], _CODE["bad_date"], _CODE["wrong_date"]
WRONG_SHARD, DUPLICATE = _CODE["wrong_shard"], _CODE["duplicate"]
_BAD_VALUE, _BAD_LABEL = _CODE["bad_value"], _CODE["bad_label"]
_TEMPERATURE, _RANGE = _CODE["temperature_out_of_range"], _CODE["value_out_of_range"]
_DEW_POINT, _MIN_MAX = _CODE["dew_point_above_temperature"], _CODE["min_above_max"]

# Two columns of sentinels; those with one repeat it.
_SENTINELS: Final = np.array([(m.sentinels * 2)[:2] for m in MEASUREMENTS])
_LOW: Final = np.array([m.low for m in MEASUREMENTS])
_HIGH: Final = np.array([m.high for m in MEASUREMENTS])
_IS_TEMPERATURE: Final = np.array([m.unit == "degC" for m in MEASUREMENTS])
_AT: Final = {m.raw: i for i, m in enumerate(MEASUREMENTS)}
_TEMP, _DEWP, _STP, _MAX, _MIN, _PRCP = (_AT[name] for name in ("temp", "dewp", "stp", "max", "min", "prcp"))

_NEAR: Final = 0.05  # values have one or two decimals; a sentinel is met within half of the coarser unit
_ROUNDING: Final = 0.15  # degF: both temperatures are rounded to a tenth
_LOST_THOUSAND: Final = 100.0  # hPa: NOAA's files drop the leading 1 of station pressures of 1000 hPa and more


@nb.njit(cache=True, nogil=True)
def _check(
    raw: npt.NDArray[np.float64],
    prcp_flag: npt.NDArray[np.uint8],
    weather: npt.NDArray[np.int8],
    label: npt.NDArray[np.int8],
    code: npt.NDArray[np.uint8],
    column: npt.NDArray[np.uint8],
    sentinels: npt.NDArray[np.float64],
    low: npt.NDArray[np.float64],
    high: npt.NDArray[np.float64],
    is_temperature: npt.NDArray[np.bool_],
) -> None:
    n, k = raw.shape
    for i in range(n):
        for j in range(k):
            v = raw[i, j]
            if abs(v - sentinels[j, 0]) < _NEAR or abs(v - sentinels[j, 1]) < _NEAR:
                raw[i, j] = np.nan
        if 0.0 <= raw[i, _STP] < _LOST_THOUSAND:
            raw[i, _STP] += 1000.0
        # Flags H and I: nothing was reported, though the file says 0.00.
        if (prcp_flag[i] == 72 or prcp_flag[i] == 73) and raw[i, _PRCP] == 0.0:
            raw[i, _PRCP] = np.nan
        if code[i] != 0:
            continue
        if label[i] != 0 and label[i] != 1:
            code[i] = _BAD_LABEL
            continue
        for j in range(weather.shape[1]):
            if weather[i, j] != 0 and weather[i, j] != 1:
                code[i] = _BAD_VALUE
                column[i] = k + j
        for j in range(k):
            v = raw[i, j]
            if code[i] == 0 and not np.isnan(v) and not (low[j] <= v <= high[j]):
                code[i] = _TEMPERATURE if is_temperature[j] else _RANGE
                column[i] = j
        if code[i] == 0 and raw[i, _DEWP] > raw[i, _TEMP] + _ROUNDING:
            code[i] = _DEW_POINT
        if code[i] == 0 and raw[i, _MIN] > raw[i, _MAX] + _ROUNDING:
            code[i] = _MIN_MAX


def _floats(rows: pa.RecordBatch, name: str) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = rows.column(name).to_numpy(zero_copy_only=False)
    return values


def _digits(rows: pa.RecordBatch, name: str) -> npt.NDArray[np.int8]:
    column = rows.column(name)
    values: npt.NDArray[np.int8] = (column.fill_null(-1) if column.null_count else column).to_numpy(zero_copy_only=False)
    return values


def _first_byte(column: pa.Array) -> npt.NDArray[np.uint8]:
    """The first character of each text as its ASCII code; 0 where there is none."""
    column = column.cast(pa.string()).fill_null("")
    if column.offset:
        column = pa.concat_arrays([column])
    if len(column) == 0:
        return np.empty(0, np.uint8)
    _, offset_buffer, data = column.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32)[: len(column) + 1]
    out = np.zeros(len(column), np.uint8)
    filled = offsets[1:] > offsets[:-1]
    if data is not None and filled.any():
        out[filled] = np.frombuffer(data, np.uint8)[offsets[:-1][filled]]
    return out


def checked(
    rows: pa.RecordBatch, code: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.int8], npt.NDArray[np.uint8]]:
    """Measurements with sentinels removed, weather, labels, and what is wrong with each row.

    Args:
        rows: n raw rows.
        code: uint8[n], written to: an index into `CODES` for each row; rows that have one keep it.

    Returns:
        float64[n, 12] in raw units, NaN where missing, station pressure repaired; bool[n, 5] weather; int8[n] label;
        uint8[n] the offending column of `column_name`.
    """
    n = rows.num_rows
    raw = np.empty((n, len(MEASUREMENTS)))
    for j, m in enumerate(MEASUREMENTS):
        raw[:, j] = _floats(rows, m.raw)
    weather = np.empty((n, len(schema.WEATHER)), np.int8)
    for j, name in enumerate(schema.WEATHER):
        weather[:, j] = _digits(rows, name)
    label = _digits(rows, "thunder").astype(np.int8)
    column = np.zeros(n, np.uint8)
    _check(raw, _first_byte(rows.column("flag_prcp")), weather, label, code, column, _SENTINELS, _LOW, _HIGH, _IS_TEMPERATURE)
    return raw, weather == 1, label, column


def explain(code: int, column: int, row: dict[str, Any]) -> str:
    """What is wrong with a row, in words with its values."""
    reason = CODES[code]
    if reason in ("temperature_out_of_range", "value_out_of_range"):
        m = MEASUREMENTS[column]
        return f"{m.raw} = {row[m.raw]} {m.raw_unit} is neither within {m.low:g} to {m.high:g} nor a known sentinel {list(m.sentinels)}"
    if reason == "bad_value":
        name = schema.WEATHER[column - len(MEASUREMENTS)]
        return f"{name} = {row[name]!r} is not 0 or 1"
    named = {
        "bad_station": ("station",), "bad_date": ("date",), "wrong_date": ("date",), "wrong_shard": ("station",),
        "duplicate": ("station", "date"), "bad_label": ("thunder",),
        "dew_point_above_temperature": ("dewp", "temp"), "min_above_max": ("min", "max"),
    }[reason]  # fmt: skip
    return ", ".join(f"{name} = {row[name]}" for name in named)
