"""Makes the pictures in docs/images anew: replays the packed sample to a day in July and shoots every page of the dashboard.

    .venv/bin/python scripts/screenshots.py [--url ADDRESS] [--out docs/images] [--only NAME]

Needs Chromium. With ``--url`` a dashboard that is served already is shot.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, NamedTuple

from playwright.sync_api import Browser, sync_playwright

import browsers

ROOT: Final = Path(__file__).resolve().parents[1]
FLAGS: Final = (
    "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync --no-first-run --hide-scrollbars"
).split()
LAST_DATE: Final = "2023-07-12"


class Shot(NamedTuple):
    """One picture.

    Attributes:
        address: of the page, without the server's.
        drawn: what is there when the page is drawn.
    """

    name: str
    width: int
    height: int
    scheme: Literal["light", "dark"]
    address: str
    drawn: str


_MAP: Final = ".st-key-map canvas"
SHOTS: Final = (
    Shot("dashboard", 1280, 1020, "light", "", _MAP),
    Shot("dashboard-dark", 1280, 1020, "dark", "", _MAP),
    Shot("dashboard-es", 1280, 1020, "light", "?lang=es", _MAP),
    Shot("dashboard-phone", 390, 2300, "light", "", _MAP),
    Shot("dashboard-skill", 1280, 2560, "light", "skill", ".st-key-where canvas"),
    Shot("dashboard-stream", 1280, 1250, "dark", "stream", ".tc-part"),
    Shot("dashboard-station", 1280, 1900, "light", "station", ".st-key-measured_prcp svg.marks"),
    Shot("dashboard-about", 1280, 1300, "light", "about?lang=es", ".st-key-about .katex"),
)


@contextmanager
def served() -> Iterator[str]:
    """The address of a dashboard over a finished replay."""
    with tempfile.TemporaryDirectory() as state:
        command = [str(Path(sys.executable).with_name("thundercast")), "run", "--state", state, "--speed", "max", "--shards", "4"]
        command += ["--end", LAST_DATE, "--port", "0", "--metrics-port", "0"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            address = ""
            for line in process.stderr or ():
                if line.startswith("Dashboard:"):
                    address = line.split()[1]
                if "dates are done" in line:
                    break
            else:
                raise SystemExit("the replay ended before its last date")
            yield address
        finally:
            process.terminate()
            process.wait(30)


def shoot(browser: Browser, address: str, shot: Shot, out: Path) -> None:
    """Takes a picture once the charts are drawn."""
    page = browser.new_page(viewport={"width": shot.width, "height": shot.height}, color_scheme=shot.scheme, locale="en-GB")
    page.goto(address + "/" + shot.address)
    page.wait_for_selector(shot.drawn, timeout=180_000)
    page.wait_for_timeout(6_000)
    page.screenshot(timeout=120_000, path=out / f"{shot.name}.png")
    page.close()
    print(f"made {shot.name}.png")


def main() -> None:
    """Makes every picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="a dashboard that is served already")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--only", choices=[shot.name for shot in SHOTS], action="append", help="some of the pictures")
    options = parser.parse_args()
    shots = [shot for shot in SHOTS if not options.only or shot.name in options.only]
    chromium = browsers.chromium()
    if chromium is None:
        raise SystemExit(browsers.NONE_HERE)
    options.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        if options.url:
            for shot in shots:
                shoot(browser, options.url.rstrip("/"), shot, options.out)
        else:
            with served() as address:
                for shot in shots:
                    shoot(browser, address, shot, options.out)
        browser.close()


if __name__ == "__main__":
    main()
