"""Rows for the store's tests."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa

from thundercast.domain.tables import Table

RUN = "20260101T000000Z-0123abcd"
DAY = dt.date(2023, 6, 1)


def rows(table: Table, *given: dict[str, Any]) -> pa.Table:
    """Rows of a table with the columns that are given; the others are null, but for the run."""
    return pa.Table.from_pylist([{"run_id": RUN} | row for row in given], schema=table.arrow)


def metric(batch_id: int, **columns: Any) -> dict[str, Any]:
    row = {
        "batch_id": batch_id,
        "model_name": "thunder",
        "task": "nowcast",
        "scope": "30d",
        "gate": "all",
        "date": DAY + dt.timedelta(batch_id),
    }
    return row | columns


def prediction(station: str, **columns: Any) -> dict[str, Any]:
    row = {
        "date": DAY,
        "station": station,
        "model_name": "thunder",
        "task": "nowcast",
        "probability": 0.25,
        "threshold": 0.3,
        "made_from": DAY,
    }
    return row | columns
