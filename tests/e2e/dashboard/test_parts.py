"""The dashboard's parts that need no browser: one reading for all, charts that say what the tables hold, texts in both languages."""

from __future__ import annotations

import datetime as dt
import json
import re
import string
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from babel.messages.pofile import read_po

from e2e.dashboard.stores import Stream, filled
from thundercast.adapters.reading import StoreMismatch, StoreMissing
from thundercast.adapters.sqlite import SqliteStore
from thundercast.adapters.sqlite_reader import SqliteReader
from thundercast.domain.deadletters import REASONS
from thundercast.domain.tables import MODEL_METRICS, RUNS
from thundercast.stage.protocols import Unavailable
from thundercast_dashboard import charts, maps
from thundercast_dashboard.data import STALE_AFTER, Phase, Snapshot, by_flow, champion, latest
from thundercast_dashboard.feed import Feed
from thundercast_dashboard.palette import DARK, LIGHT
from thundercast_dashboard.serve import command
from thundercast_dashboard.texts import FOLDER, LANGUAGES, Texts, preferred


class Counting:
    """A reader that counts what it is asked, and can be made to fail."""

    def __init__(self, reader: SqliteReader) -> None:
        self.reader = reader
        self.asked: Counter[str] = Counter()
        self.rows = 0
        self.failure: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        def ask(*args: Any, **kwargs: Any) -> Any:
            self.asked[name] += 1
            if self.failure is not None:
                raise self.failure
            answer = getattr(self.reader, name)(*args, **kwargs)
            self.rows += answer.num_rows if name == "metrics" else 0
            return answer

        return ask


class Time:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def stream(tmp_path: Path) -> Any:
    stream = filled(tmp_path / "store.db", days=12, stations=30)
    yield stream
    stream.store.close()


def _feed(stream: Stream) -> tuple[Feed, Counting, Time]:
    reader, clock = Counting(SqliteReader(stream.store.path)), Time()
    return Feed(reader, every=1.0, clock=clock), reader, clock


def test_a_hundred_viewers_cost_as_many_readings_as_one(stream: Stream) -> None:
    feed, reader, clock = _feed(stream)
    for _ in range(100):
        snapshot = feed.snapshot()
        feed.on_map(stream.run_id, "nowcast", "thunder", stream.metrics[-1]["date"])
        feed.on_date(stream.run_id, "nowcast", "thunder", stream.metrics[0]["date"], stream.metrics[-1]["date"])
        feed.window(stream.run_id, "nowcast", "thunder", stream.metrics[-1]["date"])
        feed.station(stream.run_id, stream.names[0])
    # The two scopes of metrics; the map and the date.
    twice = {"metrics", "predictions"}
    assert reader.asked == {name: 2 if name in twice else 1 for name in reader.asked}
    assert set(reader.asked) >= {"runs", "status", "dead_letters", "gaps", "events", "outcomes", "station_history", "station_predictions"}
    clock.now += 1.0
    assert feed.snapshot() is not snapshot
    assert reader.asked["metrics"] == 4


def test_only_new_rows_are_read_and_the_fold_equals_a_reading_of_everything(stream: Stream) -> None:
    feed, reader, clock = _feed(stream)
    feed.snapshot()
    first = reader.rows
    stream.advance(1)
    clock.now += 1.0
    snapshot = feed.snapshot()
    assert reader.rows - first == 2 * 2 * 2 * 3  # scopes, tasks, gates, models: one date
    order = [(name, "ascending") for name in MODEL_METRICS.key]
    for scope in ("30d", "day"):
        everything = SqliteReader(stream.store.path).metrics(stream.run_id, scope=scope).sort_by(order).to_pylist()
        last = max(row["date"] for row in everything)
        # The bins of the reliability diagram are kept of the last days only, as no others are shown.
        expected = [row if row["date"] >= last - dt.timedelta(7) else row | {"reliability": None} for row in everything]
        assert snapshot.metrics[scope].sort_by(order).to_pylist() == expected
        assert {row["date"] for row in expected if row["reliability"]} == (
            {last - dt.timedelta(i) for i in range(8)} if scope == "30d" else set()
        )


