"""Stream says what the store holds of the stream and of what was set aside."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from playwright.sync_api import expect

from e2e.dashboard.conftest import PATIENCE, Look, Viewer, plain
from e2e.dashboard.stores import START, Stream
from thundercast.domain.tables import GAPS

pytestmark = pytest.mark.browser

ADDRESS = "stream"
READY = ".st-key-letters svg.marks"


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
    assert float(viewer.page.locator(".tc-bar").get_attribute("aria-valuenow") or "") == round(100 * 130 / 901, 1)
    assert "14.4 % of the run, day 130 of 901" in viewer.text(".tc-progress")


def test_dead_letters_are_counted_by_reason_and_shown_as_text_whatever_they_hold(stream: Stream, viewer: Viewer) -> None:
    assert viewer.words("letters") == ("temperature out of range 2; a field is not of its type 1; the same station-day twice 1")
    rows = [plain(row.inner_text()).split("\t") for row in viewer.page.locator(".tc-rows tbody tr").all()]
    assert [row[1] for row in rows].count("temperature out of range") == 2
    (planted,) = [row for row in rows if row[1] == "a field is not of its type"]
    assert planted[2:] == [stream.names[3], "2022-01-06", "source", "<script>alert(1)</script>", '{"temp": "<b>warm</b>"}']


def test_each_part_is_a_box_with_what_it_says_of_itself(stream: Stream, look: Look) -> None:
    stream.write_status(component="cleaner", instance="cleaner-0", lead_dates=None, leader=None, last_error="<b>no answer</b>")
    viewer = look("stream", await_selector=".tc-part")
    parts = viewer.page.locator(".tc-part")
    expect(parts).to_have_count(4, timeout=PATIENCE)
    assert [plain(name) for name in parts.locator("h3").all_inner_texts()] == [
        "Source",
        "Cleaner and trainer, one process",
        "Cleaner",
        "Store",
    ]
    cleaner = plain(parts.nth(2).inner_text())
    assert "Last error: <b>no answer</b>" in cleaner
    assert "Ahead of the trainer" not in cleaner
    facts = dict(zip(parts.nth(1).locator("dt").all_inner_texts(), parts.nth(1).locator("dd").all_inner_texts(), strict=True))
    assert plain(facts["Speed"]) == "1,234 rows/s"
    assert plain(facts["Leads"]) == "yes"
    assert plain(facts["Watermark"]) == f"{130 * 16:,} of 14,416 batches"


def test_dead_letters_can_be_looked_at_by_reason(stream: Stream, look: Look) -> None:
    viewer = look("stream?reason=duplicate", await_selector=".st-key-letters svg.marks")
    rows = viewer.page.locator(".tc-rows tbody tr")
    expect(rows).to_have_count(1, timeout=PATIENCE)
    expect(rows.first).to_contain_text("seen twice")


def test_gaps_are_listed_where_there_are_any(stream: Stream, look: Look) -> None:
    gap = {"run_id": stream.run_id, "seq": 333, "component": "trainer", "date": START, "shard": 13}
    viewer = look("stream", await_selector=".tc-part")
    assert viewer.page.get_by_role("heading", name="Gaps").count() == 0
    stream.store.write(GAPS, pa.Table.from_pylist([gap], schema=GAPS.arrow))
    expect(viewer.page.get_by_role("region", name="Gaps").locator("tbody td")).to_have_text(
        ["1 January 2022", "333", "13", "trainer", re.compile("UTC")], timeout=PATIENCE
    )
