"""How the store's tables look in BigQuery: made where absent, extended where columns are missing, refused where they differ."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

import structlog
from google.api_core import exceptions
from google.cloud import bigquery

from thundercast.adapters.google.bigquery_clients import PATIENCE, rest_client
from thundercast.adapters.google.errors import BIGQUERY, answering
from thundercast.adapters.reading import StoreMismatch
from thundercast.adapters.settings import CloudSettings
from thundercast.domain.tables import TABLES, WRITTEN, Column, Table
from thundercast.stage.protocols import Unavailable

ROLE: Final = "roles/bigquery.dataEditor"
MEND: Final = "`thundercast bootstrap` makes it"
_DAY_MS: Final = 86_400_000
_CLUSTERED: Final = ("run_id", "model_name", "date", "station")
"""Readers ask for a run, and mostly for one model, date or station of it."""
_RETRY: Final = bigquery.DEFAULT_RETRY.with_timeout(PATIENCE)
# REST answers with the names of legacy SQL.
_LEGACY: Final = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}

_log = structlog.get_logger(__name__)


def ensure_tables(settings: CloudSettings, *, client: bigquery.Client | None = None, labels: Mapping[str, str] | None = None) -> list[str]:
    """Makes what the store needs and is not there: the dataset, the tables with their columns, and a view of each.

    May be called at any time and by several at once; where everything is there it changes nothing.

    Args:
        client: for another than the settings' own.
        labels: of the dataset, if it is made.

    Returns:
        What was made or changed, one line each.

    Raises:
        StoreMismatch: a table of the name is there that cannot be used; nothing of it was changed.
        Unavailable: the service does not answer or refuses the caller; calling again is safe.
    """
    name = f"{settings.project}.{settings.dataset}"
    with answering(BIGQUERY, f"project {settings.project}", "be used", role=ROLE, mend="make it, or name another one"):
        client = client or rest_client(settings.project, location=settings.location)
    done = []
    with answering(BIGQUERY, f"dataset {name}", "be made", role=f"{ROLE} on the project", mend="its project does not exist"):
        if _dataset(client, name, settings.location, labels or {}):
            done.append(f"dataset {name} in {settings.location}")
    for table in TABLES:
        full = f"{name}.{table.name}"
        with answering(BIGQUERY, f"table {full}", "be made or extended", role=ROLE, mend=MEND):
            done += _table(client, full, table)
            done += _view(client, full, table)
    return done


def _dataset(client: bigquery.Client, name: str, location: str, labels: Mapping[str, str]) -> bool:
    try:
        client.get_dataset(name, retry=_RETRY, timeout=PATIENCE)
    except exceptions.NotFound:
        dataset = bigquery.Dataset(name)
        dataset.location = location
        dataset.labels = dict(labels)
        client.create_dataset(dataset, exists_ok=True, retry=_RETRY, timeout=PATIENCE)
        return True
    return False


def _field(column: Column) -> bigquery.SchemaField:
    # None would say "leave the description as it is".
    return bigquery.SchemaField(column.name, column.kind, description=column.about or None)


def definition(full: str, table: Table) -> bigquery.Table:
    """A table of the store as BigQuery is to make it.

    It is partitioned by the time of writing, not by the date of the rows: those are years back, where streaming is refused and an
    expiry would delete a replay on arrival.
    """
    made = bigquery.Table(full, schema=[_field(column) for column in table.columns])
    made.description = f"Thundercast: rows with equal ({', '.join(table.key)}) replace each other, the newest {WRITTEN.name} counts"
    made.time_partitioning = bigquery.TimePartitioning(
        type_=bigquery.TimePartitioningType.DAY,
        field=WRITTEN.name,
        expiration_ms=None if table.keep_days is None else table.keep_days * _DAY_MS,
    )
    made.clustering_fields = [name for name in _CLUSTERED if name in table.arrow.names]
    return made


def _table(client: bigquery.Client, full: str, table: Table) -> list[str]:
    try:
        found = client.get_table(full, retry=_RETRY, timeout=PATIENCE)
    except exceptions.NotFound:
        client.create_table(definition(full, table), exists_ok=True, retry=_RETRY, timeout=PATIENCE)
        return [f"table {full}"]
    added, relaxed = differences(full, table, found)
    if table.keep_days is not None and found.time_partitioning is None:
        _log.warning("rows_do_not_expire", table=full, reason="the table was made without partitions")
    if not added and not relaxed:
        return []
    kept = [_relaxed(field) if field.name in relaxed else field for field in found.schema]
    found.schema = [*kept, *[_field(column) for column in added]]
    try:
        # One change for all columns: a table takes five changes in ten seconds.
        client.update_table(found, ["schema"], retry=_RETRY, timeout=PATIENCE)
    except exceptions.PreconditionFailed as error:
        raise Unavailable(f"table {full} was changed by someone else at the same moment: try again") from error
    except exceptions.BadRequest as error:
        raise StoreMismatch(
            f"table {full} lacks the columns {', '.join(c.name for c in added)} and does not take them ({error.message}): {_WAY_OUT}"
        ) from error
    return [f"table {full}: {what}" for what in (_words("added", [c.name for c in added]), _words("made nullable", relaxed)) if what]


def _words(done: str, names: list[str]) -> str:
    return f"{done} {', '.join(names)}" if names else ""


def _relaxed(field: bigquery.SchemaField) -> bigquery.SchemaField:
    return bigquery.SchemaField.from_api_repr(field.to_api_repr() | {"mode": "NULLABLE"})


_WAY_OUT: Final = "rename or copy that table away, or set THUNDERCAST_DATASET to another dataset"


def differences(full: str, table: Table, found: bigquery.Table) -> tuple[list[Column], list[str]]:
    """The columns to add to a table that is there already, and the names of those to make nullable.

    Raises:
        StoreMismatch: it cannot be brought to the definition; says what was found, what is expected, and the way out.
    """
    if found.table_type != "TABLE":
        raise StoreMismatch(f"{full} is of the type {found.table_type}, expected is TABLE: {_WAY_OUT}")
    partitioning = found.time_partitioning
    partitioned_by = (partitioning.field or "_PARTITIONTIME") if partitioning else None
    if partitioned_by not in (None, WRITTEN.name) or found.range_partitioning is not None:
        raise StoreMismatch(f"table {full} is partitioned by {partitioned_by or 'ranges'}, expected is {WRITTEN.name}: {_WAY_OUT}")
    fields = {field.name: field for field in found.schema}
    wrong = []
    for column in table.columns:
        field = fields.get(column.name)
        if field is None:
            alike = [name for name in fields if name.lower() == column.name.lower()]
            wrong += [f"the column {name} where {column.name} is expected" for name in alike]
            continue
        kind = _LEGACY.get(field.field_type, field.field_type)
        if kind != column.kind or field.mode == "REPEATED":
            kind = f"ARRAY<{kind}>" if field.mode == "REPEATED" else kind
            wrong.append(f"{column.name} as {kind}, expected is {column.kind}")
    known = set(table.arrow.names)
    wrong += [f"the required column {f.name} that nobody fills" for f in found.schema if f.name not in known and f.mode == "REQUIRED"]
    if wrong:
        raise StoreMismatch(f"table {full} has {'; '.join(wrong)}: {_WAY_OUT}")
    added = [column for column in table.columns if column.name not in fields]
    return added, [f.name for f in found.schema if f.name in known and f.mode == "REQUIRED"]


def latest(full: str, table: Table) -> str:
    """The query of a table's view: of rows with equal keys the one written last.

    Rows that were there before the table was ours have no run, so no key: all of them are kept.
    """
    first = table.key[0]
    columns = ", ".join(f"`{name}`" for name in table.arrow.names)
    keys = ", ".join(table.key)
    return (
        f"SELECT {columns} FROM `{full}` WHERE TRUE "
        f"QUALIFY {first} IS NULL OR ROW_NUMBER() OVER (PARTITION BY {keys} ORDER BY {WRITTEN.name} DESC) = 1"
    )


def _view(client: bigquery.Client, full: str, table: Table) -> list[str]:
    name, query = f"{full}_latest", latest(full, table)
    # The query comes back reworded, so its hash tells whether it is this one.
    about = f"{table.name}, one row per key: the one written last (query {hashlib.sha256(query.encode()).hexdigest()[:8]})"
    try:
        found = client.get_table(name, retry=_RETRY, timeout=PATIENCE)
    except exceptions.NotFound:
        view = bigquery.Table(name)
        view.description = about
        view.view_query = query
        client.create_table(view, exists_ok=True, retry=_RETRY, timeout=PATIENCE)
        return [f"view {name}"]
    if found.table_type != "VIEW":
        raise StoreMismatch(f"{name} is of the type {found.table_type}, expected is VIEW: {_WAY_OUT}")
    if found.description == about:
        return []
    found.view_query, found.description = query, about
    client.update_table(found, ["view_query", "description"], retry=_RETRY, timeout=PATIENCE)
    return [f"view {name}: its query"]
