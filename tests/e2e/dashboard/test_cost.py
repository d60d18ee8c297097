"""What looking costs over BigQuery: the calls for one viewer and for several are the same, and none of them is a query."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

import emulators
from e2e.dashboard.stores import Stream
from thundercast.adapters.google.bigquery_clients import read_client, rest_client
from thundercast.adapters.google.bigquery_reader import BigQueryReader
from thundercast.adapters.google.bigquery_schema import ensure_tables
from thundercast.adapters.google.bigquery_store import BigQueryStore
from thundercast.adapters.settings import CloudSettings
from thundercast.adapters.sqlite import SqliteStore
from thundercast.domain.tables import Table
from thundercast_dashboard.feed import Feed

EVERY = 5.0
ROUNDS = 6


class Calls:
    """Counts what goes over the wire, and keeps what was asked of the REST side."""

    def __init__(self, settings: CloudSettings) -> None:
        self.made: Counter[str] = Counter()
        self.asked: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        self.rest, self.storage = rest_client(settings.project), read_client()
        transport = self.rest._http.request
        self.rest._http.request = self._heard(transport)
        for name in ("create_read_session", "read_rows"):
            setattr(self.storage, name, self._counted(name, getattr(self.storage, name)))

    def _heard(self, request: Callable[..., Any]) -> Callable[..., Any]:
        def ask(*args: Any, **kwargs: Any) -> Any:
            method = kwargs.get("method") or args[0]
            url = kwargs.get("url") or args[1]
            with self._lock:
                self.asked.append((method, url))
                self.made["rest"] += 1
            return request(*args, **kwargs)

        return ask

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def ask(*args: Any, **kwargs: Any) -> Any:
            with self._lock:
                self.made[name] += 1
            return call(*args, **kwargs)

        return ask


@pytest.fixture
def dataset(bigquery_emulator: emulators.Running, tmp_path: Any) -> tuple[CloudSettings, Stream]:
    settings = CloudSettings(project="demo-project", dataset=f"d{uuid.uuid4().hex[:12]}")
    ensure_tables(settings)
    with BigQueryStore(settings, patience=60) as other:

        class Both(SqliteStore):
            def write(self, table: Table, rows: pa.Table) -> None:
                super().write(table, rows)
                other.write(table, rows)

        with Both(tmp_path / "store.db") as store:
            stream = Stream(store, stations=20)
            stream.advance(4)
            stream.write_letters()
            stream.write_status(component="trainer")
    return settings, stream


def _looked_at(settings: CloudSettings, stream: Stream, viewers: int) -> Calls:
    """All that the five pages ask of the feed, by so many viewers at once, for some rounds."""
    calls = Calls(settings)
    now = [1_000.0]
    feed = Feed(BigQueryReader(settings, rest=calls.rest, storage=calls.storage), every=EVERY, clock=lambda: now[0])
    failures: list[BaseException] = []

    def look() -> None:
        try:
            snapshot = feed.snapshot()
            closed = snapshot.closed("nowcast")
            assert snapshot.problem is None, snapshot.detail
            assert closed is not None
            assert feed.on_map(stream.run_id, "dayahead", "thunder", closed) is not None
            assert feed.on_date(stream.run_id, "nowcast", "thunder", closed, closed) is not None
            for model in ("thunder", "climatology"):
                assert feed.window(stream.run_id, "nowcast", model, closed) is not None
            assert feed.station(stream.run_id, stream.names[0]) is not None
        except BaseException as error:
            failures.append(error)

    for _ in range(ROUNDS):
        threads = [threading.Thread(target=look) for _ in range(viewers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        now[0] += EVERY
    assert failures == []
    return calls


def test_several_viewers_cost_what_one_costs_and_no_query_is_ever_started(dataset: tuple[CloudSettings, Stream]) -> None:
    settings, stream = dataset
    one, several = (_looked_at(settings, stream, viewers) for viewers in (1, 5))
    assert several.made == one.made
    assert one.made["create_read_session"] >= 9 * ROUNDS
    for method, url in (*one.asked, *several.asked):
        assert method == "GET", (method, url)
        assert "/jobs" not in url
        assert "/queries" not in url
