"""The cleaner: one batch of raw rows at a time, in order of date."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from thundercast.domain import runs
from thundercast.domain.arrays import Arrays, BadState
from thundercast.domain.cleaning import checks
from thundercast.domain.cleaning.history import History
from thundercast.domain.deadletters import DeadLetter
from thundercast.domain.rows import CleanRows
from thundercast.domain.stations import StationIndex, keys_of, shards_of

VERSION: Final = 1
_NO_DATE: Final = -(2**31)
# Latitude, longitude, elevation. Outside, the place is not known: station lists write -99.999, -999.999 and -999.9 for that.
# It is no reason to set a measurement aside.
_PLACE_LOW: Final = (-90.0, -180.0, -500.0)
_PLACE_HIGH: Final = (90.0, 180.0, 9000.0)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What came of a batch.

    Attributes:
        counts: ``rows_in``, ``imputed`` (values filled in), ``rejected_<reason>``.
    """

    rows: CleanRows
    dead_letters: list[DeadLetter] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def outcome(self) -> str:
        if len(self.rows):
            return "ok"
        return "rejected" if self.counts.get("rows_in") else "empty"


class Cleaner:
    """Cleans the rows of one shard (or of all stations) date by date."""

    def __init__(self) -> None:
        self._stations = StationIndex()
        self._history = History()
        self._date = _NO_DATE

    def clean(self, rows: pa.RecordBatch, date: int, *, run_id: str = "", seq: int = -1, shard: int = 0, shards: int = 1) -> Cleaned:
        """Cleans one batch.

        Args:
            rows: `gsod.raw/1` rows, in any order.
            date: the batch's date, days since 1970-01-01; later than that of the batch before.
            run_id, seq: for the dead letters.
            shard, shards: rows of another shard are dead letters.

        Returns:
            The clean rows sorted by station, and every other row as a dead letter.

        Raises:
            ValueError: the batch is not later than the one before: the caller broke the order.
        """
        if date <= self._date:
            raise ValueError(f"batch of {runs.day(date)} after the batch of {runs.day(self._date)}: a shard's batches must come in order")
        self._date = date
        if rows.num_rows == 0:
            return Cleaned(CleanRows.empty(date), [], {"rows_in": 0})
        key = keys_of(rows.column("station"))
        if np.any(key[1:] < key[:-1]):
            order = np.argsort(key, kind="stable")
            rows, key = rows.take(pa.array(order)), key[order]
        code = _addressed(rows, key, date, shard, shards)
        raw, weather, label, column = checks.checked(rows, code)
        # Of several rows of a station that could be right, the first stays.
        right = np.flatnonzero(code == 0)
        code[right[1:][key[right[1:]] == key[right[:-1]]]] = checks.DUPLICATE
        counts: dict[str, int] = {"rows_in": rows.num_rows}
        letters: list[DeadLetter] = []
        if code.any():
            letters = _letters(rows, code, column, run_id, seq, date)
            counts |= {f"rejected_{reason}": n for reason, n in sorted(Counter(letter.reason for letter in letters).items())}
            good = np.flatnonzero(code == 0)
            rows, key, raw, weather, label = rows.take(pa.array(good)), key[good], raw[good], weather[good], label[good]
        place = np.empty((len(key), 3))
        for j, name in enumerate(("lat", "lon", "elev")):
            place[:, j] = rows.column(name).to_numpy(zero_copy_only=False)
        place[~((place >= _PLACE_LOW) & (place <= _PLACE_HIGH))] = np.nan
        slots = self._stations.add(key)
        self._history.grow(len(self._stations))
        month, season = _season(date)
        values, imputed, reports = self._history.advance(date, month, season, slots, raw, place, label)
        counts["imputed"] = int(np.count_nonzero(imputed))
        return Cleaned(CleanRows(date, key, values, imputed, weather, label, reports, rows.column("country")), letters, counts)

    def arrays(self) -> Arrays:
        """The whole state, as views of it: pack or copy them before the next batch. The version is inside."""
        return {
            "version": np.array(VERSION), "date": np.array(self._date), "keys": self._stations.keys,
            **self._history.arrays(len(self._stations)),
        }  # fmt: skip

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Cleaner:
        """The inverse of `arrays`.

        Raises:
            BadState: another version's state, or a part of it is missing.
        """
        version = arrays.get("version")
        if version is None or version.shape or int(version) != VERSION:
            raise BadState(f"the cleaner's state has version {version}, this program reads {VERSION}: start a new run")
        cleaner = cls()
        try:
            if arrays["keys"].dtype != np.int64 or arrays["keys"].ndim != 1:
                raise ValueError("the station keys are not a list of integers")
            cleaner._stations = StationIndex(arrays["keys"])
            cleaner._history = History.from_arrays(arrays, len(cleaner._stations))
            cleaner._date = int(arrays["date"])
        except (KeyError, ValueError, TypeError) as error:
            raise BadState(f"the cleaner's state is damaged: {error}") from error
        return cleaner


def _season(date: int) -> tuple[int, tuple[float, float]]:
    day = runs.day(date)
    angle = 2 * math.pi * day.timetuple().tm_yday / 365.25
    return day.month - 1, (math.sin(angle), math.cos(angle))


def _addressed(rows: pa.RecordBatch, key: npt.NDArray[np.int64], date: int, shard: int, shards: int) -> npt.NDArray[np.uint8]:
    """uint8[n] codes of rows whose station or date does not belong here; 0 elsewhere."""
    code = np.zeros(len(key), np.uint8)
    dates = rows.column("date").cast(pa.int32())
    off = dates.fill_null(_NO_DATE).to_numpy(zero_copy_only=False)
    code[off != date] = checks.WRONG_DATE
    code[off == _NO_DATE] = checks.BAD_DATE
    code[key < 0] = checks.BAD_STATION
    if shards > 1:
        code[(code == 0) & (shards_of(np.maximum(key, 0), shards) != shard)] = checks.WRONG_SHARD
    return code


def _letters(
    rows: pa.RecordBatch, code: npt.NDArray[np.uint8], column: npt.NDArray[np.uint8], run_id: str, seq: int, date: int
) -> list[DeadLetter]:
    bad = np.flatnonzero(code)
    own = rows.take(pa.array(bad))
    # As text, because a date of Arrow's may be of a year that Python has not.
    own = own.set_column(own.schema.get_field_index("date"), "date", own.column("date").cast(pa.string()))
    originals: list[dict[str, Any]] = own.to_pylist()
    return [
        DeadLetter(
            checks.CODES[code[i]], checks.explain(int(code[i]), int(column[i]), row), "cleaner", run_id, seq,
            row["station"] or "", runs.day(date).isoformat(), row,
        )
        for i, row in zip(bad.tolist(), originals, strict=True)
    ]  # fmt: skip
