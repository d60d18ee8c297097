"""A station-day is the same whatever file it comes in."""

from __future__ import annotations

import datetime as dt
import gzip
import shutil
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from thundercast.adapters.sources.op_format import FIELDS
from unit.sources.stationdays import CSV, OP, STATION, STATION_LIST, Read, csv_text, gzipped, letters_of, rows_of, saved, tar_gz


def test_a_station_year_csv_reads_as_written(read: Read) -> None:
    rows = rows_of(read(CSV)).to_pylist()
    assert rows[0] == {
        "station": STATION, "stn": "729999", "wban": "00001", "date": dt.date(2023, 1, 1),
        "temp": 76.1, "count_temp": 24, "dewp": 70.3, "count_dewp": 24, "slp": 1019.9, "count_slp": 24, "stp": 18.9, "count_stp": 24,
        "visib": 9.3, "count_visib": 24, "wdsp": 3.0, "count_wdsp": 24, "mxpsd": 8.0, "gust": 999.9, "max": 86.0, "flag_max": "*",
        "min": 69.1, "flag_min": "", "prcp": 0.0, "flag_prcp": "G", "sndp": 999.9, "fog": 0, "rain_drizzle": 0, "snow_ice_pellets": 0,
        "hail": 0, "thunder": 0, "tornado_funnel_cloud": 0, "lat": 25.1234, "lon": -80.4321, "elev": 2.1, "country": "US",
    }  # fmt: skip
    assert [row["date"].day for row in rows] == [1, 2, 3, 5]
    assert [rows[2][name] for name in ("fog", "rain_drizzle", "snow_ice_pellets", "hail", "thunder", "tornado_funnel_cloud")] == [
        1,
        0,
        1,
        1,
        1,
        1,
    ]


def test_sentinels_stay_in_raw_rows(read: Read) -> None:
    row = rows_of(read(CSV)).to_pylist()[1]
    assert [row[name] for name in ("dewp", "slp", "stp", "visib", "wdsp", "mxpsd", "gust", "prcp", "sndp")] == [
        9999.9, 9999.9, 999.9, 999.9, 999.9, 999.9, 999.9, 99.99, 999.9,
    ]  # fmt: skip


def test_op_and_csv_of_the_same_days_give_the_same_rows(read: Read, tmp_path: Path) -> None:
    folder = tmp_path / "op"
    folder.mkdir()
    shutil.copy(OP, folder)
    shutil.copy(STATION_LIST, folder)
    assert rows_of(read(folder)).equals(rows_of(read(CSV)))


def test_an_op_file_without_a_station_list_has_no_place(read: Read, tmp_path: Path) -> None:
    alone = shutil.copy(OP, tmp_path)
    rows = rows_of(read(Path(alone)))
    assert all(rows.column(name).null_count == 4 for name in ("lat", "lon", "elev", "country"))


@pytest.mark.parametrize("form", ["gz", "tar.gz", "tgz", "parquet", "folder", "deep folder"])
def test_packing_changes_no_row(form: str, read: Read, tmp_path: Path) -> None:
    data = CSV.read_bytes()
    if form == "gz":
        path = gzipped(tmp_path / "72999900001.csv.gz", data)
    elif form in ("tar.gz", "tgz"):
        path = tar_gz(tmp_path / f"2023.{form}", {"./72999900001.csv": data})
    elif form == "parquet":
        path = saved(rows_of(read(CSV)), tmp_path / "rows.parquet")
    else:
        path = tmp_path / "folder"
        inner = path / "2023" / "us" if form == "deep folder" else path
        inner.mkdir(parents=True)
        (inner / "72999900001.csv").write_bytes(data)
    assert rows_of(read(path)).equals(rows_of(read(CSV)))


def test_a_folder_may_mix_all_formats(read: Read, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    whole = rows_of(read(CSV))
    shutil.copy(STATION_LIST, folder)
    header, *lines = CSV.read_text().splitlines(keepends=True)
    (folder / "one.csv").write_text(header + lines[0])
    op_header, *op_lines = OP.read_text().splitlines(keepends=True)
    (folder / "two.op").write_text(op_header + op_lines[1])
    tar_gz(folder / "three.tar.gz", {"x.op.gz": gzip.compress((op_header + op_lines[2]).encode())})
    saved(whole.slice(3, 1), folder / "four.parquet")
    (folder / "README.md").write_text("not data")
    assert rows_of(read(folder)).equals(whole)


def test_order_case_and_quoting_of_the_header_do_not_matter(read: Read, tmp_path: Path) -> None:
    lines = [line.replace('"MADE UP FIELD, FL US"', "X").replace('"', "").split(",") for line in CSV.read_text().splitlines()]
    lines[0] = [name.lower() for name in lines[0]]
    turned = tmp_path / "turned.csv"
    turned.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(",".join(reversed(line)) for line in lines).encode())
    assert rows_of(read(turned)).drop_columns("country").equals(rows_of(read(CSV)).drop_columns("country"))


