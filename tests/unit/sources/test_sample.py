"""The packed sample: small, of the USA only, and exact."""

from __future__ import annotations

import datetime as dt
import runpy
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from thundercast.adapters.sources import SourceError, sample
from thundercast.adapters.sources.sample import SampleSource
from thundercast.domain.schema import RAW_SCHEMA
from unit.sources.stationdays import Read, dates_of, rows_of, saved, tidy

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    return rows_of(SampleSource())


def test_it_is_small_and_has_its_provenance_beside_it() -> None:
    assert sample.PATH.stat().st_size <= 3_000_000
    text = (sample.PATH.parent / "PROVENANCE.md").read_text()
    assert "WMO Resolution 40" in text
    assert f"{SampleSource().open().rows:,} rows" in text


def test_it_has_stations_of_the_usa_that_report_thunder_and_nothing_else(rows: pa.Table) -> None:
    assert rows.schema.equals(RAW_SCHEMA)
    assert rows.column("country").unique().to_pylist() == ["US"]
    thunder = rows.group_by("station").aggregate([("thunder", "sum"), ("date", "count")])
    assert thunder.num_rows == 200
    assert pc.min(thunder.column("thunder_sum")).as_py() >= 1
    assert pc.min(thunder.column("date_count")).as_py() >= 850


def test_it_spreads_over_climates(rows: pa.Table) -> None:
    place = rows.group_by("station").aggregate([("lat", "min"), ("lon", "min"), ("elev", "max")])
    lat, lon, elev = (place.column(name).to_numpy() for name in ("lat_min", "lon_min", "elev_max"))
    assert lat.min() < 20
    assert lat.max() > 65
    assert lon.min() < -150
    assert elev.max() > 2000
    cells = {(int(a // 5), int(b // 5)) for a, b in zip(lat, lon, strict=True)}
    assert len(cells) > 50


def test_its_info_is_that_of_its_rows(rows: pa.Table) -> None:
    info = SampleSource().open()
    assert (info.start, info.end) == (dt.date(2022, 1, 1), dt.date(2024, 6, 19))
    assert (info.rows, info.synthetic, info.prepare_seconds) == (rows.num_rows, False, 0)
    assert info.identity == SampleSource().open().identity
    assert info.identity.startswith("sample#")


def test_a_restart_gives_the_same_rows() -> None:
    start = dt.date(2023, 5, 17)
    whole = dates_of(SampleSource(), end=dt.date(2023, 6, 1))
    assert dates_of(SampleSource(), start, dt.date(2023, 6, 1)) == [date for date in whole if date.date >= start]


@pytest.mark.real_data
def test_its_values_are_exactly_those_of_the_real_table(rows: pa.Table, read: Read, real_data: Path, tmp_path: Path) -> None:
    chosen = rows.column("station").unique()
    table = pq.read_table(real_data / "gsod_real.parquet", filters=pc.field("station").isin(chosen))
    expected = rows_of(read(saved(table, tmp_path / "chosen.parquet")))
    assert rows.equals(expected)


@pytest.mark.real_data
@pytest.mark.slow
def test_the_script_makes_it_again(real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "sample.parquet"
    monkeypatch.setattr("sys.argv", ["make_sample.py", str(real_data), "--to", str(target)])
    with pytest.raises(SystemExit) as done:
        runpy.run_path(str(ROOT / "scripts" / "make_sample.py"), run_name="__main__")
    assert done.value.code == 0
    assert pq.read_table(target).equals(pq.read_table(sample.PATH))


def test_packing_keeps_every_value(read: Read, tmp_path: Path) -> None:
    rows = rows_of(read(saved(tidy(20, 30), tmp_path / "rows.parquet")))
    sample.write(rows, tmp_path / "packed.parquet")
    (block,) = pq.read_table(tmp_path / "packed.parquet").to_batches()
    unpacked, rejected = sample.unpack(block, 0)
    assert pa.Table.from_batches([unpacked]).equals(rows)
    assert rejected == []


def test_a_value_with_too_many_decimals_is_not_packed(read: Read, tmp_path: Path) -> None:
    rows = rows_of(read(saved(tidy(2, 3), tmp_path / "rows.parquet")))
    precise = rows.set_column(rows.schema.get_field_index("temp"), "temp", pa.array([20.25] * rows.num_rows))
    with pytest.raises(ValueError, match="temp has more decimals"):
        sample.pack(precise)


def test_an_installation_without_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sample, "PATH", tmp_path / "sample.parquet")
    with pytest.raises(SourceError, match="this installation is not whole"):
        SampleSource().open()
