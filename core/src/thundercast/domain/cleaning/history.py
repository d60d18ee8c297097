"""The state of each station and the compiled step over it: imputation, moving averages, tendencies, label history.

A station takes about 2.7 kB: thirty days of values, sums by calendar month, thirty labels. Everything a row
gets is of its own station and of no later date, so shards do not matter and nothing leaks from the future.
"""

from __future__ import annotations

from typing import Any, Final

import numba as nb
import numpy as np
import numpy.typing as npt

from thundercast.domain.arrays import Arrays
from thundercast.domain.schema import AVERAGED, CLEAN_VALUES, IMPUTABLE, MEASUREMENTS, VALUE_INDEX

DAYS: Final = 30
NEVER: Final = -(2**30)
_PRIOR_DAYS: Final = 20.0

_M: Final = len(MEASUREMENTS)
_I: Final = len(IMPUTABLE)
_A: Final = len(AVERAGED)
_SCALE: Final = np.array([m.scale for m in MEASUREMENTS])
_SHIFT: Final = np.array([m.shift for m in MEASUREMENTS])
_TEMP, _DEWP, _SLP, _MAX, _MIN = (VALUE_INDEX[name] for name in ("temp", "dewp", "slp", "max", "min"))
_DPD, _DTR = VALUE_INDEX["dew_point_depression"], VALUE_INDEX["diurnal_range"]
_TENDENCY, _AVERAGE, _SEASON = VALUE_INDEX["temp_tendency"], VALUE_INDEX["temp_ma3"], VALUE_INDEX["season_sin"]
_LAT, _PAST = VALUE_INDEX["lat"], VALUE_INDEX["thunder_1d"]


