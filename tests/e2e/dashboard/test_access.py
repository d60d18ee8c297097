"""Every page can be used by keyboard and screen reader: axe-core finds nothing to object to, in both themes."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe

from e2e.dashboard.conftest import Look
from e2e.dashboard.stores import Stream

pytestmark = pytest.mark.browser

DRAWN = {
    "": ".st-key-map canvas", "skill": ".st-key-counts svg.marks", "stream": ".st-key-letters svg.marks",
    "station": ".st-key-measured_prcp svg.marks", "about": ".st-key-about .katex",
}  # fmt: skip
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "resultTypes": ["violations"]}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("address", DRAWN)
def test_axe_finds_no_violation(stream: Stream, look: Look, address: str, theme: str) -> None:
    viewer = look(address, theme=theme, await_selector=DRAWN[address])
    found = Axe().run(viewer.page, options=RULES).response["violations"]
    said = [(violation["id"], node["target"], node["html"][:200]) for violation in found for node in violation["nodes"]]
    assert said == []
