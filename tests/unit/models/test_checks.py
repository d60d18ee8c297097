"""What every model promises, asked of every model that has a name; then River's own checks, asked of the same."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable, Iterator
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import base, checks, datasets

from thundercast.domain.arrays import MAGIC, BadState, pack, unpack
from thundercast.domain.models import registry
from thundercast.domain.models.base import Model, Task
from thundercast.domain.models.inputs import FIVE
from thundercast.domain.rows import UNKNOWN, CleanRows
from thundercast.domain.schema import CLEAN_VALUES, IMPUTABLE, VALUE_INDEX, WEATHER
from unit.models.stationdays import FIRST_DATE, copy_of, make_date, make_stream

TASKS: tuple[Task, ...] = get_args(Task)

every_model = pytest.mark.parametrize("name", registry.names())
every_task = pytest.mark.parametrize("task", TASKS)


def labels_of(dates: list[CleanRows], i: int, task: Task) -> np.ndarray[Any, np.dtype[np.int8]]:
    """The labels to learn date i with: its own, or the next date's (the stations are the same)."""
    return dates[i].label if task == "nowcast" else dates[i + 1].label


def taught(name: str, task: Task, dates: list[CleanRows], model: Model | None = None) -> Model:
    """A model that has learnt the dates (all but the last for dayahead)."""
    model = model or registry.make(name, task)
    for i in range(len(dates) - (task == "dayahead")):
        model.predict(dates[i])
        model.learn(dates[i], labels_of(dates, i, task))
        model.close_date(dates[i].date)
    return model


@every_task
@every_model
def test_a_model_knows_its_name_and_task(name: str, task: Task) -> None:
    model = registry.make(name, task)
    assert (model.name, model.task) == (name, task)


@every_task
@every_model
def test_predicting_changes_nothing(name: str, task: Task) -> None:
    *past, today = make_stream(6)
    model = taught(name, task, past)
    before = model.to_bytes()
    first = model.predict(today)
    assert np.array_equal(first, model.predict(today))
    assert model.to_bytes() == before


@every_task
@every_model
def test_predicting_changes_nothing_of_what_is_learnt_afterwards(name: str, task: Task) -> None:
    dates = make_stream(5)
    asked, silent = registry.make(name, task), registry.make(name, task)
    for i in range(4):
        asked.predict(dates[4])
        asked.predict(dates[i].take(np.arange(7)))
        for model in (asked, silent):
            model.learn(dates[i], labels_of(dates, i, task))
            model.close_date(dates[i].date)
    assert asked.to_bytes() == silent.to_bytes()


@every_model
def test_splitting_a_date_changes_no_prediction(name: str) -> None:
    # The nowcast only: a day-ahead model is given whole dates, since today's labels all around are inputs.
    *past, today = make_stream(6)
    model = taught(name, "nowcast", past)
    pieces = [model.predict(today.take(part)) for part in np.split(np.arange(len(today)), [1, 2, 20, 20])]
    assert np.array_equal(np.concatenate(pieces), model.predict(today))


@every_model
def test_the_nowcast_never_looks_at_the_label(name: str) -> None:
    *past, today = make_stream(6)
    model = taught(name, "nowcast", past)
    expected = model.predict(today)
    for label in (1 - today.label, np.full(len(today), UNKNOWN, np.int8)):
        changed = copy_of(today)
        changed.label = label.astype(np.int8)
        assert np.array_equal(model.predict(changed), expected)


@every_task
@every_model
def test_the_future_changes_nothing_of_the_past(name: str, task: Task) -> None:
    dates = make_stream(8)
    rng = np.random.default_rng(3)

    def predictions(stream: list[CleanRows]) -> list[np.ndarray[Any, Any]]:
        model, out = registry.make(name, task), []
        for i in range(len(stream) - 1):
            out.append(model.predict(stream[i]))
            model.learn(stream[i], labels_of(stream, i, task))
            model.close_date(stream[i].date)
        return out

    changed = list(dates)
    for i in range(5, 8):
        changed[i] = copy_of(dates[i])
        changed[i].values = np.ascontiguousarray(changed[i].values[:, rng.permutation(len(CLEAN_VALUES))])
        changed[i].label = (1 - changed[i].label).astype(np.int8)
    before, after = predictions(dates), predictions(changed)
    assert all(np.array_equal(a, b) for a, b in zip(before[:5], after[:5], strict=True))
    assert not np.array_equal(before[6], after[6])  # what was changed matters afterwards


@every_task
@every_model
def test_rows_without_a_label_are_passed_over(name: str, task: Task) -> None:
    *past, today, later = make_stream(7)
    known = np.arange(len(today)) % 3 != 0
    labels = np.where(known, labels_of([today, later], 0, task), UNKNOWN).astype(np.int8)
    some, few = taught(name, task, past), taught(name, task, past)
    some.learn(today, labels)
    few.learn(today.take(np.flatnonzero(known)), labels[known])
    assert np.array_equal(some.predict(later), few.predict(later))