def test_a_row_that_is_written_again_takes_the_place_of_the_old_one(stream: Stream) -> None:
    feed, _, clock = _feed(stream)
    before = feed.snapshot().metrics["30d"].num_rows
    row = stream.latest(model_name="thunder", task="nowcast", gate="all", scope="30d")
    again = [{"run_id": stream.run_id} | row | {"roc_auc": 0.125}]
    stream.store.write(MODEL_METRICS, pa.Table.from_pylist(again, schema=MODEL_METRICS.arrow))
    clock.now += 1.0
    snapshot = feed.snapshot()
    assert snapshot.metrics["30d"].num_rows == before
    assert latest(snapshot.series("nowcast", "all"))["thunder"]["roc_auc"] == 0.125


def test_a_window_reads_only_dates_that_it_does_not_have_and_equals_a_reading_of_all(stream: Stream) -> None:
    feed, reader, clock = _feed(stream)
    closed = stream.metrics[-1]["date"]
    for _ in range(3):
        stream.advance(1)
        clock.now += 1.0
        closed = stream.metrics[-1]["date"]
        found = feed.window(stream.run_id, "nowcast", "thunder", closed)
    assert found is not None
    whole = SqliteReader(stream.store.path).outcomes(stream.run_id, closed - dt.timedelta(29), closed, task="nowcast", model="thunder")
    assert found.equals(whole.select(found.column_names))
    clock.now += 1.0
    before = reader.asked["outcomes"]
    feed.window(stream.run_id, "nowcast", "thunder", closed)
    assert reader.asked["outcomes"] == before == 3
    later = feed.window(stream.run_id, "nowcast", "thunder", closed)
    assert later is not None
    assert later.num_rows == whole.num_rows


def test_an_older_run_can_be_looked_at_by_its_name(stream: Stream) -> None:
    feed, _, _ = _feed(stream)
    row = {"run_id": "20270101T000000Z-00000000", "state": "running", "start_date": dt.date(2022, 1, 1), "end_date": dt.date(2022, 1, 2)}
    stream.store.write(RUNS, pa.Table.from_pylist([row], schema=RUNS.arrow))
    newest, older, unknown = feed.snapshot(), feed.snapshot(stream.run_id), feed.snapshot("nobody's")
    assert [snapshot.run["run_id"] for snapshot in (newest, older, unknown) if snapshot.run] == [
        row["run_id"],
        stream.run_id,
        row["run_id"],
    ]
    assert older.scored
    assert not newest.scored


def test_a_newer_run_takes_the_place_of_the_old_one(stream: Stream) -> None:
    feed, _, clock = _feed(stream)
    assert feed.snapshot().scored
    row = {"run_id": "20270101T000000Z-00000000", "state": "running", "start_date": dt.date(2022, 1, 1), "end_date": dt.date(2022, 1, 2)}
    stream.store.write(RUNS, pa.Table.from_pylist([row], schema=RUNS.arrow))
    clock.now += 1.0
    snapshot = feed.snapshot()
    assert snapshot.run is not None
    assert snapshot.run["run_id"] == row["run_id"]
    assert not snapshot.scored
    assert snapshot.phase(clock.now) == "starting"


@pytest.mark.parametrize(
    ("failure", "phase", "kept"),
    [(Unavailable("locked"), "running", True), (StoreMissing("gone"), "missing", False), (StoreMismatch("other"), "mismatch", False)],
)
def test_a_store_that_fails_is_told_of_and_what_was_read_stays_while_it_may_come_back(
    stream: Stream, failure: Exception, phase: Phase, kept: bool
) -> None:
    feed, reader, clock = _feed(stream)
    before = feed.snapshot()
    shown = feed.on_map(stream.run_id, "nowcast", "thunder", stream.metrics[-1]["date"])
    reader.failure = failure
    clock.now += 1.0
    after = feed.snapshot()
    assert after.problem is not None
    assert after.detail == str(failure)
    assert after.metrics["30d"].num_rows == (before.metrics["30d"].num_rows if kept else 0)
    assert before.status is not None
    assert after.phase(before.status["written_at"].timestamp()) == phase
    assert feed.on_map(stream.run_id, "nowcast", "thunder", stream.metrics[-1]["date"]) == shown
    reader.failure = None
    clock.now += 1.0
    assert feed.snapshot().problem is None


def test_a_first_reading_that_fails_has_nothing_to_show(tmp_path: Path) -> None:
    feed = Feed(SqliteReader(tmp_path / "store.db"))
    assert feed.snapshot().phase(0.0) == "missing"
    assert feed.on_map("run", "nowcast", "thunder", dt.date(2022, 1, 1)) is None
    SqliteStore(tmp_path / "store.db").close()
    assert Feed(SqliteReader(tmp_path / "store.db")).snapshot().phase(0.0) == "empty"


