"""The tables of the store, for SQLite and BigQuery alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import pyarrow as pa

from thundercast.domain import schema

Kind = Literal["STRING", "INT64", "FLOAT64", "BOOL", "TIMESTAMP", "DATE", "BYTES"]
_ARROW: Final[dict[str, pa.DataType]] = {
    "STRING": pa.string(), "INT64": pa.int64(), "FLOAT64": pa.float64(), "BOOL": pa.bool_(), "TIMESTAMP": pa.timestamp("us", "UTC"),
    "DATE": pa.date32(), "BYTES": pa.binary(),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Column:
    """A column; every one may be null."""

    name: str
    kind: Kind
    about: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table: writing a row whose key is there already replaces it.

    Attributes:
        keep_days: rows are deleted this many days after ``written_at``; None keeps them.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    keep_days: int | None = None

    @property
    def arrow(self) -> pa.Schema:
        return pa.schema([pa.field(c.name, _ARROW[c.kind]) for c in self.columns])


def _columns(kind: Kind, names: str) -> tuple[Column, ...]:
    return tuple(Column(name, kind) for name in names.split())


WRITTEN: Final = Column("written_at", "TIMESTAMP", "when the store took the row; readers page by it")

MODEL_METRICS: Final = Table(
    "model_metrics",
    ("run_id", "batch_id", "model_name", "task", "scope", "gate"),
    (
        Column("timestamp", "TIMESTAMP", "when the date closed"),
        Column("batch_id", "INT64", "number of the date in its run, from 0"),
        Column("roc_auc", "FLOAT64", "null while only one class was seen"),
        Column("accuracy", "FLOAT64", "the seed's score; says little at a base rate of 5 %"),
        Column("model_name", "STRING", "'climatology' is the baseline"),
        Column("run_id", "STRING"),
        Column("task", "STRING", "nowcast or dayahead"),
        Column("scope", "STRING", "day, 30d or run"),
        Column("gate", "STRING", "all, or reporting: stations that have reported thunder before"),
        Column("date", "DATE", "the date of the labels"),
        *_columns("INT64", "rows positives"),
        *_columns("FLOAT64", "pr_auc brier brier_skill log_loss threshold"),
        *_columns("INT64", "tp fp fn tn"),
        *_columns("FLOAT64", "pod far csi hss peirce bias best_hss best_csi"),
        Column("reliability", "STRING", "JSON [[rows, sum of probabilities, positives], ...] of ten equal bins; scope run and 30d"),
        Column("shards_missing", "INT64"),
        WRITTEN,
    ),
)

PREDICTIONS: Final = Table(
    "predictions",
    ("run_id", "date", "station", "model_name", "task"),
    (
        Column("run_id", "STRING"),
        Column("date", "DATE", "the date that the probability is for"),
        Column("station", "STRING"),
        Column("model_name", "STRING"),
        Column("task", "STRING"),
        Column("probability", "FLOAT64"),
        Column("threshold", "FLOAT64", "fixed before the date"),
        Column("label", "INT64", "1, 0, or null while the outcome is not known"),
        Column("made_from", "DATE", "the date of the row that it was made from"),
        WRITTEN,
    ),
    keep_days=90,
)

_CLEAN_KINDS: Final[dict[pa.DataType, Kind]] = {pa.string(): "STRING", pa.date32(): "DATE", pa.float32(): "FLOAT64", pa.bool_(): "BOOL"}

OBSERVATIONS: Final = Table(
    "observations",
    ("run_id", "date", "station"),
    (
        Column("run_id", "STRING"),
        *[Column(f.name, _CLEAN_KINDS[f.type], (f.metadata or {}).get(b"about", b"").decode()) for f in schema.CLEAN_SCHEMA],
        WRITTEN,
    ),
    keep_days=90,
)

RUNS: Final = Table(
    "runs",
    ("run_id",),
    (
        *_columns("STRING", "run_id fingerprint source"),
        *_columns("DATE", "start_date end_date"),
        Column("shards", "INT64"),
        Column("synthetic", "BOOL"),
        *_columns("STRING", "filter rights version models"),
        Column("state", "STRING", "running, completed, superseded"),
        WRITTEN,
    ),
)

GAPS: Final = Table(
    "gaps",
    ("run_id", "seq", "component"),
    (
        Column("run_id", "STRING"),
        Column("seq", "INT64"),
        Column("component", "STRING"),
        Column("date", "DATE"),
        Column("shard", "INT64"),
        WRITTEN,
    ),
)

DEAD_LETTERS: Final = Table(
    "dead_letters",
    ("run_id", "seq", "station", "reason", "payload_hash"),
    (
        Column("run_id", "STRING"),
        Column("seq", "INT64", "-1 where unknown"),
        *_columns("STRING", "station date stage reason detail payload_hash"),
        Column("original", "STRING", "JSON of the row or the attributes as they came"),
        Column("payload", "BYTES", "a whole message's data; null for a row"),
        WRITTEN,
    ),
)

MODEL_EVENTS: Final = Table(
    "model_events",
    ("run_id", "date", "task", "model_name", "event"),
    (
        Column("run_id", "STRING"),
        Column("date", "DATE"),
        *_columns("STRING", "task model_name"),
        Column("event", "STRING", "drift, champion, rebinned"),
        Column("detail", "STRING", "JSON"),
        WRITTEN,
    ),
)

STATUS: Final = Table(
    "status",
    ("run_id", "component", "instance"),
    (
        *_columns("STRING", "run_id component instance"),
        Column("state", "STRING", "starting, running, paused, waiting, completed, stopped, failed"),
        Column("detail", "STRING", "what it waits for, why it stopped"),
        Column("date", "DATE", "stream date reached"),
        *_columns("INT64", "watermark total_batches rows"),
        Column("rows_per_second", "FLOAT64"),
        Column("window", "INT64", "batches held out of order"),
        *_columns("INT64", "duplicates dead_letters gaps lead_dates"),
        Column("leader", "BOOL"),
        Column("checkpoint_at", "TIMESTAMP"),
        Column("checkpoint_bytes", "INT64"),
        Column("last_error", "STRING"),
        WRITTEN,
    ),
)

TABLES: Final = (MODEL_METRICS, PREDICTIONS, OBSERVATIONS, RUNS, GAPS, DEAD_LETTERS, MODEL_EVENTS, STATUS)


def checked(table: Table, rows: pa.Table) -> pa.Table:
    """The rows with the table's columns and types, ``written_at`` left out.

    Raises:
        ValueError: a column is missing or not the table's, of another kind, or null in the key.
    """
    expected = table.arrow.remove(table.arrow.get_field_index("written_at"))
    names = [name for name in rows.column_names if name != "written_at"]
    if sorted(names) != sorted(expected.names):
        lacking, foreign = sorted(set(expected.names) - set(names)), sorted(set(names) - set(expected.names))
        parts = [f"{what} {', '.join(some)}" for what, some in (("lack", lacking), ("have the unknown", foreign)) if some]
        raise ValueError(f"rows for the table {table.name} {' and '.join(parts) or 'name a column twice'}")
    try:
        rows = rows.select(expected.names).cast(expected)
    except pa.ArrowInvalid as error:
        raise ValueError(f"rows for the table {table.name} are not of its types: {error}") from error
    for name in table.key:
        if rows.column(name).null_count:
            raise ValueError(
                f"rows for the table {table.name} have no {name} in {rows.column(name).null_count} places; it is part of the key"
            )
    return rows
