"""Over the store of a distributed system the page shows what it shows over a file; and what that store complains of."""

from __future__ import annotations

import datetime as dt
import json
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest
from google.cloud import bigquery
from playwright.sync_api import Browser, expect
from typer.testing import CliRunner

import emulators
from e2e.dashboard.conftest import PATIENCE, Look, Server, Viewer, looking, serving
from e2e.dashboard.stores import START, Stream
from thundercast.adapters.google.bigquery_clients import rest_client
from thundercast.adapters.google.bigquery_schema import ensure_tables
from thundercast.adapters.google.bigquery_store import BigQueryStore
from thundercast.adapters.settings import CloudSettings
from thundercast.adapters.sqlite import SqliteStore
from thundercast.domain.tables import MODEL_EVENTS, Table
from thundercast_standalone.cli import app

pytestmark = pytest.mark.browser

DRAWN = {
    "": ".st-key-map canvas",
    "skill": ".st-key-counts svg.marks",
    "stream": ".st-key-letters svg.marks",
    "station": ".st-key-measured_prcp svg.marks",
    "about": ".st-key-about",
}
CHARTS = {
    "": ("map",),
    "skill": ("panel_roc_auc", "panel_pr_auc", "panel_brier_skill", "reliability", "board", "costs", "months"),
    "stream": ("letters",),
    "station": ("said", "measured_temp"),
    "about": (),
}
TILES = {"": ("tc-large",), "skill": ("tc-four",), "stream": ("tc-small",), "station": ("tc-small",), "about": ()}


class Both(SqliteStore):
    """Writes the same rows to a file and to BigQuery."""

    def __init__(self, path: Path, other: BigQueryStore) -> None:
        super().__init__(path)
        self._other = other

    def write(self, table: Table, rows: pa.Table) -> None:
        super().write(table, rows)
        self._other.write(table, rows)


@pytest.fixture
def cloud(bigquery_emulator: emulators.Running) -> CloudSettings:
    return CloudSettings(project="demo-project", dataset=f"d{uuid.uuid4().hex[:12]}")


@pytest.fixture
def distributed(cloud: CloudSettings, tmp_path: Path) -> Iterator[Server]:
    """A dashboard of the dataset."""
    env = {"THUNDERCAST_PROJECT": cloud.project, "THUNDERCAST_DATASET": cloud.dataset}
    with serving(tmp_path, "bigquery", env) as shown:
        yield shown


@pytest.fixture
def look_there(browser: Browser, distributed: Server) -> Iterator[Look]:
    with looking(browser, distributed) as look:
        yield look


def _shown(viewer: Viewer, address: str) -> dict[str, object]:
    """Every number of a page that does not depend on the moment of looking."""
    viewer.page.locator(DRAWN[address]).first.wait_for()
    tiles = {kind: viewer.tiles(kind) for kind in TILES[address]}
    for shown in tiles.values():
        # Its age goes on from second to second.
        shown.pop("Checkpoint", None)
    tables = [viewer.text(f"table >> nth={i}") for i in range(viewer.page.locator("table").count())]
    charts = {name: viewer.words(name) for name in CHARTS[address]}
    assert all(charts.values())
    return {"about": viewer.page.locator(".tc-about").all_inner_texts(), **tiles, "tables": tables, **charts}


@contextmanager
def _filled(cloud: CloudSettings, path: Path) -> Iterator[Stream]:
    """The same 35 days in a file and in the dataset."""
    ensure_tables(cloud)
    # The stand-in may be slow: it shares the machine with the browser.
    with BigQueryStore(cloud, patience=60) as other, Both(path, other) as store:
        stream = Stream(store, stations=40)
        stream.advance(35, whole=2)
        stream.write_letters()
        stream.write_status(component="trainer", instance="trainer-0")
        yield stream


