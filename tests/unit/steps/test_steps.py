"""The steps: cleaning and training over messages, chained or apart, are the cleaner and the learner themselves."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from thundercast.domain import runs, schema, tables
from thundercast.domain.arrays import BadState, pack, unpack
from thundercast.domain.batch import JSON, Attributes, Message, decode, encode
from thundercast.domain.cleaning import Cleaner
from thundercast.domain.learning import TASKS, Closed, Learner
from thundercast.domain.models.base import Model
from thundercast.domain.models.logistic import Logistic
from thundercast.domain.models.thunder import Thunder
from thundercast.domain.rows import CleanRows
from thundercast.domain.runs import Run
from thundercast.domain.scores import watch
from thundercast.domain.scores.champion import BASELINE
from thundercast.stage.protocols import Effects, Step
from thundercast.stage.steps import ChainedStep, CleanStep, TrainStep, now_text, observation_rows, prediction_rows
from unit.domain.rawrows import DAY, clean_stream, make_stream, of_shard

SHARDS, DATES = 4, 8
RUN = Run(started="20240101T000000Z", source="test", start=DAY, end=DAY + dt.timedelta(days=DATES - 1), shards=SHARDS)
NEXT = replace(RUN, started="20240201T000000Z")
STREAM = make_stream(DATES, 60, absent=0.15)


def make_models() -> list[Model]:
    return [Thunder("nowcast"), Thunder("dayahead"), Logistic("nowcast")]


def trainer(**settings: Any) -> TrainStep:
    return TrainStep(make_models, now=lambda: "2024-01-01T00:00:00.000+00:00", **settings)


def raw_message(seq: int, run: Run = RUN) -> tuple[Attributes, Message]:
    date, rows = STREAM[seq // run.shards]
    attributes = Attributes.of(run, seq, schema.RAW)
    assert runs.ordinal(attributes.date) == date
    return attributes, encode(of_shard(rows, attributes.shard, run.shards), attributes)


def received(message: Message) -> tuple[Attributes, Message]:
    """A message as the next stage gets it: as text and bytes."""
    again = Message(bytes(message.data), dict(json.loads(json.dumps(dict(message.attributes)))))
    return Attributes.from_text(again.attributes), again


@dataclass
class Seen:
    """All that came of a run of steps."""

    effects: list[Effects] = field(default_factory=list)

    @property
    def metrics(self) -> list[dict[str, Any]]:
        return [row for e in self.effects for name, row in e.outbox if name == "model_metrics"]

    def table(self, table: tables.Table) -> list[dict[str, Any]]:
        rows = [row for e in self.effects for where, part in e.rows if where is table for row in part.to_pylist()]
        return sorted(rows, key=lambda row: [str(row[k]) for k in table.key])

    @property
    def letters(self) -> list[Any]:
        return [(x.reason, x.stage, x.run_id, x.seq, x.station, x.date, x.original_json) for e in self.effects for x in e.dead_letters]

    @property
    def outcomes(self) -> list[tuple[str, int]]:
        return [(e.outcome, e.row_count) for e in self.effects]


def drive(step: Step, messages: Sequence[tuple[Attributes, Message]]) -> Seen:
    return Seen([step.apply(*message) for message in messages])


def two_stages(messages: Sequence[tuple[Attributes, Message]], train: TrainStep) -> tuple[Seen, Seen]:
    cleaned = drive(CleanStep(), messages)
    return cleaned, drive(train, [received(m) for e in cleaned.effects for m in e.messages])


ALL = [raw_message(seq) for seq in range(RUN.batches)]


def undecodable(seq: int) -> tuple[Attributes, Message]:
    attributes, message = raw_message(seq)
    return attributes, Message(message.data[:100], message.attributes)


DAMAGED = [undecodable(x[0].seq) if x[0].seq in (6, 19) else x for x in ALL]


# --- one stream, however it is driven


@pytest.mark.parametrize("messages", [ALL, DAMAGED], ids=["all", "damaged"])
def test_cleaner_then_trainer_over_the_wire_is_the_two_chained_in_one_process(messages: list[tuple[Attributes, Message]]) -> None:
    apart, together = trainer(), trainer()
    cleaned, trained = two_stages(messages, apart)
    chained = drive(ChainedStep(CleanStep(), together), messages)
    assert trained.metrics == chained.metrics
    assert len(chained.metrics) > 100
    for table in (tables.PREDICTIONS, tables.OBSERVATIONS):
        assert trained.table(table) == chained.table(table)
        assert len(chained.table(table)) > 300
    assert pack(*apart.state()) == pack(*together.state())
    assert cleaned.letters == chained.letters
    assert trained.letters == []
    assert cleaned.outcomes == trained.outcomes == chained.outcomes


def test_the_chained_step_is_the_cleaner_and_the_learner_themselves() -> None:
    step = trainer()
    chained = drive(ChainedStep(CleanStep(), step), ALL)
    cleaner, learner = Cleaner(), Learner(make_models())
    closed: list[Closed] = []
    for i, (date, rows) in enumerate(STREAM):
        learner.take(cleaner.clean(rows, date).rows)
        closed.append(learner.close(date=date, batch_id=i, timestamp="2024-01-01T00:00:00.000+00:00"))
    assert chained.metrics == [{"run_id": RUN.run_id} | row for c in closed for row in c.metrics]
    said = {
        (row["task"], row["model_name"], str(row["date"]), row["station"]): row["probability"] for row in chained.table(tables.PREDICTIONS)
    }
    wanted = {}
    for c in closed:
        for p in c.predicted:
            for station, probability in zip(p.rows.to_arrow().column("station").to_pylist(), p.probability.tolist(), strict=True):
                wanted[p.task, p.model, runs.day(p.date).isoformat(), station] = probability
    assert said == wanted
    assert pack(step.learner.state()) == pack(learner.state())
    seen = [row for e in chained.effects for where, part in e.rows if where is tables.OBSERVATIONS for row in part.to_pylist()]
    assert len(seen) == sum(rows.num_rows for _, rows in STREAM)


@pytest.mark.parametrize("shards", [1, 16])
def test_the_number_of_shards_changes_no_score_and_no_model(shards: int) -> None:
    other = replace(RUN, shards=shards)
    few, many = trainer(), trainer()
    a = drive(ChainedStep(CleanStep(), few), ALL)
    b = drive(ChainedStep(CleanStep(), many), [raw_message(seq, other) for seq in range(other.batches)])
    strip = {"run_id": ""}
    assert [row | strip for row in a.metrics] == [row | strip for row in b.metrics]
    assert [row | strip for row in a.table(tables.PREDICTIONS)] == [row | strip for row in b.table(tables.PREDICTIONS)]
    assert pack(*few.state()) == pack(*many.state())


# --- cleaning


def test_every_batch_that_enters_leaves_once_with_its_number_and_counts() -> None:
    step = CleanStep()
    for attributes, message in ALL:
        (out,) = step.apply(attributes, message).messages
        found, again = received(out)
        assert (found.seq, found.date, found.shard, found.last, found.schema) == (
            attributes.seq, attributes.date, attributes.shard, attributes.last, schema.CLEAN,
        )  # fmt: skip
        rows = CleanRows.from_arrow(decode(again, found)[0], runs.ordinal(found.date))
        assert found.counts["rows_in"] == len(rows) > 0
        assert found.counts["imputed"] == rows.imputed.sum()
        assert found.outcome == "ok"


def test_an_undecodable_batch_is_a_dead_letter_with_an_empty_successor_that_says_so() -> None:
    step = CleanStep()
    attributes, message = undecodable(2)
    effects = step.apply(attributes, message)
    (letter,) = effects.dead_letters
    assert (letter.reason, letter.stage, letter.run_id, letter.seq, letter.payload) == (
        "undecodable",
        "cleaner",
        RUN.run_id,
        2,
        message.data,
    )
    assert json.loads(letter.original_json) == dict(message.attributes)
    assert "not an Arrow stream" in letter.detail
    found, again = received(effects.messages[0])
    assert (found.seq, found.outcome, effects.outcome, effects.row_count) == (2, "undecodable", "undecodable", 0)
    assert decode(again, found)[0].num_rows == 0
    # The next batch of the shard is cleaned as if nothing had been.
    assert step.apply(*raw_message(2 + SHARDS)).outcome == "ok"


def test_clean_rows_on_the_raw_topic_are_undecodable() -> None:
    attributes, _ = raw_message(1)
    clean = attributes.cleaned("ok", {})
    effects = CleanStep().apply(clean, encode(CleanRows.empty(runs.ordinal(clean.date)).to_arrow(), clean))
    assert effects.dead_letters[0].reason == effects.outcome == "undecodable"


@pytest.mark.parametrize(("bad", "good", "outcome"), [(1, 3, "ok"), (2, 0, "rejected"), (0, 0, "empty")])
def test_rows_that_the_codec_refuses_are_counted_with_those_that_the_cleaner_refuses(bad: int, good: int, outcome: str) -> None:
    attributes, message = raw_message(1)
    attributes = replace(attributes, content_type=JSON)
    rows = decode(message, replace(attributes, content_type="application/vnd.apache.arrow.stream"))[0].to_pylist()[: bad + good]
    for row in rows[:bad]:
        row["temp"] = "warm"
    effects = CleanStep().apply(attributes, Message(json.dumps(rows, default=str).encode(), attributes.to_text()))
    found, _ = received(effects.messages[0])
    assert (effects.outcome, effects.row_count, found.outcome, found.counts["rows_in"]) == (outcome, good, outcome, bad + good)
    assert found.counts.get("rejected_bad_value", 0) == bad == len(effects.dead_letters)


@pytest.mark.parametrize(("given", "outcome"), [("skipped", "skipped"), ("undecodable", "undecodable"), ("", "skipped")])
def test_a_skipped_batch_has_an_empty_successor_that_says_why(given: str, outcome: str) -> None:
    attributes = replace(raw_message(5)[0], outcome=given)
    effects = CleanStep().skip(attributes)
    found, again = received(effects.messages[0])
    assert (found.seq, found.outcome, effects.outcome) == (5, outcome, outcome)
    assert decode(again, found)[0].num_rows == 0


def test_shards_are_cleaned_in_lanes_of_their_own() -> None:
    step, shuffled = CleanStep(), CleanStep()
    order = [seq for shard in (2, 0, 3, 1) for seq in range(shard, RUN.batches, SHARDS)]
    assert step.lanes(ALL[0][0]) == SHARDS
    plain = {e.messages[0].attributes["seq"]: e.messages[0].data for e in drive(step, ALL).effects}
    other = {e.messages[0].attributes["seq"]: e.messages[0].data for e in drive(shuffled, [ALL[seq] for seq in order]).effects}
    assert plain == other
    assert pack(*step.state()) == pack(*shuffled.state())


def test_a_new_run_is_cleaned_without_a_memory_of_the_old() -> None:
    used, fresh = CleanStep(), CleanStep()
    drive(used, ALL)
    attributes, message = raw_message(0, NEXT)
    for step in (used, fresh):
        step.begin(attributes)
    assert [m.data for m in used.apply(attributes, message).messages] == [m.data for m in fresh.apply(attributes, message).messages]
    assert pack(*used.state()) == pack(*fresh.state())


# --- training


def test_a_batch_the_trainer_cannot_decode_is_a_dead_letter_and_missing_in_its_dates_scores() -> None:
    step = trainer()
    messages = [received(m) for e in drive(CleanStep(), ALL).effects for m in e.messages]
    attributes, message = messages[5]
    messages[5] = (attributes, Message(message.data[:50], message.attributes))
    seen = drive(step, messages)
    (letter,) = [x for e in seen.effects for x in e.dead_letters]
    assert (letter.reason, letter.stage, letter.seq) == ("undecodable", "trainer", 5)
    assert seen.outcomes[5] == ("undecodable", 0)
    assert {(row["batch_id"], row["shards_missing"]) for row in seen.metrics} == {(i, int(i == 1)) for i in range(DATES)}


@pytest.mark.parametrize("fault", ["unsorted", "twice", "date", "shard", "null", "raw"])
def test_rows_that_the_cleaner_cannot_have_written_never_reach_a_model(fault: str) -> None:
    attributes, message = raw_message(1)
    (out,) = CleanStep().apply(attributes, message).messages
    found, again = received(out)
    rows = CleanRows.from_arrow(decode(again, found)[0], runs.ordinal(found.date))
    index = np.arange(len(rows))
    if fault == "unsorted":
        rows = rows.take(index[::-1])
    if fault == "twice":
        rows = rows.take(np.sort(np.append(index, 3)))
    if fault == "date":
        rows.date += 1
    if fault == "shard":
        found = replace(found, seq=2, shard=2)
    table = rows.to_arrow()
    if fault == "null":
        i = table.schema.get_field_index("fog")
        table = table.set_column(i, table.schema.field(i), pa.nulls(len(rows), pa.bool_()))
    if fault == "raw":
        found, table = attributes, decode(message, attributes)[0]
    step = trainer()
    before = pack(*step.state())
    effects = step.apply(found, encode(table, found))
    assert [letter.reason for letter in effects.dead_letters] == ["undecodable"]
    assert (effects.outcome, effects.row_count) == ("undecodable", 0)
    arrays, meta = step.state()
    assert meta == {"shards_missing": 1}
    assert pack(arrays, {"shards_missing": 0}) == before


def test_json_rows_that_are_damaged_cost_themselves_only() -> None:
    attributes, message = raw_message(1)
    (out,) = CleanStep().apply(attributes, message).messages
    found, again = received(out)
    rows = decode(again, found)[0].to_pylist()
    del rows[0]["fog"]
    found = replace(found, content_type=JSON)
    effects = trainer().apply(found, Message(json.dumps(rows, default=str).encode(), found.to_text()))
    assert [(letter.reason, letter.stage) for letter in effects.dead_letters] == [("bad_value", "trainer")]
    assert (effects.outcome, effects.row_count) == ("ok", len(rows) - 1)


def test_a_skipped_batch_equals_one_that_the_cleaner_skipped() -> None:
    skipped, told = trainer(), trainer()
    cleaner = CleanStep()
    for attributes, message in ALL[: 3 * SHARDS]:
        if attributes.seq in (4, 11):  # one in the middle of a date, one that closes it
            given_up = replace(attributes, outcome="skipped")
            effects = skipped.skip(given_up)
            other = told.apply(*received(cleaner.skip(given_up).messages[0]))
            assert effects.outcome == other.outcome == "skipped"
        else:
            (out,) = cleaner.apply(attributes, message).messages
            effects, other = skipped.apply(*received(out)), told.apply(*received(out))
        assert effects.outbox == other.outbox
        assert [(t.name, rows) for t, rows in effects.rows] == [(t.name, rows) for t, rows in other.rows]
    assert pack(*skipped.state()) == pack(*told.state())
    assert {row["shards_missing"] for _, row in effects.outbox} == {1}


def test_the_last_shard_closes_the_date_and_nothing_else_does() -> None:
    seen = drive(ChainedStep(CleanStep(), trainer()), ALL)
    for (attributes, _), effects in zip(ALL, seen.effects, strict=True):
        assert bool(effects.outbox) == bool(effects.rows) == (attributes.shard == SHARDS - 1)
    assert sorted({row["batch_id"] for row in seen.metrics}) == list(range(DATES))
    assert {row["timestamp"] for row in seen.metrics} == {"2024-01-01T00:00:00.000+00:00"}


def test_rows_of_the_store_have_exactly_its_schemas() -> None:
    seen = drive(ChainedStep(CleanStep(), trainer()), ALL[: 2 * SHARDS])
    found = [part for e in seen.effects for part in e.rows]
    assert {table.name for table, _ in found} == {"predictions", "observations"}
    for table, rows in found:
        assert rows.schema.equals(table.arrow)
        assert rows.num_rows > 0
        keys = [tuple(row[k] for k in table.key) for row in rows.to_pylist()]
        assert len(set(keys)) == len(keys)
        assert all(value is not None for key in keys for value in key)
    columns = {c.name for c in tables.MODEL_METRICS.columns} - {"written_at"}
    # The scorer knows nothing of the seed's column `accuracy` where it says nothing.
    assert all(set(row) <= columns and set(tables.MODEL_METRICS.key) <= set(row) for row in seen.metrics)
    json.dumps(seen.metrics, allow_nan=False)


def test_what_is_decided_of_models_goes_to_the_store_with_the_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few dates suffice here: blocks of one, and warnings after three dates with hardly any limit."""
    for name, value in {"BLOCK": 1, "BLOCKS": 2, "T": 0.0, "WARM": 3, "LIMIT": 0.01, "SLACK": 0.0}.items():
        monkeypatch.setattr(watch, name, value)
    step = trainer()
    assert step.drifts() == {}
    step.learner._tracks["nowcast"].watch.appoint("logistic")
    seen = drive(ChainedStep(CleanStep(), step), ALL)
    rows = [row for e in seen.effects for name, row in e.outbox if name == "model_events"]
    assert {row["event"] for row in rows} == {"champion", "drift"}
    assert all(row["run_id"] == RUN.run_id for row in rows)
    text = pa.Table.from_pylist([row | {"date": dt.date.fromisoformat(row["date"])} for row in rows])
    assert tables.checked(tables.MODEL_EVENTS, text).num_rows == len(rows)
    last = {row["task"]: row["model_name"] for row in rows if row["event"] == "champion"}
    assert last
    assert {task: step.learner.champion(task) for task in last} == last
    assert step.drifts() == Counter(row["model_name"] for row in rows if row["event"] == "drift")


