"""BigQuery's services in this process, on a free port of the loopback interface, answering as a test says: what no emulator can be made to do."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pyarrow as pa
import pyarrow.compute as pc
import requests
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import types

_SERVICE = "/google.cloud.bigquery.storage.v1."
Answer = Callable[[types.AppendRowsRequest, grpc.ServicerContext], types.AppendRowsResponse]
OK = types.AppendRowsResponse(append_result=types.AppendRowsResponse.AppendResult())


class Writing(grpc.GenericRpcHandler):
    """AppendRows. ``answer`` is asked for each request and may end the call; after ``closes_after`` answers the server ends it."""

    def __init__(self, answer: Answer = lambda _request, _context: OK, *, closes_after: int | None = None) -> None:
        self.answer, self.closes_after = answer, closes_after
        self.calls: list[list[types.AppendRowsRequest]] = []

    @property
    def rows(self) -> pa.Table:
        """All rows of all requests."""
        batches = []
        for call in self.calls:
            schema = pa.ipc.read_schema(pa.py_buffer(call[0].arrow_rows.writer_schema.serialized_schema))
            batches += [pa.ipc.read_record_batch(pa.py_buffer(r.arrow_rows.rows.serialized_record_batch), schema) for r in call]
        return pa.Table.from_batches(batches)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if details.method != f"{_SERVICE}BigQueryWrite/AppendRows":
            return None
        return grpc.stream_stream_rpc_method_handler(self._append, types.AppendRowsRequest.deserialize, types.AppendRowsResponse.serialize)

    def _append(self, requests: Iterable[types.AppendRowsRequest], context: grpc.ServicerContext) -> Iterator[types.AppendRowsResponse]:
        call: list[types.AppendRowsRequest] = []
        self.calls.append(call)
        for request in requests:
            call.append(request)
            yield self.answer(request, context)
            if len(call) == self.closes_after:
                return


@dataclass
class Reading(grpc.GenericRpcHandler):
    """CreateReadSession and ReadRows over Arrow tables.

    Attributes:
        tables: gives the rows of a table by its name.
        breaks: status codes, each of which ends one ReadRows after its second batch.
        sessions: what was asked for.
    """

    tables: Callable[[str], pa.Table]
    batch_rows: int = 50
    breaks: list[grpc.StatusCode] = field(default_factory=list)
    sessions: list[types.CreateReadSessionRequest] = field(default_factory=list)
    _served: list[pa.Table] = field(default_factory=list)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if details.method == f"{_SERVICE}BigQueryRead/CreateReadSession":
            return grpc.unary_unary_rpc_method_handler(
                self._create, types.CreateReadSessionRequest.deserialize, types.ReadSession.serialize
            )
        if details.method == f"{_SERVICE}BigQueryRead/ReadRows":
            return grpc.unary_stream_rpc_method_handler(self._read, types.ReadRowsRequest.deserialize, types.ReadRowsResponse.serialize)
        return None

    def _create(self, request: types.CreateReadSessionRequest, _context: grpc.ServicerContext) -> types.ReadSession:
        asked = request.read_session
        rows = self.tables(asked.table.rpartition("/")[2]).select(list(asked.read_options.selected_fields))
        if found := re.fullmatch(r"date >= DATE '(\S+)'", asked.read_options.row_restriction):
            rows = rows.filter(pc.greater_equal(rows.column("date"), pa.scalar(found[1]).cast(pa.date32())))
        else:
            assert asked.read_options.row_restriction == ""
        self.sessions.append(request)
        self._served.append(rows)
        schema = types.ArrowSchema(serialized_schema=rows.schema.serialize().to_pybytes())
        streams = [types.ReadStream(name=f"sessions/{len(self._served) - 1}")] if rows.num_rows else []
        return types.ReadSession(arrow_schema=schema, streams=streams)

    def _read(self, request: types.ReadRowsRequest, context: grpc.ServicerContext) -> Iterator[types.ReadRowsResponse]:
        rows = self._served[int(request.read_stream.rpartition("/")[2])].slice(request.offset)
        for i, batch in enumerate(rows.combine_chunks().to_batches(self.batch_rows)):
            if i == 2 and self.breaks:
                context.abort(self.breaks.pop(0), "the session has ended")
            data = types.ArrowRecordBatch(serialized_record_batch=batch.serialize().to_pybytes())
            yield types.ReadRowsResponse(arrow_record_batch=data, row_count=batch.num_rows)


class Refusing(grpc.GenericRpcHandler):
    """Every method ends with a status."""

    def __init__(self, code: grpc.StatusCode, words: str) -> None:
        self.code, self.words = code, words

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        def refuse(_request: Any, context: grpc.ServicerContext) -> bytes:
            context.abort(self.code, self.words)
            return b""

        if details.method.endswith("AppendRows"):
            return grpc.stream_stream_rpc_method_handler(refuse)
        return grpc.unary_unary_rpc_method_handler(refuse)


@contextmanager
def serving(handler: grpc.GenericRpcHandler) -> Iterator[str]:
    """HOST:PORT at which the handler answers."""
    server = grpc.server(futures.ThreadPoolExecutor(8), handlers=(handler,), options=[("grpc.max_receive_message_length", -1)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(grace=None).wait(10)


def refusing_client(status: int, reason: str, words: str) -> bigquery.Client:
    """A REST client whose every request is answered with an error."""

    class Http(requests.Session):
        is_mtls = False

        def request(self, method: str, url: str, *_: Any, **__: Any) -> requests.Response:
            made = requests.Response()
            made.request = requests.Request(method, url).prepare()
            made.status_code = status
            made.headers["Content-Type"] = "application/json"
            made._content = json.dumps({"error": {"code": status, "message": words, "errors": [{"reason": reason}]}}).encode()
            return made

    return bigquery.Client(project="demo-project", credentials=AnonymousCredentials(), _http=Http())


def never(event: threading.Event) -> Answer:
    """An answer that does not come before the event."""

    def wait(_request: types.AppendRowsRequest, _context: grpc.ServicerContext) -> types.AppendRowsResponse:
        event.wait(60)
        return OK

    return wait