@every_task
@every_model
def test_equal_rows_give_equal_bytes(name: str, task: Task) -> None:
    assert taught(name, task, make_stream(6)).to_bytes() == taught(name, task, make_stream(6)).to_bytes()
    assert taught(name, task, make_stream(6)).to_bytes() != taught(name, task, make_stream(5)).to_bytes()


@every_task
@every_model
def test_a_restored_model_goes_on_as_if_it_had_never_stopped(name: str, task: Task) -> None:
    dates = make_stream(12)
    uninterrupted, restored = registry.make(name, task), registry.make(name, task)
    for i in range(len(dates) - 1):
        state = restored.to_bytes()
        restored = registry.make(name, task)
        restored.from_bytes(state)
        assert restored.to_bytes() == state
        assert np.array_equal(restored.predict(dates[i]), uninterrupted.predict(dates[i]))
        for model in (restored, uninterrupted):
            model.learn(dates[i], labels_of(dates, i, task))
            model.close_date(dates[i].date)
    assert restored.to_bytes() == uninterrupted.to_bytes()


@every_task
@every_model
def test_restoring_replaces_whatever_was_learnt_before(name: str, task: Task) -> None:
    state = taught(name, task, make_stream(5)).to_bytes()
    other = taught(name, task, make_stream(4, n=80, seed=9))
    other.from_bytes(state)
    assert other.to_bytes() == state


@every_task
@every_model
def test_states_of_others_are_refused(name: str, task: Task) -> None:
    model = taught(name, task, make_stream(3))
    before = model.to_bytes()
    other_task: Task = "dayahead" if task == "nowcast" else "nowcast"
    foreign = [registry.make(other, task).to_bytes() for other in registry.names() if other != name]
    arrays, meta = unpack(before)
    newer = pack(arrays, meta | {"version": meta["version"] + 1})
    for state in [*foreign, registry.make(name, other_task).to_bytes(), newer, pack({}, meta), pack({}), b"", pickle.dumps(meta)]:
        with pytest.raises(BadState):
            model.from_bytes(state)
        assert model.to_bytes() == before


@every_model
def test_states_with_a_part_missing_or_misshapen_are_refused(name: str) -> None:
    state = taught(name, "nowcast", make_stream(3)).to_bytes()
    arrays, meta = unpack(state)
    for part, array in arrays.items():
        others = (array[..., None], array[:-1], np.zeros_like(array, np.bool_), array.astype("S9"))
        for broken in ({k: v for k, v in arrays.items() if k != part}, *(arrays | {part: other} for other in others)):
            with pytest.raises(BadState):
                registry.make(name, "nowcast").from_bytes(pack(broken, meta))


@every_model
def test_the_same_state_in_another_spelling_is_refused(name: str) -> None:
    state = registry.make(name, "nowcast").to_bytes()
    other = state.replace(b'"<i8"', b'"|i8"', 1)  # numpy reads both, and bytes that are read must be the bytes that are written
    assert other != state
    with pytest.raises(BadState):
        registry.make(name, "nowcast").from_bytes(other)


@functools.cache
def _short_state(name: str) -> bytes:
    return taught(name, "nowcast", make_stream(2)).to_bytes()


@every_model
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_states_that_are_cut_off_or_damaged_in_the_header_are_refused(name: str, data: st.DataObject) -> None:
    state = _short_state(name)
    at = data.draw(st.integers(0, len(state) - 1), label="cut at")
    with pytest.raises(BadState):
        registry.make(name, "nowcast").from_bytes(state[:at])
    with pytest.raises(BadState):
        registry.make(name, "nowcast").from_bytes(state + state[at:])
    header = len(MAGIC) + 8 + int.from_bytes(state[len(MAGIC) : len(MAGIC) + 8], "little")
    damaged = bytearray(state)
    damaged[data.draw(st.integers(0, header - 1), label="damaged at")] ^= data.draw(st.integers(1, 255), label="by")
    with pytest.raises(BadState):
        registry.make(name, "nowcast").from_bytes(bytes(damaged))


@every_task
@every_model
def test_probabilities_are_strictly_between_0_and_1(name: str, task: Task) -> None:
    dates = make_stream(40, n=30)
    for day in dates:  # one station always has thunder and the others never: the surest thing there can be
        day.label = (day.key == day.key[0]).astype(np.int8)
    model = taught(name, task, dates)
    today = copy_of(dates[-1])
    for fill in (None, 1e30, -1e30, np.nan, np.inf):
        if fill is not None:
            today.values = np.full_like(today.values, fill)
        p = model.predict(today)
        assert p.dtype == np.float64
        assert p.shape == (30,)
        assert ((p > 0) & (p < 1)).all()


