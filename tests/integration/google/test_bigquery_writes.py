"""What the BigQuery store promises to those who write, over the wire protocols of the emulator.

Where the emulator is not as the service: it bills nothing, has no permissions, and a change of a table's schema over REST changes what it
says of the table but not the table (`_caught_up`).
"""

from __future__ import annotations

import datetime as dt
import itertools
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

import emulators
from thundercast.adapters.google import bigquery_folding
from thundercast.adapters.google.bigquery_clients import rest_client
from thundercast.adapters.google.bigquery_reader import BigQueryReader
from thundercast.adapters.google.bigquery_rows import read_rows
from thundercast.adapters.google.bigquery_schema import ensure_tables
from thundercast.adapters.google.bigquery_store import BigQueryStore
from thundercast.adapters.reading import StoreMismatch, StoreMissing
from thundercast.adapters.settings import CloudSettings
from thundercast.domain import tables
from thundercast.stage.protocols import Unavailable
from unit.store.rows import DAY, RUN, metric, prediction, rows

SEED = ("timestamp TIMESTAMP", "batch_id INTEGER", "roc_auc FLOAT", "accuracy FLOAT", "model_name STRING")


@pytest.fixture
def settings(bigquery_emulator: emulators.Running) -> CloudSettings:
    return CloudSettings(project="demo-project", dataset=f"d{uuid.uuid4().hex[:12]}")


@pytest.fixture
def client(bigquery_emulator: emulators.Running) -> bigquery.Client:
    return rest_client("demo-project")


@pytest.fixture
def reader(settings: CloudSettings) -> Iterator[BigQueryReader]:
    reader = BigQueryReader(settings)
    yield reader
    reader.close()


def _table(client: bigquery.Client, settings: CloudSettings, name: str, columns: tuple[str, ...], **options: Any) -> bigquery.Table:
    client.create_dataset(settings.dataset, exists_ok=True)
    fields = [bigquery.SchemaField(*column.split()[:2], mode=[*column.split(), "NULLABLE"][2]) for column in columns]
    made = bigquery.Table(f"demo-project.{settings.dataset}.{name}", schema=fields)
    for option, value in options.items():
        setattr(made, option, value)
    return client.create_table(made)


def _caught_up(client: bigquery.Client, settings: CloudSettings, name: str, before: tuple[str, ...]) -> None:
    """Gives the emulator's own table the columns that it was told of."""
    known = {column.split()[0] for column in before}
    for field in client.get_table(f"{settings.dataset}.{name}").schema:
        if field.name not in known:
            client.query_and_wait(f"ALTER TABLE `{settings.dataset}.{name}` ADD COLUMN `{field.name}` {field.field_type}")


def _all(client: bigquery.Client, settings: CloudSettings, name: str) -> list[dict[str, Any]]:
    return [dict(row) for row in client.query_and_wait(f"SELECT * FROM `demo-project.{settings.dataset}.{name}`")]


def test_bootstrap_makes_what_is_not_there_and_then_nothing(client: bigquery.Client, settings: CloudSettings) -> None:
    done = ensure_tables(settings)
    assert done[0] == f"dataset demo-project.{settings.dataset} in US"
    assert len(done) == 1 + 2 * len(tables.TABLES)
    assert ensure_tables(settings) == []
    for table in tables.TABLES:
        found = client.get_table(f"{settings.dataset}.{table.name}")
        assert [field.name for field in found.schema] == [column.name for column in table.columns]
        assert [field.description or "" for field in found.schema] == [column.about for column in table.columns]
        assert (found.time_partitioning.field, found.time_partitioning.type_) == ("written_at", "DAY")
        days = None if table.keep_days is None else table.keep_days * 86_400_000
        assert found.time_partitioning.expiration_ms == days
        assert found.clustering_fields[0] == "run_id"
    assert client.get_table(f"{settings.dataset}.predictions").clustering_fields[:2] == ["run_id", "model_name"]


def test_the_view_has_of_rows_with_equal_keys_the_one_written_last(client: bigquery.Client, settings: CloudSettings) -> None:
    ensure_tables(settings)
    with BigQueryStore(settings) as store:
        for probability in (0.1, 0.2, 0.3):
            page = rows(tables.PREDICTIONS, prediction("A", probability=probability), prediction("B", probability=probability / 2))
            store.write(tables.PREDICTIONS, page)
    assert len(_all(client, settings, "predictions")) == 6
    latest = _all(client, settings, "predictions_latest")
    assert sorted((row["station"], row["probability"]) for row in latest) == [("A", 0.3), ("B", 0.15)]