@pytest.mark.parametrize(
    ("state", "silent"), [("running", "stale"), ("waiting", "stale"), ("completed", "completed"), ("failed", "failed")]
)
def test_silence_makes_a_stream_stale_unless_it_has_ended(state: str, silent: Phase) -> None:
    status = {"component": "trainer", "state": state, "written_at": dt.datetime.fromtimestamp(500.0, dt.UTC)}
    snapshot = Snapshot(run={"state": "running"}, statuses=[status])
    assert snapshot.phase(500.0 + STALE_AFTER) == state
    assert snapshot.phase(500.1 + STALE_AFTER) == silent


def test_the_champion_is_the_one_named_last_else_thunder_else_the_first_model_that_is_not_the_baseline() -> None:
    assert champion(["climatology", "logistic", "thunder"], [], "nowcast") == "thunder"
    assert champion(["river-logistic", "climatology", "logistic"], [], "nowcast") == "logistic"
    named = [{"event": "champion", "task": "nowcast", "model_name": name} for name in ("thunder", "logistic")]
    assert champion(["climatology", "logistic", "thunder"], named, "nowcast") == "logistic"
    assert champion(["climatology", "logistic", "thunder"], named, "dayahead") == "thunder"
    assert (
        champion(["climatology", "thunder"], [*named, {"event": "drift", "task": "nowcast", "model_name": "thunder"}], "nowcast")
        == "thunder"
    )


def test_the_parts_come_in_the_order_of_the_flow() -> None:
    rows = [{"component": name, "instance": "0"} for name in ("trainer", "other", "cleaner-2-of-3", "cleaner-1-of-3", "simulator")]
    assert [row["component"] for row in by_flow(rows)] == ["simulator", "cleaner-1-of-3", "cleaner-2-of-3", "trainer", "other"]


# --- charts -----------------------------------------------------------------------------------------------


def _series(values: list[float | None]) -> pa.Table:
    day = dt.date(2022, 1, 1)
    rows = [
        {"date": day + dt.timedelta(i), "model_name": "thunder", "roc_auc": value, "rows": 10, "positives": 0 if value is None else 1}
        for i, value in enumerate(values)
    ]
    return pa.Table.from_pylist(rows, schema=MODEL_METRICS.arrow)


def test_a_score_that_is_not_defined_is_a_gap_and_never_a_number() -> None:
    figure = charts.score_over_time(
        _series([0.75, None, 0.5]), "roc_auc", models=["thunder"], champion="thunder", texts=Texts("en"), palette=LIGHT
    )
    data = figure.data["scores"]
    assert isinstance(data, pa.Table)
    assert data.column("value").to_pylist() == [0.75, None, 0.5]
    assert data.column("day").to_pylist() == [1_640_995_200_000.0 + i * 86_400_000.0 for i in range(3)]
    assert figure.words == "Latest, 3 January 2022: thunder 0.500."


def test_long_series_are_thinned_to_dates_that_were_there_with_the_last_one() -> None:
    values = [i / 5_000 for i in range(5_000)]
    thin = charts.thinned(_series(values))
    assert charts.MAX_POINTS / 2 < thin.num_rows <= charts.MAX_POINTS
    assert thin.column("roc_auc")[-1].as_py() == values[-1]
    assert set(thin.column("roc_auc").to_pylist()) <= set(values)


def test_reliability_leaves_out_empty_bins_and_gives_shares() -> None:
    figure = charts.reliability([(4, 0.4, 1), (0, 0.0, 0), (2, 1.5, 2)], model="thunder", texts=Texts("en"), palette=LIGHT)
    data = figure.data["bins"]
    assert isinstance(data, pa.Table)
    assert data.select(["rows", "said", "seen"]).to_pylist() == [
        {"rows": 4.0, "said": 0.1, "seen": 0.25},
        {"rows": 2.0, "said": 0.75, "seen": 1.0},
    ]


def test_a_chart_looks_the_same_whatever_its_data_so_that_it_is_not_drawn_anew(stream: Stream) -> None:
    feed, _, _ = _feed(stream)
    series = feed.snapshot().series("nowcast", "all")
    specs = {
        charts.score_over_time(part, "csi", models=["thunder", "climatology"], champion="thunder", texts=Texts("en"), palette=LIGHT).spec
        for part in (series, series.slice(0, 6))
    }
    assert len(specs) == 1
    assert len(latest(series)) == 3