def test_a_prediction_knows_its_label_only_where_it_has_come() -> None:
    seen = drive(ChainedStep(CleanStep(), trainer()), ALL)
    labels = {(row["date"], row["station"]): int(row["thunder"]) for row in seen.table(tables.OBSERVATIONS)}
    for row in seen.table(tables.PREDICTIONS):
        if row["task"] == "nowcast":
            assert row["label"] == labels[row["date"], row["station"]]
            assert row["made_from"] == row["date"]
        else:
            assert row["label"] is None
            assert row["made_from"] == row["date"] - dt.timedelta(days=1)
        assert 0 < row["probability"] < 1


def test_observations_are_the_clean_rows_as_they_are() -> None:
    rows = clean_stream(2, 30)[1]
    found = observation_rows("run", rows).to_pylist()
    for row, clean in zip(found, rows.to_arrow().to_pylist(), strict=True):
        assert row == {"run_id": "run", **clean, "written_at": None}
    assert observation_rows("run", CleanRows.empty(5)).num_rows == 0


def test_observations_may_be_left_out() -> None:
    seen = drive(ChainedStep(CleanStep(), trainer(observations=False)), ALL[:SHARDS])
    assert {table.name for e in seen.effects for table, _ in e.rows} == {"predictions"}


# --- new runs


