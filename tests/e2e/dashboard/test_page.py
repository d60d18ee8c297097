"""The page says what the store holds: every number is compared with the rows that were written."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from e2e.dashboard.conftest import PATIENCE, Look, Server, Viewer, looking, plain
from e2e.dashboard.stores import Stream, bins, filled
from thundercast.adapters.sqlite_reader import SqliteReader
from thundercast_dashboard.palette import LIGHT

pytestmark = pytest.mark.browser

TITLES = {"roc_auc": "ROC AUC", "pr_auc": "PR AUC", "brier_skill": "Brier skill", "hss": "HSS", "csi": "CSI"}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stream]:
    stream = filled(tmp_path_factory.mktemp("filled") / "store.db")
    yield stream
    stream.store.close()


@pytest.fixture
def stream(written: Stream, server: Server) -> Stream:
    written.write_status()
    server.show(written.store.path.parent)
    return written


@pytest.fixture(scope="module")
def opened(written: Stream, browser: Browser, server: Server) -> Iterator[Viewer]:
    """A wide, light, English page that no test touches."""
    server.show(written.store.path.parent)
    with looking(browser, server) as look:
        yield look(await_selector=".st-key-letters svg.marks")


@pytest.fixture
def viewer(stream: Stream, opened: Viewer) -> Viewer:
    expect(opened.page.locator(".tc-pill")).to_have_text("Running", timeout=PATIENCE)
    return opened


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


def test_the_stream_is_where_its_status_says(stream: Stream, viewer: Viewer) -> None:
    tiles = viewer.tiles("tc-small")
    checkpoint = tiles.pop("Checkpoint")
    assert tiles == {
        "Speed": ("1,234", "rows/s"),
        "Learnt from": (f"{130 * 200:,}", "station-days"),
        "Watermark": (f"{130 * 16:,}", "of 14,416 batches"),
        "Held out of order": ("3", "batches"),
        "Duplicates": ("2", "batches, ignored"),
        "Gaps": ("1", "batches given up"),
        "Dead letters": ("4", "set aside"),
    }
    assert checkpoint[0].endswith(" s")
    assert checkpoint[1] == "ago, 3.5 MB"
    assert viewer.text(".tc-big") == "10 May 2022"
    assert viewer.text(".tc-pill") == "Running"
    assert float(viewer.page.locator(".tc-bar").get_attribute("aria-valuenow") or "") == round(100 * 130 / 901, 1)
    assert "14.4 % of the run, day 130 of 901" in viewer.text(".tc-progress")


def test_the_contingency_table_has_the_counts_at_the_fixed_threshold_and_the_scores_made_from_it(stream: Stream, viewer: Viewer) -> None:
    row = stream.latest(model_name="thunder", task="nowcast", gate="all", scope="30d")
    base = stream.latest(model_name="climatology", task="nowcast", gate="all", scope="30d")
    for cell in ("tp", "fp", "fn", "tn"):
        assert viewer.text(f".tc-table .tc-{cell} b") == f"{row[cell]:,}"
    assert viewer.tiles("tc-four") == {
        "POD": (f"{100 * row['pod']:.0f} %", f"climatology {100 * base['pod']:.0f} %"),
        "FAR": (f"{100 * row['far']:.0f} %", f"climatology {100 * base['far']:.0f} %"),
        "CSI": (f"{row['csi']:.3f}", f"climatology {base['csi']:.3f}"),
        "HSS": (f"{row['hss']:.3f}", f"climatology {base['hss']:.3f}"),
    }
    assert f"({100 * row['threshold']:.1f} % on 10 May 2022)" in viewer.text("p.tc-about:has-text('reached the threshold (')")


def test_each_panel_draws_every_model_and_says_its_last_value(stream: Stream, viewer: Viewer) -> None:
    for score, title in TITLES.items():
        said = viewer.words(f"panel_{score}")
        chart = viewer.page.locator(f".st-key-panel_{score} [data-testid=stVegaLiteChart]")
        assert chart.get_attribute("aria-label") == f"{title} of the 30 days up to each date, by model"
        assert said.startswith("Latest, 10 May 2022: ")
        for model in ("thunder", "river-logistic", "climatology"):
            value = stream.latest(model_name=model, task="nowcast", gate="all", scope="30d")[score]
            assert f"{model} {value:.3f}" in said
        lines = viewer.page.locator(f".st-key-panel_{score} svg .mark-line path")
        assert lines.count() == (2 if score == "brier_skill" else 3)
        for line in lines.all():
            assert (line.get_attribute("d") or "").count("L") > 100
    row = stream.latest(model_name="thunder", task="nowcast", gate="all", scope="30d")
    assert f"thunder {100 * row['positives'] / row['rows']:.1f} %" in viewer.words("panel_base_rate")


def test_the_reliability_diagram_has_the_shares_and_the_counts_of_the_store(stream: Stream, viewer: Viewer) -> None:
    rows = bins(stream.latest(model_name="thunder", task="nowcast", gate="all", scope="30d"))
    said, counted = viewer.words("reliability"), viewer.words("counts")
    for i, (count, total, seen) in enumerate(rows):
        assert f"{10 * i}\N{EN DASH}{10 * (i + 1)} % {count:,}" in counted
        if count:
            assert f"given {100 * total / count:.0f} %, came {100 * seen / count:.0f} % ({count:,} station-days)" in said
    filled_bins = sum(1 for count, _, _ in rows if count)
    assert viewer.page.locator(".st-key-reliability svg .mark-symbol path").count() == filled_bins


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


def test_dead_letters_are_counted_by_reason_and_shown_as_text_whatever_they_hold(stream: Stream, viewer: Viewer) -> None:
    assert viewer.words("letters") == ("temperature out of range 2; a field is not of its type 1; the same station-day twice 1")
    rows = [plain(row.inner_text()).split("\t") for row in viewer.page.locator(".tc-rows tbody tr").all()]
    assert [row[1] for row in rows].count("temperature out of range") == 2
    (planted,) = [row for row in rows if row[1] == "a field is not of its type"]
    assert planted[2:] == [stream.names[3], "2022-01-06", "<script>alert(1)</script>", '{"temp": "<b>warm</b>"}']


def test_the_data_say_where_they_come_from_and_that_they_are_synthetic(stream: Stream, viewer: Viewer) -> None:
    assert viewer.text(".tc-badge") == "Synthetic data\nThese rows are generated. Nothing on this page is an observation."
    source = viewer.text(".tc-source")
    for part in ("synthetic:200", "1 January 2022 to 19 June 2024", stream.run_id, "generated by the tests of the dashboard"):
        assert part in source


def test_the_page_explains_its_scores_and_what_a_zero_may_mean(stream: Stream, look: Look) -> None:
    viewer = look(await_selector=".st-key-about")
    viewer.page.locator(".st-key-about summary").click()
    explained = viewer.page.locator(".st-key-about")
    expect(explained).to_contain_text('0 may mean "no", or "not reported"')
    expect(explained).to_contain_text("Brier skill = 1 − Brier(model) / Brier(climatology)")


@pytest.mark.parametrize("way", ["address", "switch", "browser"])
def test_the_page_speaks_spanish(stream: Stream, look: Look, way: str) -> None:
    viewer = look(
        "?lang=es" if way == "address" else "",
        locale="es-MX" if way == "browser" else "en-US",
        await_selector=".st-key-panel_csi svg.marks",
    )
    if way == "switch":
        viewer.page.get_by_role("radiogroup").or_(viewer.page.get_by_test_id("stButtonGroup")).first.get_by_text("es", exact=True).click()
    expect(viewer.page.locator("h2").first).to_have_text("Por dónde va el flujo", timeout=PATIENCE)
    if way == "switch":
        expect(viewer.page).to_have_url(re.compile(r"[?&]lang=es$"))
    row = stream.latest(model_name="thunder", task="nowcast", gate="all", scope="30d")
    expect(viewer.page.locator(".tc-large .tc-value").first).to_have_text(f"{row['roc_auc']:.3f}".replace(".", ","), timeout=PATIENCE)
    assert viewer.text(".tc-big") == "10 de mayo de 2022"
    expect(viewer.page.locator(".st-key-panel_hss svg .role-axis-label text", has_text="ene 22")).to_have_count(1, timeout=PATIENCE)
    expect(viewer.page.locator(".st-key-panel_hss svg .role-axis-label text", has_text="0,0")).to_have_count(1)
    text = viewer.page.locator("body").inner_text()
    for english in ("Where the stream stands", "Dead letters", "Station-days", "climatology"):
        assert english not in text


@pytest.mark.parametrize(("theme", "query"), [("light", "?lang=es"), ("dark", "")])
def test_a_phone_shows_everything_without_scrolling_sideways(stream: Stream, look: Look, theme: str, query: str) -> None:
    viewer = look(query, width=390, theme=theme, await_selector=".st-key-letters svg.marks")
    sizes = viewer.page.evaluate("[document.documentElement, document.querySelector('[data-testid=stMain]')].map(e => e.scrollWidth)")
    assert max(sizes) <= 390
    wide = viewer.page.evaluate(
        """() => [...document.querySelectorAll('.stMainBlockContainer *')]
            .filter(e => !e.closest('.tc-scroll') && e.getBoundingClientRect().right > 391).map(e => e.className || e.tagName)"""
    )
    assert wide == []
    assert viewer.tiles("tc-large").keys() >= {"ROC AUC"} or query


def test_dark_and_light_pages_have_their_own_colours(stream: Stream, look: Look) -> None:
    colours = {}
    for theme in ("light", "dark"):
        viewer = look(theme=theme, await_selector=".tc-score .tc-value")
        colours[theme] = viewer.page.evaluate(
            "[getComputedStyle(document.querySelector('.stApp')).backgroundColor, getComputedStyle(document.querySelector('.tc-score .tc-value')).color]"
        )
    assert colours == {"light": ["rgb(255, 255, 255)", "rgb(67, 56, 202)"], "dark": ["rgb(18, 19, 28)", "rgb(165, 160, 255)"]}