def test_the_seeds_table_is_extended_and_used_and_keeps_its_rows(
    client: bigquery.Client, settings: CloudSettings, reader: BigQueryReader
) -> None:
    seed = _table(client, settings, "model_metrics", SEED)
    old = {"timestamp": "2024-05-01T12:00:00Z", "roc_auc": 0.75, "accuracy": 0.9, "model_name": "logistic"}
    assert client.insert_rows_json(seed, [old | {"batch_id": 7}, old | {"batch_id": 7, "roc_auc": 0.76}]) == []
    assert any("model_metrics: added run_id, task" in line for line in ensure_tables(settings))
    _caught_up(client, settings, "model_metrics", SEED)
    assert ensure_tables(settings) == []
    found = client.get_table(seed)
    assert [field.name for field in found.schema] == [column.name for column in tables.MODEL_METRICS.columns]
    assert {field.mode for field in found.schema} == {"NULLABLE"}
    assert found.time_partitioning is None
    with BigQueryStore(settings) as store:
        for roc_auc in (0.8, 0.85):
            store.write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, metric(7, roc_auc=roc_auc)))
    assert reader.metrics(RUN).column("roc_auc").to_pylist() == [0.85]
    # The old rows have no run, so no key: the view keeps them all.
    assert sorted(row["roc_auc"] for row in _all(client, settings, "model_metrics_latest")) == [0.75, 0.76, 0.85]


def test_a_required_column_of_the_seeds_table_is_made_nullable(client: bigquery.Client, settings: CloudSettings) -> None:
    _table(client, settings, "model_metrics", ("timestamp TIMESTAMP REQUIRED", *SEED[1:]))
    assert any(line.endswith("model_metrics: made nullable timestamp") for line in ensure_tables(settings))
    assert client.get_table(f"{settings.dataset}.model_metrics").schema[0].mode == "NULLABLE"


def test_a_column_that_a_table_lacks_is_added_and_read_as_null_before(
    client: bigquery.Client, settings: CloudSettings, reader: BigQueryReader
) -> None:
    columns = tuple(f"{column.name} {column.kind}" for column in tables.GAPS.columns if column.name != "shard")
    gaps = _table(client, settings, "gaps", columns)
    row = {"run_id": RUN, "seq": 3, "component": "cleaner", "date": "2023-06-01", "written_at": "2023-06-01T00:00:00Z"}
    assert client.insert_rows_json(gaps, [row]) == []
    assert reader.gaps(RUN).select(["seq", "shard", "date"]).to_pylist() == [{"seq": 3, "shard": None, "date": DAY}]
    assert f"table demo-project.{settings.dataset}.gaps: added shard" in ensure_tables(settings)


_DATED = {"time_partitioning": bigquery.TimePartitioning(field="date", expiration_ms=86_400_000)}


