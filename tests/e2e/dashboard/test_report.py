"""A report in a real browser: nothing is fetched, everything can be read, on a narrow page too."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from e2e.dashboard.stores import Stream
from e2e.dashboard.test_access import RULES
from thundercast.adapters.sqlite_reader import SqliteReader
from thundercast_dashboard.feed import Feed
from thundercast_dashboard.texts import Texts
from thundercast_standalone.report import report

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("width", "language"), [(1280, "en"), (390, "es")])
def test_a_report_can_be_read_by_all(stream: Stream, browser: Browser, tmp_path: Path, width: int, language: str) -> None:
    reader = SqliteReader(stream.store.path)
    page_of_it = report(Feed(reader).snapshot(), Texts(language))
    reader.close()
    (tmp_path / "report.html").write_text(page_of_it, encoding="utf-8")
    with browser.new_context(viewport={"width": width, "height": 900}) as context:
        page, asked, said = context.new_page(), [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        address = (tmp_path / "report.html").as_uri()
        page.goto(address)
        assert asked == [address]
        assert said == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("svg[role=img]").count() == 20
        found = Axe().run(page, options=RULES).response["violations"]
        assert [(violation["id"], node["html"][:200]) for violation in found for node in violation["nodes"]] == []
