"""What the BigQuery store makes of a service that closes, refuses or is silent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import pytest
from google.cloud.bigquery_storage_v1 import types
from google.protobuf.any_pb2 import Any as Packed
from google.rpc import status_pb2

from thundercast.adapters.google.bigquery_schema import ensure_tables
from thundercast.adapters.google.bigquery_store import BigQueryStore, RowsRefused
from thundercast.adapters.settings import CloudSettings
from thundercast.domain import tables
from thundercast.stage.protocols import Unavailable
from unit.google.bigquery_service import OK, Refusing, Writing, never, refusing_client, serving
from unit.store.rows import RUN, metric, prediction, rows

SETTINGS = CloudSettings(project="demo-project", dataset="weather")
PAGE = rows(tables.PREDICTIONS, *[prediction(f"{i:011d}", probability=i / 1000) for i in range(1000)])


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes a store that writes to a handler."""
    with ExitStack() as stack:

        def make(handler: grpc.GenericRpcHandler, **options: Any) -> BigQueryStore:
            monkeypatch.setenv("BIGQUERY_STORAGE_EMULATOR_HOST", stack.enter_context(serving(handler)))
            return stack.enter_context(BigQueryStore(SETTINGS, **options))

        yield make


def test_a_connection_is_kept_and_says_once_what_holds_for_all_its_requests(at: Any) -> None:
    service = Writing()
    store = at(service)
    for i in range(3):
        store.write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, metric(i)))
    store.write(tables.PREDICTIONS, PAGE)
    metrics, predictions = service.calls
    assert [request.write_stream for request in metrics] == [
        "projects/demo-project/datasets/weather/tables/model_metrics/streams/_default",
        "",
        "",
    ]
    assert [bool(request.arrow_rows.writer_schema.serialized_schema) for request in metrics] == [True, False, False]
    assert predictions[0].trace_id.startswith("thundercast:")


def test_a_connection_that_the_service_closed_meanwhile_is_opened_again_unnoticed(at: Any) -> None:
    service = Writing(closes_after=1)
    store = at(service)
    for i in range(3):
        store.write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, metric(i)))
    assert len(service.calls) == 3
    assert service.rows.column("batch_id").to_pylist() == [0, 1, 2]


@pytest.mark.parametrize("limit", [1, 5_000, 60_000, 10_000_000])
def test_no_request_is_larger_than_the_limit_and_no_row_is_lost(at: Any, limit: int) -> None:
    service = Writing()
    at(service, request_bytes=limit).write(tables.PREDICTIONS, PAGE.slice(0, 300))
    (requests,) = service.calls
    assert service.rows.drop_columns(["written_at"]) == PAGE.slice(0, 300).drop_columns(["written_at"])
    assert len({at.as_py() for at in service.rows.column("written_at")}) == 1
    largest = max(len(request.arrow_rows.rows.serialized_record_batch) for request in requests)
    # Arrow pads each of the columns' buffers to eight bytes and describes them.
    assert largest <= limit + 2_000
    assert (len(requests) == 1) == (limit >= 60_000)


def test_of_rows_with_equal_keys_in_one_write_only_the_last_is_sent(at: Any) -> None:
    # They would have one time of writing, and the service keeps no order.
    service = Writing()
    page = rows(tables.PREDICTIONS, prediction("B"), prediction("A", label=1), prediction("A", label=0), prediction("C"))
    at(service).write(tables.PREDICTIONS, page)
    assert [(row["station"], row["label"]) for row in service.rows.to_pylist()] == [("B", None), ("A", 0), ("C", None)]


def test_a_row_larger_than_a_request_goes_alone(at: Any) -> None:
    service = Writing()
    letters = [
        {"seq": i, "station": "", "reason": "undecodable", "payload_hash": "0", "payload": b"x" * size}
        for i, size in enumerate((10, 9_000, 10))
    ]
    at(service, request_bytes=5_000).write(tables.DEAD_LETTERS, rows(tables.DEAD_LETTERS, *letters))
    assert service.rows.column("seq").to_pylist() == [0, 1, 2]


def test_silence_is_unavailable_after_the_patience_and_what_comes_next_is_tried_anew(at: Any) -> None:
    heard = threading.Event()
    service = Writing(never(heard))
    store = at(service, patience=0.3)
    with pytest.raises(Unavailable, match=r"table demo-project\.weather\.model_metrics could not be written to: .*no answer in 0\.3 s"):
        store.write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, metric(0)))
    heard.set()
    service.answer = lambda _request, _context: OK
    store.write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, metric(0)))


def _status(code: grpc.StatusCode, words: str, *details: Packed) -> types.AppendRowsResponse:
    return types.AppendRowsResponse(error=status_pb2.Status(code=code.value[0], message=words, details=details))


