"""What is served is what the stream says: bit for bit, whatever way a row comes in, and nothing is changed by asking."""

from __future__ import annotations

import copy
import datetime as dt
import threading
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from thundercast.domain.arrays import BadState, pack, unpack
from thundercast.domain.stations import keys_of
from thundercast.stage.steps import TrainStep
from thundercast_trainer.serving import ServedStep
from unit.domain.rawrows import make_stream
from unit.trainer.scene import Trainer, answered, ask, make_models, of_task, question, questions, run_of, said, served, stream
from unit.trainer.scene import clean_messages as messages_of


def snapshot_of(trainer: Trainer) -> Any:
    snapshot = trainer.step.snapshot()
    assert snapshot is not None
    return snapshot


@pytest.fixture(scope="module")
def trained() -> Trainer:
    trainer = Trainer(stream(6))
    trainer.go_on(5)
    return trainer


# --- the probability that the stream gave


@pytest.mark.parametrize("shards", [1, 4])
def test_the_full_raw_row_of_the_next_date_gets_the_nowcast_that_the_stream_will_give_it(shards: int) -> None:
    trainer = Trainer(stream(40, 30), shards=shards)
    compared = 0
    while trainer.done < len(trainer.stream):
        rows, snapshot = trainer.next_date, trainer.step.snapshot()
        answers = ask(snapshot, {"rows": questions(rows)}) if snapshot else []
        stream_said = said(trainer.go_on())
        if snapshot:
            assert answered(answers, "nowcast") == of_task(stream_said, "nowcast")
            compared += len(answers)
    assert compared > 900


def test_the_label_of_the_asked_row_does_not_matter_to_the_nowcast(trained: Trainer) -> None:
    snapshot, rows = snapshot_of(trained), trained.next_date
    with_label = ask(snapshot, {"rows": questions(rows)})
    assert answered(ask(snapshot, {"rows": questions(rows, without=["thunder"])}), "nowcast") == answered(with_label, "nowcast")


def test_a_part_of_the_date_in_any_order_gets_the_same_nowcast(trained: Trainer) -> None:
    snapshot, rows = snapshot_of(trained), questions(trained.next_date)
    everything = answered(ask(snapshot, {"rows": rows}), "nowcast")
    some = rows[::-3]
    assert answered(ask(snapshot, {"rows": some}), "nowcast").items() <= everything.items()
    assert [row["station"] for row in ask(snapshot, {"rows": some})] == [row["station"] for row in some]


def test_the_last_row_once_more_gets_what_the_stream_said_of_it_for_both_tasks() -> None:
    trainer = Trainer(stream(5))
    trainer.go_on(4)
    rows = trainer.next_date
    stream_said = said(trainer.go_on())
    for subset in (rows, rows.slice(3, 5)):
        answers = ask(snapshot_of(trainer), {"rows": questions(subset)})
        assert {row["from"] for row in answers} == {"stream"}
        found = answered(answers, "nowcast") | answered(answers, "dayahead")
        assert found == {key: value for key, value in stream_said.items() if key[0] in subset.column("station").to_pylist()}


def test_a_changed_last_row_is_asked_of_the_models(trained: Trainer) -> None:
    (row,) = questions(trained.stream[4][1].slice(0, 1))
    row["observations"] |= {"gust": 77.0}
    (answer,) = ask(snapshot_of(trained), {"rows": [row]})
    assert answer["from"] == "models"
    assert answer["history_age_days"] == 0


def test_the_clean_row_of_the_next_date_gets_the_nowcast_that_the_stream_will_give_it() -> None:
    trainer = Trainer(stream(5))
    trainer.go_on(4)
    snapshot = snapshot_of(trainer)
    effects = trainer.go_on()
    observed = [row for e in effects for table, part in e.rows if table.name == "observations" for row in part.to_pylist()]
    rows = [{k: v for k, v in row.items() if k not in ("run_id", "written_at")} | {"date": row["date"].isoformat()} for row in observed]
    answers = ask(snapshot, {"clean_rows": rows})
    assert answered(answers, "nowcast") == of_task(said(effects), "nowcast")
    # Once they are learnt, the same rows get what the stream said, for both tasks.
    answers = ask(snapshot_of(trainer), {"clean_rows": rows})
    assert answered(answers, "nowcast") | answered(answers, "dayahead") == said(effects)


