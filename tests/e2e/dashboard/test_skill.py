"""Skill says what the store holds of the scores."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest
from playwright.sync_api import expect

from e2e.dashboard.conftest import PATIENCE, Look, Viewer, plain
from e2e.dashboard.stores import START, Stream, bins
from thundercast.adapters.sqlite_reader import SqliteReader
from thundercast.domain.scores import days
from thundercast.domain.tables import MODEL_EVENTS

pytestmark = pytest.mark.browser

ADDRESS = "skill"
SUMMED = ("rows", "positives", "brier", "log_loss", "roc_auc", "tp", "fp", "fn", "tn")
READY = ".st-key-counts svg.marks"
TITLES = {"roc_auc": "ROC AUC", "pr_auc": "PR AUC", "brier_skill": "Brier skill", "hss": "HSS", "csi": "CSI"}


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


@pytest.mark.parametrize("day", [dt.date(2022, 5, 10), dt.date(2022, 4, 1)])
def test_the_pointer_over_a_panel_shows_the_date_and_what_every_model_scored(stream: Stream, viewer: Viewer, day: dt.date) -> None:
    of_day = {
        row["model_name"]: row
        for row in stream.metrics
        if (row["task"], row["gate"], row["scope"], row["date"]) == ("nowcast", "all", "30d", day)
    }
    last = max(row["date"] for row in stream.metrics)
    rows = {"Date of the stream": str(day), "Station-days": f"{of_day['thunder']['rows']:,}"}
    for score in ("roc_auc", "brier_skill"):
        panel = viewer.page.locator(f".st-key-panel_{score} svg")
        at = viewer.pointed(panel.locator(".mark-rect path").nth(-1 - (last - day).days))
        expected = {name: f"{row[score]:.3f}" for name, row in of_day.items() if score != "brier_skill" or name != "climatology"}
        assert at == rows | expected
        assert panel.locator(".mark-symbol path").count() == len(expected), "each is marked by a dot"
    rain = viewer.pointed(viewer.page.locator(".st-key-panel_base_rate svg .mark-rect path").nth(-1 - (last - day).days))
    share = of_day["thunder"]["positives"] / of_day["thunder"]["rows"]
    assert rain == rows | {"Thunder days": f"{100 * share:.1f} %"}


def test_the_reliability_diagram_has_the_shares_and_the_counts_of_the_store(stream: Stream, viewer: Viewer) -> None:
    rows = bins(stream.latest(model_name="thunder", task="nowcast", gate="all", scope="30d"))
    said, counted = viewer.words("reliability"), viewer.words("counts")
    for i, (count, total, seen) in enumerate(rows):
        assert f"{10 * i}\N{EN DASH}{10 * (i + 1)} % {count:,}" in counted
        if count:
            assert f"given {100 * total / count:.0f} %, came {100 * seen / count:.0f} % ({count:,} station-days)" in said
    filled_bins = sum(1 for count, _, _ in rows if count)
    assert viewer.page.locator(".st-key-reliability svg .mark-symbol path").count() == filled_bins


def test_the_leaderboard_has_the_scores_of_all_days_with_their_bounds(stream: Stream, viewer: Viewer) -> None:
    of_day = [row for row in stream.metrics if (row["task"], row["gate"], row["scope"]) == ("nowcast", "all", "day")]
    sums = {
        name: days.sums({column: [row[column] for row in of_day if row["model_name"] == name] for column in SUMMED})
        for name in ("thunder", "river-logistic", "climatology")
    }
    board = days.leaderboard(sums, baseline="climatology", champion="thunder")
    rows = {
        plain(row.locator("td").first.inner_text()): [plain(cell.inner_text()) for cell in row.locator("td").all()[1:]]
        for row in viewer.page.get_by_role("region", name="champion").locator("tbody tr").all()
    }
    assert set(rows) == {"thunder ★", "river-logistic", "climatology"}
    for name, cells in rows.items():
        own = board[name.removesuffix(" ★")]
        for cell, score in zip(cells, ("brier_skill", "roc_auc", "hss", "csi"), strict=False):
            value, bounds = own[score]
            assert value is not None
            assert bounds is not None
            assert cell.split() == [f"{value:.3f}", f"({bounds[0]:.3f}", "to", f"{bounds[1]:.3f})"]
    assert rows["thunder ★"][4] == "\N{EN DASH}"
    assert f"thunder {board['thunder']['brier_skill'][0]:.3f} (" in viewer.words("board")
    assert "of blocks of 5 days, from 130 days" in viewer.text("p.tc-about >> nth=0")


def test_the_price_of_a_miss_sets_the_best_threshold(stream: Stream, look: Look) -> None:
    viewer = look("skill?miss=30", await_selector=".st-key-costs svg.marks")
    last = stream.metrics[-1]["date"]
    found = (
        SqliteReader(stream.store.path).outcomes(stream.run_id, last - dt.timedelta(29), last, task="nowcast", model="thunder").to_pylist()
    )
    assert len(found) == 3 * 200
    candidates = sorted({row["probability"] for row in found}, reverse=True)
    costs = [
        sum((30 if row["label"] else 0) if row["probability"] < at else (0 if row["label"] else 1) for row in found) for at in candidates
    ]
    best = candidates[costs.index(min(costs))]
    tp = sum(row["probability"] >= best and row["label"] == 1 for row in found)
    fp = sum(row["probability"] >= best and row["label"] == 0 for row in found)
    positives = sum(row["label"] for row in found)
    assert viewer.tiles("tc-price") == {
        "Best threshold": (f"{100 * best:.1f} %", "3.2 % if the probabilities were true"),
        "POD": (f"{100 * tp / positives:.0f} %", f"of {positives} station-days with thunder"),
        "FAR": (f"{100 * fp / (tp + fp):.0f} %", f"of {tp + fp} warnings"),
        "Cost per station-day": (f"{min(costs) / len(found):.3f}", "in false alarms"),
    }


def test_the_skill_of_a_month_is_that_of_its_days(stream: Stream, viewer: Viewer) -> None:
    said = viewer.words("months")
    for month, name in ((1, "January"), (5, "May")):
        brier = {
            model: sum(row["brier"] * row["rows"] for row in stream.metrics if row["date"].month == month and (row["model_name"], row["task"], row["gate"], row["scope"]) == (model, "nowcast", "all", "day"))
            for model in ("thunder", "climatology")
        }  # fmt: skip
        assert f"{name} {1 - brier['thunder'] / brier['climatology']:.3f}" in said


def test_a_chart_can_be_taken_away_as_numbers_and_as_a_picture(stream: Stream, look: Look) -> None:
    viewer = look("skill?model=river-logistic&stations=reporting", await_selector=".st-key-panel_roc_auc svg.marks")
    with viewer.page.expect_download() as waiting:
        viewer.page.locator(".st-key-csv_panel_roc_auc button >> visible=true").first.click()
    lines = waiting.value.path().read_text().splitlines()
    row = stream.latest(model_name="thunder", task="nowcast", gate="reporting", scope="30d")
    assert waiting.value.suggested_filename == "thundercast-panel_roc_auc.csv"
    assert lines[0] == '"date","model","value","rows"'
    date, model, value, rows = lines[-1].split(",")
    assert (date, model, int(rows)) == (str(row["date"]), '"thunder"', row["rows"])
    assert float(value) == pytest.approx(row["roc_auc"])
    assert len(lines) == 1 + 3 * 130
    viewer.page.locator(".st-key-panel_roc_auc [data-testid=stVegaLiteChart]").hover()
    with viewer.page.expect_download() as waiting:
        viewer.page.get_by_role("button", name="Download as PNG: ROC AUC").dispatch_event("click")
    assert waiting.value.path().read_bytes().startswith(b"\x89PNG")


def test_changes_of_champion_and_drift_are_marked_where_the_store_has_them(stream: Stream, look: Look) -> None:
    viewer = look("skill?task=dayahead", await_selector=".st-key-panel_csi svg.marks")
    assert "new champion" not in viewer.text(".tc-legend >> nth=0")
    event = {
        "run_id": stream.run_id,
        "date": START + dt.timedelta(60),
        "task": "dayahead",
        "model_name": "river-logistic",
        "event": "champion",
        "detail": "{}",
    }
    stream.store.write(MODEL_EVENTS, pa.Table.from_pylist([event], schema=MODEL_EVENTS.arrow))
    expect(viewer.page.locator(".tc-legend").first).to_contain_text("new champion", timeout=PATIENCE)
    expect(viewer.page.locator(".st-key-panel_csi svg .mark-rule.role-mark line")).to_have_count(1, timeout=PATIENCE)
    expect(viewer.page.get_by_role("region", name="champion").locator("tbody")).to_contain_text("river-logistic ★", timeout=PATIENCE)
