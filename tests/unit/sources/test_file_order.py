"""Dates come in order, whatever the order of the input, and again the same after a restart."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thundercast.adapters.sources import SourceError, date_sort, sorted_rows
from thundercast.adapters.sources.file import FileSource
from thundercast.adapters.sources.sorting import sorted_form
from thundercast.domain.schema import RAW_SCHEMA
from unit.sources.stationdays import CSV, FIRST, Read, by_date, dates_of, days_csv, letters_of, rows_of, saved, shuffled, tidy


@pytest.fixture(params=[(7, 40), (40, 7), (1, 1)], ids=["few stations", "few days", "one row"])
def table(request: pytest.FixtureRequest) -> pa.Table:
    return tidy(*request.param)


def test_shuffled_input_gives_the_rows_of_sorted_input(table: pa.Table, read: Read, tmp_path: Path) -> None:
    in_order = rows_of(read(saved(by_date(table), tmp_path / "sorted.parquet")))
    assert in_order.num_rows == table.num_rows
    for seed in (1, 2):
        assert rows_of(read(saved(shuffled(table, seed), tmp_path / f"shuffled{seed}.parquet"))).equals(in_order)


def test_rows_within_a_date_are_in_order_of_station(read: Read, tmp_path: Path) -> None:
    only_dates = tidy(20, 5).sort_by([("date", "ascending"), ("station", "descending")])
    for date in dates_of(read(saved(only_dates, tmp_path / "dates.parquet"))):
        assert date.rows.column("station").to_pylist() == sorted(date.rows.column("station").to_pylist())
        assert pc.all(pc.equal(date.rows.column("date"), pa.scalar(date.date))).as_py()


@pytest.mark.parametrize("order", ["sorted", "shuffled"])
def test_every_date_comes_once_also_one_without_rows(order: str, read: Read, tmp_path: Path) -> None:
    table = tidy(3, 30).filter(pc.field("date") != pa.scalar(FIRST + dt.timedelta(days=11)))
    source = read(saved(by_date(table) if order == "sorted" else shuffled(table), tmp_path / "gap.parquet"))
    early, late = FIRST - dt.timedelta(days=2), FIRST + dt.timedelta(days=33)
    dates = dates_of(source, early, late)
    assert [date.date for date in dates] == [early + dt.timedelta(days=i) for i in range(36)]
    assert [i for i, date in enumerate(dates) if not date.rows.num_rows] == [0, 1, 13, 32, 33, 34, 35]
    assert all(date.rows.schema.equals(RAW_SCHEMA, check_metadata=True) for date in dates)


@pytest.mark.parametrize("order", ["sorted", "shuffled"])
def test_a_restart_at_any_date_gives_the_same_rows(order: str, read: Read, tmp_path: Path) -> None:
    table = tidy(5, 25)
    path = saved(by_date(table) if order == "sorted" else shuffled(table), tmp_path / "rows.parquet", row_group_size=17)
    whole = dates_of(read(path))
    for i in range(len(whole)):
        rest = dates_of(read(path), start=whole[i].date)
        assert [(d.date, d.rows) for d in rest] == [(d.date, d.rows) for d in whole[i:]]


def test_a_range_reads_no_row_group_outside_it(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(by_date(tidy(10, 100)), tmp_path / "rows.parquet", row_group_size=90)
    source = FileSource(path, cache=cache)
    source.open()
    asked: list[int] = []
    original = pq.ParquetFile.iter_batches

    def watched(self: pq.ParquetFile, *arguments: object, **options: object) -> object:
        asked.extend(options["row_groups"])  # type: ignore[arg-type]
        return original(self, *arguments, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", watched)
    dates_of(source, FIRST + dt.timedelta(days=50), FIRST + dt.timedelta(days=51))
    assert 1 <= len(asked) <= 2


def test_dates_that_span_blocks_and_row_groups_stay_whole(read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = by_date(tidy(30, 10))
    expected = rows_of(read(saved(table, tmp_path / "a.parquet")))
    monkeypatch.setattr(sorted_rows, "BLOCK_ROWS", 7)
    source = read(saved(table, tmp_path / "b.parquet", row_group_size=50))
    assert rows_of(source).equals(expected)
    assert len(dates_of(source)) == 10


def test_a_parquet_file_in_order_of_date_is_not_copied(read: Read, tmp_path: Path, cache: Path) -> None:
    source = read(saved(by_date(tidy(5, 20)), tmp_path / "rows.parquet", row_group_size=30))
    assert source.open().prepare_seconds == 0
    assert rows_of(source).num_rows
    assert not cache.exists()


def test_a_single_row_group_in_disorder_is_sorted_though_its_statistics_look_sorted(read: Read, tmp_path: Path, cache: Path) -> None:
    source = read(saved(tidy(5, 20), tmp_path / "by_station.parquet"))
    assert source.open().prepare_seconds > 0
    assert (cache / "sorted").is_dir()


def test_a_date_that_goes_backwards_while_reading_is_named(read: Read, tmp_path: Path) -> None:
    path = saved(by_date(tidy(5, 20)), tmp_path / "rows.parquet")
    source = read(path)
    info = source.open()
    saved(by_date(tidy(5, 20)).take(pa.array([50, 51, 3, 4, *range(20)])), path)
    with pytest.raises(SourceError, match=r"rows\.parquet: the date 2023-01-\d\d comes after 2023-01-\d\d"):
        list(source.dates(info.start, info.end))


def test_the_sorted_form_is_made_once(read: Read, tmp_path: Path) -> None:
    path = saved(shuffled(tidy(5, 20)), tmp_path / "rows.parquet")
    first, second = read(path).open(), read(path).open()
    assert first.prepare_seconds > 0
    assert second.prepare_seconds == 0
    assert (first.identity, first.start, first.end, first.rows) == (second.identity, second.start, second.end, second.rows)


def test_identity_is_of_the_content_wherever_it_lies(read: Read, tmp_path: Path) -> None:
    identities = set()
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "days.csv").write_text(days_csv("72000000001", FIRST, 3))
        identities.add(read(tmp_path / place / "days.csv").open().identity)
    assert len(identities) == 1
    assert str(tmp_path) not in identities.pop()


def test_a_value_changed_in_place_is_another_identity_and_is_read_anew(read: Read, tmp_path: Path) -> None:
    path = tmp_path / "days.csv"
    path.write_text(days_csv("72000000001", FIRST, 300))
    before, rows = read(path).open().identity, rows_of(read(path))
    text = path.read_text()
    middle = text.index('"1019.9"', len(text) // 2)
    path.write_text(text[:middle] + '"1019.8"' + text[middle + 8 :])
    assert read(path).open().identity != before
    changed = rows_of(read(path)).column("slp")
    assert pc.sum(pc.not_equal(changed, rows.column("slp"))).as_py() == 1


def test_a_file_added_to_a_folder_is_another_identity(read: Read, tmp_path: Path) -> None:
    folder = tmp_path / "days"
    folder.mkdir()
    (folder / "a.csv").write_text(days_csv("72000000001", FIRST, 3))
    before = read(folder).open()
    (folder / "b.csv").write_text(days_csv("72100000001", FIRST, 4))
    after = read(folder).open()
    assert before.identity != after.identity
    assert (before.rows, after.rows) == (3, 7)


def test_a_station_day_that_is_there_twice_stays_twice_in_the_order_of_the_source(read: Read, tmp_path: Path) -> None:
    folder = tmp_path / "twice"
    folder.mkdir()
    for name, temperature in (("b", "2.0"), ("a", "1.0"), ("c", "3.0")):
        (folder / f"{name}.csv").write_text(days_csv("72000000001", FIRST, 2).replace("20.0", temperature))
    assert rows_of(read(folder), FIRST, FIRST).column("temp").to_pylist() == [1.0, 2.0, 3.0]


def test_a_killed_conversion_leaves_nothing_that_is_used(read: Read, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(shuffled(tidy(5, 20)), tmp_path / "rows.parquet")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", _killed)
        with pytest.raises(KeyboardInterrupt):
            read(path).open()
    assert list((cache / "sorted").iterdir()) == []
    assert read(path).open().prepare_seconds > 0


def _killed(self: Path, target: Path) -> Path:
    raise KeyboardInterrupt


def test_another_process_that_sorted_it_first_is_no_error(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(shuffled(tidy(5, 20)), tmp_path / "rows.parquet")
    files = [(path.name, path)]
    original = Path.rename

    def overtaken(self: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "rename", original)
        sorted_form(files, None, identity="same", name="rows.parquet", cache=cache)
        return original(self, target)

    monkeypatch.setattr(Path, "rename", overtaken)
    rows, seconds = sorted_form(files, None, identity="same", name="rows.parquet", cache=cache)
    assert rows.rows == pq.read_metadata(path).num_rows
    assert seconds > 0
    assert [folder.name for folder in (cache / "sorted").iterdir()] == ["same-v1"]


def test_a_damaged_sorted_form_says_what_to_delete(read: Read, tmp_path: Path, cache: Path) -> None:
    path = saved(shuffled(tidy(5, 20)), tmp_path / "rows.parquet")
    read(path).open()
    next((cache / "sorted").glob("*/rows.parquet")).write_bytes(b"PAR1")
    with pytest.raises(SourceError, match=r"sorted.*is damaged; delete this folder"):
        read(path).open()


def test_progress_tells_what_is_done_and_of_how_much(read: Read, tmp_path: Path) -> None:
    told: list[tuple[str, float, float]] = []
    read(saved(shuffled(tidy(5, 20)), tmp_path / "rows.parquet")).open(lambda *step: told.append(step))
    assert list(dict.fromkeys(what for what, _, _ in told)) == ["checking", "reading", "sorting"]
    assert all(0 <= done <= total for _, done, total in told)
    assert {what: done == total for what, done, total in told} == {"checking": True, "reading": True, "sorting": True}


def test_rows_set_aside_are_reported_again_on_every_read(read: Read, tmp_path: Path) -> None:
    path = tmp_path / "days.csv"
    path.write_text(CSV.read_text().replace("  78.0", "  7x.0").replace("2023-01-05", "2023-02-30"))
    first, second = letters_of(read(path)), letters_of(read(path))
    assert [letter.reason for letter in first] == ["bad_date", "bad_value"]
    assert first == second


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=st.lists(st.tuples(st.integers(-400, 400), st.integers(0, 5)), min_size=1, max_size=60),
    dealt=st.integers(1, 30), least=st.integers(1, 30), batch=st.integers(1, 20),
)  # fmt: skip
def test_the_sort_is_pythons_stable_sort(
    keys: list[tuple[int, int]], dealt: int, least: int, batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(date_sort, "_DEALT", dealt)
    monkeypatch.setattr(date_sort, "_LEAST", least)
    rows = pa.table(
        {
            "date": pa.array([day for day, _ in keys], pa.int32()).cast(pa.date32()),
            "station": [f"{station:011d}" for _, station in keys],
            "came": pa.array(range(len(keys)), pa.int64()),
        }
    )
    written: list[int] = []
    count = date_sort.sort_to_parquet(
        iter(rows.to_batches(max_chunksize=batch)), rows.schema, tmp_path / "out.parquet", spill=tmp_path / "spill", written=written.append
    )
    expected = sorted(range(len(keys)), key=lambda i: keys[i])
    assert pq.read_table(tmp_path / "out.parquet").column("came").to_pylist() == expected
    assert count == sum(written) == len(keys)
    assert not (tmp_path / "spill").exists()