@pytest.mark.parametrize(
    ("name", "columns", "options", "message"),
    [
        ("model_metrics", ("timestamp STRING", *SEED[1:]), {}, "table {} has timestamp as STRING, expected is TIMESTAMP"),
        ("model_metrics", ("timestamp TIMESTAMP REPEATED", *SEED[1:]), {}, "table {} has timestamp as ARRAY<TIMESTAMP>, expected is TIMESTAMP"),
        ("gaps", ("run_id STRING", "seq FLOAT", "Shard INTEGER"), {}, "table {} has seq as FLOAT64, expected is INT64; the column Shard where shard"),
        ("gaps", ("run_id STRING", "mood STRING REQUIRED"), {}, "table {} has the required column mood that nobody fills"),
        ("predictions", ("run_id STRING", "date DATE"), _DATED, "table {} is partitioned by date, expected is written_at"),
        ("runs", (), {"view_query": "SELECT 1 AS run_id"}, "{} is of the type VIEW, expected is TABLE"),
        ("runs_latest", ("run_id STRING",), {}, "{} is of the type TABLE, expected is VIEW"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_used_is_refused_by_name_with_the_way_out_and_left_as_it_is(
    client: bigquery.Client, settings: CloudSettings, name: str, columns: tuple[str, ...], options: dict[str, Any], message: str
) -> None:
    _table(client, settings, name, columns, **options)
    full = f"demo-project.{settings.dataset}.{name}"
    for ask in [lambda: ensure_tables(settings)] + [lambda: BigQueryReader(settings).gaps(RUN)] * (name == "gaps"):
        with pytest.raises(StoreMismatch) as refused:
            ask()
        assert str(refused.value).startswith(message.format(full))
        assert str(refused.value).endswith("rename or copy that table away, or set THUNDERCAST_DATASET to another dataset")
    assert [f"{field.name} {field.field_type}" for field in client.get_table(full).schema] == [" ".join(c.split()[:2]) for c in columns]


def test_where_nothing_was_made_writers_wait_and_readers_say_that_there_is_no_store(
    settings: CloudSettings, reader: BigQueryReader
) -> None:
    with BigQueryStore(settings) as store:
        with pytest.raises(
            Unavailable, match=rf"table demo-project\.{settings.dataset}\.gaps does not exist: `thundercast bootstrap` makes it"
        ):
            store.write(tables.GAPS, rows(tables.GAPS, {"seq": 1, "component": "cleaner"}))
        with pytest.raises(
            StoreMissing, match=rf"there is no table demo-project\.{settings.dataset}\.gaps: `thundercast bootstrap` makes it"
        ):
            reader.gaps(RUN)
        # The same writer and reader go on once it is there.
        ensure_tables(settings)
        store.write(tables.GAPS, rows(tables.GAPS, {"seq": 1, "component": "cleaner"}))
    assert reader.gaps(RUN).column("seq").to_pylist() == [1]


def test_a_seeds_table_that_is_not_extended_yet_is_no_store(
    client: bigquery.Client, settings: CloudSettings, reader: BigQueryReader
) -> None:
    _table(client, settings, "model_metrics", SEED)
    with pytest.raises(StoreMissing, match=r"model_metrics lacks the columns run_id, .*`thundercast bootstrap` adds them"):
        reader.metrics(RUN)


def test_an_emulator_that_is_not_running_is_named_by_its_variable(
    settings: CloudSettings, reader: BigQueryReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", f"http://127.0.0.1:{emulators.free_port()}")
    monkeypatch.setenv("BIGQUERY_STORAGE_EMULATOR_HOST", f"127.0.0.1:{emulators.free_port()}")
    with pytest.raises(
        Unavailable, match=r"predictions could not be written to: .*variable BIGQUERY_STORAGE_EMULATOR_HOST\) does not answer"
    ):
        BigQueryStore(settings).write(tables.PREDICTIONS, rows(tables.PREDICTIONS, prediction("A")))
    with pytest.raises(Unavailable, match=r"gaps could not be looked at: .*variable BIGQUERY_EMULATOR_HOST\) does not answer"):
        reader.gaps(RUN)


def test_written_at_grows_from_write_to_write_whatever_the_clock_and_the_rows_say(settings: CloudSettings, reader: BigQueryReader) -> None:
    ensure_tables(settings)
    times = iter([1_000.0, 1_000.0, 400.0, 2_000.0])
    lie = dt.datetime(1999, 1, 1, tzinfo=dt.UTC)
    with BigQueryStore(settings, clock=lambda: next(times)) as store:
        for i in range(4):
            store.write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, metric(i, written_at=lie)))
    stamps = reader.metrics(RUN).column("written_at").to_pylist()
    assert [stamps[0], stamps[3]] == [dt.datetime.fromtimestamp(at, dt.UTC) for at in (1_000, 2_000)]
    assert all(a < b for a, b in itertools.pairwise(stamps))


def test_a_row_that_appears_late_with_an_older_time_is_still_found(settings: CloudSettings, reader: BigQueryReader) -> None:
    # Another writer's clock is behind, or its rows took longer on their way.
    ensure_tables(settings)
    late = 9 * 60.0
    gap = {"seq": 1, "component": "cleaner"}
    with BigQueryStore(settings, clock=lambda: 10_000.0) as one, BigQueryStore(settings, clock=lambda: 10_000.0 - late) as other:
        one.write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, metric(0)))
        one.write(tables.GAPS, rows(tables.GAPS, gap))
        assert reader.gaps(RUN).num_rows == 1
        since = reader.metrics(RUN).column("written_at")[0].as_py()
        other.write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, metric(1)))
        other.write(tables.GAPS, rows(tables.GAPS, gap | {"seq": 2}, gap | {"shard": 9}))
    assert reader.metrics(RUN, since=since).column("batch_id").to_pylist() == [1, 0]
    # The older version of a row does not come back.
    assert reader.gaps(RUN).select(["seq", "shard"]).to_pylist() == [{"seq": 1, "shard": None}, {"seq": 2, "shard": None}]


