"""A store whose scores Prometheus sees too."""

from __future__ import annotations

import pyarrow as pa

from thundercast.adapters.metrics import Metrics
from thundercast.domain import tables
from thundercast.domain.tables import Table
from thundercast.stage.protocols import RowWriter


class ScoredStore:
    """Implements `RowWriter`: scores that the store has taken are shown to Prometheus."""

    def __init__(self, store: RowWriter, collected: Metrics) -> None:
        self._store = store
        self._collected = collected

    def write(self, table: Table, rows: pa.Table) -> None:
        self._store.write(table, rows)
        if table is tables.MODEL_METRICS:
            self._collected.scores(rows.to_pylist())