def test_attributes_and_place_may_be_absent(read: Read, tmp_path: Path) -> None:
    path = tmp_path / "bare.csv"
    path.write_text(csv_text({}, drop=("LATITUDE", "LONGITUDE", "ELEVATION", "NAME", "TEMP_ATTRIBUTES", "MAX_ATTRIBUTES")))
    row = rows_of(read(path)).to_pylist()[0]
    assert (row["lat"], row["elev"], row["country"], row["count_temp"], row["flag_max"], row["count_dewp"]) == (
        None,
        None,
        None,
        None,
        "",
        24,
    )


@pytest.mark.parametrize(
    ("name", "country"),
    [("MIAMI INTERNATIONAL AIRPORT, FL US", "US"), ("ABUJA, NI", "NI"), ("A, B, C MX", "MX"), ("NOWHERE", None), ("", None), ("X,", None)],
)
def test_the_country_is_the_last_word_after_the_names_last_comma(name: str, country: str | None, read: Read, tmp_path: Path) -> None:
    path = tmp_path / "named.csv"
    path.write_text(csv_text({"NAME": name}))
    assert rows_of(read(path)).to_pylist()[0]["country"] == country


def test_the_station_lists_country_goes_before_the_names(read: Read, tmp_path: Path) -> None:
    shutil.copy(STATION_LIST, tmp_path)
    (tmp_path / "named.csv").write_text(csv_text({"NAME": "MADE UP FIELD, CH"}, {"STATION": "99999999999", "NAME": "ELSEWHERE, CH"}))
    assert rows_of(read(tmp_path / "named.csv")).column("country").to_pylist() == ["US", "CH"]


@pytest.mark.parametrize("elevation", ["-999.9", "-999.0"])
def test_an_unknown_elevation_is_null(elevation: str, read: Read, tmp_path: Path) -> None:
    path = tmp_path / "low.csv"
    path.write_text(csv_text({"ELEVATION": elevation}, {"ELEVATION": "-350.0", "DATE": "2023-01-02"}))
    assert rows_of(read(path)).column("elev").to_pylist() == [None, -350.0]


def test_bigquery_columns_are_read(read: Read, tmp_path: Path) -> None:
    """There stn and wban are apart, and wind, counts and digits are text."""
    whole = rows_of(read(CSV))
    texts = {name: whole.column(name).cast(pa.string()) for name in ("wdsp", "mxpsd", "count_wdsp", "fog", "thunder", "hail")}
    table = whole.drop_columns(["station", "lat", "lon", "elev", "country"])
    for name, column in texts.items():
        table = table.set_column(table.schema.get_field_index(name), name, column)
    shutil.copy(STATION_LIST, tmp_path)
    assert rows_of(read(saved(table, tmp_path / "bq.parquet"))).equals(whole)


def test_fields_of_op_do_not_overlap() -> None:
    places = sorted((at.start, at.stop) for at in FIELDS.values())
    assert all(stop <= start for (_, stop), (start, _) in pairwise(places))


@pytest.mark.real_data
def test_ncei_csvs_give_the_rows_of_the_tidy_table(read: Read, real_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ncei"
    shutil.copytree(real_data / "raw_samples" / "ncei_csv", folder)
    shutil.copy(real_data / "isd-history.csv", folder)
    found = rows_of(read(folder))
    stations = found.column("station").unique()
    table = pq.read_table(real_data / "gsod_real.parquet", filters=pc.field("station").isin(stations))
    expected = {(row["station"], row["date"]): row for row in rows_of(read(saved(table, tmp_path / "tidy.parquet"))).to_pylist()}
    assert found.num_rows == 1837
    assert [expected[row["station"], row["date"]] for row in found.to_pylist()] == found.to_pylist()


@pytest.mark.real_data
def test_old_op_files_are_read_whole(read: Read, real_data: Path) -> None:
    source = read(real_data / "raw_samples" / "op_gz")
    rows = {(row["station"], row["date"]): row for row in rows_of(source).to_pylist()}
    texts = [gzip.decompress(path.read_bytes()).decode().splitlines()[1:] for path in (real_data / "raw_samples" / "op_gz").iterdir()]
    assert len(rows) == sum(map(len, texts))
    assert letters_of(source) == []
    # What the lines say, read in the way of people: by blanks.
    for line in (line for text in texts for line in text):
        words = line.split()
        row = rows[words[0] + words[1], dt.date(int(words[2][:4]), int(words[2][4:6]), int(words[2][6:]))]
        assert [row[name] for name in ("temp", "dewp", "slp", "stp", "visib", "wdsp")] == [float(words[i]) for i in (3, 5, 7, 9, 11, 13)]
        assert [row["max"], row["min"]] == [float(words[17].strip("*")), float(words[18].strip("*"))]
        assert (row["flag_max"] == "*", row["flag_min"] == "*") == ("*" in words[17], "*" in words[18])
        assert f"{row['prcp']:.2f}{row['flag_prcp']}" == words[19]
        assert (
            "".join(str(row[n]) for n in ("fog", "rain_drizzle", "snow_ice_pellets", "hail", "thunder", "tornado_funnel_cloud"))
            == words[21]
        )