def test_the_latest_date_is_found_among_old_writes_and_new_ones(settings: CloudSettings) -> None:
    ensure_tables(settings)

    def write(at: float, *days: int) -> None:
        page = rows(tables.PREDICTIONS, *[prediction("A", date=DAY + dt.timedelta(day)) for day in days])
        with BigQueryStore(settings, clock=lambda: at) as store:
            store.write(tables.PREDICTIONS, page)

    def latest() -> int:
        date = reader.latest_date(RUN, task="nowcast")
        assert date is not None
        return (date - DAY).days

    # Dates were repeated after a fall-back: the last written is not the latest.
    write(0.0, 7, 8)
    write(100_000.0, 5)
    for now in (50.0, 100_010.0, 900_000.0):
        reader = BigQueryReader(settings, clock=lambda now=now: now)
        assert latest() == 8
        reader.close()
    reader = BigQueryReader(settings, clock=lambda: 100_010.0)
    assert latest() == 8
    write(100_020.0, 6)
    assert latest() == 8
    write(100_030.0, 9)
    assert latest() == 9
    reader.close()


def test_a_latest_date_that_was_read_by_half_is_no_answer(settings: CloudSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    ensure_tables(settings)
    for at, day in ((0.0, 8), (100_000.0, 5)):
        with BigQueryStore(settings, clock=lambda at=at: at) as store:
            store.write(tables.PREDICTIONS, rows(tables.PREDICTIONS, prediction("A", date=DAY + dt.timedelta(day))))
    asked: list[str] = []

    def gone_at_the_second(*args: Any, **options: Any) -> Iterator[Any]:
        asked.append(options["where"])
        if len(asked) == 2:
            raise exceptions.ServiceUnavailable("gone")
        return read_rows(*args, **options)

    monkeypatch.setattr(bigquery_folding, "read_rows", gone_at_the_second)
    reader = BigQueryReader(settings, clock=lambda: 100_010.0)
    with pytest.raises(Unavailable):
        reader.latest_date(RUN)
    assert reader.latest_date(RUN) == DAY + dt.timedelta(8)
    assert len(asked) == 4
    reader.close()


def test_a_table_that_is_made_anew_is_read_anew(client: bigquery.Client, settings: CloudSettings) -> None:
    now = [0.0]
    reader = BigQueryReader(settings, monotonic=lambda: now[0])
    for seq in (1, 2):
        ensure_tables(settings)
        with BigQueryStore(settings) as store:
            store.write(tables.GAPS, rows(tables.GAPS, {"seq": seq, "component": "cleaner"}))
        assert reader.gaps(RUN).column("seq").to_pylist() == [seq]
        client.delete_table(f"{settings.dataset}.gaps")
        now[0] += 3600
    with pytest.raises(StoreMissing):
        reader.gaps(RUN)
    reader.close()


def test_large_writes_go_in_several_requests_and_come_back_whole(settings: CloudSettings, reader: BigQueryReader) -> None:
    ensure_tables(settings)
    page = rows(tables.PREDICTIONS, *[prediction(f"{i:011d}", probability=i / 3000) for i in range(3000)])
    with BigQueryStore(settings, request_bytes=50_000) as store:
        store.write(tables.PREDICTIONS, page)
    found = reader.predictions(RUN, DAY, task="nowcast", model="thunder")
    assert found.column("probability").to_pylist() == page.column("probability").to_pylist()


def test_threads_share_a_store_and_a_reader(settings: CloudSettings, reader: BigQueryReader) -> None:
    ensure_tables(settings)
    problems: list[BaseException] = []

    def work(store: BigQueryStore, part: int) -> None:
        try:
            for i in range(5):
                store.write(tables.GAPS, rows(tables.GAPS, {"seq": part * 5 + i, "component": "cleaner"}))
                assert reader.gaps(RUN).num_rows >= i + 1
        except BaseException as error:
            problems.append(error)

    with BigQueryStore(settings) as store:
        threads = [threading.Thread(target=work, args=(store, part)) for part in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert problems == []
    assert reader.gaps(RUN).column("seq").to_pylist() == list(range(15))