class History:
    """Flat arrays by station slot; S slots."""

    def __init__(self) -> None:
        self._capacity = 0
        self.last = np.empty(0, np.int32)
        self.values = np.empty((0, DAYS, _M), np.float32)
        self.month_sum = np.empty((0, 12, _I))
        self.month_rows = np.empty((0, 12, _I), np.uint16)
        self.labels = np.empty((0, DAYS), np.int8)
        self.days = np.empty(0, np.int32)
        self.thunder_days = np.empty(0, np.int32)

    def grow(self, slots: int) -> None:
        """Makes room for ``slots`` stations."""
        if slots <= self._capacity:
            return
        capacity = max(slots, 2 * self._capacity, 64)

        def more(old: npt.NDArray[Any], fill: float) -> npt.NDArray[Any]:
            new = np.full((capacity, *old.shape[1:]), fill, old.dtype)
            new[: len(old)] = old
            return new

        self.last = more(self.last, NEVER)
        self.values = more(self.values, np.nan)
        self.month_sum = more(self.month_sum, 0)
        self.month_rows = more(self.month_rows, 0)
        self.labels = more(self.labels, -1)
        self.days = more(self.days, 0)
        self.thunder_days = more(self.thunder_days, 0)
        self._capacity = capacity

    _NAMES: Final = ("last", "values", "month_sum", "month_rows", "labels", "days", "thunder_days")

    def arrays(self, slots: int) -> Arrays:
        return {name: getattr(self, name)[:slots] for name in self._NAMES}

    @classmethod
    def from_arrays(cls, arrays: Arrays, slots: int) -> History:
        """The inverse of `arrays`; KeyError or ValueError if an array is missing or of another kind."""
        history = cls()
        history.grow(slots)
        for name in cls._NAMES:
            own, kept = getattr(history, name)[:slots], arrays[name]
            if (own.shape, own.dtype) != (kept.shape, kept.dtype):
                raise ValueError(f"{name} is {kept.dtype}{list(kept.shape)}, not {own.dtype}{list(own.shape)}")
            own[:] = kept
        return history

    def advance(
        self,
        date: int,
        month: int,
        season: tuple[float, float],
        slots: npt.NDArray[np.int32],
        raw: npt.NDArray[np.float64],
        place: npt.NDArray[np.float64],
        label: npt.NDArray[np.int8],
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """The clean values of n rows of one date, whose stations are distinct, and the state moved on to that date.

        Args:
            date: days since 1970-01-01, later than that of any row of these stations before.
            month: 0 to 11.
            season: sine and cosine of the day of the year.
            slots: int32[n].
            raw: float64[n, 12] in raw units, NaN where missing.
            place: float64[n, 3] latitude, longitude, elevation; NaN where unknown.
            label: int8[n].

        Returns:
            float32[n, len(CLEAN_VALUES)], bool[n, 10] imputed, bool[n] has reported thunder before.
        """
        n = len(slots)
        out = np.empty((n, len(CLEAN_VALUES)), np.float32)
        imputed = np.zeros((n, _I), np.bool_)
        reports = np.empty(n, np.bool_)
        order = ((date - np.arange(DAYS)) % DAYS).astype(np.int64)
        _advance(
            date, month, season[0], season[1], order, slots, raw, place, label, _SCALE, _SHIFT, self.last, self.values, self.month_sum,
            self.month_rows, self.labels, self.days, self.thunder_days, out, imputed, reports,
        )  # fmt: skip
        return out, imputed, reports


@nb.njit(cache=True, nogil=True)
def _advance(  # type: ignore[no-untyped-def]
    date, month, season_sin, season_cos, order, slots, raw, place, label, scale, shift,
    last, values, month_sum, month_rows, labels, days, thunder_days, out, imputed, reports,
) -> None:  # fmt: skip
    nan = np.float32(np.nan)
    today = order[0]
    yesterday = order[1]
    total = np.zeros(_A)
    count = np.zeros(_A, np.int64)
    for i in range(len(slots)):
        s = slots[i]
        # Days without a row since the last one are blank; what a ring holds after that is the 30 days before this date.
        for d in range(max(last[s] + 1, date - DAYS), date):
            for j in range(_M):
                values[s, d % DAYS, j] = nan
            labels[s, d % DAYS] = -1

        for j in range(_M):
            out[i, j] = np.float32((raw[i, j] + shift[j]) * scale[j])
        out[i, _DPD] = out[i, _TEMP] - out[i, _DEWP]
        out[i, _DTR] = out[i, _MAX] - out[i, _MIN]
        for j in range(3):
            out[i, _TENDENCY + j] = out[i, j] - values[s, yesterday, j]

        # Imputation, from earlier dates only: the last 30 days' own mean, else this calendar month's.
        missing = 0
        for j in range(_I):
            v = out[i, j]
            if np.isnan(v):
                missing += 1
            else:
                month_sum[s, month, j] += v
                month_rows[s, month, j] += 1
        if missing:
            for j in range(_I):
                if not np.isnan(out[i, j]):
                    continue
                acc = 0.0
                k = 0
                for b in range(DAYS):
                    v = values[s, b, j]
                    if not np.isnan(v):
                        acc += v
                        k += 1
                if k > 0:
                    out[i, j] = np.float32(acc / k)
                    imputed[i, j] = True
                elif month_rows[s, month, j] > 0:
                    out[i, j] = np.float32(month_sum[s, month, j] / month_rows[s, month, j])
                    imputed[i, j] = True

        # Observed values enter the ring; imputed ones never do.
        for j in range(_M):
            values[s, today, j] = nan if j < _I and imputed[i, j] else out[i, j]

        # One pass backwards in time, with a look at three places on the way.
        for j in range(_A):
            total[j] = 0.0
            count[j] = 0
        for b in range(DAYS):
            at = order[b]
            for j in range(_A):
                v = values[s, at, j]
                known = not np.isnan(v)
                total[j] += v if known else np.float32(0.0)
                count[j] += 1 if known else 0
            if b == 2 or b == 6 or b == DAYS - 1:
                w = 0 if b == 2 else (1 if b == 6 else 2)
                for j in range(_A):
                    out[i, _AVERAGE + 3 * j + w] = np.float32(total[j] / count[j]) if count[j] > 0 else nan

        out[i, _SEASON] = season_sin
        out[i, _SEASON + 1] = season_cos
        lat = place[i, 0]
        sign = np.nan if np.isnan(lat) else (1.0 if lat > 0 else (-1.0 if lat < 0 else 0.0))
        out[i, _SEASON + 2] = season_sin * sign
        out[i, _SEASON + 3] = season_cos * sign
        for j in range(3):
            out[i, _LAT + j] = place[i, j]

        # Labels of the 30 days before; this date's label replaces the oldest afterwards.
        known7 = 0
        thunder7 = 0
        known30 = 0
        thunder30 = 0
        for b in range(1, DAYS + 1):
            y = labels[s, order[b % DAYS]]
            if y >= 0:
                known30 += 1
                thunder30 += y
                if b <= 7:
                    known7 += 1
                    thunder7 += y
        y = labels[s, yesterday]
        out[i, _PAST] = np.float32(y) if y >= 0 else nan
        out[i, _PAST + 1] = np.float32(thunder7 / known7) if known7 else nan
        out[i, _PAST + 2] = np.float32(thunder30 / known30) if known30 else nan
        out[i, _PAST + 3] = np.float32(thunder_days[s] / (days[s] + _PRIOR_DAYS))
        reports[i] = thunder_days[s] > 0
        labels[s, today] = label[i]
        days[s] += 1
        thunder_days[s] += label[i]
        last[s] = date