def test_a_later_date_is_answered_as_the_stream_would_after_dates_without_rows() -> None:
    trainer = Trainer(stream(5))
    trainer.go_on(4)
    gap = dt.timedelta(days=9)
    rows = trainer.next_date
    dates = pa.array([day.as_py() + gap for day in rows.column("date")], pa.date32())
    moved = rows.set_column(rows.schema.get_field_index("date"), rows.schema.field("date"), dates)
    answers = ask(snapshot_of(trainer), {"rows": questions(moved)})
    empty = [(trainer.stream[3][0] + d, rows.slice(0, 0)) for d in range(1, 10)]
    later = Trainer([*trainer.stream[:4], *empty, (trainer.stream[4][0] + 9, moved)])
    later.go_on(4 + 9)
    again = ask(snapshot_of(later), {"rows": questions(moved)})
    stream_said = of_task(said(later.go_on()), "nowcast")
    assert answered(again, "nowcast") == stream_said
    assert all(row["history_age_days"] >= 10 for row in answers if row["history_age_days"] is not None)
    # Days that close without a row take the neighbourhood's thunder of yesterday away; nothing else differs.
    linear = {key: value for key, value in stream_said.items() if key[2] != "thunder"}
    found = {key: value for key, value in answered(answers, "nowcast").items() if key[2] != "thunder"}
    assert {key: p for key, (p, _) in found.items()} == {key: p for key, (p, _) in linear.items()}


# --- what is filled in


def test_without_observations_everything_is_imputed_and_the_answer_says_so(trained: Trainer) -> None:
    station = trained.stream[4][1].column("station")[0].as_py()
    (answer,) = ask(snapshot_of(trained), {"rows": [{"station": station}]})
    assert answer["date"] == trained.next_date.column("date")[0].as_py().isoformat()
    assert answer["history_age_days"] == 1
    assert len(answer["imputed"]) + len(answer["missing"]) == 10
    assert set(answer["assumed"]) == {
        "lat",
        "lon",
        "elev",
        "country",
        "fog",
        "rain_drizzle",
        "snow_ice_pellets",
        "hail",
        "tornado_funnel_cloud",
    }
    assert {p["task"] for p in answer["predictions"]} == {"nowcast", "dayahead"}
    assert all(p["valid_on"] == answer["date"] for p in answer["predictions"] if p["task"] == "nowcast")


def test_the_place_of_a_station_need_not_be_told_again(trained: Trainer) -> None:
    known = trained.stream[4][1].column("station").to_pylist()
    rows = [row for row in trained.next_date.to_pylist() if row["station"] in known]
    full = ask(snapshot_of(trained), {"rows": [question(row) for row in rows]})
    placeless = ask(snapshot_of(trained), {"rows": [question(row, without=["lat", "lon", "elev", "country"]) for row in rows]})
    assert answered(full, "nowcast") == answered(placeless, "nowcast")
    assert [row["assumed"] for row in full] == [[]] * len(rows)


def test_what_is_given_as_null_is_not_filled_in_from_the_last_row(trained: Trainer) -> None:
    row = question(trained.next_date.to_pylist()[0])
    row["observations"] |= {"lat": None, "lon": None}
    (answer,) = ask(snapshot_of(trained), {"rows": [row]})
    assert answer["assumed"] == []


# --- errors, row by row


def test_each_row_that_cannot_be_answered_says_why_and_the_others_are_answered(trained: Trainer) -> None:
    good, other, *_ = questions(trained.next_date)
    early = {"station": good["station"], "date": (dt.date.fromisoformat(good["date"]) - dt.timedelta(days=6)).isoformat()}
    hot = copy.deepcopy(other) | {"date": (dt.date.fromisoformat(other["date"]) + dt.timedelta(days=1)).isoformat()}
    hot["observations"]["temp"] = 200.0
    rows = [good, {"station": "00000000000"}, {"station": "?"}, early, hot, good, other, {"station": good["station"], "date": "9999-12-31"}]
    answers = ask(snapshot_of(trained), {"rows": rows})
    assert [row.get("error", {}).get("reason") for row in answers] == [
        None, "unknown_station", "bad_station", "before_history", "temperature_out_of_range", "duplicate", None, "bad_date",
    ]  # fmt: skip
    for i, row in enumerate(answers):
        assert ("predictions" in row) != ("error" in row)
        if "error" in row:
            assert row["error"]["where"] == f"rows[{i}]"
            assert row["error"]["what"]
            assert row["error"]["way_out"]
    alone = ask(snapshot_of(trained), {"rows": [good, other]})
    assert [answers[0], answers[6]] == alone


