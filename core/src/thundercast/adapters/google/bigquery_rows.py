"""Rows of a BigQuery table by the Storage Read API: no query, so nearly free."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Final

import pyarrow as pa
from google.api_core.retry import Retry
from google.cloud.bigquery_storage_v1 import BigQueryReadClient, types

from thundercast.adapters.google.bigquery_clients import PATIENCE

READ_ROLE: Final = "roles/bigquery.readSessionUser on its project and roles/bigquery.dataViewer"
_RETRY: Final = Retry(timeout=PATIENCE)


def literal(value: str | int | dt.date | dt.datetime) -> str:
    """A value as a row restriction has it; those take literals and comparisons, but no functions and no parameters.

    >>> literal("it's"), literal(dt.date(2023, 6, 1))
    ("'it\\\\'s'", "DATE '2023-06-01'")
    """
    if isinstance(value, dt.datetime):
        return f"TIMESTAMP '{value.astimezone(dt.UTC).isoformat(sep=' ', timespec='microseconds')}'"
    if isinstance(value, dt.date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def read_rows(
    client: BigQueryReadClient, table: str, *, project: str, columns: Sequence[str], where: str = "", patience: float
) -> Iterator[pa.RecordBatch]:
    """The rows of a table as it is now, in one stream, batch by batch; in the order of the query if it is the result of one.

    Args:
        table: ``projects/P/datasets/D/tables/T``.
        project: in which the read session is made and billed.
        columns: of which the batches have some order of their own.
        where: a row restriction: comparisons of columns with `literal` values; empty for all rows.
        patience: seconds that the whole reading may take.

    Raises:
        google.api_core.exceptions.GoogleAPIError: as the client library raises it.
    """
    asked = types.ReadSession(
        table=table,
        data_format=types.DataFormat.ARROW,
        read_options=types.ReadSession.TableReadOptions(selected_fields=list(columns), row_restriction=where),
    )
    session = client.create_read_session(
        parent=f"projects/{project}", read_session=asked, max_stream_count=1, retry=_RETRY, timeout=PATIENCE
    )
    schema = pa.ipc.read_schema(pa.py_buffer(session.arrow_schema.serialized_schema))
    # A table without rows has no stream.
    for named in session.streams:
        stream = client.read_rows(named.name, timeout=patience)
        try:
            for message in stream:
                yield pa.ipc.read_record_batch(pa.py_buffer(message.arrow_record_batch.serialized_record_batch), schema)
        finally:
            stream.cancel()