def test_a_new_run_starts_with_fresh_models() -> None:
    used, fresh = trainer(), trainer()
    drive(ChainedStep(CleanStep(), used), ALL)
    for step in (used, fresh):
        step.begin(Attributes.of(NEXT, 0, schema.CLEAN))
    assert pack(*used.state()) == pack(*fresh.state())
    assert pack(*used.state()) == pack(*trainer().state())


def test_a_new_run_may_go_on_with_what_the_models_have_learnt_and_starts_its_scores_anew() -> None:
    step = trainer(on_new_run="continue")
    chained = ChainedStep(CleanStep(), step)
    chained.begin(ALL[0][0])
    drive(chained, ALL)
    learnt = [model.to_bytes() for model in step.learner.models]
    assert learnt != [model.to_bytes() for model in trainer().learner.models]
    chained.begin(Attributes.of(NEXT, 0, schema.RAW))
    assert [model.to_bytes() for model in step.learner.models] == learnt
    seen = drive(chained, [raw_message(seq, NEXT) for seq in range(SHARDS)])
    run_scope = [row for row in seen.metrics if row["scope"] == "run" and row["gate"] == "all" and row["model_name"] == "thunder"]
    assert [(row["batch_id"], row["rows"], row["task"]) for row in run_scope] == [(0, STREAM[0][1].num_rows, "nowcast")]


