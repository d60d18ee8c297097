"""The cleaner's state rebuilt from its clean rows alone, by whoever receives them.

A clean row says which of its values were observed, and nothing but observed values and labels enters a station's history. So one
that takes in every clean row of a run holds, bit for bit, the history of the cleaner that made them, and can have the core's own
cleaner make the next row. It also keeps what each station's last row replaced: that row can be made once more.
"""

from __future__ import annotations

from typing import Any, Final

import numba as nb
import numpy as np
import numpy.typing as npt

from thundercast.domain import runs
from thundercast.domain.arrays import Arrays, BadState, nest, part
from thundercast.domain.cleaning import cleaner
from thundercast.domain.cleaning.cleaner import Cleaner
from thundercast.domain.cleaning.history import DAYS, NEVER, History
from thundercast.domain.rows import CleanRows
from thundercast.domain.schema import IMPUTABLE, MEASUREMENTS
from thundercast.domain.stations import Keys, StationIndex

VERSION: Final = 1
Slots = npt.NDArray[np.int32]

# What a station's last row replaced in its history: (name, shape of one station's part, type, what it is before the first row).
_REPLACED: Final[tuple[tuple[str, tuple[int, ...], Any, float], ...]] = (
    ("last", (), np.int32, NEVER),
    ("values", (len(MEASUREMENTS),), np.float32, np.nan),
    ("month_sum", (len(IMPUTABLE),), np.float64, 0.0),
    ("month_rows", (len(IMPUTABLE),), np.uint16, 0),
    ("labels", (), np.int8, -1),
)


class Follower:
    """The histories of all stations of a run, of all shards.

    Attributes:
        index: station key to slot.
    """

    def __init__(self) -> None:
        self.index = StationIndex()
        self._history = History()
        self._replaced: Arrays = {name: np.empty((0, *shape), kind) for name, shape, kind, _ in _REPLACED}

    def __len__(self) -> int:
        return len(self.index)

    @property
    def last(self) -> npt.NDArray[np.int32]:
        """int32[stations], the date of each station's last row, by slot."""
        return self._history.last[: len(self)]

    def absorb(self, rows: CleanRows) -> Slots:
        """Takes in the clean rows of a date, later than that of any row before; returns their slots."""
        slots = self.index.add(rows.key)
        self._history.grow(len(self))
        capacity = len(self._history.last)
        for name, _, _, blank in _REPLACED:
            old = self._replaced[name]
            if len(old) < capacity:
                self._replaced[name] = np.full((capacity, *old.shape[1:]), blank, old.dtype)
                self._replaced[name][: len(old)] = old
        h, r = self._history, self._replaced
        _absorb(
            rows.date, runs.day(rows.date).month - 1, slots, rows.values, rows.imputed, rows.label,
            h.last, h.values, h.month_sum, h.month_rows, h.labels, h.days, h.thunder_days,
            r["last"], r["values"], r["month_sum"], r["month_rows"], r["labels"],
        )  # fmt: skip
        return slots

    def cleaner(self, slots: Slots, date: int) -> Cleaner:
        """A cleaner of these stations alone, ready for their rows of a date; it shares nothing with this.

        Args:
            slots: int32[n], distinct; no station's last row is later than ``date``. Where it is of that date, the cleaner gets
                the station's history as it was before.
        """
        a = {name: array[slots] for name, array in self._history.arrays(len(self)).items()}
        again = np.flatnonzero(a["last"] == date)
        if len(again):
            r = {name: array[slots[again]] for name, array in self._replaced.items()}
            today, month = date % DAYS, runs.day(date).month - 1
            label = a["labels"][again, today]
            a["days"][again] -= label >= 0
            a["thunder_days"][again] -= label == 1
            a["values"][again, today], a["labels"][again, today] = r["values"], r["labels"]
            a["month_sum"][again, month], a["month_rows"][again, month] = r["month_sum"], r["month_rows"]
            a["last"][again] = r["last"]
        return Cleaner.from_arrays(a | {"version": np.array(cleaner.VERSION), "date": np.array(date - 1), "keys": self.index.keys[slots]})

    def history(self) -> Arrays:
        """The histories as in `Cleaner.arrays`, without its date and version; views."""
        return {"keys": self.index.keys, **self._history.arrays(len(self))}

    def arrays(self) -> Arrays:
        """The whole state, as views of it."""
        replaced = {name: array[: len(self)] for name, array in self._replaced.items()}
        return {"version": np.array(VERSION), **nest({"history": self.history(), "replaced": replaced})}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Follower:
        """The inverse of `arrays`; nothing is shared with them.

        Raises:
            BadState: another version's state, or a part of it is missing.
        """
        version = arrays.get("version")
        if version is None or version.shape or int(version) != VERSION:
            raise BadState(f"the state of the stations' histories has version {version}, this program reads {VERSION}: start a new run")
        follower = cls()
        history, replaced = part(arrays, "history"), part(arrays, "replaced")
        try:
            keys: Keys = history["keys"]
            if keys.dtype != np.int64 or keys.ndim != 1:
                raise ValueError("the station keys are not a list of integers")
            follower.index = StationIndex(keys.copy())
            follower._history = History.from_arrays(history, len(keys))
            for name, shape, kind, blank in _REPLACED:
                kept = replaced[name]
                if (kept.shape, kept.dtype) != ((len(keys), *shape), np.dtype(kind)):
                    raise ValueError(f"replaced {name} is {kept.dtype}{list(kept.shape)}")
                own = np.full((len(follower._history.last), *shape), blank, kind)
                own[: len(keys)] = kept
                follower._replaced[name] = own
        except (KeyError, ValueError, TypeError) as error:
            raise BadState(f"the state of the stations' histories is damaged: {error}") from error
        return follower


@nb.njit(cache=True, nogil=True)
def _absorb(  # type: ignore[no-untyped-def]
    date, month, slots, clean, imputed, label, last, values, month_sum, month_rows, labels, days, thunder_days,
    old_last, old_values, old_sum, old_rows, old_label,
) -> None:  # fmt: skip
    nan = np.float32(np.nan)
    today = date % DAYS
    measurements, imputable = values.shape[2], month_sum.shape[2]
    for i in range(len(slots)):
        s = slots[i]
        # As the cleaner does: days without a row since the last one are blank.
        for d in range(max(last[s] + 1, date - DAYS), date):
            for j in range(measurements):
                values[s, d % DAYS, j] = nan
            labels[s, d % DAYS] = -1
        old_last[s] = last[s]
        old_label[s] = labels[s, today]
        for j in range(measurements):
            old_values[s, j] = values[s, today, j]
            v = clean[i, j]
            if j < imputable:
                old_sum[s, j] = month_sum[s, month, j]
                old_rows[s, j] = month_rows[s, month, j]
                if imputed[i, j]:
                    v = nan
                if not np.isnan(v):
                    month_sum[s, month, j] += v
                    month_rows[s, month, j] += 1
            values[s, today, j] = v
        labels[s, today] = label[i]
        # A label that is not known, which no cleaner writes, counts for nothing.
        if label[i] >= 0:
            days[s] += 1
            thunder_days[s] += label[i]
        last[s] = date
