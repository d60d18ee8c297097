"""What looking costs: first paint, an interaction over years of metric rows, and three viewers for long beside a stream at full speed.

    python tests/benchmarks/viewers.py [--minutes 10] [--years 10]

In a real Chromium, on this machine, beside all that is measured. *First paint* is the browser's own first contentful paint and the time until
the map is drawn, on the packed sample's last day, for visitors who come for the first time. The *interaction* is another task chosen on the page
Skill, until its first chart is another one. Then three viewers walk through all pages while a stream of SYNTHETIC rows runs as fast as it
goes: the resident memory of the process that learns and of the one that serves is fitted, and what went wrong on a page or in a log is told.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bench
import numpy as np
from playwright.sync_api import Browser, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import browsers
from e2e.dashboard.conftest import FLAGS, Viewer

PAGES = {
    "": ".st-key-map canvas",
    "skill": ".st-key-panel_roc_auc svg.marks",
    "stream": ".tc-part",
    "station": "svg.marks",
    "about": ".katex",
}
"""The pages by address, and what has to be drawn there."""
VIEWERS, VISITS, STAY = 3, 5, 4.0
WARM_UP = 0.2  # of the time
PATIENCE = 60_000.0  # ms


@dataclass
class Running:
    """A `thundercast run` with its dashboard."""

    process: subprocess.Popen[bytes]
    log: Path
    address: str = ""

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, words: str, seconds: float) -> str:
        """The rest of the first line that has the words."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if found := re.search(f"{words}(.*)", self.said()):
                return found[1].strip()
            if self.process.poll() is not None:
                break
            time.sleep(0.2)
        raise SystemExit(f"no {words!r} in what it said:\n{self.said()[-3000:]}")

    def processes(self) -> dict[str, int]:
        """The process that learns and the one that serves, by their ids."""
        children = [pid for task in Path(f"/proc/{self.process.pid}/task").iterdir() for pid in (task / "children").read_text().split()]
        served = [int(pid) for pid in children if re.search(b"streamlit|dashboard", Path(f"/proc/{pid}/cmdline").read_bytes())]
        if len(served) != 1:
            raise SystemExit(f"the dashboard's process is not to be seen among {children}")
        return {"learns": self.process.pid, "serves": served[0]}


@contextmanager
def running(folder: Path, *flags: str) -> Iterator[Running]:
    log = folder / "log.txt"
    command = [str(Path(sys.executable).with_name("thundercast")), "run", "--state", str(folder), "--speed", "max"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, "--port", "0", "--metrics-port", "0", *flags], stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )
    found = Running(process, log)
    try:
        found.address = found.wait_for("Dashboard: ", 120)
        yield found
    finally:
        process.terminate()
        process.wait(120)


class Visitor(Viewer):
    """A viewer who goes from page to page."""

    def visit(self, address: str, name: str) -> float:
        """Seconds until what has to be there is drawn."""
        began = time.perf_counter()
        self.page.goto(f"{address}/{name}")
        self.page.wait_for_selector(PAGES[name], timeout=PATIENCE)
        return time.perf_counter() - began

    def look(self) -> None:
        if self.page.locator("[data-testid=stException]").count():
            self.errors.append(f"an exception is shown on {self.page.url}")


def visitor(browser: Browser) -> Visitor:
    found = Visitor(browser.new_context(viewport={"width": 1280, "height": 1000}, locale="en-GB").new_page())
    found.page.on("console", found.heard)
    found.page.on("pageerror", lambda error: found.errors.append(str(error)))
    return found


def first_paint(browser: Browser, address: str) -> dict[str, float]:
    paints, drawn = [], []
    for _ in range(VISITS):
        new = visitor(browser)
        drawn.append(new.visit(address, ""))
        paints.append(new.page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000)
        new.page.context.close()
    return {"first_contentful_paint_s": round(float(np.median(paints)), 2), "map_drawn_s": round(float(np.median(drawn)), 2)}