def test_a_new_run_that_goes_on_begins_with_the_champion_of_the_run_before_and_says_so() -> None:
    step = trainer(on_new_run="continue")
    chained = ChainedStep(CleanStep(), step)
    drive(chained, ALL)
    led = {task: step.learner.champion(task) for task in TASKS}
    assert led == dict.fromkeys(TASKS, "thunder")
    other = next(m.name for m in step.learner.models if m.task == "nowcast" and m.name not in ("thunder", BASELINE))
    step.learner._tracks["nowcast"].watch.appoint(other)
    first = Attributes.of(NEXT, 0, schema.RAW)
    (told,) = chained.begin(first).outbox
    table, row = told
    assert table == tables.MODEL_EVENTS.name
    assert json.loads(row.pop("detail")) == {"instead_of": "thunder", "led_before": True}
    assert row == {
        "run_id": NEXT.run_id, "date": first.date.isoformat(), "task": "nowcast", "model_name": other, "event": "champion",
    }  # fmt: skip
    assert {task: step.learner.champion(task) for task in TASKS} == {"nowcast": other, "dayahead": "thunder"}
    assert step.learner.drifts() == dict.fromkeys(step.learner.drifts(), 0)
    # The run after it begins with the same; one with fresh models does not.
    fresh = trainer()
    fresh.restore(*step.state())
    assert fresh.learner.champion("nowcast") == other
    fresh.begin(Attributes.of(NEXT, 0, schema.CLEAN))
    assert fresh.learner.champion("nowcast") == "thunder"


