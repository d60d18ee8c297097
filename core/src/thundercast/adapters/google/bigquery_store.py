"""The store in BigQuery: the writing side, through the default streams of the Storage Write API."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import grpc
import pyarrow as pa
from google.api_core import exceptions
from google.api_core.gapic_v1 import routing_header
from google.cloud.bigquery_storage_v1 import BigQueryWriteClient, types
from google.protobuf import any_pb2
from google.rpc import status_pb2

import thundercast
from thundercast.adapters.google.bigquery_clients import PATIENCE, write_client
from thundercast.adapters.google.bigquery_schema import MEND, ROLE
from thundercast.adapters.google.errors import BIGQUERY_STORAGE, answering
from thundercast.adapters.reading import merged
from thundercast.adapters.settings import CloudSettings
from thundercast.domain.tables import Table, checked
from thundercast.stage.protocols import Unavailable

REQUEST_BYTES: Final = 9_000_000
"""Rows of one request: the service takes 10 MB, and there is some wrapping."""

_EXTRA_FIELDS: Final = types.StorageError.StorageErrorCode.SCHEMA_MISMATCH_EXTRA_FIELDS
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


class RowsRefused(Exception):
    """BigQuery will never take these rows; says which table and why."""


class BigQueryStore:
    """Writes rows; implements `thundercast.stage.protocols.RowWriter`. Safe to share between threads.

    A default stream adds rows at least once and replaces nothing: readers and the views take, of rows with equal keys, the one
    written last. The tables must be there (`bigquery_schema.ensure_tables`). One connection is kept for each table, and opened
    again after an error.

    Args:
        client: for another than the one that the environment's variables name.
        clock: seconds since 1970-01-01 UTC. Whatever it says, ``written_at`` grows from write to write of one store; among
            several programs it is as good as their clocks, which `BigQueryReader`'s overlap makes up for.
        patience: seconds that an append may take.
    """

    def __init__(
        self,
        settings: CloudSettings,
        *,
        client: BigQueryWriteClient | None = None,
        clock: Callable[[], float] = time.time,
        patience: float = PATIENCE,
        request_bytes: int = REQUEST_BYTES,
    ) -> None:
        self._dataset = f"{settings.project}.{settings.dataset}"
        self._path = f"projects/{settings.project}/datasets/{settings.dataset}/tables"
        self._client = client
        self._clock, self._patience, self._request_bytes = clock, patience, request_bytes
        self._lock = threading.Lock()
        self._last = 0
        self._streams: dict[str, _TableStream] = {}

    def write(self, table: Table, rows: pa.Table) -> None:
        """Adds the rows; those of an older write with equal keys no longer count.

        Args:
            rows: the table's columns in any order; ``written_at`` may be there and is replaced.

        Raises:
            ValueError: the rows do not fit the table.
            RowsRefused: BigQuery says that they are wrong.
            Unavailable: not all were taken; writing all again is safe.
        """
        rows = checked(table, rows)
        if not rows.num_rows:
            return
        stream = self._stream(table)
        stamped = rows.append_column("written_at", pa.array([self._now()] * rows.num_rows, pa.timestamp("us", "UTC")))
        if rows.group_by(list(table.key)).aggregate([]).num_rows < rows.num_rows:
            # One `written_at` could not tell which of them came last.
            stamped = merged(table, table.arrow.empty_table(), stamped.cast(table.arrow))
        for part in _parts(stamped.cast(table.arrow).combine_chunks(), self._request_bytes):
            stream.append(part)

    def close(self) -> None:
        """Closes the connections; what was written is there already."""
        with self._lock:
            streams, self._streams = list(self._streams.values()), {}
        for stream in streams:
            stream.close()

    def __enter__(self) -> BigQueryStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _now(self) -> int:
        with self._lock:
            self._last = max(self._last + 1, int(self._clock() * 1e6))
            return self._last

    def _stream(self, table: Table) -> _TableStream:
        full = f"{self._dataset}.{table.name}"
        with self._lock:
            if self._client is None:
                with answering(BIGQUERY_STORAGE, f"table {full}", "be written to", role=ROLE, mend=MEND):
                    self._client = write_client()
            if table.name not in self._streams:
                name = f"{self._path}/{table.name}/streams/_default"
                self._streams[table.name] = _TableStream(self._client, name, full, table.arrow, self._patience)
            return self._streams[table.name]


def _parts(rows: pa.Table, limit: int) -> Iterator[pa.RecordBatch]:
    """The rows in record batches of at most ``limit`` bytes each; a row that alone has more is a batch."""
    pending = [(0, rows.num_rows)]
    while pending:
        start, count = pending.pop()
        part = rows.slice(start, count)
        if count > 1 and part.nbytes > limit:
            half = count // 2
            pending += [(start + half, count - half), (start, half)]
            continue
        yield from part.combine_chunks().to_batches()


class _TableStream:
    """The default stream of one table, over a connection that is opened when it is needed and kept.

    Not the client library's `AppendRowsStream`: that one reports whatever kept a connection from opening as "unknown".
    """

    def __init__(self, client: BigQueryWriteClient, name: str, full: str, schema: pa.Schema, patience: float) -> None:
        self._client, self._name, self._full, self._patience = client, name, full, patience
        self._schema = schema.serialize().to_pybytes()
        self._lock = threading.Lock()
        self._connection: _Connection | None = None

    def append(self, rows: pa.RecordBatch) -> None:
        """Returns when BigQuery has confirmed the rows. Raises as `BigQueryStore.write`."""
        with self._lock, answering(BIGQUERY_STORAGE, f"table {self._full}", "be written to", role=ROLE, mend=MEND):
            kept = self._connection is not None
            try:
                response = self._sent(rows)
            except exceptions.GoogleAPICallError:
                # The service closes connections on which nothing came for some minutes: that is no failure.
                if not kept:
                    raise
                response = self._sent(rows)
        if response.row_errors:
            first = response.row_errors[0]
            raise RowsRefused(f"table {self._full} refuses {len(response.row_errors)} rows; row {first.index}: {first.message}")

    def _sent(self, rows: pa.RecordBatch) -> types.AppendRowsResponse:
        try:
            if self._connection is None:
                self._connection = _Connection(self._client, self._name, self._schema)
            response = self._connection.ask(rows, self._patience)
            if not response.row_errors:
                _raise(response.error, self._full)
        except exceptions.InvalidArgument as error:
            self._drop()
            raise _refusal(self._full, error.message, error.details) from error
        except BaseException:
            self._drop()
            raise
        if response.row_errors:
            self._drop()
        return response

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def close(self) -> None:
        with self._lock:
            self._drop()


class _Connection:
    """One AppendRows call: requests go in through a queue, each has one response."""

    def __init__(self, client: BigQueryWriteClient, name: str, schema: bytes) -> None:
        self._name = name
        self._schema: bytes | None = schema
        self._requests: queue.SimpleQueue[types.AppendRowsRequest | None] = queue.SimpleQueue()
        metadata = [routing_header.to_grpc_metadata((("write_stream", name),))]
        self._call = client.transport.append_rows(iter(self._requests.get, None), metadata=metadata)

    def ask(self, rows: pa.RecordBatch, patience: float) -> types.AppendRowsResponse:
        """Raises `google.api_core.exceptions.GoogleAPICallError`."""
        data = types.AppendRowsRequest.ArrowData(rows=types.ArrowRecordBatch(serialized_record_batch=rows.serialize().to_pybytes()))
        request = types.AppendRowsRequest(arrow_rows=data)
        if self._schema is not None:
            # What holds for the whole call is said in its first request only.
            request.write_stream, request.trace_id = self._name, f"thundercast:{thundercast.__version__}"
            request.arrow_rows.writer_schema = types.ArrowSchema(serialized_schema=self._schema)
            self._schema = None
        self._requests.put(request)
        overdue = threading.Event()

        def give_up() -> None:
            overdue.set()
            self._call.cancel()

        timer = threading.Timer(patience, give_up)
        timer.daemon = True
        timer.start()
        try:
            return next(self._call)
        except StopIteration:
            raise exceptions.ServiceUnavailable("the connection was closed") from None
        except grpc.RpcError as error:
            if overdue.is_set():
                raise exceptions.DeadlineExceeded(f"no answer in {patience:g} s") from error
            raise exceptions.from_grpc_error(error) from error
        finally:
            timer.cancel()

    def close(self) -> None:
        self._requests.put(None)
        self._call.cancel()


def _raise(status: status_pb2.Status, full: str) -> None:
    """Raises what the status of a response says; nothing if it is OK."""
    if _CODES.get(status.code) == grpc.StatusCode.INVALID_ARGUMENT:
        raise _refusal(full, status.message, status.details)
    if status.code:
        raise exceptions.from_grpc_status(_CODES.get(status.code, grpc.StatusCode.UNKNOWN), status.message)


def _refusal(full: str, words: str, details: Sequence[Any]) -> Exception:
    """What to raise where a request is called wrong; the details are packed messages."""
    for detail in details:
        error = types.StorageError.pb()()
        if isinstance(detail, any_pb2.Any) and detail.Unpack(error) and error.code == _EXTRA_FIELDS:
            return Unavailable(
                f"table {full} does not take all columns ({words}): `thundercast bootstrap` adds what it lacks; "
                "new columns are taken some minutes later"
            )
    return RowsRefused(f"table {full} refuses rows: {words}")