def test_a_station_that_the_stream_has_not_had_needs_its_full_raw_row(trained: Trainer) -> None:
    row = question(trained.next_date.to_pylist()[0]) | {"station": "ZZZZZZZZZZZ"}
    (answer,) = ask(snapshot_of(trained), {"rows": [row]})
    assert answer["history_age_days"] is None
    assert answer["predictions"]
    (answer,) = ask(snapshot_of(trained), {"rows": [{k: v for k, v in row.items() if k != "date"}]})
    assert answer["error"]["reason"] == "unknown_station"
    del row["observations"]["rain_drizzle"]
    (answer,) = ask(snapshot_of(trained), {"rows": [row]})
    assert answer["error"]["reason"] == "unknown_station"


# --- nothing is changed


def test_training_is_unchanged_by_serving() -> None:
    plain, asked_often = Trainer(stream(5)), Trainer(stream(5))
    for _ in range(5):
        left, right = plain.go_on(), asked_often.go_on()
        assert [(e.outbox, e.row_count) for e in left] == [(e.outbox, e.row_count) for e in right]
        assert [[t.to_pylist() for _, t in e.rows] for e in left] == [[t.to_pylist() for _, t in e.rows] for e in right]
        ask(snapshot_of(asked_often), {"rows": questions(asked_often.stream[asked_often.done - 1][1])})
    train = asked_often.step.train
    assert pack(*plain.step.train.state()) == pack(*train.state())
    bare = served().train
    for message in plain.messages:
        bare.apply(*message)
    assert pack(*bare.state()) == pack(*train.state())


def test_a_snapshot_does_not_change_while_the_stream_goes_on() -> None:
    trainer = Trainer(stream(8))
    trainer.go_on(4)
    snapshot, body = snapshot_of(trainer), {"rows": questions(trainer.next_date)}
    before = ask(snapshot, body)
    trainer.go_on(3)
    assert ask(snapshot, body) == before
    assert snapshot_of(trainer).date == snapshot.date + 3


# --- restarts


def test_after_a_restart_the_same_is_served_and_the_state_is_the_same() -> None:
    trainer, again = Trainer(stream(7)), Trainer(stream(7))
    trainer.go_on(4)
    state = pack(*trainer.step.state())
    again.step.restore(*unpack(state))
    again.done = 4
    assert pack(*again.step.state()) == state
    body = {"rows": questions(trainer.next_date)}
    assert ask(snapshot_of(trainer), body) == ask(snapshot_of(again), body)
    assert snapshot_of(trainer).scores == snapshot_of(again).scores
    trainer.go_on(3)
    again.go_on(3)
    assert pack(*trainer.step.state()) == pack(*again.step.state())


def test_the_state_of_another_stage_version_or_models_is_refused() -> None:
    trainer = Trainer(stream(2))
    trainer.go_on(2)
    arrays, meta = trainer.step.state()
    for wrong in ({"clean": {}}, meta | {"served": meta["served"] | {"version": 99}}, meta | {"served": meta["served"] | {"models": []}}):
        with pytest.raises(BadState):
            served().restore(arrays, wrong)
    damaged = {name: array for name, array in arrays.items() if name != "served/row/values"}
    with pytest.raises(BadState, match="values"):
        served().restore(damaged, meta)


def test_a_checkpoint_from_before_the_first_date_has_nothing_to_serve() -> None:
    step = served()
    assert step.snapshot() is None
    again = served()
    again.restore(*unpack(pack(*step.state())))
    assert again.snapshot() is None


# --- publication