def test_a_chart_can_be_taken_away_as_a_table_of_dates_and_numbers() -> None:
    figure = charts.score_over_time(
        _series([0.75, None]), "roc_auc", models=["thunder"], champion="thunder", texts=Texts("en"), palette=LIGHT
    )
    assert figure.csv().decode().splitlines() == [
        '"date","model","value","rows"',
        '2022-01-01,"thunder",0.75,10',
        '2022-01-02,"thunder",,10',
    ]


def test_events_are_marked_only_where_there_are_any() -> None:
    def drawn(events: list[dict[str, Any]]) -> charts.Figure:
        return charts.score_over_time(
            _series([0.75, 0.5]), "csi", models=["thunder"], champion="thunder", texts=Texts("en"), palette=LIGHT, events=events
        )

    assert "events" not in drawn([]).data
    marked = drawn([{"date": dt.date(2022, 1, 2), "event": "champion", "model_name": "thunder"}])
    assert isinstance(marked.data["events"], pa.Table)
    assert marked.data["events"].to_pylist() == [{"day": 1_641_081_600_000.0, "event": "new champion", "model": "thunder"}]
    assert '"events"' in marked.spec


def test_skill_by_place_is_that_of_the_rows_in_each_cell() -> None:
    rng = np.random.default_rng(11)
    n = 400
    base = {
        "date": pa.array([dt.date(2022, 6, 1 + i % 30) for i in range(n)]), "station": pa.array([f"S{i:03d}" for i in range(n)]),
        "label": pa.array([None if i % 50 == 0 else int(rng.random() < 0.3) for i in range(n)], pa.int64()),
        "lat": pa.array(np.where(np.arange(n) % 2, 31.0, -2.5)), "lon": pa.array(np.where(np.arange(n) % 2, -99.0, 179.0)),
    }  # fmt: skip
    said, usual = rng.random(n), rng.random(n)
    cells = maps.cells(pa.table(base | {"probability": said}), pa.table(base | {"probability": usual}))
    assert [(cell["south"], cell["west"]) for cell in cells] == [(-5.0, 175.0), (30.0, -100.0)]
    labels = base["label"].to_pylist()
    for odd, cell in enumerate(cells):
        chosen = [i for i in range(n) if i % 2 == odd and labels[i] is not None]
        brier = [sum((p[i] - labels[i]) ** 2 for i in chosen) for p in (said, usual)]
        assert cell["rows"] == len(chosen)
        assert cell["brier_skill"] == pytest.approx(1 - brier[0] / brier[1])
    assert maps.cells(pa.table(base | {"probability": said}).slice(0, 100), pa.table(base | {"probability": usual})) == []


def _places(south: float, north: float, west: float, east: float, count: int = 60) -> tuple[Any, Any]:
    rng = np.random.default_rng(3)
    return rng.uniform(south, north, count), (rng.uniform(west, east, count) + 180.0) % 360.0 - 180.0


@pytest.mark.parametrize(
    ("place", "projection"),
    [
        ((25, 49, -124, -67), "conicEqualArea"),
        ((-44, -11, 114, 153), "conicEqualArea"),
        ((-10, 8, 96, 140), "equirectangular"),
        ((50, 70, 150, 200), "conicEqualArea"),
        ((-50, 65, -170, 175), "equalEarth"),
    ],
)
def test_the_map_shows_the_part_of_the_world_where_the_stations_are(place: tuple[float, float, float, float], projection: str) -> None:
    latitude, longitude = _places(*place)
    view = maps.view_of(latitude, longitude)
    assert view.projection == projection
    assert view.shows(latitude, longitude).all()
    assert not view.shows(np.array([-80.0 if place[0] > 0 else 80.0]), np.array([20.0])).any() or projection == "equalEarth"


def test_a_far_island_does_not_shrink_the_map_and_is_counted_as_outside() -> None:
    latitude, longitude = _places(25, 49, -124, -67, 200)
    latitude[0], longitude[0] = 13.5, 144.8
    view = maps.view_of(latitude, longitude)
    assert view.projection == "conicEqualArea"
    assert view.width < 1.3
    assert np.flatnonzero(~view.shows(latitude, longitude)).tolist() == [0]


def test_one_station_has_a_map() -> None:
    view = maps.view_of(np.array([46.9]), np.array([7.4]))
    assert view.shows(np.array([46.9]), np.array([7.4])).all()
    assert view.width > 0


