"""What the SQLite store promises to those who read."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from thundercast.adapters.reading import StoreMismatch, StoreMissing, merged
from thundercast.adapters.sqlite import SqliteStore
from thundercast.adapters.sqlite_reader import SqliteReader
from thundercast.domain import tables
from unit.store.rows import DAY, RUN, metric, prediction, rows

OLDER = "20250101T000000Z-0123abcd"


def _observation(station: str, date: dt.date, **columns: Any) -> dict[str, Any]:
    return {"station": station, "date": date, "lat": 40.5, "lon": -100.25, "elev": 300.0, "country": "US", "thunder": False} | columns


def test_where_there_is_no_file_the_reader_says_that_the_store_is_missing_and_makes_none(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing, match=r"no store at .*store\.db"):
        SqliteReader(tmp_path / "store.db").runs()
    assert not (tmp_path / "store.db").exists()


def test_a_file_without_tables_is_a_missing_store(tmp_path: Path) -> None:
    (tmp_path / "store.db").touch()
    with pytest.raises(StoreMissing, match="no tables yet"):
        SqliteReader(tmp_path / "store.db").runs()


def test_an_empty_store_answers_every_question_with_no_rows(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "store.db").close()
    reader = SqliteReader(tmp_path / "store.db")
    answers = [
        reader.runs(), reader.status(RUN), reader.metrics(RUN), reader.predictions(RUN, DAY, task="nowcast", model="thunder"),
        reader.dead_letter_counts(RUN), reader.dead_letters(RUN), reader.gaps(RUN), reader.events(RUN), reader.station_history(RUN, "A"),
    ]  # fmt: skip
    assert [answer.num_rows for answer in answers] == [0] * len(answers)
    assert reader.latest_date(RUN) is None


def test_a_store_that_comes_or_is_made_anew_is_seen_by_a_reader_that_lives_on(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    reader = SqliteReader(path)
    with pytest.raises(StoreMissing):
        reader.gaps(RUN)
    for seq in (1, 2):
        with SqliteStore(path) as store:
            store.write(tables.GAPS, rows(tables.GAPS, {"seq": seq, "component": "cleaner"}))
        assert reader.gaps(RUN).column("seq").to_pylist() == [seq]
        path.rename(tmp_path / f"old{seq}.db")


def test_a_reader_sees_what_is_written_while_the_writer_is_at_work(tmp_path: Path) -> None:
    reader = SqliteReader(tmp_path / "store.db")
    with SqliteStore(tmp_path / "store.db") as store:
        for i in range(3):
            store.write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, metric(i)))
            assert reader.metrics(RUN).num_rows == i + 1


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
def test_pages_by_written_at_lose_no_row_and_fold_to_the_last_version_of_each(tmp_path: Path, limit: int) -> None:
    with SqliteStore(tmp_path / "store.db", clock=lambda: 1_000.0) as store:
        for day in range(5):
            written = [metric(day, model_name=name, roc_auc=day / 10) for name in ("climatology", "logistic", "thunder")]
            store.write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, *written))
        store.write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, metric(1, roc_auc=0.99)))
    reader = SqliteReader(tmp_path / "store.db")
    held, since, pages = tables.MODEL_METRICS.arrow.empty_table(), None, 0
    while True:
        page = reader.metrics(RUN, since=since, limit=limit)
        if not page.num_rows:
            break
        held = merged(tables.MODEL_METRICS, held, page)
        since = max(page.column("written_at").to_pylist())
        pages += 1
        assert pages < 50
    found = {(r["batch_id"], r["model_name"]): r["roc_auc"] for r in held.to_pylist()}
    wanted = {(day, name): day / 10 for day in range(5) for name in ("climatology", "logistic", "thunder")} | {(1, "thunder"): 0.99}
    assert found == wanted
    assert held.num_rows == 15


def test_folding_repeated_and_out_of_date_rows_keeps_the_one_written_last() -> None:
    def at(seconds: int, roc_auc: float) -> pa.Table:
        return rows(tables.MODEL_METRICS, metric(0, roc_auc=roc_auc, written_at=dt.datetime.fromtimestamp(seconds, dt.UTC)))

    none = tables.MODEL_METRICS.arrow.empty_table()
    assert merged(tables.MODEL_METRICS, none, none).num_rows == 0
    for old, new in ((at(1, 0.1), at(2, 0.2)), (at(2, 0.2), at(1, 0.1)), (none, pa.concat_tables([at(2, 0.2), at(1, 0.1)]))):
        assert merged(tables.MODEL_METRICS, old, new).column("roc_auc").to_pylist() == [0.2]


def test_metrics_can_be_asked_for_by_scope_gate_task_and_model(tmp_path: Path) -> None:
    kinds = [
        {"scope": s, "gate": g, "task": t, "model_name": m}
        for s in ("day", "30d") for g in ("all", "reporting") for t in ("nowcast", "dayahead") for m in ("thunder", "climatology")
    ]  # fmt: skip
    with SqliteStore(tmp_path / "store.db") as store:
        store.write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, *[metric(0, **kind) for kind in kinds]))
    reader = SqliteReader(tmp_path / "store.db")
    for kind in kinds:
        asked = {"model" if name == "model_name" else name: value for name, value in kind.items()}
        (found,) = reader.metrics(RUN, **asked).to_pylist()
        assert {name: found[name] for name in kind} == kind
    assert reader.metrics(RUN, scope="30d").num_rows == 8
    assert reader.metrics(OLDER).num_rows == 0


def test_predictions_carry_the_place_they_were_made_from_and_the_outcome_once_it_is_known(tmp_path: Path) -> None:
    tomorrow = DAY + dt.timedelta(1)
    with SqliteStore(tmp_path / "store.db") as store:
        store.write(
            tables.PREDICTIONS,
            rows(
                tables.PREDICTIONS,
                prediction("B", label=1), prediction("A", label=0), prediction("A", model_name="logistic", probability=0.9),
                prediction("A", date=tomorrow, task="dayahead", label=None), prediction("B", date=tomorrow, task="dayahead", label=None),
            ),
        )  # fmt: skip
        store.write(tables.OBSERVATIONS, _clean(_observation("A", DAY), _observation("A", tomorrow, lat=1.0, thunder=True)))
    reader = SqliteReader(tmp_path / "store.db")
    today = reader.predictions(RUN, DAY, task="nowcast", model="thunder").to_pylist()
    assert [(r["station"], r["label"], r["lat"], r["country"]) for r in today] == [("A", 0, 40.5, "US"), ("B", 1, None, None)]
    ahead = reader.predictions(RUN, tomorrow, task="dayahead", model="thunder").to_pylist()
    assert [(r["station"], r["label"], r["lat"], r["made_from"]) for r in ahead] == [("A", 1, 40.5, DAY), ("B", None, None, DAY)]
    assert reader.latest_date(RUN) == tomorrow
    assert reader.latest_date(RUN, task="nowcast") == DAY
    assert reader.latest_date(RUN, task="dayahead", model="logistic") is None


def _clean(*given: dict[str, Any]) -> pa.Table:
    return rows(tables.OBSERVATIONS, *given)


def test_a_stations_history_is_its_own_rows_in_order_of_date(tmp_path: Path) -> None:
    days = [DAY + dt.timedelta(i) for i in (5, 0, 3)]
    with SqliteStore(tmp_path / "store.db") as store:
        for day in days:
            store.write(tables.OBSERVATIONS, _clean(_observation("A", day), _observation("B", day)))
        store.write(tables.OBSERVATIONS, _clean(_observation("B", DAY + dt.timedelta(9))))
    reader = SqliteReader(tmp_path / "store.db")
    assert reader.station_history(RUN, "A").column("date").to_pylist() == sorted(days)
    assert reader.station_history(RUN, "C").num_rows == 0
    assert reader.station_history(OLDER, "A").num_rows == 0


def test_dead_letters_are_counted_by_reason_and_the_newest_are_shown_without_their_payload(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "store.db") as store:
        for seq, reason in enumerate(["duplicate", "bad_value", "duplicate"]):
            letter = {"seq": seq, "station": f"S{seq}", "reason": reason, "payload_hash": "0", "payload": b"\x00\xff"}
            store.write(tables.DEAD_LETTERS, rows(tables.DEAD_LETTERS, letter))
    reader = SqliteReader(tmp_path / "store.db")
    counts = reader.dead_letter_counts(RUN).to_pylist()
    assert [(r["reason"], r["count"]) for r in counts] == [("duplicate", 2), ("bad_value", 1)]
    newest = reader.dead_letters(RUN, limit=2)
    assert newest.column("seq").to_pylist() == [2, 1]
    assert "payload" not in newest.column_names
    assert counts[0]["last"] == newest.column("written_at")[0].as_py()
    assert reader.dead_letters(RUN, reason="duplicate").column("seq").to_pylist() == [2, 0]


def test_runs_come_newest_first_and_the_rest_by_run(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "store.db") as store:
        for run in (OLDER, RUN):
            store.write(tables.RUNS, rows(tables.RUNS, {"run_id": run, "synthetic": run == RUN, "start_date": DAY, "shards": 16}))
            store.write(
                tables.STATUS,
                rows(tables.STATUS, {"run_id": run, "component": "trainer", "instance": "a", "state": run[:4], "leader": True}),
            )
            event = {"run_id": run, "date": DAY, "task": "nowcast", "model_name": run[:4], "event": "drift"}
            store.write(tables.MODEL_EVENTS, rows(tables.MODEL_EVENTS, event))
    reader = SqliteReader(tmp_path / "store.db")
    found = reader.runs().to_pylist()
    assert [(r["run_id"], r["synthetic"], r["start_date"]) for r in found] == [(RUN, True, DAY), (OLDER, False, DAY)]
    assert reader.status(OLDER).column("state").to_pylist() == ["2025"]
    assert reader.status(RUN).column("leader").to_pylist() == [True]
    assert reader.events(OLDER).column("model_name").to_pylist() == ["2025"]


def test_a_damaged_file_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with SqliteStore(path) as store:
        store.write(tables.GAPS, rows(tables.GAPS, *[{"seq": i, "component": "cleaner"} for i in range(5_000)]))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xa5" * (size - 8192))
    with pytest.raises(StoreMismatch, match=r"store\.db is damaged .*move the file away"):
        SqliteReader(path).gaps(RUN)
