"""The last 30 calendar days of several models: their sums, their histograms, and what leaves as days go by.

A day is kept as one 16-bit cell for each row and model: 10 kB for 5,000 rows, where its histogram would take 64, and
taking the cells away again when the day leaves is exact.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from thundercast.domain.arrays import Arrays
from thundercast.domain.scores import histogram
from thundercast.domain.scores.tally import WIDTH

DAYS: Final = 30


@dataclass(frozen=True, slots=True, eq=False)
class _Day:
    date: int
    cells: list[histogram.Codes]
    sums: npt.NDArray[np.float64]


class Window:
    """Days of ``models`` models, all of which scored the same rows."""

    def __init__(self, models: int) -> None:
        self._models = models
        self._days: deque[_Day] = deque()
        self.counts = [histogram.empty() for _ in range(models)]

    def add(self, date: int, cells: list[histogram.Codes], sums: npt.NDArray[np.float64]) -> None:
        """Takes in a day, later than those before.

        Args:
            date: days since 1970-01-01.
            cells: for each model, uint16[n].
            sums: float64[models, 2, WIDTH].
        """
        for counts, own in zip(self.counts, cells, strict=True):
            histogram.add(counts, own, 1)
        self._days.append(_Day(date, cells, sums))

    def expire(self, first: int) -> bool:
        """Drops the days before ``first``; whether there were any."""
        dropped = False
        while self._days and self._days[0].date < first:
            for counts, own in zip(self.counts, self._days.popleft().cells, strict=True):
                histogram.add(counts, own, -1)
            dropped = True
        return dropped

    def sums(self) -> npt.NDArray[np.float64]:
        """float64[models, 2, WIDTH] over all days.

        Added up anew each time: adding and taking away floats would let the rounding pile up over a run.
        """
        total = np.zeros((self._models, 2, WIDTH))
        for day in self._days:
            total += day.sums
        return total

    def arrays(self) -> Arrays:
        """The state. The cells of a day are sorted: their order means nothing, and compressed they then take a third."""
        days, models = list(self._days), range(self._models)
        return {
            "dates": np.array([day.date for day in days], np.int32),
            "rows": np.array([len(day.cells[0]) for day in days], np.int32),
            "cells": np.concatenate([np.empty(0, np.uint16), *(np.sort(day.cells[m]) for m in models for day in days)]),
            "sums": np.array([day.sums for day in days]).reshape(len(days), self._models, 2, WIDTH),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays, models: int) -> Window:
        """The inverse of `arrays`."""
        window = cls(models)
        stops = np.cumsum(arrays["rows"], dtype=np.int64)
        by_model = arrays["cells"].reshape(models, -1)
        for i, date in enumerate(arrays["dates"].tolist()):
            part = slice(stops[i] - arrays["rows"][i], stops[i])
            window.add(date, [own[part] for own in by_model], arrays["sums"][i])
        return window
