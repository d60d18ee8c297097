"""What the BigQuery reader makes of a service that refuses, and how it writes what it asks for."""

from __future__ import annotations

import datetime as dt
from typing import Any

import grpc
import pytest
from google.cloud.bigquery_storage_v1 import BigQueryReadClient
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

from thundercast.adapters.google.bigquery_reader import BigQueryReader
from thundercast.adapters.google.bigquery_rows import literal
from thundercast.adapters.google.bigquery_schema import definition, latest
from thundercast.adapters.settings import CloudSettings
from thundercast.domain import tables
from thundercast.stage.protocols import Unavailable
from unit.google.bigquery_service import Refusing, refusing_client, serving
from unit.store.rows import RUN

SETTINGS = CloudSettings(project="demo-project", dataset="weather")


class _Known:
    """A REST client that has all tables of the store."""

    def get_table(self, full: str, **_: Any) -> Any:
        made = definition(full, next(t for t in tables.TABLES if full.endswith(f".{t.name}")))
        made._properties |= {"type": "TABLE", "creationTime": "0"}
        return made

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("status", "reason", "line"),
    [
        (403, "accessDenied", r"could not be looked at: permission denied; grant this identity roles/bigquery\.readSessionUser"),
        (401, "required", "could not be looked at: no valid credentials"),
    ],
)
def test_a_reader_that_may_not_look_says_so_in_one_line(status: int, reason: str, line: str) -> None:
    reader = BigQueryReader(SETTINGS, rest=refusing_client(status, reason, "the service's words"))
    with pytest.raises(Unavailable, match=rf"table demo-project\.weather\.runs {line}") as raised:
        reader.runs()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("code", "line"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, r"permission denied; grant this identity roles/bigquery\.readSessionUser .*and roles/bigquery\.dataViewer"),
        (grpc.StatusCode.INVALID_ARGUMENT, r"refuses: some words"),
    ],
)  # fmt: skip
def test_a_reader_that_may_not_read_says_so_in_one_line(code: grpc.StatusCode, line: str) -> None:
    with serving(Refusing(code, "some words")) as address, grpc.insecure_channel(address) as channel:
        storage = BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))
        reader = BigQueryReader(SETTINGS, rest=_Known(), storage=storage)  # type: ignore[arg-type]
        for ask in (lambda: reader.metrics(RUN), lambda: reader.status(RUN), lambda: reader.latest_date(RUN)):
            with pytest.raises(Unavailable, match=rf"table demo-project\.weather\.\w+ could not be read: .*{line}"):
                ask()


def test_values_are_written_so_that_nothing_in_them_is_read_as_a_condition() -> None:
    assert literal("x' OR 'a' = 'a") == r"'x\' OR \'a\' = \'a'"
    assert literal("\\' OR true\n") == r"'\\\' OR true\n'"
    assert literal(-3) == "-3"
    assert literal(dt.date(2023, 6, 1)) == "DATE '2023-06-01'"
    east = dt.timezone(dt.timedelta(hours=2))
    assert literal(dt.datetime(2023, 6, 1, 2, 0, 0, 5, east)) == "TIMESTAMP '2023-06-01 00:00:00.000005+00:00'"


def test_the_view_takes_the_newest_of_each_key_and_every_row_without_one() -> None:
    assert latest("p.d.gaps", tables.GAPS) == (
        "SELECT `run_id`, `seq`, `component`, `date`, `shard`, `written_at` FROM `p.d.gaps` WHERE TRUE QUALIFY run_id IS NULL OR "
        "ROW_NUMBER() OVER (PARTITION BY run_id, seq, component ORDER BY written_at DESC) = 1"
    )