def interaction(browser: Browser, address: str) -> dict[str, float]:
    """Milliseconds from a click on another task until the first chart has changed."""
    looking = visitor(browser)
    looking.visit(address, "skill")
    looking.page.wait_for_timeout(3_000)
    shown, took = PAGES["skill"], []
    for turn in range(2 * VISITS):
        before = looking.page.locator(shown).first.evaluate("chart => chart.outerHTML")
        button = looking.page.locator(".st-key-choose_task button").nth((turn + 1) % 2)
        took.append(
            looking.page.evaluate(
                """([button, shown, before]) => new Promise((done, fail) => {
                    const began = performance.now();
                    const look = () => {
                        const chart = document.querySelector(shown);
                        if (chart && chart.outerHTML !== before) { watch.disconnect(); done(performance.now() - began); }
                    };
                    const watch = new MutationObserver(look);
                    watch.observe(document.querySelector(".st-key-panel_roc_auc"), {subtree: true, childList: true, attributes: true});
                    setTimeout(() => { watch.disconnect(); fail(new Error("nothing changed")); }, 30000);
                    button.click();
                })""",
                [button.element_handle(), shown, before],
            )
        )
        looking.page.wait_for_timeout(1_500)
    looking.page.context.close()
    return {"median_ms": round(float(np.median(took))), "slowest_ms": round(max(took))}


def dates_scored(at: Running) -> int:
    """Dates of metric rows, which the process that serves keeps."""
    with closing(sqlite3.connect(f"file:{at.log.parent / 'store.sqlite'}?mode=ro", uri=True, timeout=60)) as store:
        return int(store.execute("SELECT count(DISTINCT batch_id) FROM model_metrics").fetchone()[0])


def watched(browser: Browser, at: Running, minutes: float) -> dict[str, Any]:
    """Three viewers, each on the next page every few seconds."""
    viewers, names, at_first = [visitor(browser) for _ in range(VIEWERS)], list(PAGES), dates_scored(at)
    processes, began = at.processes(), time.monotonic()
    memory: dict[str, list[tuple[float, float]]] = {name: [] for name in processes}
    visits = 0
    while (passed := time.monotonic() - began) < minutes * 60:
        for i, each in enumerate(viewers):
            each.visit(at.address, names[(visits + i) % len(names)])
        visits += 1
        viewers[0].page.wait_for_timeout(STAY * 1000)
        for each in viewers:
            each.look()
        for name, pid in processes.items():
            memory[name].append((passed / 60, bench.resident(pid)))
    dates = dates_scored(at) - at_first
    kept = {name: [(t, mb) for t, mb in found if t >= WARM_UP * minutes] for name, found in memory.items()}
    fits = {
        name: {
            "first_mb": round(found[0][1]),
            "last_mb": round(found[-1][1]),
            "mb_a_minute": round(float(np.polyfit(*zip(*found, strict=True), 1)[0]), 2),
        }
        for name, found in kept.items()
    }
    complaints = [line for line in at.said().splitlines() if re.search("traceback|error|exception", line, re.IGNORECASE)]
    wrong = [text for each in viewers for text in each.errors]
    return {"pages_seen": visits * VIEWERS, "dates_scored": dates, "memory": fits, "wrong_on_pages": wrong, "wrong_in_the_log": complaints}


def main() -> None:
    """Prints what was found as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="with three viewers (default 10)")
    parser.add_argument("--years", type=int, default=10, help="of metric rows under the interaction (default 10)")
    options = parser.parse_args()
    if options.minutes < 1:
        parser.error("--minutes: a line cannot be fitted to less than one")
    chromium = browsers.chromium()
    if chromium is None:
        raise SystemExit(browsers.NONE_HERE)
    found: dict[str, Any] = {"machine": bench.machine(), "date": dt.datetime.now(dt.UTC).date().isoformat()}
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS.split())
        folder = Path(temporary)
        for name in ("sample", "years", "stream"):
            (folder / name).mkdir()
        with running(folder / "sample") as at:
            at.wait_for("dates are done", 900)
            found["first_paint"] = first_paint(browser, at.address)
            print(found["first_paint"], file=sys.stderr)
        years = ["--start", "1990-01-01", "--end", f"{1989 + options.years}-12-31"]
        with running(folder / "years", "--source", "synthetic:200,start=1960-01-01,end=2023-12-31", "--shards", "1", *years) as at:
            at.wait_for("dates are done", 1800)
            found["interaction"] = {"years": options.years, **interaction(browser, at.address)}
            print(found["interaction"], file=sys.stderr)
        with running(folder / "stream", "--source", "synthetic:5000,start=1940-01-01,end=2023-12-31") as at:
            found["three_viewers"] = {"minutes": options.minutes, **watched(browser, at, options.minutes)}
        browser.close()
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