def test_dates_are_published_as_they_close_only_while_somebody_asks() -> None:
    now = [0.0]
    trainer = Trainer(stream(6), fresh_for=60.0, monotonic=lambda: now[0])
    trainer.go_on(2)
    assert trainer.step._snapshot is None, "a copy was made for nobody"
    first = snapshot_of(trainer)
    trainer.go_on()
    assert trainer.step._snapshot is not None
    assert trainer.step._snapshot.date == first.date + 1
    now[0] = 61.0
    trainer.go_on()
    assert trainer.step._snapshot.date == first.date + 1
    assert snapshot_of(trainer).date == first.date + 2


def test_asking_never_waits_for_a_date_that_is_being_learnt() -> None:
    trainer = Trainer(stream(4))
    trainer.go_on(2)
    before = snapshot_of(trainer)
    learning, go_on = threading.Event(), threading.Event()
    apply = trainer.step.train.apply

    def slow(*args: Any) -> Any:
        learning.set()
        assert go_on.wait(60)
        return apply(*args)

    trainer.step.train.apply = slow  # type: ignore[method-assign]
    thread = threading.Thread(target=trainer.go_on)
    thread.start()
    assert learning.wait(60)
    try:
        assert trainer.step.snapshot() is before
    finally:
        go_on.set()
        thread.join()
    assert snapshot_of(trainer).date == before.date + 1


def test_a_new_run_serves_the_old_one_until_its_first_date_has_closed() -> None:
    trainer = Trainer(stream(3))
    trainer.go_on(3)
    newer = run_of(2, started="20240301T000000Z")
    messages = messages_of(make_stream(2, 20, seed=5), newer)
    trainer.step.begin(messages[0][0])
    old = snapshot_of(trainer)
    assert old.run_id == trainer.messages[0][0].run_id
    for message in messages[:4]:
        trainer.step.apply(*message)
    snapshot = snapshot_of(trainer)
    assert snapshot.run_id == newer.run_id
    assert len(snapshot.stations) < 21
    station = trainer.stream[0][1].column("station")[0].as_py()
    assert snapshot.stations.find(keys_of(pa.array([station])))[0] == -1


def test_a_run_that_goes_on_with_the_models_gets_new_histories_like_its_cleaner() -> None:
    first, second = stream(4), make_stream(3, 60, seed=3)
    step = ServedStep(TrainStep(make_models, on_new_run="continue"))
    for message in messages_of(first, run_of(4)):
        step.apply(*message)
    trainer = Trainer(second)
    trainer.step = step
    step.begin(trainer.messages[0][0])
    trainer.go_on()
    answers = ask(snapshot_of(trainer), {"rows": questions(trainer.next_date)})
    assert answered(answers, "nowcast") == of_task(said(trainer.go_on()), "nowcast")


def test_the_champion_of_each_task_comes_first_and_is_thunder_where_there_is_one(trained: Trainer) -> None:
    found = [(m.task, m.name, m.champion) for m in snapshot_of(trained).models]
    assert found == [
        ("nowcast", "thunder", True), ("nowcast", "river-logistic", False), ("nowcast", "climatology", False),
        ("dayahead", "thunder", True), ("dayahead", "logistic", False), ("dayahead", "climatology", False),
    ]  # fmt: skip


def test_another_champion_leads_the_answers_and_does_so_after_a_restart(trained: Trainer) -> None:
    learner = trained.step.train.learner
    learner._tracks["nowcast"].watch.appoint("river-logistic")
    again = served()
    again.restore(*trained.step.state())
    learner._tracks["nowcast"].watch.appoint("thunder")
    now = again.snapshot()
    assert now is not None
    assert [(m.task, m.name) for m in now.models if m.champion] == [("nowcast", "river-logistic"), ("dayahead", "thunder")]
    assert (now.models[0].name, now.models[1].name) == ("river-logistic", "thunder")


def test_a_batch_that_was_given_up_leaves_its_stations_as_they_were() -> None:
    trainer = Trainer(stream(4))
    trainer.go_on(2)
    for attributes, message in trainer.messages[8:12]:
        if attributes.shard == 3:
            trainer.step.skip(attributes)
        else:
            trainer.step.apply(attributes, message)
    snapshot = snapshot_of(trainer)
    ages = snapshot.date - snapshot.stations.follower.last
    assert set(np.unique(ages).tolist()) >= {0, 1}
