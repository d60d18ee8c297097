"""The baseline: how often a station has seen thunder in this calendar month, in the years and days before.

With pos and n the events and rows of station s in month m on earlier dates,

    base    = (pos(all) + 0.5) / (n(all) + 10)
    monthly = (pos(m) + 50 base) / (n(m) + 50)
    rate    = (pos(s, m) + 10 monthly) / (n(s, m) + 10)

that is, the station's own rate shrunk to all stations' in the month, shrunk to that of all rows: the posterior means
of beta priors worth 10 and 50 rows (Wilks 2019, chapter 6). It knows of no weather; skill begins above it.
"""

from __future__ import annotations

from typing import Any, Final

import numba as nb
import numpy as np
import numpy.typing as npt

from thundercast.domain import runs
from thundercast.domain.arrays import BadState, pack, unpack
from thundercast.domain.models.base import Labels, Probabilities, Task
from thundercast.domain.rows import CleanRows
from thundercast.domain.scores.champion import BASELINE
from thundercast.domain.stations import StationIndex

NAME: Final = BASELINE
VERSION: Final = 1
_STATION_PRIOR: Final = 10.0
_MONTH_PRIOR: Final = 50.0

Slots = npt.NDArray[np.int32]


@nb.njit(cache=True, nogil=True)
def _rates(slots: Slots, own: npt.NDArray[np.uint16], monthly: float) -> Probabilities:
    """``own`` uint16[slots, 2] (rows, events) of one month; slot -1 is a station without rows."""
    out = np.empty(len(slots))
    for i in range(len(slots)):
        s = slots[i]
        n = float(own[s, 0]) if s >= 0 else 0.0
        pos = float(own[s, 1]) if s >= 0 else 0.0
        out[i] = (pos + _STATION_PRIOR * monthly) / (n + _STATION_PRIOR)
    return out


@nb.njit(cache=True, nogil=True)
def _count(slots: Slots, labels: Labels, own: npt.NDArray[np.uint16], month: npt.NDArray[np.int64]) -> None:
    """Adds rows with a label to ``own`` uint16[slots, 2] and ``month`` int64[2]."""
    for i in range(len(slots)):
        if labels[i] >= 0:
            own[slots[i], 0] += 1
            own[slots[i], 1] += labels[i]
            month[0] += 1
            month[1] += labels[i]


class Climatology:
    """The causal station-by-month climatology, as a model.

    The month is that of the label: of the row's date for ``nowcast``, of the next day for ``dayahead``.

    >>> from thundercast.domain.runs import ordinal
    >>> import datetime as dt
    >>> model = Climatology("nowcast")
    >>> july = CleanRows.empty(ordinal(dt.date(2023, 7, 1)))
    >>> july.key = np.arange(1000, dtype=np.int64)
    >>> model.predict(july)[:2].tolist()  # nothing is known yet
    [0.05, 0.05]
    >>> for july.date in range(july.date, july.date + 10):
    ...     model.learn(july, (july.key < 80).astype(np.int8))  # eighty stations with thunder every day
    ...     model.close_date(july.date)
    >>> model.predict(july)[[0, -1]].round(3).tolist()
    [0.54, 0.04]
    """

    def __init__(self, task: Task = "nowcast") -> None:
        self.name = NAME
        self.task: Task = task
        self._stations = StationIndex()
        # A station has one row a date at most, so 16 bits hold 2,114 years of one calendar month.
        self._own = np.zeros((12, 0, 2), np.uint16)
        self._months = np.zeros((12, 2), np.int64)

    def _month(self, date: int) -> int:
        return runs.day(date + (self.task == "dayahead")).month - 1

    def predict(self, rows: CleanRows) -> Probabilities:
        month = self._month(rows.date)
        n, pos = self._months.sum(axis=0).tolist()
        base = (pos + 0.5) / (n + 10.0)
        monthly = (float(self._months[month, 1]) + _MONTH_PRIOR * base) / (float(self._months[month, 0]) + _MONTH_PRIOR)
        out: Probabilities = _rates(self._stations.find(rows.key), self._own[month], monthly)
        return out

    def learn(self, rows: CleanRows, labels: Labels) -> None:
        month = self._month(rows.date)
        slots = self._stations.add(rows.key)
        if len(self._stations) > self._own.shape[1]:
            more = np.zeros((12, max(len(self._stations), 2 * self._own.shape[1], 64), 2), np.uint16)
            more[:, : self._own.shape[1]] = self._own
            self._own = more
        _count(slots, labels, self._own[month], self._months[month])

    def close_date(self, date: int) -> None:
        """Nothing is decided per date: counts are all there is."""

    def to_bytes(self) -> bytes:
        arrays: dict[str, npt.NDArray[Any]] = {
            "stations": self._stations.keys,
            "own": self._own[:, : len(self._stations)],
            "months": self._months,
        }
        return pack(arrays, {"model": NAME, "version": VERSION, "task": self.task})

    def from_bytes(self, state: bytes) -> None:
        arrays, meta = unpack(state)
        mine = {"model": NAME, "version": VERSION, "task": self.task}
        if meta != mine:
            raise BadState(f"the state is of {meta}, this model is {mine}: set it back or start a new run")
        n = arrays["stations"].size if "stations" in arrays else 0
        shapes = {name: (array.dtype.str, array.shape) for name, array in arrays.items()}
        if shapes != {"stations": ("<i8", (n,)), "own": ("<u2", (12, n, 2)), "months": ("<i8", (12, 2))}:
            raise BadState(f"the state of {NAME!r} is damaged: {shapes}")
        self._stations = StationIndex(arrays["stations"])
        self._own, self._months = arrays["own"], arrays["months"]