def test_the_same_rows_make_the_same_pages(cloud: CloudSettings, tmp_path: Path, server: Server, look: Look, look_there: Look) -> None:
    with _filled(cloud, tmp_path / "store.db") as stream:
        server.show(tmp_path)
        for address, drawn in DRAWN.items():
            here, there = look(address, await_selector=drawn), look_there(address, await_selector=drawn)
            for viewer in (here, there):
                expect(viewer.page.locator(".tc-strip dd").nth(1)).to_have_text("4 February 2022", timeout=PATIENCE)
            assert _shown(there, address) == _shown(here, address)
            here.page.close()
        stream.advance(1)
        stream.write_status(component="trainer", instance="trainer-0")
        expect(there.page.locator(".tc-strip dd").nth(1)).to_have_text("5 February 2022", timeout=PATIENCE)


def test_the_same_rows_make_the_same_report(cloud: CloudSettings, tmp_path: Path) -> None:
    with _filled(cloud, tmp_path / "store.sqlite") as stream:
        for day, detail in (
            (0, {"instead_of": "thunder", "led_before": True}),
            (20, {"instead_of": "climatology", "brier_better_by": 0.002}),
        ):
            event = {"task": "nowcast", "model_name": "river-logistic", "event": "champion", "detail": json.dumps(detail)}
            row = {"run_id": stream.run_id, "date": START + dt.timedelta(day), **event}
            stream.store.write(MODEL_EVENTS, pa.Table.from_pylist([row], schema=MODEL_EVENTS.arrow))
    pages = []
    for place in (["--state", str(tmp_path)], ["--bigquery", "--project", cloud.project, "--dataset", cloud.dataset]):
        out = tmp_path / f"{len(pages)}.html"
        done = CliRunner().invoke(app, ["report", *place, "--out", str(out)])
        assert done.exit_code == 0, done.output
        # What clips a chart is numbered by the process that draws it.
        pages.append(re.sub(r"clip\d+", "clip", out.read_text(encoding="utf-8")))
    here, there = pages
    assert here == there
    assert "instead of thunder: it led the run before, whose models this run goes on with" in here
    assert "instead of climatology; Brier score better by 0.00200" in here


def test_tables_that_are_not_there_are_named_with_the_command_that_makes_them_and_the_page_fills_by_itself(
    cloud: CloudSettings, look_there: Look
) -> None:
    viewer = look_there(await_selector=".tc-blank")
    assert viewer.text(".tc-blank h2") == "There is no store yet"
    assert f"demo-project.{cloud.dataset}.runs" in viewer.text(".tc-blank p")
    assert viewer.text(".tc-blank code") == "thundercast bootstrap"
    ensure_tables(cloud)
    expect(viewer.page.locator(".tc-blank h2")).to_have_text("The store is still empty", timeout=PATIENCE)
    assert f"BigQuery, demo-project.{cloud.dataset}" in viewer.text(".tc-blank p")


def test_a_table_of_another_schema_is_named(cloud: CloudSettings, distributed: Server, browser: Browser) -> None:
    client = rest_client(cloud.project)
    client.create_dataset(cloud.dataset)
    client.create_table(bigquery.Table(f"demo-project.{cloud.dataset}.runs", schema=[bigquery.SchemaField("run_id", "INTEGER")]))
    with looking(browser, distributed) as look:
        viewer = look(await_selector=".tc-blank")
        assert viewer.text(".tc-blank h2") == "This store cannot be read"
        assert f"demo-project.{cloud.dataset}.runs" in viewer.text(".tc-blank p")
        assert "run_id" in viewer.text(".tc-blank p")


def test_a_service_that_is_away_is_said_to_be_and_the_page_keeps_trying(tmp_path: Path, browser: Browser) -> None:
    port = emulators.free_port()
    env = {"BIGQUERY_EMULATOR_HOST": f"http://127.0.0.1:{port}", "BIGQUERY_STORAGE_EMULATOR_HOST": f"127.0.0.1:{port}"}
    with serving(tmp_path, "bigquery", env) as shown, looking(browser, shown) as look:
        viewer = look(await_selector=".tc-blank")
        assert viewer.text(".tc-blank h2") == "The store does not answer"
        assert f"the emulator at http://127.0.0.1:{port} (variable BIGQUERY_EMULATOR_HOST) does not answer" in viewer.text(".tc-blank p")