# --- texts ------------------------------------------------------------------------------------------------


def _source(language: str) -> Path:
    return FOLDER / language / "LC_MESSAGES" / "dashboard.po"


def _texts(language: str) -> dict[str, str]:
    with _source(language).open("rb") as file:
        return {str(message.id): str(message.string) for message in read_po(file, abort_invalid=True) if message.id}


def _placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_catalogue_is_complete_and_has_the_same_blanks() -> None:
    english, spanish = _texts("en"), _texts("es")
    assert english.keys() == spanish.keys()
    assert {key for key in english if _placeholders(english[key]) != _placeholders(spanish[key])} == set()
    assert all(text.strip() for text in (*english.values(), *spanish.values()))


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_compiled_is_what_is_written(language: str) -> None:
    texts = Texts(language)
    stale = [key for key, text in _texts(language).items() if texts.known(key, "") != text]
    assert stale == [], "run `make catalogues`"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_that_the_pages_name_is_there(language: str) -> None:
    named = {
        key
        for file in Path(FOLDER.parent).rglob("*.py")
        for key in re.findall(r"""\b(?:t|texts|self|context\.texts)\("([a-z_0-9]+(?:\.[a-z_0-9]+)?)"[,)]""", file.read_text())
    }
    assert len(named) > 100
    assert named - _texts(language).keys() == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reason_and_every_phase_has_words(language: str) -> None:
    texts = _texts(language)
    assert {key.removeprefix("reasons.") for key in texts if key.startswith("reasons.")} == set(REASONS)
    phases = set(Phase.__args__) - {"missing", "mismatch", "unavailable", "empty"}  # type: ignore[attr-defined]
    assert {key.removeprefix("phase.") for key in texts if key.startswith("phase.")} == phases


def test_what_is_not_known_is_a_dash_and_numbers_follow_the_language() -> None:
    english, spanish = Texts("en"), Texts("es")
    for texts in (english, spanish):
        for said in (texts.number(None), texts.decimal(None, 3), texts.decimal(float("nan"), 3), texts.share(None), texts.date(None)):
            assert said == "\N{EN DASH}"
    assert (english.decimal(-1234.5, 1), spanish.decimal(-1234.5, 1)) == ("\N{MINUS SIGN}1,234.5", "\N{MINUS SIGN}1.234,5")
    assert (english.size(716_000), spanish.size(3_456_789), english.size(12)) == (
        "716.0\N{NO-BREAK SPACE}kB",
        "3,5\N{NO-BREAK SPACE}MB",
        "12\N{NO-BREAK SPACE}B",
    )
    assert english.duration(3_600) == "1\N{NO-BREAK SPACE}h"


@pytest.mark.parametrize(("locale", "language"), [("es-MX", "es"), ("ES", "es"), ("en-GB", "en"), ("de", "en"), (None, "en"), ("", "en")])
def test_a_browser_gets_its_language_or_english(locale: str | None, language: str) -> None:
    assert preferred(locale) == language


# --- the server's command line ----------------------------------------------------------------------------


def test_the_server_is_headless_and_tells_nobody_of_its_use(tmp_path: Path) -> None:
    line = command(tmp_path / "store.db", 8765, "0.0.0.0")
    assert line[:4] == [sys.executable, "-m", "streamlit", "run"]
    for flag in ("--server.headless=true", "--browser.gatherUsageStats=false", "--server.port=8765", "--server.address=0.0.0.0"):
        assert flag in line
    assert line[line.index("--") :] == ["--", "--store", str(tmp_path / "store.db")]


def test_both_themes_are_handed_over() -> None:
    line = command(Path("store.db"), 1)
    for theme in (LIGHT, DARK):
        assert f"--theme.{theme.name}.backgroundColor={theme.streamlit['backgroundColor']}" in line


def test_without_a_store_the_command_says_how_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THUNDERCAST_STORE", raising=False)
    done = subprocess.run([sys.executable, "-m", "thundercast_dashboard"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "--store" in done.stderr


def test_the_charts_are_valid_vega_lite_without_an_address_to_fetch_from() -> None:
    figure = charts.reliability([(4, 0.4, 1)], model="thunder", texts=Texts("es"), palette=DARK)
    spec = json.loads(figure.spec)
    assert "url" not in json.dumps({key: value for key, value in spec.items() if key != "$schema"})
    assert spec["config"]["locale"]["number"]["decimal"] == ","
