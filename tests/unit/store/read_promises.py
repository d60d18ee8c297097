"""What every store promises to those who read: a suite for the modules that have a fixture ``place``."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import pyarrow as pa
import pytest

from thundercast.adapters.reading import StoreReader, merged
from thundercast.domain import tables
from unit.store.rows import DAY, RUN, metric, prediction, rows

OLDER = "20250101T000000Z-0123abcd"


class Writer(AbstractContextManager["Writer"], Protocol):
    def write(self, table: tables.Table, rows: pa.Table) -> None: ...

    def close(self) -> None: ...


class Place(Protocol):
    """Where a store is, with its tables, or is made by the first writer."""

    def writer(self, clock: Callable[[], float] = time.time) -> Writer: ...

    def reader(self) -> StoreReader: ...


def _observation(station: str, date: dt.date, **columns: Any) -> dict[str, Any]:
    return {"station": station, "date": date, "lat": 40.5, "lon": -100.25, "elev": 300.0, "country": "US", "thunder": False} | columns


def test_an_empty_store_answers_every_question_with_no_rows(place: Place) -> None:
    place.writer().close()
    reader = place.reader()
    answers = [
        reader.runs(), reader.status(RUN), reader.metrics(RUN), reader.predictions(RUN, DAY, task="nowcast", model="thunder"),
        reader.dead_letter_counts(RUN), reader.dead_letters(RUN), reader.gaps(RUN), reader.events(RUN), reader.station_history(RUN, "A"),
        reader.outcomes(RUN, DAY, DAY, task="nowcast", model="thunder"), reader.station_predictions(RUN, "A"),
    ]  # fmt: skip
    assert [answer.num_rows for answer in answers] == [0] * len(answers)
    assert reader.latest_date(RUN) is None


def test_a_reader_sees_what_is_written_while_the_writer_is_at_work(place: Place) -> None:
    reader = place.reader()
    with place.writer() as store:
        for i in range(3):
            store.write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, metric(i)))
            assert reader.metrics(RUN).num_rows == i + 1


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
def test_pages_by_written_at_lose_no_row_and_fold_to_the_last_version_of_each(place: Place, limit: int) -> None:
    with place.writer(clock=lambda: 1_000.0) as store:
        for day in range(5):
            written = [metric(day, model_name=name, roc_auc=day / 10) for name in ("climatology", "logistic", "thunder")]
            store.write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, *written))
        store.write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, metric(1, roc_auc=0.99)))
    reader = place.reader()
    held, since, pages = tables.MODEL_METRICS.arrow.empty_table(), None, 0
    while True:
        page = reader.metrics(RUN, since=since, limit=limit)
        held = merged(tables.MODEL_METRICS, held, page)
        # A store may repeat rows of earlier pages, so the last page need not be empty.
        last = max(page.column("written_at").to_pylist(), default=since)
        if last == since:
            break
        since = last
        pages += 1
        assert pages < 50
    found = {(r["batch_id"], r["model_name"]): r["roc_auc"] for r in held.to_pylist()}
    wanted = {(day, name): day / 10 for day in range(5) for name in ("climatology", "logistic", "thunder")} | {(1, "thunder"): 0.99}
    assert found == wanted
    assert held.num_rows == 15


def test_metrics_can_be_asked_for_by_scope_gate_task_and_model(place: Place) -> None:
    kinds = [
        {"scope": s, "gate": g, "task": t, "model_name": m}
        for s in ("day", "30d") for g in ("all", "reporting") for t in ("nowcast", "dayahead") for m in ("thunder", "climatology")
    ]  # fmt: skip
    with place.writer() as store:
        store.write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, *[metric(0, **kind) for kind in kinds]))
    reader = place.reader()
    for kind in kinds:
        asked = {"model" if name == "model_name" else name: value for name, value in kind.items()}
        (found,) = reader.metrics(RUN, **asked).to_pylist()
        assert {name: found[name] for name in kind} == kind
    assert reader.metrics(RUN, scope="30d").num_rows == 8
    assert reader.metrics(OLDER).num_rows == 0


def test_predictions_carry_the_place_they_were_made_from_and_the_outcome_once_it_is_known(place: Place) -> None:
    tomorrow = DAY + dt.timedelta(1)
    with place.writer() as store:
        store.write(
            tables.PREDICTIONS,
            rows(
                tables.PREDICTIONS,
                prediction("B", label=1), prediction("A", label=0), prediction("A", model_name="logistic", probability=0.9),
                prediction("A", date=tomorrow, task="dayahead", label=None), prediction("B", date=tomorrow, task="dayahead", label=None),
            ),
        )  # fmt: skip
        store.write(tables.OBSERVATIONS, _clean(_observation("A", DAY), _observation("A", tomorrow, lat=1.0, thunder=True)))
    reader = place.reader()
    today = reader.predictions(RUN, DAY, task="nowcast", model="thunder").to_pylist()
    assert [(r["station"], r["label"], r["lat"], r["country"]) for r in today] == [("A", 0, 40.5, "US"), ("B", 1, None, None)]
    ahead = reader.predictions(RUN, tomorrow, task="dayahead", model="thunder").to_pylist()
    assert [(r["station"], r["label"], r["lat"], r["made_from"]) for r in ahead] == [("A", 1, 40.5, DAY), ("B", None, None, DAY)]
    assert reader.latest_date(RUN) == tomorrow
    assert reader.latest_date(RUN, task="nowcast") == DAY
    assert reader.latest_date(RUN, task="dayahead", model="logistic") is None


def test_the_outcomes_of_several_dates_are_the_predictions_of_each(place: Place) -> None:
    days = [DAY + dt.timedelta(i) for i in range(4)]
    said = [prediction(station, date=day, made_from=day, probability=0.1 * i) for i, day in enumerate(days) for station in ("B", "A")]
    with place.writer() as store:
        store.write(tables.PREDICTIONS, rows(tables.PREDICTIONS, *said, prediction("A", date=days[1], model_name="logistic")))
        store.write(tables.OBSERVATIONS, _clean(*[_observation("A", day, thunder=day == days[2], lat=float(day.day)) for day in days]))
    reader = place.reader()
    found = reader.outcomes(RUN, days[1], days[2], task="nowcast", model="thunder")
    assert list(zip(found.column("date").to_pylist(), found.column("station").to_pylist(), strict=True)) == [
        (day, station) for day in days[1:3] for station in ("A", "B")
    ]
    for day in days[1:3]:
        of_day = found.filter(pa.compute.equal(found.column("date"), pa.scalar(day))).drop_columns("date")
        assert of_day.equals(reader.predictions(RUN, day, task="nowcast", model="thunder"))
    assert reader.outcomes(RUN, days[3], days[0], task="nowcast", model="thunder").num_rows == 0


def test_a_stations_predictions_are_its_own_of_every_task_and_model_in_order_of_date(place: Place) -> None:
    days = [DAY + dt.timedelta(i) for i in (5, 0, 3)]
    with place.writer() as store:
        for day in days:
            said = [prediction("A", date=day), prediction("A", date=day, model_name="climatology"), prediction("B", date=day)]
            store.write(tables.PREDICTIONS, rows(tables.PREDICTIONS, *said, prediction("A", date=day, task="dayahead")))
    reader = place.reader()
    found = reader.station_predictions(RUN, "A").select(["date", "task", "model_name"]).to_pylist()
    assert [tuple(row.values()) for row in found] == [
        (day, *kind) for day in sorted(days) for kind in (("dayahead", "thunder"), ("nowcast", "climatology"), ("nowcast", "thunder"))
    ]
    assert reader.station_predictions(RUN, "C").num_rows == 0
    assert reader.station_predictions(OLDER, "A").num_rows == 0


def _clean(*given: dict[str, Any]) -> pa.Table:
    return rows(tables.OBSERVATIONS, *given)


def test_a_stations_history_is_its_own_rows_in_order_of_date(place: Place) -> None:
    days = [DAY + dt.timedelta(i) for i in (5, 0, 3)]
    with place.writer() as store:
        for day in days:
            store.write(tables.OBSERVATIONS, _clean(_observation("A", day), _observation("B", day)))
        store.write(tables.OBSERVATIONS, _clean(_observation("B", DAY + dt.timedelta(9))))
    reader = place.reader()
    assert reader.station_history(RUN, "A").column("date").to_pylist() == sorted(days)
    assert reader.station_history(RUN, "C").num_rows == 0
    assert reader.station_history(OLDER, "A").num_rows == 0


def test_dead_letters_are_counted_by_reason_and_the_newest_are_shown_without_their_payload(place: Place) -> None:
    with place.writer() as store:
        for seq, reason in enumerate(["duplicate", "bad_value", "duplicate"]):
            letter = {"seq": seq, "station": f"S{seq}", "reason": reason, "payload_hash": "0", "payload": b"\x00\xff"}
            store.write(tables.DEAD_LETTERS, rows(tables.DEAD_LETTERS, letter))
    reader = place.reader()
    counts = reader.dead_letter_counts(RUN).to_pylist()
    assert [(r["reason"], r["count"]) for r in counts] == [("duplicate", 2), ("bad_value", 1)]
    newest = reader.dead_letters(RUN, limit=2)
    assert newest.column("seq").to_pylist() == [2, 1]
    assert "payload" not in newest.column_names
    assert counts[0]["last"] == newest.column("written_at")[0].as_py()
    assert reader.dead_letters(RUN, reason="duplicate").column("seq").to_pylist() == [2, 0]


def test_a_dead_letter_is_read_whole_by_its_hash(place: Place) -> None:
    with place.writer() as store:
        letters = [
            {"seq": seq, "station": "", "reason": "undelivered", "payload_hash": str(seq), "payload": bytes([seq, 255]), "original": "{}"}
            for seq in range(3)
        ]
        for again in (letters, letters[1:2]):
            store.write(tables.DEAD_LETTERS, rows(tables.DEAD_LETTERS, *again))
    reader = place.reader()
    (row,) = reader.dead_letter(RUN, "1").to_pylist()
    assert (row["seq"], row["payload"]) == (1, b"\x01\xff")
    assert reader.dead_letter(RUN, "1").schema == tables.DEAD_LETTERS.arrow
    assert reader.dead_letter(RUN, "x").num_rows == reader.dead_letter(OLDER, "1").num_rows == 0


def test_runs_come_newest_first_and_the_rest_by_run(place: Place) -> None:
    with place.writer() as store:
        for run in (OLDER, RUN):
            store.write(tables.RUNS, rows(tables.RUNS, {"run_id": run, "synthetic": run == RUN, "start_date": DAY, "shards": 16}))
            store.write(
                tables.STATUS,
                rows(tables.STATUS, {"run_id": run, "component": "trainer", "instance": "a", "state": run[:4], "leader": True}),
            )
            event = {"run_id": run, "date": DAY, "task": "nowcast", "model_name": run[:4], "event": "drift"}
            store.write(tables.MODEL_EVENTS, rows(tables.MODEL_EVENTS, event))
    reader = place.reader()
    found = reader.runs().to_pylist()
    assert [(r["run_id"], r["synthetic"], r["start_date"]) for r in found] == [(RUN, True, DAY), (OLDER, False, DAY)]
    assert reader.status(OLDER).column("state").to_pylist() == ["2025"]
    assert reader.status(RUN).column("leader").to_pylist() == [True]
    assert reader.events(OLDER).column("model_name").to_pylist() == ["2025"]


def test_of_rows_with_equal_keys_the_one_written_last_is_seen_in_every_column(place: Place) -> None:
    reader = place.reader()
    with place.writer(clock=lambda: 1_000.0) as store:
        store.write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, metric(0, roc_auc=0.7, rows=10), metric(1, roc_auc=0.8)))
        store.write(tables.MODEL_METRICS, rows(tables.MODEL_METRICS, metric(0, roc_auc=0.9)))
        store.write(tables.PREDICTIONS, rows(tables.PREDICTIONS, prediction("A", label=1), prediction("A", probability=0.5)))
        store.write(tables.PREDICTIONS, rows(tables.PREDICTIONS, prediction("B")))
    found = reader.metrics(RUN).to_pylist()
    assert {(r["batch_id"], r["roc_auc"], r["rows"]) for r in found} == {(0, 0.9, None), (1, 0.8, None)}
    said = reader.predictions(RUN, DAY, task="nowcast", model="thunder").to_pylist()
    assert [(r["station"], r["probability"], r["label"]) for r in said] == [("A", 0.5, None), ("B", 0.25, None)]


def test_whoever_asks_again_sees_what_was_written_since_and_nothing_twice(place: Place) -> None:
    reader = place.reader()
    letter = {"seq": 1, "station": "S", "reason": "bad_value", "payload_hash": "0"}
    with place.writer() as store:
        for i in range(3):
            for table, row in (
                (tables.RUNS, {"state": f"state {i}"}),
                (tables.STATUS, {"component": "trainer", "instance": "a", "watermark": i}),
                (tables.GAPS, {"seq": 7, "component": "cleaner", "shard": i}),
                (tables.DEAD_LETTERS, letter),
                (tables.DEAD_LETTERS, letter | {"seq": 10 + i}),
                (tables.PREDICTIONS, prediction("A", date=DAY + dt.timedelta(i))),
            ):
                store.write(table, rows(table, row))
            assert reader.runs().column("state").to_pylist() == [f"state {i}"]
            assert reader.status(RUN).column("watermark").to_pylist() == [i]
            assert reader.gaps(RUN).column("shard").to_pylist() == [i]
            assert reader.dead_letter_counts(RUN).column("count").to_pylist() == [2 + i]
            assert reader.dead_letters(RUN, limit=2).column("seq").to_pylist() == [10 + i, 1]
            assert reader.latest_date(RUN) == DAY + dt.timedelta(i)


_VALUES = {
    "STRING": ["plain", "", "it's \"quoted\" \\ and\nbroken 雷 SELECT ; --", None],
    "INT64": [2**63 - 1, -(2**63), 0, None],
    "FLOAT64": [0.1, -1e-300, 1e300, None],
    "BOOL": [True, False, True, None],
    "DATE": [dt.date(1929, 1, 1), dt.date(2024, 2, 29), dt.date(2262, 4, 12), None],
    "TIMESTAMP": [dt.datetime(2026, 1, 2, 3, 4, 5, 678901, dt.UTC), dt.datetime(1970, 1, 1, tzinfo=dt.UTC), dt.datetime(2262, 1, 1, tzinfo=dt.UTC), None],
    "BYTES": [b"\x00\xff", b"", b"PAR1" * 100, None],
}  # fmt: skip


@pytest.mark.parametrize(
    ("table", "ask"),
    [
        (tables.MODEL_METRICS, lambda reader: reader.metrics(RUN)),
        (tables.OBSERVATIONS, lambda reader: reader.station_history(RUN, "A")),
        (tables.RUNS, lambda reader: reader.runs()),
        (tables.STATUS, lambda reader: reader.status(RUN)),
        (tables.DEAD_LETTERS, lambda reader: reader.dead_letters(RUN)),
        (tables.MODEL_EVENTS, lambda reader: reader.events(RUN)),
    ],
    ids=lambda value: value.name if isinstance(value, tables.Table) else "",
)
def test_values_of_every_kind_and_nulls_are_read_as_they_were_written(
    place: Place, table: tables.Table, ask: Callable[[StoreReader], pa.Table]
) -> None:
    # Four rows, of which each column takes another value; the key tells them apart.
    fixed = {"run_id": RUN, "station": "A", "date": DAY}
    varied: dict[str, list[Any]] = {"run_id": [f"{RUN}{i}" for i in range(4)]} if table is tables.RUNS else {}
    varied["date"] = [DAY + dt.timedelta(i) for i in range(4)]
    wanted = [
        {
            c.name: varied[c.name][i] if c.name in varied else fixed[c.name] if c.name in fixed
            else f"{c.name} {i}" if c.name in table.key and c.kind == "STRING" else i if c.name in table.key else _VALUES[c.kind][i]
            for c in table.columns if c.name != "written_at" and (c.name, c.kind) != ("date", "STRING")
        }
        for i in range(4)
    ]  # fmt: skip
    with place.writer() as store:
        store.write(table, pa.Table.from_pylist(wanted, schema=table.arrow))
    found = ask(place.reader())
    shown = [c.name for c in table.columns if c.name in found.column_names and c.name in wanted[0]]
    first = table.key[0] if table is tables.RUNS else next((k for k in table.key if k not in fixed), "date")
    expected = [{name: row[name] for name in shown} for row in wanted]
    assert found.select(shown).sort_by(first).to_pylist() == sorted(expected, key=lambda row: row[first])
    assert found.schema.field("written_at").type == pa.timestamp("us", "UTC")


@pytest.mark.parametrize("odd", ["it's", 'a "b"', "back\\slash", "' OR TRUE", "line\nbreak", "雷"])
def test_any_text_can_be_asked_for(place: Place, odd: str) -> None:
    letter = {"seq": 1, "station": "S", "payload_hash": "0"}
    with place.writer() as store:
        store.write(tables.DEAD_LETTERS, rows(tables.DEAD_LETTERS, letter | {"reason": odd}, letter | {"reason": "plain"}))
        store.write(tables.PREDICTIONS, rows(tables.PREDICTIONS, prediction("A", model_name=odd), prediction("B")))
    reader = place.reader()
    assert reader.dead_letters(RUN, reason=odd).column("reason").to_pylist() == [odd]
    assert reader.predictions(RUN, DAY, task="nowcast", model=odd).column("station").to_pylist() == ["A"]
    assert reader.latest_date(RUN, model=odd) == DAY
