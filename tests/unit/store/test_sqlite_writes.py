"""What the SQLite store promises to those who write."""

from __future__ import annotations

import datetime as dt
import itertools
import sqlite3
import threading
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

from thundercast.adapters.reading import StoreMismatch
from thundercast.adapters.sqlite import SqliteStore
from thundercast.adapters.sqlite_reader import SqliteReader
from thundercast.domain import schema, tables
from thundercast.domain.rows import CleanRows
from thundercast.domain.stations import keys_of
from thundercast.stage.protocols import Unavailable
from unit.store.rows import DAY, RUN, metric, prediction, rows


def _everything(path: Path, table: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(f"SELECT * FROM {table}").fetchall()
    finally:
        connection.close()


@pytest.mark.parametrize("table", tables.TABLES, ids=lambda t: t.name)
def test_every_table_has_the_columns_and_the_key_of_its_definition(tmp_path: Path, table: tables.Table) -> None:
    SqliteStore(tmp_path / "store.db").close()
    connection = sqlite3.connect(tmp_path / "store.db")
    found = connection.execute(f"PRAGMA table_info({table.name})").fetchall()
    connection.close()
    assert [row[1] for row in found] == [c.name for c in table.columns]
    assert tuple(row[1] for row in sorted(found, key=lambda row: row[5]) if row[5]) == table.key


def test_a_row_with_an_equal_key_replaces_the_old_one_in_every_column(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "store.db") as store:
        store.write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, metric(0, roc_auc=0.7, rows=10), metric(1, roc_auc=0.8)))
        store.write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, metric(0, roc_auc=0.9)))
    found = SqliteReader(tmp_path / "store.db").metrics(RUN).to_pylist()
    assert {(r["batch_id"], r["roc_auc"], r["rows"]) for r in found} == {(0, 0.9, None), (1, 0.8, None)}


def test_writing_all_again_changes_nothing_but_the_time_of_writing(tmp_path: Path) -> None:
    page = rows(tables.PREDICTIONS, *[prediction(f"{i:011d}", probability=i / 200) for i in range(200)])
    with SqliteStore(tmp_path / "store.db") as store:
        store.write(tables.PREDICTIONS, page)
        before = [row[:-1] for row in _everything(tmp_path / "store.db", "predictions")]
        store.write(tables.PREDICTIONS, page)
        after = [row[:-1] for row in _everything(tmp_path / "store.db", "predictions")]
    assert before == after
    assert len(after) == 200


def test_written_at_grows_from_write_to_write_whatever_the_clock_says_and_over_restarts(tmp_path: Path) -> None:
    times = iter([1_000.0, 1_000.0, 400.0])
    stamps = []
    with SqliteStore(tmp_path / "store.db", clock=lambda: next(times)) as store:
        assert store.written_at is None
        for i in range(3):
            store.write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, metric(i)))
            stamps.append(store.written_at)
    with SqliteStore(tmp_path / "store.db", clock=lambda: 500.0) as store:
        store.write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, metric(3)))
        stamps.append(store.written_at)
    assert stamps[0] == dt.datetime.fromtimestamp(1_000, dt.UTC)
    assert all(a < b for a, b in itertools.pairwise(stamps))
    found = SqliteReader(tmp_path / "store.db").metrics(RUN)
    assert found.column("written_at").to_pylist() == stamps


def test_the_written_at_of_the_rows_that_are_handed_in_is_not_believed(tmp_path: Path) -> None:
    lie = dt.datetime(1999, 1, 1, tzinfo=dt.UTC)
    with SqliteStore(tmp_path / "store.db", clock=lambda: 2_000.0) as store:
        store.write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, metric(0, written_at=lie)))
    (found,) = SqliteReader(tmp_path / "store.db").metrics(RUN).to_pylist()
    assert found["written_at"] == dt.datetime.fromtimestamp(2_000, dt.UTC)


