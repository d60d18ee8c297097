"""The store in BigQuery: the reading side, as answers to the questions of viewers."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryReadClient

from thundercast.adapters.google.bigquery_folding import OVERLAP, FoldedTables
from thundercast.adapters.google.bigquery_rows import literal
from thundercast.adapters.reading import OUTCOMES, PREDICTIONS_ON_MAP
from thundercast.adapters.settings import CloudSettings
from thundercast.domain import tables


class BigQueryReader:
    """Answers the questions of `reading.StoreReader`. Never writes, bills no query; safe to share between threads.

    Args:
        rest, storage: for other clients than those that the environment's variables name.
        clock: seconds since 1970-01-01 UTC.
        monotonic: seconds of a clock that nobody sets.
    """

    def __init__(
        self,
        settings: CloudSettings,
        *,
        rest: bigquery.Client | None = None,
        storage: BigQueryReadClient | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tables = FoldedTables(settings, rest=rest, storage=storage, clock=clock, monotonic=monotonic)

    def close(self) -> None:
        self._tables.close()

    def runs(self) -> pa.Table:
        return self._tables.folded(tables.RUNS, {}).sort_by([("run_id", "descending")])

    def status(self, run_id: str) -> pa.Table:
        return self._tables.folded(tables.STATUS, {"run_id": run_id}).sort_by([("written_at", "descending")])

    def metrics(
        self,
        run_id: str,
        *,
        since: dt.datetime | None = None,
        scope: str | None = None,
        gate: str | None = None,
        task: str | None = None,
        model: str | None = None,
        limit: int | None = None,
    ) -> pa.Table:
        """As `StoreReader.metrics`. ``limit`` bounds the rows later than ``since``; those of the overlap come beside them."""
        wanted = {"run_id": run_id, "scope": scope, "gate": gate, "task": task, "model_name": model}
        found = self._tables.rows(tables.MODEL_METRICS, wanted, since=None if since is None else since - OVERLAP)
        page = found.sort_by([("written_at", "ascending"), ("batch_id", "ascending")])
        if limit is None:
            return page
        written = page.column("written_at")
        later = page if since is None else page.filter(pc.greater(written, pa.scalar(since, written.type)))
        if later.num_rows <= limit:
            return page
        # A page ends with the last row of one write: `since` cannot point between them.
        return page.filter(pc.less_equal(written, later.column("written_at")[max(limit, 1) - 1]))

    def latest_date(self, run_id: str, *, task: str | None = None, model: str | None = None) -> dt.date | None:
        return self._tables.latest_date(tables.PREDICTIONS, {"run_id": run_id, "task": task, "model_name": model})

    def predictions(self, run_id: str, date: dt.date, *, task: str, model: str) -> pa.Table:
        return self.outcomes(run_id, date, date, task=task, model=model).select(PREDICTIONS_ON_MAP.names)

    def outcomes(self, run_id: str, first: dt.date, last: dt.date, *, task: str, model: str) -> pa.Table:
        wanted = {"run_id": run_id, "task": task, "model_name": model}
        said = self._tables.rows(tables.PREDICTIONS, wanted, where=f"date >= {literal(first)} AND date <= {literal(last)}")
        said = said.select(["date", "station", "probability", "threshold", "label", "made_from"])
        if not said.num_rows:
            return OUTCOMES.empty_table()
        days = sorted(set(pc.unique(said.column("date")).to_pylist()) | set(pc.unique(said.column("made_from").drop_null()).to_pylist()))
        columns = (*tables.OBSERVATIONS.key, "lat", "lon", "elev", "country", "thunder", "written_at")
        seen = self._tables.rows(
            tables.OBSERVATIONS, {"run_id": run_id}, columns=columns, where=f"date IN ({', '.join(literal(day) for day in days)})"
        )
        outcome = seen.select(["date", "station", "thunder"])
        place = seen.select(["date", "station", "lat", "lon", "elev", "country"])
        found = said.join(place, ["made_from", "station"], ["date", "station"]).join(outcome, ["date", "station"])
        label = pc.coalesce(found.column("label"), found.column("thunder").cast(pa.int64()))
        found = found.set_column(found.column_names.index("label"), "label", label)
        return found.select(OUTCOMES.names).cast(OUTCOMES).sort_by([("date", "ascending"), ("station", "ascending")])

    def station_predictions(self, run_id: str, station: str) -> pa.Table:
        found = self._tables.rows(tables.PREDICTIONS, {"run_id": run_id, "station": station})
        return found.sort_by([("date", "ascending"), ("task", "ascending"), ("model_name", "ascending")])

    def dead_letter_counts(self, run_id: str) -> pa.Table:
        letters = self._tables.folded(tables.DEAD_LETTERS, {"run_id": run_id}, columns=(*tables.DEAD_LETTERS.key, "written_at"))
        counted = letters.group_by("reason").aggregate([([], "count_all"), ("written_at", "max")])
        counted = counted.select(["reason", "count_all", "written_at_max"]).rename_columns(["reason", "count", "last"])
        return counted.sort_by([("count", "descending"), ("reason", "ascending")])

    def dead_letters(self, run_id: str, *, reason: str | None = None, limit: int = 100) -> pa.Table:
        def newest(rows: pa.Table) -> pa.Table:
            return rows.sort_by([("written_at", "descending"), ("seq", "descending"), ("station", "ascending")]).slice(0, limit)

        columns = tuple(name for name in tables.DEAD_LETTERS.arrow.names if name != "payload")
        wanted = {"run_id": run_id, "reason": reason}
        return self._tables.folded(tables.DEAD_LETTERS, wanted, columns=columns, trim=newest, more=("newest", limit))

    def dead_letter(self, run_id: str, payload_hash: str) -> pa.Table:
        found = self._tables.rows(tables.DEAD_LETTERS, {"run_id": run_id, "payload_hash": payload_hash})
        return found.sort_by([("seq", "ascending"), ("station", "ascending")])

    def gaps(self, run_id: str) -> pa.Table:
        return self._tables.folded(tables.GAPS, {"run_id": run_id}).sort_by([("seq", "ascending"), ("component", "ascending")])

    def events(self, run_id: str) -> pa.Table:
        found = self._tables.folded(tables.MODEL_EVENTS, {"run_id": run_id})
        return found.sort_by([("date", "ascending"), ("task", "ascending"), ("model_name", "ascending")])

    def station_history(self, run_id: str, station: str) -> pa.Table:
        return self._tables.rows(tables.OBSERVATIONS, {"run_id": run_id, "station": station}).sort_by("date")
