"""Corrected station-days laid over a source: what is corrected is replaced, all else is as it was."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from thundercast.adapters.replaying import rows_as_csv
from thundercast.adapters.sources import SourceError, open_source
from thundercast.adapters.sources.base import Estimate, Progress, SourceDate, SourceInfo
from thundercast.adapters.sources.overlay import Overlaid
from thundercast.domain.deadletters import DeadLetter
from thundercast.stage.letters import to_rows
from unit.sources.stationdays import FIRST, Read, csv_text, dates_of, days_csv, letters_of, rows_of

STATION, OTHER, NEW = "72999900001", "73999900001", "74999900001"
SECOND = FIRST + dt.timedelta(days=1)


def saved(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.fixture
def below(tmp_path: Path) -> Path:
    folder = tmp_path / "below"
    folder.mkdir()
    for station in (STATION, OTHER):
        saved(folder / f"{station}.csv", days_csv(station, FIRST, 3))
    return folder


def fixes(tmp_path: Path, *rows: dict[str, str]) -> Path:
    return saved(tmp_path / "fixes.csv", csv_text(*rows))


def test_a_corrected_station_day_takes_the_place_of_the_sources_and_a_new_one_is_added(tmp_path: Path, below: Path, read: Read) -> None:
    over = fixes(tmp_path, {"STATION": OTHER, "DATE": str(SECOND), "TEMP": "11.5"}, {"STATION": NEW, "DATE": str(SECOND), "TEMP": "12.5"})
    plain, laid = dates_of(read(below)), dates_of(Overlaid(read(below), read(over)))
    assert [day.date for day in laid] == [day.date for day in plain]
    assert [laid[0], laid[2]] == [plain[0], plain[2]]
    rows = laid[1].rows.to_pylist()
    assert [(row["station"], row["temp"]) for row in rows] == [
        (STATION, plain[1].rows.column("temp")[0].as_py()),
        (OTHER, 11.5),
        (NEW, 12.5),
    ]
    assert laid[1].rows.schema == plain[1].rows.schema


def test_a_part_of_the_dates_is_corrected_alike(tmp_path: Path, below: Path, read: Read) -> None:
    over = fixes(tmp_path, {"STATION": OTHER, "DATE": str(SECOND), "TEMP": "11.5"})
    whole = rows_of(Overlaid(read(below), read(over)))
    for first in range(3):
        for last in range(first, 3):
            start, end = FIRST + dt.timedelta(first), FIRST + dt.timedelta(last)
            assert rows_of(Overlaid(read(below), read(over)), start, end) == whole.slice(2 * first, 2 * (last - first + 1))


def test_what_could_not_be_read_and_is_corrected_is_no_dead_letter_any_more(tmp_path: Path, below: Path, read: Read) -> None:
    saved(
        below / "bad.csv",
        csv_text({"STATION": NEW, "DATE": str(SECOND), "TEMP": "warm"}, {"STATION": NEW, "DATE": str(FIRST), "MAX": "hot"}),
    )
    assert len(letters_of(read(below))) == 2
    over = Overlaid(read(below), read(fixes(tmp_path, {"STATION": NEW, "DATE": str(SECOND), "TEMP": "70.0"})))
    (left,) = letters_of(over)
    assert left.date == FIRST.isoformat()
    assert rows_of(over).filter(pa.compute.field("station") == NEW).column("temp").to_pylist() == [70.0]


def test_it_is_another_source_to_a_run(tmp_path: Path, below: Path, read: Read) -> None:
    plain = read(below).open()
    one = Overlaid(read(below), read(fixes(tmp_path, {"STATION": OTHER, "DATE": str(SECOND), "TEMP": "11.5"}))).open()
    other = Overlaid(read(below), read(fixes(tmp_path, {"STATION": OTHER, "DATE": str(SECOND), "TEMP": "11.6"}))).open()
    assert len({plain.identity, one.identity, other.identity}) == 3
    assert plain.identity in one.identity
    assert (one.start, one.end, one.rights) == (plain.start, plain.end, plain.rights)


class Billed:
    """A source of which only the price is asked."""

    def estimate(self, start: dt.date | None = None, end: dt.date | None = None) -> Estimate:
        return Estimate({2023: 100 if start is None else 50}, 6.25)

    def open(self, progress: Progress | None = None) -> SourceInfo:
        raise AssertionError("asking for the price reads nothing")

    def dates(self, start: dt.date, end: dt.date) -> Iterator[SourceDate]:
        raise AssertionError("asking for the price reads nothing")


def test_it_bills_what_the_source_below_bills(tmp_path: Path, below: Path, read: Read) -> None:
    over = read(tmp_path / "none.csv")
    assert Overlaid(Billed(), over).estimate().total_bytes == 100
    assert Overlaid(Billed(), over).estimate(FIRST).total_bytes == 50
    with pytest.raises(SourceError, match="bills nothing"):
        Overlaid(read(below), over).estimate()


def test_corrections_beyond_the_sources_dates_are_refused(tmp_path: Path, below: Path, read: Read) -> None:
    over = fixes(tmp_path, {"STATION": OTHER, "DATE": "2024-05-01"})
    with pytest.raises(SourceError, match="dates from 2024-05-01 to 2024-05-01, beyond those of .*: take them out"):
        Overlaid(read(below), read(over)).open()


def test_rows_that_the_cleaner_set_aside_go_round_by_the_file_and_come_back_as_they_were(tmp_path: Path, below: Path, cache: Path) -> None:
    plain = rows_of(open_source(f"file:{below}", cache=cache))
    letters = [
        DeadLetter("min_above_max", "", "cleaner", "run", 1, row["station"], str(row["date"]), row) for row in plain.to_pylist()
    ]  # fmt: skip
    letters.append(DeadLetter("undecodable", "", "trainer", "run", 2, original={"seq": "2"}, payload=b"x"))
    text, count = rows_as_csv(to_rows(letters).to_pylist())
    assert count == plain.num_rows
    file = saved(tmp_path / "corrected.csv", text)
    assert rows_of(open_source(f"overlay:{file}:file:{below}", cache=cache)) == plain


def test_a_row_that_the_source_set_aside_can_be_mended_in_the_file(tmp_path: Path, below: Path, cache: Path) -> None:
    saved(below / "bad.csv", csv_text({"STATION": NEW, "DATE": str(SECOND), "TEMP": "warm", "FRSHTT": "010010"}))
    (letter,) = letters_of(open_source(f"file:{below}", cache=cache))
    text, count = rows_as_csv(to_rows([letter]).to_pylist())
    assert count == 1
    assert json.loads(letter.original_json)["temp"] == "warm"
    file = saved(tmp_path / "corrected.csv", text.replace("warm", "70.0"))
    laid = open_source(f"overlay:{file}:file:{below}", cache=cache)
    assert letters_of(laid) == []
    (row,) = rows_of(laid).filter(pa.compute.field("station") == NEW).to_pylist()
    assert (row["temp"], row["thunder"], row["rain_drizzle"], row["hail"]) == (70.0, True, True, False)
