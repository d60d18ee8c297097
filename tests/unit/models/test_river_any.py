from __future__ import annotations

import os
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import base

from thundercast.domain.arrays import BadState, pack, unpack
from thundercast.domain.models import inputs
from thundercast.domain.models.river_any import PickleForbidden, RiverClassifier, parse
from thundercast.domain.rows import UNKNOWN
from unit.models.stationdays import make_date, make_stream

KEY = b"a key of thirty-two bytes, or so"
TREE = "river.tree.HoeffdingTreeClassifier(grace_period=20)"


class Recorder(base.Classifier):
    """Keeps what it is given; answers what it is told to."""

    answer: dict[bool, float] = {}  # noqa: RUF012 - set by the tests

    def __init__(self, needed: int = 1) -> None:
        self.asked: list[dict[str, float]] = []
        self.learnt: list[tuple[dict[str, float], bool]] = []

    def learn_one(self, x: dict[str, float], y: bool) -> None:
        self.learnt.append((x, y))

    def predict_proba_one(self, x: dict[str, float]) -> dict[bool, float]:
        self.asked.append(x)
        return self.answer


class OnlyLabels(base.Classifier):
    """A classifier without probabilities."""

    def learn_one(self, x: dict[str, float], y: bool) -> None: ...


class NeedsAModel(Recorder):
    """Cannot be made without another model."""

    def __init__(self, model: base.Classifier) -> None:
        super().__init__()


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A module of somebody's own, importable as ``own``."""
    module = types.ModuleType("own")
    for kind in (Recorder, OnlyLabels, NeedsAModel):
        setattr(module, kind.__name__, kind)
    module.function = lambda: Recorder()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "own", module)
    return module


@pytest.mark.parametrize(
    ("text", "path", "parameters"),
    [
        ("river.tree.HoeffdingAdaptiveTreeClassifier", "river.tree.HoeffdingAdaptiveTreeClassifier", {}),
        ("river.linear_model.LogisticRegression()", "river.linear_model.LogisticRegression", {}),
        (" river.linear_model.LogisticRegression( l2 = 0.1, l1=-0 ) ", "river.linear_model.LogisticRegression", {"l2": 0.1, "l1": 0}),
        ("a.B(c='d', e=[1, None], f={'g': True}, h=(1, 2))", "a.B", {"c": "d", "e": [1, None], "f": {"g": True}, "h": (1, 2)}),
    ],
)
def test_a_model_is_read_as_import_path_and_plain_values(text: str, path: str, parameters: dict[str, Any]) -> None:
    assert parse(text) == (path, parameters)


