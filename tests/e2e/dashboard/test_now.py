"""Now says what the store holds of the newest date."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from playwright.sync_api import expect

from e2e.dashboard.conftest import PATIENCE, Look, Viewer, plain
from e2e.dashboard.stores import Stream
from thundercast.adapters.sqlite_reader import SqliteReader
from thundercast_dashboard.palette import LIGHT

pytestmark = pytest.mark.browser

ADDRESS = ""
READY = ".st-key-map canvas"
TITLES = {"roc_auc": "ROC AUC", "pr_auc": "PR AUC", "brier_skill": "Brier skill", "hss": "HSS", "csi": "CSI"}


def _key_numbers(stream: Stream, task: str, gate: str) -> dict[str, tuple[str, str]]:
    model = stream.latest(model_name="thunder", task=task, gate=gate, scope="30d")
    base = stream.latest(model_name="climatology", task=task, gate=gate, scope="30d")
    return {title: (f"{model[score]:.3f}", f"climatology {base[score]:.3f}") for score, title in TITLES.items()}


def test_the_key_numbers_are_the_champions_of_the_last_30_days_with_climatology_beside_them(stream: Stream, viewer: Viewer) -> None:
    assert viewer.tiles("tc-large") == _key_numbers(stream, "nowcast", "all")
    row = stream.latest(model_name="thunder", task="nowcast", gate="all", scope="30d")
    about = viewer.text("p.tc-about:has-text('Model thunder: the same day'):not(:has-text('Probability'))")
    assert f"{row['rows']:,} station-days up to 10 May 2022" in about
    assert f"thunder on {100 * row['positives'] / row['rows']:.1f} % of them" in about


@pytest.mark.parametrize(("task", "gate"), [("dayahead", "all"), ("dayahead", "reporting")])
def test_task_and_stations_can_be_chosen(stream: Stream, look: Look, task: str, gate: str) -> None:
    viewer = look(await_selector=".tc-large")
    viewer.page.get_by_text("Day ahead", exact=True).click()
    if gate == "reporting":
        viewer.page.get_by_text("That report thunder", exact=True).click()
    wanted = _key_numbers(stream, task, gate)
    for title, (value, _) in wanted.items():
        expect(viewer.page.locator(f".tc-large .tc-tile:has(dt:text-is('{title}')) .tc-value")).to_have_text(
            value.replace("-", "\N{MINUS SIGN}"), timeout=PATIENCE
        )
    assert viewer.tiles("tc-large") == wanted


def test_the_map_has_each_station_and_a_ring_where_thunder_was_reported(stream: Stream, viewer: Viewer) -> None:
    last = stream.metrics[-1]["date"]
    found = SqliteReader(stream.store.path).predictions(stream.run_id, last, task="nowcast", model="thunder").to_pylist()
    thunder = [row for row in found if row["label"] == 1]
    warned = [row for row in found if row["probability"] >= row["threshold"]]
    assert len(found) == 200
    about = viewer.text("p.tc-about:has-text('Probability of thunder at')")
    assert "Probability of thunder at 200 stations" in about
    hits = sum(1 for row in warned if row["label"] == 1)
    assert f"Thunder was reported at {len(thunder)} of them; {len(warned)} reached the threshold" in about
    assert f"{hits} of these rightly" in about
    highest = max(found, key=lambda row: row["probability"])
    assert f"highest: {highest['station']} {100 * highest['probability']:.0f} %" in viewer.words("map")
    seen = viewer.page.evaluate(
        """() => {
            const canvas = document.querySelector('.st-key-map canvas');
            const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
            const seen = {};
            for (let i = 0; i < data.length; i += 4) {
                const hex = '#' + [0, 1, 2].map(j => data[i + j].toString(16).padStart(2, '0')).join('');
                if (data[i + 3] === 255) seen[hex] = (seen[hex] || 0) + 1;
            }
            return seen;
        }"""
    )
    for colour in (LIGHT.land, LIGHT.happened, *LIGHT.ramp):
        assert seen.get(colour, 0) > 5, colour


def test_the_day_ahead_map_is_of_the_newest_forecast(stream: Stream, look: Look) -> None:
    viewer = look(await_selector=".st-key-map canvas")
    viewer.page.get_by_text("Day ahead", exact=True).click()
    expect(viewer.page.locator("p.tc-about", has_text="Probability of thunder at")).to_contain_text("tomorrow's thunder", timeout=PATIENCE)
    found = (
        SqliteReader(stream.store.path).predictions(stream.run_id, stream.metrics[-1]["date"], task="dayahead", model="thunder").to_pylist()
    )
    thunder = sum(1 for row in found if row["label"] == 1)
    assert f"Thunder was reported at {thunder} of them" in viewer.text("p.tc-about:has-text('Probability of thunder at')")


def test_the_strongest_signals_and_the_greatest_surprises_are_those_of_the_store(stream: Stream, viewer: Viewer) -> None:
    last = stream.metrics[-1]["date"]
    found = SqliteReader(stream.store.path).predictions(stream.run_id, last, task="nowcast", model="thunder").to_pylist()
    strongest = sorted(found, key=lambda row: (-row["probability"], row["station"]))[:8]
    surprises = sorted(found, key=lambda row: (-abs(row["probability"] - row["label"]), row["station"]))[:8]
    for name, wanted in (("Strongest signals", strongest), ("Greatest surprises", surprises)):
        rows = [plain(row.inner_text()).split("\t") for row in viewer.page.get_by_role("region", name=name).locator("tbody tr").all()]
        assert [(row[0], row[2]) for row in rows] == [(row["station"], f"{100 * row['probability']:.1f} %") for row in wanted]
        assert [row[3] for row in rows] == ["thunder" if row["label"] else "none reported" for row in wanted]


def test_an_address_with_a_date_task_and_model_shows_them_and_the_newest_is_one_step_away(stream: Stream, look: Look) -> None:
    before = stream.metrics[-1]["date"] - dt.timedelta(1)
    viewer = look(f"?date={before}&task=dayahead&model=river-logistic", await_selector=".st-key-map canvas")
    heading = viewer.page.locator(".st-key-map").locator("xpath=preceding::h2[1]")
    expect(heading).to_have_text("The map of 9 May 2022", timeout=PATIENCE)
    found = SqliteReader(stream.store.path).predictions(stream.run_id, before, task="dayahead", model="river-logistic").to_pylist()
    thunder = sum(row["label"] == 1 for row in found)
    about = viewer.text("p.tc-about:has-text('Probability of thunder at')")
    assert "Model river-logistic: tomorrow's thunder" in about
    assert f"Thunder was reported at {thunder} of them" in about
    viewer.page.get_by_text("Newest", exact=True).click()
    expect(heading).to_have_text("The map of 10 May 2022", timeout=PATIENCE)
    expect(viewer.page).to_have_url(re.compile(r"\?(?!.*date=).*task=dayahead"), timeout=PATIENCE)
    assert "model=river-logistic" in viewer.page.url


def test_a_station_that_is_found_leads_to_its_history(stream: Stream, look: Look) -> None:
    name = stream.names[5]
    viewer = look(await_selector=".st-key-search input")
    box = viewer.page.locator(".st-key-search input")
    box.click()
    box.press_sequentially(name[:6])
    viewer.page.get_by_role("option", name=name).click()
    (row,) = [
        row
        for row in SqliteReader(stream.store.path)
        .predictions(stream.run_id, stream.metrics[-1]["date"], task="nowcast", model="thunder")
        .to_pylist()
        if row["station"] == name
    ]
    expect(viewer.page.locator(".tc-found b")).to_have_text(f"{100 * row['probability']:.1f}\N{NO-BREAK SPACE}%", timeout=PATIENCE)
    viewer.page.get_by_role("link", name="Its history").click()
    expect(viewer.page.locator("h2").first).to_have_text(name, timeout=PATIENCE)
    expect(viewer.page).to_have_url(re.compile(rf"/station\?station={name}$"), timeout=PATIENCE)
