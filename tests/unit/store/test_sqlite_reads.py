"""What the SQLite store promises to those who read: what every store does, and of its file."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from thundercast.adapters.reading import StoreMismatch, StoreMissing, merged
from thundercast.adapters.sqlite import SqliteStore
from thundercast.adapters.sqlite_reader import SqliteReader
from thundercast.domain import tables
from unit.store.read_promises import *  # noqa: F403
from unit.store.rows import RUN, metric, rows


@dataclass
class SqlitePlace:
    path: Path

    def writer(self, clock: Callable[[], float] = time.time) -> SqliteStore:
        return SqliteStore(self.path, clock=clock)

    def reader(self) -> SqliteReader:
        return SqliteReader(self.path)


@pytest.fixture
def place(tmp_path: Path) -> SqlitePlace:
    return SqlitePlace(tmp_path / "store.db")


def test_where_there_is_no_file_the_reader_says_that_the_store_is_missing_and_makes_none(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing, match=r"no store at .*store\.db"):
        SqliteReader(tmp_path / "store.db").runs()
    assert not (tmp_path / "store.db").exists()


def test_a_file_without_tables_is_a_missing_store(tmp_path: Path) -> None:
    (tmp_path / "store.db").touch()
    with pytest.raises(StoreMissing, match="no tables yet"):
        SqliteReader(tmp_path / "store.db").runs()


def test_a_store_that_comes_or_is_made_anew_is_seen_by_a_reader_that_lives_on(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    reader = SqliteReader(path)
    with pytest.raises(StoreMissing):
        reader.gaps(RUN)
    for seq in (1, 2):
        with SqliteStore(path) as store:
            store.write(tables.GAPS, rows(tables.GAPS, {"seq": seq, "component": "cleaner"}))
        assert reader.gaps(RUN).column("seq").to_pylist() == [seq]
        path.rename(tmp_path / f"old{seq}.db")


def test_folding_repeated_and_out_of_date_rows_keeps_the_one_written_last() -> None:
    def at(seconds: int, roc_auc: float) -> pa.Table:
        return rows(tables.MODEL_METRICS, metric(0, roc_auc=roc_auc, written_at=dt.datetime.fromtimestamp(seconds, dt.UTC)))

    none = tables.MODEL_METRICS.arrow.empty_table()
    assert merged(tables.MODEL_METRICS, none, none).num_rows == 0
    for old, new in ((at(1, 0.1), at(2, 0.2)), (at(2, 0.2), at(1, 0.1)), (none, pa.concat_tables([at(2, 0.2), at(1, 0.1)]))):
        assert merged(tables.MODEL_METRICS, old, new).column("roc_auc").to_pylist() == [0.2]


def test_a_damaged_file_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with SqliteStore(path) as store:
        store.write(tables.GAPS, rows(tables.GAPS, *[{"seq": i, "component": "cleaner"} for i in range(5_000)]))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xa5" * (size - 8192))
    with pytest.raises(StoreMismatch, match=r"store\.db is damaged .*move the file away"):
        SqliteReader(path).gaps(RUN)