def test_rows_expire_after_the_days_of_their_table_and_others_stay(tmp_path: Path) -> None:
    now = [0.0]
    with SqliteStore(tmp_path / "store.db", clock=lambda: now[0]) as store:
        store.write(tables.PREDICTIONS, rows(tables.PREDICTIONS, prediction("A0000000001")))
        store.write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, metric(0)))
        now[0] = 90 * 86_400.0
        store.write(tables.PREDICTIONS, rows(tables.PREDICTIONS, prediction("A0000000002")))
        assert store.expire() == {"predictions": 0, "observations": 0}
        now[0] += 1.0
        assert store.expire() == {"predictions": 1, "observations": 0}
    reader = SqliteReader(tmp_path / "store.db")
    assert reader.predictions(RUN, DAY, task="nowcast", model="thunder").column("station").to_pylist() == ["A0000000002"]
    assert reader.metrics(RUN).num_rows == 1


def test_nullable_columns_that_a_store_lacks_are_added_and_its_rows_stay(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with SqliteStore(path) as store:
        store.write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, metric(0, roc_auc=0.75)))
    connection = sqlite3.connect(path)
    connection.execute("ALTER TABLE model_metrics DROP COLUMN best_csi")
    connection.commit()
    connection.close()
    assert SqliteReader(path).metrics(RUN).column("best_csi").to_pylist() == [None]
    with SqliteStore(path) as store:
        store.write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, metric(1, best_csi=0.5)))
    found = SqliteReader(path).metrics(RUN)
    assert found.column("best_csi").to_pylist() == [None, 0.5]
    assert found.column("roc_auc").to_pylist() == [0.75, None]


_GAPS = "DROP TABLE gaps; CREATE TABLE gaps (run_id TEXT, seq"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ("ALTER TABLE status ADD COLUMN mood TEXT", r"status has the unknown column mood"),
        (f"{_GAPS} TEXT, component TEXT, PRIMARY KEY (run_id, seq, component))", r"gaps has seq as TEXT instead of INTEGER"),
        (f"{_GAPS} INTEGER, PRIMARY KEY (seq))", r"gaps has the key \(seq\) instead of \(run_id, seq, component\)"),
    ],
)  # fmt: skip
def test_a_store_with_other_columns_is_refused_by_name_with_the_way_out(tmp_path: Path, spoil: str, message: str) -> None:
    path = tmp_path / "store.db"
    SqliteStore(path).close()
    connection = sqlite3.connect(path)
    connection.executescript(spoil)
    connection.close()
    with pytest.raises(StoreMismatch, match=message) as refused:
        SqliteStore(path)
    assert str(path) in str(refused.value)
    assert "move the file away" in str(refused.value)


def test_the_file_of_another_program_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    text, foreign = tmp_path / "notes.txt", tmp_path / "other.db"
    text.write_text("not a database, but long enough to look like one to somebody who does not read it\n" * 20)
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE songs (title TEXT)")
    connection.close()
    for path, message in ((text, "not a SQLite database"), (foreign, "another program")):
        before = path.read_bytes()
        with pytest.raises(StoreMismatch, match=message):
            SqliteStore(path)
        with pytest.raises(StoreMismatch, match=message):
            SqliteReader(path).runs()
        assert path.read_bytes() == before


def test_a_write_is_taken_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with SqliteStore(path) as store:
        store.write(tables.GAPS, rows(tables.GAPS, {"seq": 1, "component": "cleaner"}))
        connection = sqlite3.connect(path)
        connection.execute("CREATE TRIGGER full BEFORE INSERT ON gaps WHEN new.seq = 3 BEGIN SELECT raise(ABORT, 'no room'); END")
        connection.close()
        with pytest.raises(sqlite3.IntegrityError, match="no room"):
            store.write(tables.GAPS, rows(tables.GAPS, *[{"seq": i, "component": "cleaner"} for i in (2, 3)]))
    assert SqliteReader(path).gaps(RUN).column("seq").to_pylist() == [1]


