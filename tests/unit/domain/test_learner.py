"""The learner: each row is predicted with what earlier dates taught, then scored, then learnt; splits and restarts change nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thundercast.domain import runs
from thundercast.domain.arrays import BadState, pack, unpack
from thundercast.domain.learning import Closed, Learner
from thundercast.domain.models.base import Labels, Probabilities, Task
from thundercast.domain.models.logistic import Logistic
from thundercast.domain.models.thunder import Thunder
from thundercast.domain.rows import UNKNOWN, CleanRows
from unit.domain.rawrows import assert_same_rows, clean_stream


class Share:
    """Says the share of thunder among all labels learnt before, and remembers what was asked of it."""

    def __init__(self, task: Task, name: str = "share") -> None:
        self.name, self.task = name, task
        self.thunder, self.rows = 1, 4
        self.calls: list[tuple[str, int, list[int], list[int]]] = []

    def predict(self, rows: CleanRows) -> Probabilities:
        self.calls.append(("predict", rows.date, rows.key.tolist(), []))
        return np.full(len(rows), self.thunder / self.rows)

    def learn(self, rows: CleanRows, labels: Labels) -> None:
        self.calls.append(("learn", rows.date, rows.key.tolist(), labels.tolist()))
        self.thunder += int((labels == 1).sum())
        self.rows += int((labels != UNKNOWN).sum())

    def close_date(self, date: int) -> None:
        self.calls.append(("close", date, [], []))

    def to_bytes(self) -> bytes:
        return pack({"n": np.array([self.thunder, self.rows])}, {"model": self.name})

    def from_bytes(self, state: bytes) -> None:
        arrays, meta = unpack(state)
        if meta != {"model": self.name}:
            raise BadState("another model")
        self.thunder, self.rows = arrays["n"].tolist()


STREAM = clean_stream(9, 40, absent=0.2)
FIRST = STREAM[0].date
Parts = Callable[[CleanRows], Sequence[CleanRows]]


def whole(rows: CleanRows) -> Sequence[CleanRows]:
    return [rows] if len(rows) else []


def in_shards(shards: int, rng: np.random.Generator) -> Parts:
    """A date split by station into shards that come in any order."""

    def split(rows: CleanRows) -> Sequence[CleanRows]:
        shard = rows.key % shards
        parts = [rows.take(np.flatnonzero(shard == i)) for i in range(shards)]
        return [parts[i] for i in rng.permutation(shards) if len(parts[i])]

    return split


def run(learner: Learner, stream: Sequence[CleanRows], parts: Parts = whole) -> list[Closed]:
    closed = []
    for rows in stream:
        for part in parts(rows):
            learner.take(part)
        closed.append(learner.close(date=rows.date, batch_id=rows.date - FIRST, timestamp="t"))
    return closed


def metrics(closed: Sequence[Closed], **where: Any) -> list[dict[str, Any]]:
    return [row for c in closed for row in c.metrics if all(row[k] == v for k, v in where.items())]


def day(rows: CleanRows) -> str:
    return runs.day(rows.date).isoformat()


# --- nowcast


def test_a_nowcast_is_of_the_rows_own_label_and_made_before_it_is_learnt() -> None:
    model = Share("nowcast")
    closed = run(Learner([model]), STREAM)
    calls = [(what, date) for what, date, _, _ in model.calls]
    assert calls == [(what, rows.date) for rows in STREAM for what in ("predict", "learn", "close")]
    taught = [labels for what, _, _, labels in model.calls if what == "learn"]
    assert taught == [rows.label.tolist() for rows in STREAM]
    thunder, n = 1, 4
    for rows, c in zip(STREAM, closed, strict=True):
        (said,) = [p for p in c.predicted if p.model == "share"]
        assert (said.date, said.rows.date, said.task) == (rows.date, rows.date, "nowcast")
        assert said.probability.tolist() == [thunder / n] * len(rows)
        thunder, n = thunder + int(rows.label.sum()), n + len(rows)


def test_labels_only_affect_the_model_when_their_date_has_closed() -> None:
    learner = Learner([Thunder()])
    run(learner, STREAM[:5])
    before = [model.to_bytes() for model in learner.models]
    learner.take(STREAM[5])
    assert [model.to_bytes() for model in learner.models] == before
    learner.close(date=STREAM[5].date, batch_id=5)
    assert [model.to_bytes() for model in learner.models] != before


def test_climatology_is_predicted_and_scored_beside_every_model() -> None:
    closed = run(Learner([Share("nowcast"), Share("dayahead"), Logistic("nowcast")]), STREAM)
    found = {(row["task"], row["model_name"], row["scope"], row["gate"]) for row in closed[-1].metrics}
    names = {"nowcast": ("share", "logistic", "climatology"), "dayahead": ("share", "climatology")}
    assert found == {(t, m, s, g) for t, own in names.items() for m in own for s in ("day", "30d", "run") for g in ("all", "reporting")}
    assert {(p.task, p.model) for p in closed[-1].predicted} == {(t, m) for t, own in names.items() for m in own}


def test_a_threshold_is_the_one_that_was_fixed_before_the_date() -> None:
    learner = Learner([Thunder()])
    for rows in STREAM:
        before = learner.scorer("nowcast").threshold("thunder")
        (closed,) = run(learner, [rows])
        assert {p.threshold for p in closed.predicted if p.model == "thunder"} == {before}
        assert {row["threshold"] for row in metrics([closed], model_name="thunder")} == {before}


# --- day ahead


def test_a_day_ahead_is_of_tomorrows_label_and_learnt_when_that_has_come() -> None:
    model = Share("dayahead")
    closed = run(Learner([model]), STREAM)
    learns = [call for call in model.calls if call[0] == "learn"]
    assert [date for _, date, _, _ in learns] == [rows.date for rows in STREAM[:-1]]
    for (_, _, keys, labels), before, today in zip(learns, STREAM[:-1], STREAM[1:], strict=True):
        tomorrow = dict(zip(today.key.tolist(), today.label.tolist(), strict=True))
        assert keys == before.key.tolist()
        assert labels == [tomorrow.get(key, UNKNOWN) for key in keys]
        assert UNKNOWN in labels
    for rows, c in zip(STREAM, closed, strict=True):
        said = [p for p in c.predicted if p.model == "share"]
        assert [(p.date, p.rows.date) for p in said] == [(rows.date + 1, rows.date)]
    assert [c.metrics == [] for c in closed] == [True] + [False] * (len(STREAM) - 1)


def test_a_row_whose_station_is_not_there_tomorrow_is_neither_scored_nor_learnt() -> None:
    model = Share("dayahead")
    closed = run(Learner([model]), STREAM)
    common = [len(np.intersect1d(a.key, b.key)) for a, b in itertools.pairwise(STREAM)]
    assert sum(common) < sum(len(rows) for rows in STREAM[:-1])
    scored = metrics(closed, model_name="share", scope="day", gate="all")
    assert [(row["date"], row["rows"]) for row in scored] == [(day(rows), n) for rows, n in zip(STREAM[1:], common, strict=True)]
    assert model.rows == 4 + sum(common)


def test_a_day_ahead_is_learnt_before_the_next_one_is_made() -> None:
    model = Share("dayahead")
    run(Learner([model]), STREAM[:3])
    assert [(what, date - FIRST) for what, date, _, _ in model.calls] == [
        ("predict", 0), ("learn", 0), ("close", 0), ("predict", 1), ("learn", 1), ("close", 1), ("predict", 2),
    ]  # fmt: skip


@pytest.mark.parametrize("gap", [1, 2, 40])
def test_rows_that_wait_are_dropped_when_the_next_date_does_not_come(gap: int) -> None:
    later = [copy_at(rows, rows.date + gap) for rows in STREAM[4:7]]
    model = Share("dayahead")
    closed = run(Learner([model]), [*STREAM[:4], *later])
    learnt = [date for what, date, _, _ in model.calls if what == "learn"]
    assert learnt == [rows.date for rows in (*STREAM[:3], *later[:2])]
    assert [bool(c.metrics) for c in closed] == [False, True, True, True, False, True, True]


def copy_at(rows: CleanRows, date: int) -> CleanRows:
    out = rows.take(np.arange(len(rows)))
    out.date = date
    return out


def test_a_date_without_rows_leaves_nothing_to_learn_from() -> None:
    model = Share("dayahead")
    empty = CleanRows.empty(STREAM[3].date)
    closed = run(Learner([model]), [*STREAM[:3], empty, STREAM[4]])
    labels = {date - FIRST: found for what, date, _, found in model.calls if what == "learn"}
    assert set(labels[2]) == {UNKNOWN}
    assert labels[3] == []
    assert [row["rows"] for row in metrics(closed, model_name="share", scope="day", gate="all")] == [
        len(np.intersect1d(STREAM[0].key, STREAM[1].key)), len(np.intersect1d(STREAM[1].key, STREAM[2].key)), 0, 0,
    ]  # fmt: skip


# --- splits


def everything(learner: Learner, closed: Sequence[Closed]) -> tuple[list[Any], list[Any], bytes]:
    """All that can be seen of a run: metrics, predictions, state."""
    said = [(p.task, p.model, p.date, p.threshold, p.rows.key.tolist(), p.probability.tolist()) for c in closed for p in c.predicted]
    return metrics(closed), said, pack(learner.state())


def make() -> Learner:
    return Learner([Thunder("nowcast"), Thunder("dayahead"), Logistic("nowcast")])


@settings(max_examples=6)
@given(st.sampled_from([1, 3, 16, 64]), st.integers(0, 99))
def test_splitting_dates_and_shuffling_their_parts_changes_nothing(shards: int, seed: int) -> None:
    plain, split = make(), make()
    wanted = everything(plain, run(plain, STREAM))
    assert everything(split, run(split, STREAM, in_shards(shards, np.random.default_rng(seed)))) == wanted


def test_a_closed_date_gives_its_rows_sorted_by_station() -> None:
    closed = run(Learner([Share("nowcast")]), STREAM, in_shards(5, np.random.default_rng(1)))
    for c, rows in zip(closed, STREAM, strict=True):
        assert_same_rows(c.rows, rows)


# --- state


@pytest.mark.parametrize("taken", [0, 1, 2, 3])
@pytest.mark.parametrize("dates", [0, 1, 6])
def test_a_restored_learner_goes_on_as_if_it_had_never_stopped(dates: int, taken: int) -> None:
    steady, learner = make(), make()
    run(steady, STREAM[:dates])
    run(learner, STREAM[:dates])
    parts = np.array_split(np.arange(len(STREAM[dates])), 3)
    for part in parts[:taken]:
        learner.take(STREAM[dates].take(part))
    restored = make()
    state, _ = unpack(pack(learner.state()))
    restored.restore(state)
    assert pack(restored.state()) == pack(learner.state())
    for part in parts[taken:]:
        restored.take(STREAM[dates].take(part))
    closed = [restored.close(date=STREAM[dates].date, batch_id=dates, timestamp="t"), *run(restored, STREAM[dates + 1 :])]
    assert everything(restored, closed) == everything(steady, run(steady, STREAM[dates:]))


def test_restoring_replaces_what_was_there() -> None:
    fresh, used = make(), make()
    state = fresh.state()
    run(used, STREAM[:3])
    used.take(STREAM[3])
    used.restore(unpack(pack(state))[0])
    assert pack(used.state()) == pack(state)


@pytest.mark.parametrize(
    "models",
    [
        [Thunder("nowcast")], [Thunder("nowcast"), Thunder("dayahead"), Logistic("nowcast"), Logistic("dayahead")],
        [Thunder("nowcast"), Logistic("dayahead"), Logistic("nowcast")], [Thunder("nowcast"), Thunder("dayahead"), Logistic("nowcast", features=("temp",))],
        [Thunder("nowcast"), Thunder("dayahead", rate=0.9), Logistic("nowcast")],
    ],
    ids=["fewer", "more", "others", "other features", "other rate"],
)  # fmt: skip
def test_the_state_of_other_models_is_refused(models: list[Any]) -> None:
    learner = make()
    run(learner, STREAM[:2])
    with pytest.raises(BadState):
        Learner(models).restore(learner.state())


def test_the_state_of_another_first_scored_date_is_refused() -> None:
    with pytest.raises(BadState, match="score_from"):
        Learner([Thunder()], score_from=FIRST + 1).restore(Learner([Thunder()], score_from=FIRST).state())


@pytest.mark.parametrize("state", [{}, {"learner/version": np.array(1)}, {"learner/version": np.array(3)}], ids=["none", "older", "newer"])
def test_the_state_of_another_version_is_refused(state: dict[str, Any]) -> None:
    with pytest.raises(BadState, match="version .*, this program reads 2"):
        make().restore(make().state() | state if state else {})


# --- misuse


def test_rows_of_another_date_than_the_open_one_are_the_callers_fault() -> None:
    learner = make()
    learner.take(STREAM[0])
    with pytest.raises(ValueError, match="is open"):
        learner.take(STREAM[1])
    with pytest.raises(ValueError, match=f"day {FIRST + 1} cannot close while day {FIRST} is open"):
        learner.close(date=FIRST + 1, batch_id=1)


@pytest.mark.parametrize("models", [[], [Share("nowcast"), Share("nowcast")]])
def test_models_must_be_there_and_distinct(models: list[Share]) -> None:
    with pytest.raises(ValueError, match="at least one and distinct"):
        Learner(models)


def test_dates_before_the_first_scored_one_teach_but_do_not_count() -> None:
    late, early = Learner([Share("nowcast")], score_from=FIRST + 5), Learner([Share("nowcast")])
    closed, all_closed = run(late, STREAM), run(early, STREAM)
    assert metrics(closed, scope="run", gate="all", model_name="share")[-1]["rows"] == sum(len(rows) for rows in STREAM[5:])
    assert metrics(closed, scope="day") == metrics(all_closed, scope="day")
    assert late.models[0].to_bytes() == early.models[0].to_bytes()