def test_a_batch_given_up_in_the_old_run_is_not_missing_in_the_new_one() -> None:
    step = trainer()
    step.skip(replace(ALL[0][0], outcome="skipped"))
    step.begin(Attributes.of(NEXT, 0, schema.CLEAN))
    assert step.state()[1] == {"shards_missing": 0}


# --- state


@pytest.mark.parametrize("stop", [0, 1, 5, 2 * SHARDS, 3 * SHARDS - 1])
def test_restored_steps_go_on_as_if_they_had_never_stopped(stop: int) -> None:
    steady = ChainedStep(CleanStep(), trainer())
    drive(steady, ALL[:stop])
    stopped = ChainedStep(CleanStep(), trainer())
    drive(stopped, DAMAGED[:stop])
    state = pack(*stopped.state())
    restored = ChainedStep(CleanStep(), trainer())
    restored.restore(*unpack(state))
    assert pack(*restored.state()) == state
    if stop <= 6:  # up to there nothing is damaged
        a, b = drive(steady, ALL[stop:]), drive(restored, ALL[stop:])
        assert a.metrics == b.metrics
        assert a.table(tables.PREDICTIONS) == b.table(tables.PREDICTIONS)
    else:
        b, c = drive(restored, DAMAGED[stop:]), drive(stopped, DAMAGED[stop:])
        assert b.metrics == c.metrics
        assert pack(*restored.state()) == pack(*stopped.state())


