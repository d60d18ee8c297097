"""Station says what the store holds of one station."""

from __future__ import annotations

import datetime as dt

import pytest
from playwright.sync_api import expect

from e2e.dashboard.conftest import PATIENCE, Look, Viewer, plain
from e2e.dashboard.stores import Stream
from thundercast.adapters.sqlite_reader import SqliteReader

pytestmark = pytest.mark.browser

NAME = "70003999999"
ADDRESS = f"station?station={NAME}"
READY = ".st-key-measured_prcp svg.marks"


def test_the_station_of_the_address_is_shown_with_its_days_and_its_score(stream: Stream, viewer: Viewer) -> None:
    assert viewer.text("h2 >> nth=0") == NAME
    i = stream.names.index(NAME)
    reader = SqliteReader(stream.store.path)
    said = [
        row
        for row in reader.station_predictions(stream.run_id, NAME).to_pylist()
        if (row["task"], row["model_name"]) == ("nowcast", "thunder")
    ]
    tiles = viewer.tiles("tc-small")
    thunder = sum(row["label"] for row in said)
    assert tiles["Days observed"] == ("3", "up to 10 May 2022")
    assert tiles["Thunder"] == (str(thunder), "of 3 days")
    assert tiles["Latest probability"] == (f"{100 * said[-1]['probability']:.1f} %", "of thunder on 10 May 2022")
    assert tiles["Brier score"] == (f"{sum((r['probability'] - r['label']) ** 2 for r in said) / 3:.3f}", "of 3 days")
    assert tiles["Reports thunder"][0] == ("none reported" if stream.silent[i] else "yes")
    assert viewer.words("said").startswith(f"8 May 2022 to 10 May 2022: thunder on {thunder} of 3 days")


def test_what_was_filled_in_is_marked(stream: Stream, viewer: Viewer) -> None:
    history = SqliteReader(stream.store.path).station_history(stream.run_id, NAME).to_pylist()
    filled_in = sum(row["temp_imputed"] for row in history)
    assert viewer.words("measured_temp") == f"10 May 2022: {history[-1]['temp']:.1f} °C; {filled_in} of 3 days filled in."
    assert viewer.words("measured_slp") == f"10 May 2022: {history[-1]['slp']:,.1f} hPa; 0 of 3 days filled in."
    rows = [plain(row.inner_text()).split("\t") for row in viewer.page.locator(".tc-rows tbody tr").all()]
    assert [row[0] for row in rows] == ["10 May 2022", "9 May 2022", "8 May 2022"]
    assert [row[4] for row in rows] == [f"{row['temp']:.1f}{'*' if row['temp_imputed'] else ''}" for row in history[::-1]]


def test_the_pointer_over_a_chart_shows_the_date_and_what_was_measured(stream: Stream, viewer: Viewer) -> None:
    history = SqliteReader(stream.store.path).station_history(stream.run_id, NAME).to_pylist()
    row = history[-1]
    for name, title in (("slp", "Pressure at sea level (hPa)"), ("said", "")):
        shown = viewer.pointed(viewer.page.locator(f".st-key-{'measured_' if title else ''}{name} svg .mark-symbol path").last)
        assert shown["Date of the stream"] in {str(each["date"]) for each in history}
        if title:
            assert (shown["Date of the stream"], shown[title]) == (str(row["date"]), f"{row[name]:.1f}")


def test_the_day_ahead_has_the_outcomes_that_came_later(stream: Stream, look: Look) -> None:
    viewer = look(ADDRESS + "&task=dayahead&model=river-logistic", await_selector=READY)
    reader = SqliteReader(stream.store.path)
    said = [
        row
        for row in reader.station_predictions(stream.run_id, NAME).to_pylist()
        if (row["task"], row["model_name"]) == ("dayahead", "river-logistic")
    ]
    seen = {row["date"]: row["thunder"] for row in reader.station_history(stream.run_id, NAME).to_pylist()}
    rows = [plain(row.inner_text()).split("\t") for row in viewer.page.locator(".tc-rows tbody tr").all()]
    assert [row[1] for row in rows] == [f"{100 * row['probability']:.1f} %" for row in said[::-1]]
    assert [row[3] for row in rows] == ["thunder" if seen[row["date"]] else "none reported" for row in said[::-1]]
    assert "Model river-logistic: tomorrow's thunder" in viewer.text("p.tc-about >> nth=0")


def test_a_station_that_is_not_kept_is_named(stream: Stream, look: Look) -> None:
    viewer = look("station?station=99999999999", await_selector=".tc-blank")
    assert viewer.text(".tc-blank h2") == "Nothing is kept of the station 99999999999"


def test_new_observations_come_by_themselves(stream: Stream, look: Look) -> None:
    viewer = look(ADDRESS, await_selector=READY)
    stream.advance(1)
    stream.write_status()
    day = stream.date - dt.timedelta(1)
    said = f"up to {day.day} May 2022"
    expect(viewer.page.locator(".tc-small .tc-tile:has(dt:text-is('Days observed')) .tc-note")).to_have_text(said, timeout=PATIENCE)
