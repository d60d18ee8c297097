"""What serving keeps of each station: its history, its last clean row, and what the models said of that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from thundercast.domain import schema
from thundercast.domain.arrays import Arrays, BadState, nest, part
from thundercast.domain.cleaning import Follower
from thundercast.domain.cleaning.follower import Slots
from thundercast.domain.learning import Closed
from thundercast.domain.rows import UNKNOWN, CleanRows
from thundercast.domain.stations import Keys

# The last clean row: (name, as in `CleanRows`; shape of one station's part; type).
_ROW: Final[tuple[tuple[str, tuple[int, ...], Any], ...]] = (
    ("values", (len(schema.CLEAN_VALUES),), np.float32),
    ("imputed", (len(schema.IMPUTABLE),), np.bool_),
    ("weather", (len(schema.WEATHER),), np.bool_),
    ("label", (), np.int8),
    ("reports", (), np.bool_),
)
PROBABILITY, THRESHOLD = 0, 1


class Stations:
    """All stations of a run.

    Args:
        models: (task, name) of each model, in the order of the second axis of `said`.

    Attributes:
        follower: the histories; its ``index`` gives the slots.
        said: float64[capacity, models, 2], probability and threshold that the stream gave the station's last row.
    """

    def __init__(self, models: Sequence[tuple[str, str]]) -> None:
        self.models: Final = tuple(models)
        self.follower = Follower()
        self._row: Arrays = {name: np.empty((0, *shape), kind) for name, shape, kind in _ROW}
        self._country = np.empty(0, "S2")
        self.said = np.empty((0, len(self.models), 2))

    def __len__(self) -> int:
        return len(self.follower)

    def absorb(self, closed: Closed) -> None:
        """Takes in a date that has closed."""
        rows = closed.rows
        if not len(rows):
            return
        slots = self.follower.absorb(rows)
        country = np.array([(c or "").encode() for c in rows.country.to_pylist()], np.bytes_)
        self._grow(len(self), country.dtype)
        for name, _, _ in _ROW:
            self._row[name][slots] = getattr(rows, name)
        self._country[slots] = country
        self.said[slots] = np.nan
        for p in closed.predicted:
            m = self.models.index((p.task, p.model))
            self.said[slots, m, PROBABILITY], self.said[slots, m, THRESHOLD] = p.probability, p.threshold

    def _grow(self, stations: int, country: npt.DTypeLike) -> None:
        wider = np.promote_types(self._country.dtype, country)
        if len(self.said) >= stations and wider == self._country.dtype:
            return
        capacity = len(self.said) if len(self.said) >= stations else max(stations, 2 * len(self.said), 64)

        def more(old: npt.NDArray[Any], kind: npt.DTypeLike | None = None) -> npt.NDArray[Any]:
            new = np.zeros((capacity, *old.shape[1:]), kind or old.dtype)
            new[: len(old)] = old
            return new

        self._row = {name: more(array) for name, array in self._row.items()}
        self._country, self.said = more(self._country, wider), more(self.said)

    def find(self, keys: Keys) -> Slots:
        """Slots of the stations; -1 where one is not known."""
        return self.follower.index.find(keys)

    def last_rows(self, slots: Slots) -> CleanRows:
        """The last clean row of each of these stations, which are known. ``date`` is the first one's: they may differ."""
        row = {name: array[slots] for name, array in self._row.items()}
        country = pa.array([c.decode() or None for c in self._country[slots].tolist()], pa.string())
        date = int(self.follower.last[slots[0]]) if len(slots) else 0
        return CleanRows(date, self.follower.index.keys[slots], country=country, **row)

    def told(self, rows: CleanRows, slots: Slots) -> npt.NDArray[np.bool_]:
        """bool[n]: which rows are the last rows of their stations, so that what the stream said of them is known.

        A label that is not known may be any.
        """
        same = np.zeros(len(rows), np.bool_)
        at = np.flatnonzero(slots >= 0)
        at = at[self.follower.last[slots[at]] == rows.date]
        kept = {name: array[slots[at]] for name, array in self._row.items()}
        equal = (rows.label[at] == UNKNOWN) | (rows.label[at] == kept["label"])
        equal &= rows.reports[at] == kept["reports"]
        # Bit by bit, but for the kind of NaN.
        equal &= ((rows.values[at] == kept["values"]) | (np.isnan(rows.values[at]) & np.isnan(kept["values"]))).all(axis=1)
        for name in ("imputed", "weather"):
            equal &= (getattr(rows, name)[at] == kept[name]).all(axis=1)
        same[at] = equal
        return same

    def copy(self) -> Stations:
        """The same stations, nothing shared."""
        return Stations.from_arrays(self.arrays(), self.models)

    def arrays(self) -> Arrays:
        """The whole state, as views of it."""
        n = len(self)
        row = {name: array[:n] for name, array in self._row.items()}
        return nest({"follower": self.follower.arrays(), "row": row | {"country": self._country[:n], "said": self.said[:n]}})

    @classmethod
    def from_arrays(cls, arrays: Arrays, models: Sequence[tuple[str, str]]) -> Stations:
        """The inverse of `arrays`; nothing is shared with them.

        Raises:
            BadState: a part is missing, of another version, or for other models.
        """
        stations = cls(models)
        stations.follower = Follower.from_arrays(part(arrays, "follower"))
        n, row = len(stations.follower), part(arrays, "row")
        wanted: dict[str, tuple[tuple[int, ...], Any]] = {name: ((n, *shape), np.dtype(kind)) for name, shape, kind in _ROW}
        wanted["said"] = ((n, len(stations.models), 2), np.dtype(np.float64))
        wrong = sorted(row.keys() ^ (wanted.keys() | {"country"})) or [
            name for name, kind in wanted.items() if (row[name].shape, row[name].dtype) != kind
        ]
        if wrong or row["country"].shape != (n,) or row["country"].dtype.kind != "S":
            raise BadState(f"the state of the stations' last rows is damaged in {', '.join(wrong) or 'country'}")
        stations._row = {name: row[name].copy() for name, _, _ in _ROW}
        stations._country, stations.said = row["country"].copy(), row["said"].copy()
        return stations