def test_a_restored_trainer_remembers_what_is_missing_of_its_date() -> None:
    step, restored = trainer(), trainer()
    step.skip(replace(ALL[0][0], outcome="skipped"))
    restored.restore(*unpack(pack(*step.state())))
    for seq in range(1, SHARDS):
        effects = restored.skip(replace(ALL[seq][0], outcome="skipped"))
    assert {row["shards_missing"] for _, row in effects.outbox} == {SHARDS}


def test_a_restored_run_goes_on_and_is_no_new_one() -> None:
    step = trainer(on_new_run="continue")
    drive(ChainedStep(CleanStep(), step), ALL[:SHARDS])
    restored = trainer(on_new_run="continue")
    restored.restore(*unpack(pack(*step.state())))
    restored.begin(Attributes.of(NEXT, 0, schema.CLEAN))
    assert [m.to_bytes() for m in restored.learner.models] == [m.to_bytes() for m in step.learner.models]


def test_the_checkpoint_of_another_stage_is_refused() -> None:
    clean, train = CleanStep(), trainer()
    chained = ChainedStep(CleanStep(), trainer())
    for step in (clean, chained):
        step.apply(*ALL[0])
    steps = {"clean": clean, "train": train, "chained": chained}
    for name, step in steps.items():
        for other, its in steps.items():
            state = unpack(pack(*its.state()))
            if name == other:
                step.restore(*state)
            else:
                with pytest.raises(BadState):
                    step.restore(*state)


def test_the_clock_is_utc_to_the_millisecond() -> None:
    text = now_text()
    assert dt.datetime.fromisoformat(text).utcoffset() == dt.timedelta(0)
    assert len(text) == len("2024-01-01T00:00:00.000+00:00")


def test_nothing_predicted_is_a_table_without_rows() -> None:
    (said,) = [p for p in Learner([Logistic("nowcast")]).close(date=3, batch_id=0).predicted if p.model == "logistic"]
    assert prediction_rows("run", said).schema.equals(tables.PREDICTIONS.arrow)
    assert prediction_rows("run", said).num_rows == 0


# --- what serving sees of the trainer


def test_the_trainer_tells_what_came_of_the_date_it_closed_and_nothing_else() -> None:
    step = trainer()
    cleaned = [received(m) for e in drive(CleanStep(), ALL[: 2 * SHARDS]).effects for m in e.messages]
    for number, message in enumerate(cleaned):
        step.apply(*message)
        closes = number % SHARDS == SHARDS - 1
        assert (step.closed is not None) == closes
        if step.closed is not None:
            assert step.closed.rows.date == runs.ordinal(DAY) + number // SHARDS
            assert len(step.closed.rows) > 0
    arrays, meta = step.state()
    step.restore(arrays, meta)
    assert step.closed is None


def test_copies_of_the_models_say_the_same_and_do_not_learn_along() -> None:
    step = trainer()
    cleaned, _ = two_stages(ALL[: 4 * SHARDS], step)
    copies = step.models()
    assert [(m.task, m.name, m.to_bytes()) for m in copies] == [(m.task, m.name, m.to_bytes()) for m in step.learner.models]
    before = [m.to_bytes() for m in copies]
    drive(step, [received(m) for e in drive(CleanStep(), ALL).effects[4 * SHARDS :] for m in e.messages])
    assert [m.to_bytes() for m in copies] == before
    assert [m.to_bytes() for m in step.learner.models] != before
    assert len(cleaned.effects) == 4 * SHARDS