@pytest.mark.parametrize(
    "text",
    [
        "", "Class", "Class(a=1)", "a.B(1)", "a.B(**{'a': 1})", "a.B(c=d)", "a.B(c=open('x'))", "a.B(c=__import__('os').system('true'))",
        "a.B(c={[]: 1})", "a.B()()", "a.B().c", "a[0].B", "a.B; a.C", "a.B(", "(lambda: a).b", "a.B + a.C", "a.B | a.C",
        "a.B(c=1, c=2)", "a.B\0",
    ],
)  # fmt: skip
def test_anything_else_is_refused_and_nothing_of_it_is_run(text: str) -> None:
    with pytest.raises(ValueError, match="cannot read the model"):
        parse(text)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{3,8}x", fullmatch=True),
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    )
)
def test_parameters_come_back_as_they_were_written(parameters: dict[str, Any]) -> None:
    written = ", ".join(f"{name}={value!r}" for name, value in parameters.items())
    assert parse(f"package.module.Class({written})") == ("package.module.Class", parameters)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("rivr.tree.HoeffdingTreeClassifier", "cannot import 'rivr.tree'"),
        ("river.trees.HoeffdingTreeClassifier", "cannot import 'river.trees'"),
        ("river.tree.HoeffdingTreClassifier", "did you mean HoeffdingTreeClassifier"),
        ("river.tree.HoeffdingTreeRegressor", "is not a River classifier"),
        ("river.preprocessing.StandardScaler", "is not a River classifier"),
        ("os.getcwd", "is not a River classifier"),
        ("own.function", "is not a River classifier"),
        ("river.base.Classifier", "is abstract .it leaves learn_one open"),
        ("own.OnlyLabels", "gives labels but no probabilities"),
        ("own.NeedsAModel", "needs the parameter 'model'; where that is another model, write a class"),
        ("river.linear_model.LogisticRegression(l3=1)", "cannot be made with .*l3.*; it takes optimizer, loss, l2"),
        ("river.naive_bayes.MultinomialNB", "takes numbers that are never negative"),
    ],
)
def test_what_cannot_be_made_says_why(own: types.ModuleType, spec: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        RiverClassifier(spec)


def test_parameters_reach_the_classifier() -> None:
    assert RiverClassifier(TREE)._classifier.grace_period == 20


def test_a_classifier_gets_every_number_but_the_label_and_no_null(own: types.ModuleType) -> None:
    rows = make_date(n=30, missing=0.3)
    nowcast, dayahead = RiverClassifier("own.Recorder"), RiverClassifier("own.Recorder", "dayahead")
    for model in (nowcast, dayahead):
        model.predict(rows)
        model.learn(rows, rows.label)
        recorder = model._classifier
        assert recorder.asked == [x for x, _ in recorder.learnt]
        assert [y for _, y in recorder.learnt] == [bool(label) for label in rows.label]
        assert all(np.isfinite(list(x.values())).all() for x in recorder.asked)
    everything = set(inputs.EVERYTHING)
    assert set.union(*(set(x) for x in nowcast._classifier.asked)) == everything
    assert set.union(*(set(x) for x in dayahead._classifier.asked)) == everything | {inputs.TODAY}
    assert "thunder" not in everything
    nulls = int(np.isnan(rows.values).sum())
    assert sum(len(everything) - len(x) for x in nowcast._classifier.asked) == nulls > 0


def test_rows_without_a_label_are_not_learnt(own: types.ModuleType) -> None:
    rows = make_date(n=10)
    model = RiverClassifier("own.Recorder")
    model.learn(rows, np.array([UNKNOWN, 0, 1, *[UNKNOWN] * 7], np.int8))
    assert [y for _, y in model._classifier.learnt] == [False, True]


@pytest.mark.parametrize(("answer", "p"), [({}, 0.5), ({False: 1.0}, 0.0), ({True: 1.0}, 1.0), ({False: 0.75, True: 0.25}, 0.25)])
def test_every_answer_becomes_a_probability_strictly_inside(
    own: types.ModuleType, monkeypatch: pytest.MonkeyPatch, answer: dict[bool, float], p: float
) -> None:
    monkeypatch.setattr(Recorder, "answer", answer)
    got = RiverClassifier("own.Recorder").predict(make_date(n=3))
    assert ((got > 0) & (got < 1)).all()
    assert np.abs(got - p).max() < 1e-12


def test_an_answer_that_is_no_number_is_an_error_and_no_prediction(own: types.ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recorder, "answer", {True: float("nan")})
    with pytest.raises(ArithmeticError, match=r"own\.Recorder.*no number"):
        RiverClassifier("own.Recorder").predict(make_date(n=3))


@pytest.mark.parametrize(
    "spec",
    [
        "river.forest.ARFClassifier(n_models=3)",
        "river.tree.HoeffdingAdaptiveTreeClassifier(grace_period=20)",
        "river.linear_model.LogisticRegression",
    ],
)
def test_two_runs_of_a_random_classifier_are_equal(spec: str) -> None:
    one, two = RiverClassifier(spec), RiverClassifier(spec)
    for rows in make_stream(6, n=40):
        assert np.array_equal(one.predict(rows), two.predict(rows))
        for model in (one, two):
            model.learn(rows, rows.label)
            model.close_date(rows.date)
    assert one.predict(rows).std() > 0


def test_a_seed_of_ones_own_is_kept() -> None:
    assert RiverClassifier("river.forest.ARFClassifier(seed=7)")._classifier.seed == 7


def test_the_state_is_neither_written_nor_read_unless_pickle_is_allowed() -> None:
    state = RiverClassifier(TREE, allow_pickle=True, hmac_key=KEY).to_bytes()
    for model in (RiverClassifier(TREE), RiverClassifier(TREE, hmac_key=KEY)):
        with pytest.raises(PickleForbidden, match=r"written.*models\.allow_pickle"):
            model.to_bytes()
        with pytest.raises(PickleForbidden, match=r"read.*models\.allow_pickle"):
            model.from_bytes(state)


@pytest.mark.parametrize("key", [None, b"", b"short"])
def test_pickle_is_not_allowed_without_a_key(key: bytes | None) -> None:
    with pytest.raises(ValueError, match="needs a key of at least 16 bytes"):
        RiverClassifier(TREE, allow_pickle=True, hmac_key=key)


def test_a_restored_classifier_predicts_as_if_it_had_never_stopped() -> None:
    straight, stopped = RiverClassifier(TREE), RiverClassifier(TREE, allow_pickle=True, hmac_key=KEY)
    for rows in make_stream(10):
        state = stopped.to_bytes()
        stopped = RiverClassifier(TREE, allow_pickle=True, hmac_key=KEY)
        stopped.from_bytes(state)
        assert np.array_equal(straight.predict(rows), stopped.predict(rows))
        straight.learn(rows, rows.label)
        stopped.learn(rows, rows.label)


class Bomb:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


def test_a_state_that_we_did_not_sign_is_refused_before_it_is_unpickled(tmp_path: Path) -> None:
    model = RiverClassifier(TREE, allow_pickle=True, hmac_key=KEY)
    arrays, meta = unpack(model.to_bytes())
    bomb = arrays | {"pickle": np.frombuffer(pickle.dumps(Bomb(tmp_path / "trace")), np.uint8)}
    for state in (pack(bomb, meta), pack({"pickle": bomb["pickle"]}, meta), pack(bomb | {"signature": arrays["signature"][:0]}, meta)):
        with pytest.raises(BadState, match="not signed with this key"):
            model.from_bytes(state)
    assert not (tmp_path / "trace").exists()
    pickle.loads(bomb["pickle"].tobytes())
    assert (tmp_path / "trace").exists()  # the bomb is a live one


def test_a_state_of_another_key_model_task_or_river_is_refused() -> None:
    model = RiverClassifier(TREE, allow_pickle=True, hmac_key=KEY)
    with pytest.raises(BadState, match="not signed with this key"):
        model.from_bytes(RiverClassifier(TREE, allow_pickle=True, hmac_key=KEY[::-1]).to_bytes())
    arrays, meta = unpack(model.to_bytes())
    others = [
        RiverClassifier(TREE, "dayahead", allow_pickle=True, hmac_key=KEY).to_bytes(),
        RiverClassifier("river.tree.HoeffdingTreeClassifier", allow_pickle=True, hmac_key=KEY).to_bytes(),
        pack(arrays, meta | {"river": "0.1.0"}),
    ]
    for state in others:
        with pytest.raises(BadState, match="start a new run"):
            model.from_bytes(state)


@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_a_signed_state_that_was_changed_anywhere_is_refused(data: st.DataObject) -> None:
    model = RiverClassifier("river.linear_model.LogisticRegression", allow_pickle=True, hmac_key=KEY)
    state = bytearray(model.to_bytes())
    state[data.draw(st.integers(0, len(state) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BadState):
        model.from_bytes(bytes(state))