def test_a_locked_file_is_unavailable_and_says_which_and_what_was_tried(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with SqliteStore(path, patience=0.05) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            with pytest.raises(Unavailable, match=r"store\.db could not take 1 rows of gaps: database is locked"):
                store.write(tables.GAPS, rows(tables.GAPS, {"seq": 1, "component": "cleaner"}))
        finally:
            other.execute("ROLLBACK")
            other.close()
        store.write(tables.GAPS, rows(tables.GAPS, {"seq": 1, "component": "cleaner"}))
    assert SqliteReader(path).gaps(RUN).num_rows == 1


def test_a_full_disk_is_unavailable_and_the_store_goes_on_once_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    page = rows(tables.PREDICTIONS, *[prediction(f"{i:011d}") for i in range(5_000)])
    with SqliteStore(path) as store:
        store._connection.execute("PRAGMA max_page_count = 40")
        with pytest.raises(Unavailable, match="full"):
            store.write(tables.PREDICTIONS, page)
        store._connection.execute("PRAGMA max_page_count = 100000")
        store.write(tables.PREDICTIONS, page)
    assert len(_everything(path, "predictions")) == 5_000


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="folder of the store"):
        SqliteStore(tmp_path / "file" / "store.db")


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        (rows(tables.GAPS, {"seq": 1, "component": "c"}).drop_columns(["shard"]), "lack shard"),
        (rows(tables.GAPS, {"seq": 1, "component": "c"}).append_column("mood", pa.array(["good"])), "have the unknown mood"),
        (rows(tables.GAPS, {"seq": None, "component": "c"}), "have no seq in 1 places; it is part of the key"),
        (rows(tables.GAPS, {"seq": 1, "component": "c"}).set_column(1, "seq", pa.array(["one"])), "are not of its types"),
    ],
)
def test_rows_that_do_not_fit_the_table_are_refused_with_the_reason(tmp_path: Path, spoilt: pa.Table, message: str) -> None:
    with SqliteStore(tmp_path / "store.db") as store, pytest.raises(ValueError, match=message):
        store.write(tables.GAPS, spoilt)


def test_threads_may_share_the_store(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "store.db") as store:
        errors: list[BaseException] = []

        def work(component: str) -> None:
            try:
                for seq in range(20):
                    store.write(tables.GAPS, rows(tables.GAPS, {"seq": seq, "component": component}))
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(f"c{i}",)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not errors
    found = SqliteReader(tmp_path / "store.db").gaps(RUN)
    assert found.num_rows == 80
    assert len(set(found.column("written_at").to_pylist())) == 80


def test_clean_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    n = 150
    values = rng.normal(size=(n, len(schema.CLEAN_VALUES))).astype(np.float32)
    values[rng.random(values.shape) < 0.2] = np.nan
    stations = pa.array([f"{i:011d}" for i in range(n)])
    clean = CleanRows(
        19_509, keys_of(stations), values, rng.random((n, len(schema.IMPUTABLE))) < 0.3, rng.random((n, len(schema.WEATHER))) < 0.3,
        rng.integers(-1, 2, n).astype(np.int8), rng.random(n) < 0.5, pa.array([None, "US", "O'Neill"] * 50),
    )  # fmt: skip
    wanted = pa.Table.from_batches([clean.to_arrow()])
    with SqliteStore(tmp_path / "store.db") as store:
        store.write(tables.OBSERVATIONS, wanted.add_column(0, "run_id", pa.array([RUN] * n)))
    reader = SqliteReader(tmp_path / "store.db")
    for i in (0, 1, 2, n - 1):
        found = reader.station_history(RUN, stations[i].as_py()).drop_columns(["run_id", "written_at"])
        assert found.to_pylist() == wanted.slice(i, 1).to_pylist()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8"), max_size=5),
            st.one_of(st.none(), st.floats(allow_nan=False)),
            st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
        ),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from([1, 60]),
)
def test_any_text_number_or_null_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, given_rows: list[tuple[str, float | None, int | None]], times: int
) -> None:
    # Repeated, so that values shared by all rows take the way through the statement.
    path = tmp_path_factory.mktemp("store") / "store.db"
    wanted = [
        {"batch_id": i, "model_name": model, "task": "t'", "scope": 'a"b', "gate": "", "brier": number, "rows": count}
        for i, (model, number, count) in enumerate(given_rows * times)
    ]
    with SqliteStore(path) as store:
        store.write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, *wanted))
    reader = SqliteReader(path)
    found = reader.metrics(RUN).select(list(wanted[0])).sort_by("batch_id").to_pylist()
    reader.close()
    assert found == wanted
