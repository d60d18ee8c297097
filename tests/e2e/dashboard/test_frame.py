"""What holds for every page: languages, themes, widths, and the way from one to the other."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from e2e.dashboard.conftest import PATIENCE, Look
from e2e.dashboard.stores import Stream
from thundercast_dashboard.palette import DARK, LIGHT

pytestmark = pytest.mark.browser

DRAWN = {
    "": ".st-key-map canvas",
    "skill": ".st-key-counts svg.marks",
    "stream": ".st-key-letters svg.marks",
    "station": ".st-key-measured_prcp svg.marks",
    "about": ".st-key-about",
}
"""What is there when a page is drawn, by its address."""


def test_the_pages_lead_to_each_other_and_the_language_goes_along(stream: Stream, look: Look) -> None:
    viewer = look("?lang=es", await_selector=DRAWN[""])
    for name, address in (("Acierto", "skill"), ("Flujo", "stream"), ("Estación", "station"), ("Datos", "about")):
        viewer.page.locator(".st-key-pages").get_by_role("link", name=name).click()
        expect(viewer.page).to_have_url(re.compile(rf"/{address}\?lang=es(&station=\d+)?$"), timeout=PATIENCE)
        viewer.page.locator(DRAWN[address]).first.wait_for()
        expect(viewer.page.locator("h1")).to_have_count(1)
        expect(viewer.page.locator(".st-key-pages [class*=_here]")).to_have_text(name)
    viewer.page.locator(".st-key-pages").get_by_role("link", name="Ahora").click()
    expect(viewer.page.locator("h1")).to_have_text("La fecha más reciente", timeout=PATIENCE)
    expect(viewer.page).to_have_url(re.compile(r"/\?lang=es$"), timeout=PATIENCE)


@pytest.mark.parametrize("way", ["address", "switch", "browser"])
def test_the_page_speaks_spanish(stream: Stream, look: Look, way: str) -> None:
    viewer = look(
        "skill?lang=es" if way == "address" else "skill",
        locale="es-MX" if way == "browser" else "en-US",
        await_selector=".st-key-panel_csi svg.marks",
    )
    if way == "switch":
        viewer.page.get_by_role("radiogroup").or_(viewer.page.get_by_test_id("stButtonGroup")).first.get_by_text("es", exact=True).click()
    expect(viewer.page.locator("h1")).to_have_text("Acierto a lo largo del flujo", timeout=PATIENCE)
    if way == "switch":
        expect(viewer.page).to_have_url(re.compile(r"[?&]lang=es$"))
    row = stream.latest(model_name="thunder", task="nowcast", gate="all", scope="30d")
    expect(viewer.page.locator(".tc-four .tc-value").nth(2)).to_have_text(f"{row['csi']:.3f}".replace(".", ","), timeout=PATIENCE)
    assert "10 de mayo de 2022" in viewer.text(".tc-strip")
    expect(viewer.page.locator(".st-key-panel_hss svg .role-axis-label text", has_text="ene 22")).to_have_count(1, timeout=PATIENCE)
    expect(viewer.page.locator(".st-key-panel_hss svg .role-axis-label text", has_text="0,0")).to_have_count(1)
    text = viewer.page.locator("body").inner_text()
    for english in ("Skill", "Date of the stream", "Station-days", "climatology"):
        assert english not in text


@pytest.mark.parametrize(("theme", "query"), [("light", "?lang=es"), ("dark", "")])
@pytest.mark.parametrize("address", DRAWN)
def test_a_phone_shows_everything_without_scrolling_sideways(stream: Stream, look: Look, address: str, theme: str, query: str) -> None:
    viewer = look(address + query, width=390, theme=theme, await_selector=DRAWN[address])
    sizes = viewer.page.evaluate("[document.documentElement, document.querySelector('[data-testid=stMain]')].map(e => e.scrollWidth)")
    assert max(sizes) <= 390
    wide = viewer.page.evaluate(
        """() => [...document.querySelectorAll('.stMainBlockContainer *')]
            .filter(e => !e.closest('.tc-scroll, .katex') && e.getBoundingClientRect().right > 391).map(e => e.className || e.tagName)"""
    )
    assert wide == []


@pytest.mark.parametrize(
    ("theme", "page", "said"), [("light", "rgb(255, 255, 255)", "rgb(67, 56, 202)"), ("dark", "rgb(18, 19, 28)", "rgb(165, 160, 255)")]
)
def test_dark_and_light_pages_have_their_own_colours(stream: Stream, look: Look, theme: str, page: str, said: str) -> None:
    viewer = look("skill", theme=theme, await_selector=".st-key-panel_csi svg.marks")
    expect(viewer.page.locator(".stApp")).to_have_css("background-color", page, timeout=PATIENCE)
    expect(viewer.page.locator(".st-key-pages [class*=_here] p")).to_have_css("color", said, timeout=PATIENCE)
    strokes = viewer.page.locator(".st-key-panel_csi svg.marks .mark-line path").evaluate_all(
        "all => all.map(p => p.getAttribute('stroke'))"
    )
    assert (LIGHT if theme == "light" else DARK).said in strokes
