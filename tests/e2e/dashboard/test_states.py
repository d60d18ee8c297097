"""Every state of the store and the stream has a page of its own that says what is the matter."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest
from playwright.sync_api import expect

from e2e.dashboard.conftest import PATIENCE, Look, Server
from e2e.dashboard.stores import Stream, filled
from thundercast.adapters.sqlite import SqliteStore

pytestmark = pytest.mark.browser


def test_a_missing_store_explains_itself_and_the_page_fills_once_the_stream_writes(tmp_path: Path, server: Server, look: Look) -> None:
    server.show(tmp_path)
    viewer = look("stream", await_selector=".tc-blank")
    assert viewer.text(".tc-blank h2") == "There is no store yet"
    assert str(server.store) in viewer.text(".tc-blank p")
    assert viewer.text(".tc-blank code") == "thundercast run"
    with SqliteStore(tmp_path / "store.db") as store:
        expect(viewer.page.locator(".tc-blank h2")).to_have_text("The store is still empty", timeout=PATIENCE)
        stream = Stream(store, stations=30)
        expect(viewer.page.locator(".tc-strip .tc-pill")).to_have_text("Starting", timeout=PATIENCE)
        unscored = look("skill", await_selector=".tc-blank")
        expect(unscored.page.locator(".tc-blank h2")).to_have_text("No scores yet", timeout=PATIENCE)
        stream.advance(3)
        stream.write_status()
        expect(viewer.page.locator(".tc-big")).to_have_text("3 January 2022", timeout=PATIENCE)
        expect(unscored.page.locator(".tc-four .tc-tile")).to_have_count(4, timeout=PATIENCE)
    assert viewer.page.locator(".tc-blank").count() == 0


def test_new_rows_show_within_a_few_refreshes_without_a_reload(tmp_path: Path, server: Server, look: Look) -> None:
    stream = filled(tmp_path / "store.db", days=40, stations=60)
    server.show(tmp_path)
    now = look(await_selector=".st-key-map canvas")
    viewer = look("skill", await_selector=".st-key-months svg.marks")
    expect(viewer.page.locator(".tc-strip dd").nth(1)).to_have_text("9 February 2022", timeout=PATIENCE)
    drawn = viewer.page.locator(".st-key-panel_roc_auc svg.marks").element_handle()
    stream.advance(1)
    stream.write_status()
    row = stream.latest(model_name="thunder", task="nowcast", gate="all", scope="30d")
    expect(viewer.page.locator(".tc-strip dd").nth(1)).to_have_text("10 February 2022", timeout=PATIENCE)
    expect(now.page.locator(".tc-large .tc-value").first).to_have_text(f"{row['roc_auc']:.3f}", timeout=PATIENCE)
    expect(now.page.locator(".st-key-map").locator("xpath=preceding::h2[1]")).to_have_text("The map of 10 February 2022", timeout=PATIENCE)
    expect(viewer.page.locator(".st-key-panel_roc_auc .tc-words")).to_contain_text(f"thunder {row['roc_auc']:.3f}", timeout=PATIENCE)
    assert drawn is not None
    assert drawn.evaluate("element => element.isConnected"), "the chart was drawn anew instead of moved on"
    stream.store.close()


def test_an_empty_store_explains_itself(tmp_path: Path, server: Server, look: Look) -> None:
    SqliteStore(tmp_path / "store.db").close()
    server.show(tmp_path)
    viewer = look("?lang=es", await_selector=".tc-blank")
    assert viewer.text(".tc-blank h2") == "El almacén todavía está vacío"
    assert str(server.store) in viewer.text(".tc-blank p")


def test_a_store_of_another_program_is_named_with_the_way_out(tmp_path: Path, server: Server, look: Look) -> None:
    connection = sqlite3.connect(tmp_path / "store.db")
    connection.execute("CREATE TABLE songs (title TEXT)")
    connection.close()
    server.show(tmp_path)
    viewer = look(await_selector=".tc-blank")
    assert viewer.text(".tc-blank h2") == "This store cannot be read"
    assert "another program" in viewer.text(".tc-blank p")
    assert "name another place" in viewer.text(".tc-blank p")


def test_a_stream_without_news_is_called_stale_and_keeps_its_last_numbers(tmp_path: Path, server: Server, look: Look) -> None:
    with SqliteStore(tmp_path / "store.db", clock=lambda: time.time() - 200) as store:
        stream = Stream(store, stations=30)
        stream.advance(5)
        stream.write_status()
    server.show(tmp_path)
    viewer = look("stream", await_selector=".tc-banner")
    assert viewer.text(".tc-strip .tc-pill") == "No news"
    assert viewer.text(".tc-banner strong").startswith("No news from the stream for 3 min")
    assert viewer.text(".tc-big") == "5 January 2022"
    assert viewer.tiles("tc-small")["Watermark"] == ("80", "of 14,416 batches")


@pytest.mark.parametrize(
    ("state", "run_state", "banner", "pill"),
    [
        ("completed", "completed", "The run is complete", "Complete"),
        ("failed", "running", "The stream has failed", "Failed"),
        ("stopped", "running", "The stream has been stopped", "Stopped"),
        ("waiting", "running", None, "Waiting"),
    ],
)
def test_the_end_of_a_stream_is_told_as_it_was(
    tmp_path: Path, server: Server, look: Look, state: str, run_state: str, banner: str | None, pill: str
) -> None:
    with SqliteStore(tmp_path / "store.db") as store:
        stream = Stream(store, stations=30, synthetic=False, source="sample", rights="NOAA/NCEI")
        stream.advance(5)
        stream.write_status(state, detail="<i>the disk is full</i>", last_error="no space left")
        stream.write_run(run_state)
    server.show(tmp_path)
    viewer = look("stream", await_selector=".tc-strip .tc-pill")
    assert viewer.text(".tc-strip .tc-pill") == pill
    assert viewer.text(".tc-strip .tc-badge") == "Real observations"
    banners = [text.split("\n")[0] for text in viewer.page.locator(".tc-banner strong").all_inner_texts()]
    assert banners == ([banner] if banner else [])
    assert "<i>the disk is full</i>" in viewer.text(".tc-state")
    if state == "failed":
        assert viewer.text(".tc-banner span") == "<i>the disk is full</i> no space left"


def test_scores_that_are_not_defined_are_dashes_and_never_numbers(tmp_path: Path, server: Server, look: Look) -> None:
    with SqliteStore(tmp_path / "store.db") as store:
        stream = Stream(store, stations=20)
        stream.silent[:] = True
        stream.advance(3)
        stream.write_status()
        row = stream.latest(model_name="thunder", task="nowcast", gate="all", scope="30d")
        assert (row["positives"], row["roc_auc"], row["pr_auc"]) == (0, None, None)
    server.show(tmp_path)
    viewer = look(await_selector=".tc-large")
    tiles = viewer.tiles("tc-large")
    for title in ("ROC AUC", "PR AUC"):
        assert tiles[title] == ("\N{EN DASH}", "not defined while only one outcome has been seen")
    viewer = look("skill", await_selector=".st-key-panel_roc_auc svg.marks")
    assert viewer.tiles("tc-four")["POD"][0] == "\N{EN DASH}"
    assert "thunder \N{EN DASH}" in viewer.words("panel_roc_auc")
    assert viewer.page.locator(".st-key-panel_roc_auc svg .mark-line path[d*='L']").count() == 0


def test_a_store_that_does_not_answer_leaves_the_last_numbers_with_a_word_of_it(tmp_path: Path, server: Server, look: Look) -> None:
    whole, barred = tmp_path / "whole", tmp_path / "barred"
    whole.mkdir()
    (barred / "store.db").mkdir(parents=True)
    stream = filled(whole / "store.db", days=10, stations=30)
    server.show(whole)
    viewer = look(await_selector=".st-key-map canvas")
    numbers = viewer.tiles("tc-large")
    server.show(barred)
    expect(viewer.page.locator(".tc-banner strong")).to_have_text("The store does not answer", timeout=PATIENCE)
    expect(viewer.page.locator(".tc-banner span")).to_contain_text("could not be read")
    assert viewer.tiles("tc-large") == numbers
    assert viewer.page.locator(".st-key-map canvas").count() == 1
    server.show(whole)
    expect(viewer.page.locator(".tc-banner")).to_have_count(0, timeout=PATIENCE)
    stream.store.close()
