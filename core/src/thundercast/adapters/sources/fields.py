"""One column's fields, typed or text, as the type they should have; and where they are not of that type."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from thundercast.domain import runs

Mask = npt.NDArray[np.bool_]
Convert = Callable[[pa.Array], tuple[pa.Array, Mask | None]]
"""A column to its type, and where a field is not of it: None for nowhere."""

FIRST_DATE: Final = dt.date(1900, 1, 1)
LAST_DATE: Final = dt.date(2100, 12, 31)
"""Dates outside these are slips of the pen."""

_NUMBER: Final = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"
_DATE: Final = r"^(\d{4}-\d{2}-\d{2}|\d{8})$"


_HALVES: Final = np.dtype([("stn", "V6"), ("wban", "V5")])


def split_station(station: pa.Array) -> tuple[pa.Array, pa.Array]:
    """USAF and WBAN number of station ids, all of which have eleven ASCII characters."""
    n = len(station)
    if n == 0:
        return pa.array([], pa.string()), pa.array([], pa.string())
    _, offset_buffer, data = station.buffers()
    start = int(np.frombuffer(offset_buffer, np.int32)[station.offset])
    halves = np.frombuffer(data, _HALVES, n, start)
    return _fixed_text(halves["stn"]), _fixed_text(halves["wban"])


def fixed_text(characters: npt.NDArray[np.uint8]) -> pa.Array:
    """Arrow strings of n texts of k ASCII characters each, from uint8[n, k]."""
    return _fixed_text(np.ascontiguousarray(characters).view(f"V{characters.shape[1]}").reshape(-1))


def _fixed_text(items: npt.NDArray[np.void]) -> pa.Array:
    offsets = np.arange(len(items) + 1, dtype=np.int32) * np.int32(items.itemsize)
    text = np.ascontiguousarray(items).view(np.uint8)
    return pa.StringArray.from_buffers(len(items), pa.py_buffer(offsets), pa.py_buffer(text))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def plain(column: pa.ChunkedArray) -> pa.Array:
    """One array: texts as `string`, or as a dictionary of `string` if they came as one; other dictionaries decoded."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        if column.num_chunks == 1 and _is_text(kind.value_type):
            whole = column.chunk(0)
            return pa.DictionaryArray.from_arrays(whole.indices, whole.dictionary.cast(pa.string()))
        kind = kind.value_type
    column = column.cast(pa.string() if _is_text(kind) else kind)
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays([*column.chunks, pa.array([], column.type)])


def trimmed(column: pa.Array) -> pa.Array:
    """As text without blanks around it."""
    if pa.types.is_dictionary(column.type):
        return trimmed(column.dictionary).take(column.indices)
    return pc.utf8_trim_whitespace(column.cast(pa.string()))


def converted(column: pa.Array, convert: Convert) -> tuple[pa.Array, Mask | None]:
    """What ``convert`` makes of a column; of a dictionary, each value once."""
    if not pa.types.is_dictionary(column.type):
        return convert(column)
    # A null goes through as one more value: whether it is wrong depends on the column.
    once = pa.concat_arrays([column.dictionary, pa.nulls(1, column.dictionary.type)])
    values, bad = convert(once)
    at = column.indices.fill_null(len(once) - 1)
    return values.take(at), None if bad is None or not bad.any() else bad[_numpy(at)]


def _numpy(array: pa.Array) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return values


def _mask(array: pa.Array) -> Mask:
    return np.asarray(_numpy(array.fill_null(False)), np.bool_)


def numbers(column: pa.Array) -> tuple[pa.Array, Mask | None]:
    """float64, null where there is no text or NaN; and where the text is not a finite number."""
    if _is_text(column.type):
        text = trimmed(column)
        text = pc.if_else(pc.equal(text, ""), None, text)
        try:
            values = text.cast(pa.float64())
        except pa.ArrowInvalid:
            is_number = pc.match_substring_regex(text, _NUMBER)
            values = pc.if_else(is_number, text, None).cast(pa.float64())
            return values, _mask(pc.invert(is_number)) | _mask(pc.invert(pc.is_finite(values)))
        # 'nan' and 'inf' parse, but are no observations.
        return values, _mask(pc.invert(pc.is_finite(values)))
    values = column.cast(pa.float64())
    floats = _numpy(values)
    if np.isfinite(floats).all():
        return values, None
    return pc.if_else(pc.is_nan(values), None, values), np.isinf(floats)


def counts(column: pa.Array) -> tuple[pa.Array, Mask | None]:
    """int16, and where there is something else than a whole number from 0."""
    if column.type == pa.int16():
        least = pc.min(column).as_py()
        return column, None if least is None or least >= 0 else _mask(pc.less(column, 0))
    values, bad = numbers(column)
    floats = _numpy(values)
    whole = (floats >= 0) & (floats <= np.iinfo(np.int16).max) & (floats == np.floor(floats))
    absent = _mask(pc.is_null(values))
    wrong = ~whole & ~absent
    if bad is not None:
        wrong |= bad
    return pa.array(np.where(whole, floats, 0).astype(np.int16), mask=absent | wrong), wrong


def digits(column: pa.Array) -> tuple[pa.Array, Mask | None]:
    """int8, and where there is neither 0 nor 1."""
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if _is_text(column.type):
        column = trimmed(column)
        yes, no = pc.equal(column, "1"), pc.equal(column, "0")
    else:
        column = column.cast(pa.float64())
        yes, no = pc.equal(column, 1), pc.equal(column, 0)
    is_one = _mask(yes)
    return pa.array(is_one.view(np.int8)), ~(is_one | _mask(no))


def days_of(column: pa.Array) -> tuple[npt.NDArray[np.int32], Mask]:
    """int32 days since 1970-01-01 and where the date cannot be read (the day is 0 there)."""
    if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
        dates = column.cast(pa.date32(), safe=False).cast(pa.int32())
        bad = _mask(pc.is_null(dates))
        days = np.asarray(_numpy(dates.fill_null(0)), np.int32)
    else:
        text = trimmed(column)
        bad = ~_mask(pc.match_substring_regex(text, _DATE))
        digits = pc.replace_substring(pc.if_else(pa.array(bad), "19700101", text), "-", "")
        number = _numpy(digits.cast(pa.int32()))
        month, day = number // 100 % 100, number % 100
        bad |= (month < 1) | (month > 12) | (day < 1) | (number < 10_000)
        months = ((number // 10_000 - 1970) * 12 + np.clip(month, 1, 12) - 1).astype("datetime64[M]")
        whole = months.astype("datetime64[D]") + (day - 1)
        bad |= whole.astype("datetime64[M]") != months
        days = whole.astype(np.int64).astype(np.int32)
    bad |= (days < runs.ordinal(FIRST_DATE)) | (days > runs.ordinal(LAST_DATE))
    return np.where(bad, np.int32(0), days), bad