@pytest.mark.parametrize("in_band", [True, False], ids=["as an answer", "as the call's end"])
@pytest.mark.parametrize(
    ("code", "line"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, r"permission denied; grant this identity roles/bigquery\.dataEditor"),
        (grpc.StatusCode.NOT_FOUND, r"does not exist: `thundercast bootstrap` makes it"),
        (
            grpc.StatusCode.UNAVAILABLE,
            r"could not be written to: the emulator at 127\.0\.0\.1:\d+ \(variable BIGQUERY_STORAGE_EMULATOR_HOST\)",
        ),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, r"asks for patience: some words"),
    ],
)
def test_what_may_pass_or_be_mended_is_unavailable_in_one_line(at: Any, code: grpc.StatusCode, line: str, in_band: bool) -> None:
    store = at(Writing(lambda _request, _context: _status(code, "some words")) if in_band else Refusing(code, "some words"))
    with pytest.raises(Unavailable, match=line) as raised:
        store.write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, metric(0)))
    assert str(raised.value).startswith("table demo-project.weather.model_metrics ")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("in_band", [True, False], ids=["as an answer", "as the call's end"])
def test_what_can_never_be_taken_is_not_unavailable(at: Any, in_band: bool) -> None:
    code = grpc.StatusCode.INVALID_ARGUMENT
    store = at(Writing(lambda _request, _context: _status(code, "wrong type")) if in_band else Refusing(code, "wrong type"))
    with pytest.raises(RowsRefused, match=r"table demo-project\.weather\.model_metrics refuses rows: wrong type"):
        store.write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, metric(0)))


def test_rows_that_are_refused_one_by_one_are_counted_and_the_first_is_told(at: Any) -> None:
    wrong = [types.RowError(index=i, code=types.RowError.RowErrorCode.FIELDS_ERROR, message=f"row {i} is wrong") for i in (3, 4)]
    response = types.AppendRowsResponse(error=status_pb2.Status(code=3, message="see row errors"), row_errors=wrong)
    with pytest.raises(RowsRefused, match=r"predictions refuses 2 rows; row 3: row 3 is wrong"):
        at(Writing(lambda _request, _context: response)).write(tables.PREDICTIONS, PAGE)


def test_columns_that_were_just_added_are_waited_for(at: Any) -> None:
    # The write side sees a table's new columns some minutes after they were added.
    packed = Packed()
    packed.Pack(types.StorageError.pb(types.StorageError(code=types.StorageError.StorageErrorCode.SCHEMA_MISMATCH_EXTRA_FIELDS)))
    response = _status(grpc.StatusCode.INVALID_ARGUMENT, "extra fields", packed)
    with pytest.raises(Unavailable, match=r"does not take all columns \(extra fields\): `thundercast bootstrap` adds what it lacks"):
        at(Writing(lambda _request, _context: response)).write(tables.PREDICTIONS, PAGE)


def test_rows_that_do_not_fit_the_table_are_refused_before_anything_is_sent(at: Any) -> None:
    service = Writing()
    with pytest.raises(ValueError, match="lack roc_auc"):
        at(service).write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, metric(0)).drop_columns(["roc_auc"]))
    assert service.calls == []


def test_threads_share_a_store(at: Any) -> None:
    service = Writing()
    store = at(service)

    def write(part: int) -> None:
        for i in range(10):
            store.write(tables.GAPS, rows(tables.GAPS, {"seq": part * 10 + i, "component": "cleaner"}))

    threads = [threading.Thread(target=write, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(service.rows.column("seq").to_pylist()) == list(range(40))
    assert len(set(service.rows.column("written_at").to_pylist())) == 40
    assert service.rows.column("run_id").unique().to_pylist() == [RUN]


@pytest.mark.parametrize(
    ("status", "reason", "line"),
    [
        (403, "accessDenied", r"dataset demo-project\.weather could not be made: permission denied; grant this identity roles/bigquery\.dataEditor on the project"),
        (401, "required", r"dataset demo-project\.weather could not be made: no valid credentials"),
        (400, "invalid", r"dataset demo-project\.weather could not be made: .*refuses"),
    ],
)  # fmt: skip
def test_bootstrap_says_in_one_line_what_keeps_it_from_the_tables(status: int, reason: str, line: str) -> None:
    with pytest.raises(Unavailable, match=line) as raised:
        ensure_tables(SETTINGS, client=refusing_client(status, reason, "the service's words"))
    assert "the service's words" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_one_variable_of_the_two_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", "http://127.0.0.1:1")
    monkeypatch.delenv("BIGQUERY_STORAGE_EMULATOR_HOST", raising=False)
    with pytest.raises(Unavailable, match="BIGQUERY_EMULATOR_HOST is set but BIGQUERY_STORAGE_EMULATOR_HOST is not"):
        BigQueryStore(SETTINGS).write(tables.PREDICTIONS, PAGE)
