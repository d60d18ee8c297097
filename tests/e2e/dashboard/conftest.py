"""A dashboard in a real browser: one server, to which each test shows a store of its own."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect, sync_playwright

import browsers
from e2e.dashboard.stores import Stream, filled
from thundercast_dashboard.serve import command

FLAGS = (
    "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync --no-first-run "
    "--force-prefers-reduced-motion"
)
PATIENCE = 150_000.0
"""Milliseconds in which anything must appear that will."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    found = browsers.chromium()
    if found is None:
        pytest.skip(browsers.NONE_HERE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS.split())
        yield browser
        browser.close()


@dataclass
class Server:
    """The dashboard's server. It reads the store in the folder that it is shown.

    Attributes:
        folder: a link that is turned to the store of the test.
        log: what the server says.
    """

    url: str
    folder: Path
    log: Path

    @property
    def store(self) -> Path:
        return self.folder / "store.db"

    def show(self, folder: Path) -> None:
        new = self.folder.with_name("next")
        new.symlink_to(folder, target_is_directory=True)
        new.replace(self.folder)

    def complaints(self) -> list[str]:
        """Lines of the log that tell of an error or a deprecation."""
        return [
            line for line in self.log.read_text().splitlines() if re.search("traceback|error|exception|warn|deprecat", line, re.IGNORECASE)
        ]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("dashboard")
    (home / "nothing").mkdir()
    (home / "shown").symlink_to(home / "nothing", target_is_directory=True)
    with serving(home, home / "shown" / "store.db") as shown:
        yield shown


@contextmanager
def serving(home: Path, store: Path | str, env: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server of its own for a store."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shown = Server(f"http://127.0.0.1:{port}", home / "shown", home / "log.txt")
    with shown.log.open("wb") as log:
        process = subprocess.Popen(
            command(store, port), env=os.environ | (env or {}), stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
    try:
        _await(f"{shown.url}/_stcore/health", process)
        yield shown
    finally:
        process.terminate()
        process.wait(20)


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert process.poll() is None, f"the server ended with {process.returncode}"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except urllib.error.URLError:
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
    raise AssertionError(f"{url} did not answer")


@dataclass
class Viewer:
    """A browser page that keeps what went wrong on it."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)

    def heard(self, message: ConsoleMessage) -> None:
        # Streamlit looks for its server beside the page before it looks one folder up; what it does not find there is no failure.
        looked = re.search(r"/[a-z]+/_stcore/(health|host-config)$", message.location["url"])
        if message.type == "error" and not looked:
            self.errors.append(message.text)

    def text(self, selector: str) -> str:
        """The text of the one element that is there, with plain spaces."""
        return plain(self.page.locator(selector).inner_text(timeout=PATIENCE))

    def pointed(self, mark: Locator) -> dict[str, str]:
        """What the pointer over a mark of a chart has shown: value by title, with plain spaces."""
        mark.scroll_into_view_if_needed()
        mark.hover(force=True)
        shown = self.page.locator("#vg-tooltip-element.visible")
        shown.wait_for(timeout=PATIENCE)
        return {plain(row.locator(".key").inner_text()): plain(row.locator(".value").inner_text()) for row in shown.locator("tr").all()}

    def tiles(self, kind: str) -> dict[str, tuple[str, str]]:
        """Label: (value, note) of a group of tiles."""
        found = {}
        for tile in self.page.locator(f".{kind} .tc-tile").all():
            value, note = tile.locator(".tc-value").inner_text(), tile.locator(".tc-note").inner_text()
            found[plain(tile.locator("dt").inner_text())] = (plain(value), plain(note))
        return found

    def words(self, name: str) -> str:
        """What a chart says, in words."""
        return plain(self.page.locator(f".st-key-{name} .tc-words").text_content(timeout=PATIENCE) or "")


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-").strip()


Look = Callable[..., Viewer]


@contextmanager
def looking(browser: Browser, server: Server) -> Iterator[Look]:
    """Opens pages; at the end no page and no line of the log may tell of an error, and nothing may have been fetched from elsewhere."""
    before = len(server.complaints())
    opened: list[tuple[BrowserContext, Viewer]] = []

    def open_page(
        address: str = "",
        *,
        width: int = 1440,
        theme: Literal["light", "dark"] = "light",
        locale: str = "en-US",
        await_selector: str = "h1",
    ) -> Viewer:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme, locale=locale)
        viewer = Viewer(context.new_page())
        viewer.page.set_default_timeout(PATIENCE)
        viewer.page.on("pageerror", lambda error: viewer.errors.append(str(error)))
        viewer.page.on("console", viewer.heard)
        viewer.page.on("request", lambda request: viewer.requested.append(request.url))
        opened.append((context, viewer))
        viewer.page.goto(f"{server.url}/{address}")
        viewer.page.locator(await_selector).first.wait_for()
        return viewer

    yield open_page
    for context, viewer in opened:
        assert viewer.errors == []
        if viewer.page.is_closed():
            context.close()
            continue
        assert viewer.page.locator("[data-testid=stException]").count() == 0
        assert "Traceback" not in viewer.page.locator("body").inner_text()
        assert [url for url in viewer.requested if not url.startswith((server.url, "data:", "blob:"))] == []
        context.close()
    assert server.complaints()[before:] == []


@pytest.fixture
def look(browser: Browser, server: Server) -> Iterator[Look]:
    """Opens pages for one test."""
    with looking(browser, server) as look:
        yield look


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stream]:
    """A stream of 130 dates that still runs, for the tests of one module."""
    stream = filled(tmp_path_factory.mktemp("filled") / "store.db")
    yield stream
    stream.store.close()


@pytest.fixture
def stream(written: Stream, server: Server) -> Stream:
    """The same, shown, and with a word of it just now."""
    written.write_status()
    server.show(written.store.path.parent)
    return written


@pytest.fixture(scope="module")
def opened(request: pytest.FixtureRequest, written: Stream, browser: Browser, server: Server) -> Iterator[Viewer]:
    """A wide, light, English page that no test touches: the module says which (ADDRESS), and what is there when all is drawn (READY)."""
    server.show(written.store.path.parent)
    with looking(browser, server) as look:
        yield look(request.module.ADDRESS, await_selector=request.module.READY)


@pytest.fixture
def viewer(stream: Stream, opened: Viewer) -> Viewer:
    """The page, once it shows that the stream runs."""
    expect(opened.page.locator(".tc-strip .tc-pill")).to_have_text("Running", timeout=PATIENCE)
    return opened
