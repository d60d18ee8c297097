"""Clean rows as arrays: what the cleaner makes and the models and scores use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from thundercast.domain import schema
from thundercast.domain.stations import BAD_KEY, Keys, keys_of, stations_of

UNKNOWN: int = -1
"""The label of a row whose outcome is not known."""

_VALUES: Final = [name for name, _, _ in schema.CLEAN_VALUES]
_FLAGS: Final = tuple(f.name for f in schema.CLEAN_SCHEMA if f.type == pa.bool_() and f.name != "thunder")


@dataclass(slots=True, eq=False)
class CleanRows:
    """The clean rows of one date, sorted by station; n rows.

    Attributes:
        date: days since 1970-01-01.
        key: int64[n], see `stations`.
        values: float32[n, len(CLEAN_VALUES)], C order; NaN is null.
        imputed: bool[n, len(IMPUTABLE)].
        weather: bool[n, len(WEATHER)].
        label: int8[n]: 1 thunder, 0 none (or not reported), `UNKNOWN`.
        reports: bool[n]: the station has reported thunder before this date.
        country: Arrow strings, n long, with nulls.
    """

    date: int
    key: Keys
    values: npt.NDArray[np.float32]
    imputed: npt.NDArray[np.bool_]
    weather: npt.NDArray[np.bool_]
    label: npt.NDArray[np.int8]
    reports: npt.NDArray[np.bool_]
    country: pa.Array

    def __len__(self) -> int:
        return len(self.key)

    @classmethod
    def empty(cls, date: int) -> CleanRows:
        return cls(
            date,
            np.empty(0, np.int64),
            np.empty((0, len(schema.CLEAN_VALUES)), np.float32),
            np.empty((0, len(schema.IMPUTABLE)), np.bool_),
            np.empty((0, len(schema.WEATHER)), np.bool_),
            np.empty(0, np.int8),
            np.empty(0, np.bool_),
            pa.array([], pa.string()),
        )

    def column(self, name: str) -> npt.NDArray[np.float32]:
        """float32[n], a view of one of `CLEAN_VALUES`."""
        return self.values[:, schema.VALUE_INDEX[name]]

    def take(self, index: npt.NDArray[np.intp]) -> CleanRows:
        return CleanRows(
            self.date, self.key[index], self.values[index], self.imputed[index], self.weather[index],
            self.label[index], self.reports[index], self.country.take(pa.array(index)),
        )  # fmt: skip

    @staticmethod
    def joined(parts: Sequence[CleanRows]) -> CleanRows:
        """The rows of one date's parts, sorted by station. Does not copy a single part."""
        if len(parts) == 1:
            return parts[0]
        whole = CleanRows(
            parts[0].date,
            np.concatenate([p.key for p in parts]),
            np.concatenate([p.values for p in parts]),
            np.concatenate([p.imputed for p in parts]),
            np.concatenate([p.weather for p in parts]),
            np.concatenate([p.label for p in parts]),
            np.concatenate([p.reports for p in parts]),
            pa.concat_arrays([p.country for p in parts]),
        )
        return whole.take(np.argsort(whole.key, kind="stable"))

    def to_arrow(self) -> pa.RecordBatch:
        """As `gsod.clean/1`; NaN becomes null."""
        n = len(self)
        columns: list[pa.Array] = [
            stations_of(self.key),
            pa.array(np.full(n, self.date, np.int32)).cast(pa.date32()),
            self.country,
        ]
        columns.extend(pa.array(column, from_pandas=True) for column in np.ascontiguousarray(self.values.T))
        for block in (self.imputed, self.weather):
            columns.extend(map(pa.array, np.ascontiguousarray(block.T)))
        columns.append(pa.array(self.reports))
        columns.append(pa.array(self.label == 1, mask=self.label == UNKNOWN))
        return pa.RecordBatch.from_arrays(columns, schema=schema.CLEAN_SCHEMA)

    @classmethod
    def from_arrow(cls, batch: pa.RecordBatch, date: int) -> CleanRows:
        """The inverse of `to_arrow`.

        Raises:
            ValueError: the columns are not those of `gsod.clean/1`; or the rows cannot have come from `to_arrow`: not sorted by
                station, a station twice or unreadable, another date, a flag that is null, an infinite value.
        """
        if batch.schema.names != schema.CLEAN_SCHEMA.names:
            raise ValueError(f"not {schema.CLEAN} rows: columns {sorted(set(batch.schema.names) ^ set(schema.CLEAN_SCHEMA.names))} differ")
        n = batch.num_rows
        key = keys_of(batch.column("station"))
        if n and (key[0] == BAD_KEY or np.any(key[1:] <= key[:-1])):
            raise ValueError("the rows are not sorted by station, or a station is there twice or cannot be read")
        dates = batch.column("date").cast(pa.int32())
        if dates.null_count or np.any(dates.to_numpy() != date):
            raise ValueError("a row is of another date than its batch")
        for name in _FLAGS:
            if batch.column(name).null_count:
                raise ValueError(f"{name} is null in a row")

        def flags(names: Sequence[str]) -> npt.NDArray[np.bool_]:
            out = np.empty((n, len(names)), np.bool_)
            for i, name in enumerate(names):
                out[:, i] = batch.column(name).to_numpy(zero_copy_only=False)
            return out

        label = batch.column("thunder").cast(pa.int8()).fill_null(UNKNOWN).to_numpy(zero_copy_only=False)
        values = batch.select(_VALUES).to_tensor(null_to_nan=True).to_numpy()
        if np.isinf(values).any():
            raise ValueError("a value is infinite")
        return cls(
            date,
            key,
            values,
            flags([f"{name}_imputed" for name in schema.IMPUTABLE]),
            flags(schema.WEATHER),
            label.astype(np.int8),
            batch.column("reports_thunder").to_numpy(zero_copy_only=False).astype(np.bool_),
            batch.column("country"),
        )

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Named arrays for a state; countries as bytes, null as empty."""
        # As wide as the longest: FIPS codes have two letters, but a source may bring anything.
        country = np.array([(c or "").encode() for c in self.country.to_pylist()], np.bytes_)
        return {
            "date": np.array(self.date, np.int64), "key": self.key, "values": self.values, "imputed": self.imputed,
            "weather": self.weather, "label": self.label, "reports": self.reports, "country": country,
        }  # fmt: skip

    @classmethod
    def from_arrays(cls, a: dict[str, npt.NDArray[Any]]) -> CleanRows:
        country = pa.array([c.decode() or None for c in a["country"].tolist()], pa.string())
        return cls(int(a["date"]), a["key"], a["values"], a["imputed"], a["weather"], a["label"], a["reports"], country)
