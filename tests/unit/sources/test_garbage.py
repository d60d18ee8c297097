"""What cannot be read is named or set aside: never a wrong number, never a file missed in silence."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from thundercast.adapters.sources import SourceError, sorting
from thundercast.adapters.sources.fields import days_of, numbers
from thundercast.domain.deadletters import REASONS
from unit.sources.stationdays import (
    CSV,
    FIRST,
    OP,
    STATION_LIST,
    Read,
    by_date,
    csv_text,
    dates_of,
    days_csv,
    letters_of,
    rows_of,
    saved,
    tar_gz,
    tidy,
)  # fmt: skip


def _written(name: str, data: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return write


def _archive(folder: Path, cut: int) -> Path:
    days = days_csv("72000000001", FIRST, 300).encode()
    path = tar_gz(folder / "2023.tar.gz", {f"7200000000{i}.csv": days for i in range(3)})
    path.write_bytes(path.read_bytes()[:cut])
    return path


def _plain_tar(folder: Path) -> Path:
    """Cut off between two members, where a tar archive looks whole but for its end."""
    path = folder / "2023.tar"
    with tarfile.open(path, "w") as archive:
        for i in range(2):
            entry = tarfile.TarInfo(f"{i}.csv")
            entry.size = len(CSV.read_bytes())
            archive.addfile(entry, io.BytesIO(CSV.read_bytes()))
            if i == 0:
                end = archive.offset
    path.write_bytes(path.read_bytes()[:end])
    return path


_PLAIN = CSV.read_bytes()
_OP = OP.read_bytes()
_MISSING_COLUMN = csv_text({}, drop=("TEMP", "GUST")).encode()

DAMAGED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "no such file": (lambda folder: folder / "nothing.csv", r"nothing\.csv: there is no such file or folder"),
    "empty csv": (_written("a.csv", b""), r"a\.csv: the file is empty"),
    "empty op": (_written("a.op", b""), r"a\.op: the file is empty"),
    "empty parquet": (_written("a.parquet", b""), r"a\.parquet: the file is empty"),
    "empty archive": (_written("a.tar.gz", b""), r"a\.tar\.gz: the file is empty"),
    "empty gzip": (_written("a.csv.gz", gzip.compress(b"")), r"a\.csv\.gz: the file is empty"),
    "header only": (_written("a.csv", _PLAIN.splitlines(keepends=True)[0]), r"a\.csv: there are no station-days in it"),
    "bad header": (_written("a.csv", b"a,b,c\n1,2,3\n"), r"a\.csv: bad header: no column date, temp.*FRSHTT"),
    "missing columns": (_written("a.csv", _MISSING_COLUMN), r"a\.csv: bad header: no column temp, gust among 'STATION'"),
    "column twice": (_written("a.csv", _PLAIN.replace(b"NAME", b"mxspd", 1)), r"a\.csv: bad header: the columns .* mean the same"),
    "bad op header": (_written("a.op", b"\n".join(_OP.splitlines()[1:])), r"a\.op: bad header"),
    "UTF-16": (_written("a.csv", _PLAIN.decode().encode("utf-16")), r"a\.csv: wrong encoding"),
    "Latin-1": (_written("a.csv", _PLAIN.replace(b"MADE UP FIELD", "MÉXICO".encode("latin-1"))), r"a\.csv: wrong encoding.*UTF8"),
    "Latin-1 header": (_written("a.csv", b"\xe9" + _PLAIN), r"a\.csv: wrong encoding"),
    "not ASCII in op": (_written("a.op", _OP.replace(b"998.3", b"998.\xb2")), r"a\.op, line 5: wrong encoding"),
    "gzip as csv": (_written("a.csv", gzip.compress(_PLAIN)), r"a\.csv: (wrong encoding|bad header)"),
    "csv as gzip": (_written("a.csv.gz", _PLAIN), r"a\.csv\.gz: the file is damaged or cut off"),
    "csv as parquet": (_written("a.parquet", _PLAIN), r"a\.parquet: not a parquet file"),
    "csv as archive": (_written("a.tar.gz", _PLAIN), r"a\.tar\.gz: the file is damaged"),
    "truncated gzip": (_written("a.csv.gz", gzip.compress(_PLAIN)[:-30]), r"a\.csv\.gz: the file is damaged or cut off"),
    "truncated op gzip": (_written("a.op.gz", gzip.compress(_OP)[:-9]), r"a\.op\.gz: the file is damaged or cut off"),
    "damaged gzip": (_written("a.csv.gz", gzip.compress(_PLAIN)[:-8] + b"\0" * 8), r"a\.csv\.gz: the file is damaged"),
    "csv cut in a field": (_written("a.csv", _PLAIN[:-5]), r"a\.csv: the file is cut off: its last line is"),
    "csv cut in a row": (_written("a.csv", _PLAIN[:-60]), r"a\.csv: the file is cut off"),
    "unquoted csv cut in the digits": (_written("a.csv", _PLAIN.replace(b", FL", b"").replace(b'"', b"")[:-3]), r"a\.csv: the file is cut off"),
    "op cut in a row": (_written("a.op", _OP[:-40]), r"a\.op: the file is cut off"),
    "open quote": (_written("a.csv", _PLAIN.replace(b'000000"\n', b"000000\n", 1)), r"a\.csv: after line 1, a quote is opened and not closed"),
    "archive cut in a member": (lambda folder: _archive(folder, 700), r"2023\.tar\.gz.*(damaged|cut off)"),
    "archive without its end": (lambda folder: _archive(folder, -12), r"2023\.tar\.gz.*(damaged|cut off)"),
    "archive cut between members": (_plain_tar, r"2023\.tar: the archive is cut off"),
    "archive without data": (lambda f: tar_gz(f / "x.tar.gz", {"README.md": b"x"}), r"x\.tar\.gz: the archive has no file that ends in one of"),
    "archive with something else": (lambda f: tar_gz(f / "x.tar.gz", {"a.zip": b"x"}), r"x\.tar\.gz!a\.zip cannot be read from within an archive"),
    "empty folder": (lambda folder: folder, r": the folder has no file that ends in one of"),
    "unknown suffix": (_written("a.zip", b"x"), r"a\.zip: a file must end in one of \.parquet, \.csv"),
    "station list": (_written("isd-history.csv", STATION_LIST.read_bytes()), r"isd-history\.csv is NOAA's station list, which has no station-days"),
    "only bad rows": (_written("a.csv", csv_text({"TEMP": "x"}).encode()), r"no station-days in it; the first of 1 that cannot.*line 2: temp = 'x'"),
}  # fmt: skip


@pytest.mark.parametrize("case", DAMAGED)
def test_damage_is_named(case: str, read: Read, tmp_path: Path) -> None:
    make, message = DAMAGED[case]
    with pytest.raises(SourceError, match=f"(?s){message}"):
        read(make(tmp_path)).open()


@pytest.mark.parametrize(
    "name", ["truncated gzip", "csv cut in a row", "op cut in a row", "Latin-1", "csv as parquet", "empty csv", "archive cut in a member"]
)
def test_one_damaged_file_among_many_stops_the_reading_and_is_named(name: str, read: Read, tmp_path: Path) -> None:
    for i in range(5):
        (tmp_path / f"7200{i}.csv").write_text(days_csv(f"7200000000{i}", FIRST, 3))
    make, message = DAMAGED[name]
    make(tmp_path)
    with pytest.raises(SourceError, match=f"(?s){message}"):
        read(tmp_path).open()


def test_a_file_of_an_unknown_kind_in_a_folder_is_not_missed(read: Read, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(days_csv("72000000001", FIRST, 3))
    (tmp_path / "b.zip").write_bytes(b"x")
    with pytest.raises(SourceError, match=r"b\.zip cannot be read .*move it away"):
        read(tmp_path).open()


def test_what_is_neither_file_nor_folder_is_refused(read: Read, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(SourceError, match="neither a file nor a folder"):
        read(tmp_path / "pipe.csv").open()


def test_a_station_list_that_is_none_is_named(read: Read, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(_PLAIN)
    (tmp_path / "isd-history.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SourceError, match=r"isd-history\.csv: bad header: no column USAF"):
        read(tmp_path).open()
    (tmp_path / "isd-history.csv").write_text(STATION_LIST.read_text().replace("+25.1234", "north"))
    with pytest.raises(SourceError, match=r"isd-history\.csv, line 3: could not convert"):
        read(tmp_path).open()


ROWS: dict[str, tuple[dict[str, str], str, str]] = {
    "text in a number": ({"TEMP": "  7x.1"}, "bad_value", "temp = '  7x.1'"),
    "two points": ({"SLP": "10.19.9"}, "bad_value", "slp"),
    "comma for a point": ({"DEWP": "70,3"}, "bad_value", "dewp"),
    "nan": ({"GUST": "nan"}, "bad_value", "gust"),
    "infinite": ({"GUST": "inf"}, "bad_value", "gust"),
    "hexadecimal": ({"PRCP": "0x1"}, "bad_value", "prcp"),
    "a count that is no whole number": ({"TEMP_ATTRIBUTES": "2.5"}, "bad_value", "count_temp"),
    "a negative count": ({"STP_ATTRIBUTES": "-1"}, "bad_value", "count_stp"),
    "five digits of weather": ({"FRSHTT": "00000"}, "bad_value", "fog"),
    "a digit that is neither": ({"FRSHTT": "000020"}, "bad_value", "thunder = '2'"),
    "no digits": ({"FRSHTT": ""}, "bad_value", "fog"),
    "latitude in words": ({"LATITUDE": "north"}, "bad_value", "lat"),
    "short station": ({"STATION": "7202012839"}, "bad_station", "station = '7202012839'"),
    "small letters": ({"STATION": "a2020128390"}, "bad_station", "station"),
    "no station": ({"STATION": ""}, "bad_station", "station"),
    "no such day": ({"DATE": "2023-02-30"}, "bad_date", "date = '2023-02-30'"),
    "no such month": ({"DATE": "2023-13-01"}, "bad_date", "date"),
    "day first": ({"DATE": "01/02/2023"}, "bad_date", "date"),
    "a year beyond reason": ({"DATE": "9999-01-01"}, "bad_date", "date"),
    "no date": ({"DATE": ""}, "bad_date", "date"),
}


@pytest.mark.parametrize("case", ROWS)
def test_a_bad_row_is_set_aside_with_its_reason_and_original_and_loses_no_other(case: str, read: Read, tmp_path: Path) -> None:
    changes, reason, detail = ROWS[case]
    path = tmp_path / "days.csv"
    path.write_text(csv_text({}, {"DATE": "2023-01-02"} | changes, {"DATE": "2023-01-03"}))
    source = read(path)
    assert [date.day for date in rows_of(source).column("date").to_pylist()] == [1, 3]
    (letter,) = letters_of(source)
    assert (letter.reason, letter.stage) == (reason, "source")
    assert reason in REASONS
    assert f"days.csv line 3: {detail}" in letter.detail
    original = dict(letter.original)
    assert {
        original[{"LATITUDE": "lat", "TEMP_ATTRIBUTES": "count_temp", "STP_ATTRIBUTES": "count_stp"}.get(k, k.lower())] for k in changes
    } == set(changes.values())
    # A row with a readable date is reported with that date, any other with the first.
    (at,) = [date.date.day for date in dates_of(source) if date.rejected]
    assert at == (1 if reason == "bad_date" else 2)


def test_an_empty_field_is_a_missing_value(read: Read, tmp_path: Path) -> None:
    path = tmp_path / "days.csv"
    path.write_text(csv_text({"TEMP": "", "GUST": "  ", "TEMP_ATTRIBUTES": " "}))
    row = rows_of(read(path)).to_pylist()[0]
    assert (row["temp"], row["gust"], row["count_temp"], row["slp"]) == (None, None, None, 1019.9)


def test_a_row_with_too_few_fields_is_set_aside_whole(read: Read, tmp_path: Path) -> None:
    lines = CSV.read_text().splitlines(keepends=True)
    path = tmp_path / "days.csv"
    unquoted = lines[4].replace('FL US"', "FL US")
    path.write_text(lines[0] + lines[1] + '"72999900001","2023-01-02","25.1"\n' + lines[3].replace("  -4.5", "  -4,5") + unquoted)
    source = read(path)
    assert rows_of(source).num_rows == 1
    short, merged, wrong = letters_of(source)
    assert merged.original == {"line": unquoted.strip()}
    assert short.original == {"line": '"72999900001","2023-01-02","25.1"'}
    assert "days.csv line 3: 3 fields instead of 28" in short.detail
    assert "days.csv line 4: temp" in wrong.detail


def test_a_shifted_line_of_op_is_set_aside(read: Read, tmp_path: Path) -> None:
    lines = OP.read_text().splitlines(keepends=True)
    path = tmp_path / "days.op"
    path.write_text(lines[0] + lines[1][:40] + " " + lines[1][40:-2] + "\n" + "".join(lines[2:4]) + lines[4][:100] + "\n")
    source = read(path)
    assert [date.day for date in rows_of(source).column("date").to_pylist()] == [2, 3]
    assert [letter.detail.split(":")[0] for letter in letters_of(source)] == ["days.op line 2", "days.op line 5"]


@pytest.mark.parametrize("order", ["sorted", "unsorted"])
def test_bad_values_in_parquet_are_set_aside(order: str, read: Read, tmp_path: Path) -> None:
    table = by_date(tidy(6, 10)) if order == "sorted" else tidy(6, 10)
    digits = table.column("thunder").to_pylist()
    digits[7] = "?"
    stations = table.column("station").to_pylist()
    stations[20] = "short"
    table = table.set_column(table.schema.get_field_index("thunder"), "thunder", [digits])
    table = table.set_column(table.schema.get_field_index("station"), "station", [stations])
    source = read(saved(table, tmp_path / "rows.parquet"))
    letters = {letter.reason: letter for letter in letters_of(source)}
    assert rows_of(source).num_rows == table.num_rows - 2
    assert letters["bad_value"].detail == "rows.parquet row 8: thunder = '?'"
    assert letters["bad_station"].station == "short"
    assert letters["bad_value"].original["temp"] == str(table.column("temp")[7].as_py())
    by_day = {date.date: [letter.reason for letter in date.rejected] for date in dates_of(source) if date.rejected}
    assert by_day == {table.column("date")[7].as_py(): ["bad_value"], table.column("date")[20].as_py(): ["bad_station"]}


@pytest.mark.parametrize("order", ["sorted", "unsorted"])
@pytest.mark.parametrize(
    ("column", "reason"), [("thunder", "bad_value"), ("station", "bad_station"), ("date", "bad_date"), ("fog", "bad_value")]
)
def test_a_null_that_a_row_cannot_be_without_sets_it_aside(order: str, column: str, reason: str, read: Read, tmp_path: Path) -> None:
    table = by_date(tidy(6, 10)) if order == "sorted" else tidy(6, 10)
    values = table.column(column).to_pylist()
    values[9] = None
    at = table.schema.get_field_index(column)
    source = read(saved(table.set_column(at, column, pa.array(values, table.schema.field(at).type)), tmp_path / "rows.parquet"))
    assert rows_of(source).num_rows == table.num_rows - 1
    assert [(letter.reason, letter.detail) for letter in letters_of(source)] == [(reason, f"rows.parquet row 10: {column} = None")]


def test_a_wild_date_in_a_sorted_file_does_not_stretch_the_source(read: Read, tmp_path: Path) -> None:
    table = by_date(tidy(6, 10))
    dates = table.column("date").to_pylist()
    dates[-1] = dates[-1].replace(year=2999)
    source = read(saved(table.set_column(table.schema.get_field_index("date"), "date", [dates]), tmp_path / "rows.parquet"))
    assert source.open().end.year == 2023
    assert [letter.date for letter in letters_of(source)] == [str(dates[-1])]


@pytest.mark.parametrize("order", ["sorted", "unsorted"])
def test_a_null_measurement_or_place_is_missing_and_nan_is_null(order: str, read: Read, tmp_path: Path) -> None:
    table = by_date(tidy(6, 10)) if order == "sorted" else tidy(6, 10)
    for name, value in (
        ("slp", None),
        ("temp", float("nan")),
        ("latitude", None),
        ("country", None),
        ("count_wdsp", None),
        ("flag_max", None),
    ):
        values = table.column(name).to_pylist()
        values[0] = value
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, pa.array(values, table.schema.field(at).type))
    source = read(saved(table, tmp_path / "rows.parquet"))
    row = rows_of(source).to_pylist()[0]
    assert [row[name] for name in ("slp", "temp", "lat", "country", "count_wdsp", "flag_max")] == [None, None, None, None, None, ""]
    assert letters_of(source) == []


def test_a_column_of_a_wrong_type_is_named(read: Read, tmp_path: Path) -> None:
    table = tidy(2, 3)
    table = table.set_column(table.schema.get_field_index("slp"), "slp", pa.array([[1.0]] * table.num_rows))
    with pytest.raises(SourceError, match=r"rows\.parquet: .*slp"):
        read(saved(table, tmp_path / "rows.parquet")).open()


def test_damage_in_the_middle_of_a_parquet_file_is_named(read: Read, tmp_path: Path) -> None:
    path = saved(tidy(200, 50), tmp_path / "rows.parquet")
    data = bytearray(path.read_bytes())
    data[1000 : len(data) // 2] = bytes(len(data) // 2 - 1000)
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"rows\.parquet: the file is damaged"):
        read(path).open()


def test_a_source_of_nothing_but_bad_rows_gives_up_early(read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorting, "MOST_REJECTED", 10)
    path = tmp_path / "days.csv"
    path.write_text(csv_text(*[{"TEMP": "cold"}] * 30))
    with pytest.raises(
        SourceError, match=r"days\.csv: more than 10 rows cannot be read, the first because of days\.csv line 2: temp = 'cold'"
    ):
        read(path).open()


def test_the_date_of_a_bad_row_does_not_stretch_the_source(read: Read, tmp_path: Path) -> None:
    path = tmp_path / "days.csv"
    path.write_text(csv_text({}, {"DATE": "2023-01-02"}, {"DATE": "2093-01-02", "TEMP": "x"}))
    source = read(path)
    info = source.open()
    assert info.end.year == 2023
    assert [date.date.day for date in dates_of(source) if date.rejected] == [2]
    assert letters_of(source)[0].date == "2093-01-02"


@given(
    st.lists(
        st.one_of(st.text(max_size=8), st.floats(allow_nan=True).map(str), st.decimals(-999, 9999, places=1).map(str)),
        min_size=1,
        max_size=8,
    )
)
@example([":", "+0", "-.5e3", "1.", "nan", "1e999", "0x1", "1_0"])
def test_a_text_is_its_number_or_missing_or_bad_whatever_stands_beside_it(texts: list[str]) -> None:
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    values, bad = numbers(pa.array(texts, pa.string()))
    assert bad is not None
    for text, value, wrong in zip(texts, values.to_pylist(), bad.tolist(), strict=True):
        alone, alone_bad = numbers(pa.array([text], pa.string()))
        assert alone_bad is not None
        assert bool(alone_bad[0]) == wrong
        if not wrong:
            assert value == alone[0].as_py()
            assert value == (float(text) if text.strip() else None)


@given(st.dates(min_value=FIRST.replace(year=1900), max_value=FIRST.replace(year=2100)), st.sampled_from(["%Y-%m-%d", "%Y%m%d"]))
def test_every_date_is_read_as_itself(date: object, form: str) -> None:
    days, bad = days_of(pa.array([f"{date:{form}}"]))
    assert not bad[0]
    assert pa.array(days).cast(pa.date32())[0].as_py() == date