@every_task
@every_model
def test_a_model_that_has_learnt_nothing_predicts(name: str, task: Task) -> None:
    p = registry.make(name, task).predict(make_date())
    assert ((p > 0) & (p < 1)).all()


@every_task
@every_model
def test_a_date_without_rows_is_a_date_like_any_other(name: str, task: Task) -> None:
    *past, today = make_stream(4)
    model = taught(name, task, past)
    empty = CleanRows.empty(today.date)
    assert model.predict(empty).shape == (0,)
    model.learn(empty, empty.label)
    model.close_date(empty.date)
    assert ((model.predict(today) > 0) & (model.predict(today) < 1)).all()


@every_task
@every_model
def test_one_null_never_spoils_a_column(name: str, task: Task) -> None:
    dates = make_stream(30, n=100, missing=0.0)
    dates[3].values[:] = np.nan
    dates[4].values[0] = np.nan
    sound = taught(name, task, make_stream(30, n=100, missing=0.0))
    p, q = taught(name, task, dates).predict(dates[-1]), sound.predict(dates[-1])
    assert np.isfinite(p).all()
    assert np.corrcoef(p, q)[0, 1] > 0.9


@every_task
@every_model
def test_a_model_learns_something(name: str, task: Task) -> None:
    dates = make_stream(60, n=200)
    model, losses, constant = registry.make(name, task), [], []
    thunder, rows = 1.0, 2.0
    for i in range(len(dates) - 1):
        y = labels_of(dates, i, task)
        p = model.predict(dates[i])
        if i >= 20:
            losses.append(-np.where(y == 1, np.log(p), np.log1p(-p)).mean())
            rate = thunder / rows
            constant.append(-np.where(y == 1, np.log(rate), np.log1p(-rate)).mean())
        model.learn(dates[i], y)
        model.close_date(dates[i].date)
        thunder, rows = thunder + y.sum(), rows + len(y)
    # Tomorrow's weather is not in today's: what can be learnt of it is the station, which some models only see through its label.
    assert np.mean(losses) < (0.95 if task == "nowcast" else 0.99) * np.mean(constant)


# River's checks. They ask one row at a time of an object of River's kind, so each row is put to the model as a date of
# one station. A pickle of the wrapper holds the model's canonical bytes: what River asks of pickles is asked of them.
#
# All the checks that River itself has for a binary classifier are run. Those that it does not ask of one, and why: of
# mini-batches (learn_many averages a batch into one step, which is what we must never do), of more than two classes
# (thunder or none), of seeds (nothing here is random), of transformers, regressors, anomaly detectors, wrappers with a
# model inside, and of debug_one, which is River's own display.

_PHISHING = sorted(next(iter(datasets.Phishing()))[0])
_COLUMN = {feature: VALUE_INDEX[column] for feature, column in zip(_PHISHING, (*FIVE, "max", "min", "visib", "mxspd"), strict=True)}


class AsRiver(base.Classifier):
    """One of our models as a River classifier.

    Parameters
    ----------
    model
        The model's name.

    """

    def __init__(self, model: str = "logistic") -> None:
        self.model = model
        self._model = registry.make(model, "nowcast")
        self._date = FIRST_DATE

    def _rows(self, x: dict[str, float]) -> CleanRows:
        rows = CleanRows.empty(self._date)
        rows.key = np.array([10**12], np.int64)
        rows.values = np.full((1, len(CLEAN_VALUES)), np.nan, np.float32)
        for feature, value in x.items():
            rows.values[0, _COLUMN[feature]] = value
        rows.imputed = np.zeros((1, len(IMPUTABLE)), np.bool_)
        rows.weather = np.zeros((1, len(WEATHER)), np.bool_)
        rows.label = np.array([UNKNOWN], np.int8)
        rows.reports = np.zeros(1, np.bool_)
        rows.country = pa.array(["US"])
        return rows

    def predict_proba_one(self, x: dict[str, float]) -> dict[bool, float]:
        p = float(self._model.predict(self._rows(x))[0])
        return {False: 1.0 - p, True: p}

    def learn_one(self, x: dict[str, float], y: bool) -> None:
        self._model.learn(self._rows(x), np.array([y], np.int8))
        self._model.close_date(self._date)
        self._date += 1

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_model": self._model.to_bytes()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        model = registry.make(state["model"], "nowcast")
        model.from_bytes(state["_model"])
        self.__dict__.update(state | {"_model": model})


def _river_checks() -> Iterator[Any]:
    for name in registry.names():
        for number, check in enumerate(checks.yield_checks(AsRiver(name))):
            yield pytest.param(name, check, id=f"{name}-{number}-{check.__name__}")


@pytest.mark.parametrize(("name", "check"), list(_river_checks()))
def test_river_finds_nothing_wrong(name: str, check: Callable[[Any], None]) -> None:
    check(AsRiver(name).clone())
