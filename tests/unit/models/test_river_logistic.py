from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import linear_model, preprocessing

from thundercast.domain.arrays import unpack
from thundercast.domain.models import inputs
from thundercast.domain.models.river_logistic import RiverLogistic
from thundercast.domain.rows import CleanRows
from unit.models.stationdays import copy_of, make_date, make_stream


def mappings(rows: CleanRows) -> list[dict[str, float]]:
    """The five features, made here without the code under test."""
    return [
        {name: float(rows.column(name)[i]) for name in ("temp", "dewp", "slp", "wdsp", "prcp") if not np.isnan(rows.column(name)[i])}
        for i in range(len(rows))
    ]


def test_is_rivers_pipeline_asked_before_and_taught_after_each_date() -> None:
    ours, rivers = RiverLogistic(), preprocessing.StandardScaler() | linear_model.LogisticRegression()
    for rows in make_stream(20):
        expected = [rivers.predict_proba_one(x)[True] for x in mappings(rows)]
        assert ours.predict(rows).tolist() == expected
        ours.learn(rows, rows.label)
        for x, y in zip(mappings(rows), rows.label, strict=True):
            rivers.learn_one(x, bool(y))


def test_the_scaler_learns_a_row_before_it_is_transformed_and_only_when_the_row_is_learnt() -> None:
    ours = RiverLogistic()
    scaler, regression = preprocessing.StandardScaler(), linear_model.LogisticRegression()
    for rows in make_stream(5):
        expected = [regression.predict_proba_one(scaler.transform_one(x))[True] for x in mappings(rows)]
        assert ours.predict(rows).tolist() == expected
        ours.learn(rows, rows.label)
        for x, y in zip(mappings(rows), rows.label, strict=True):
            scaler.learn_one(x)
            regression.learn_one(scaler.transform_one(x), bool(y))


def test_the_bytes_name_the_scaler_and_the_weights_by_feature() -> None:
    model = RiverLogistic()
    for rows in make_stream(3):
        model.learn(rows, rows.label)
    arrays, meta = unpack(model.to_bytes())
    assert meta["features"] == list(inputs.FIVE)
    slp = meta["features"].index("slp")
    assert arrays["counts"][slp] == model._scaler.counts["slp"] > 100
    assert arrays["means"][slp] == model._scaler.means["slp"] != 0
    assert arrays["variances"][slp] == model._scaler.vars["slp"] > 0
    assert arrays["weights"][slp] == model._regression.weights["slp"] != 0
    assert arrays["intercept"][0] == model._regression.intercept != 0
    assert arrays["steps"][0] == model._regression.optimizer.n_iterations == 150


def test_the_order_in_which_river_meets_the_features_leaves_no_trace_in_the_bytes() -> None:
    first, second = make_date(n=2, missing=0.0), make_date(n=2, missing=0.0)
    first.column("temp")[0] = np.nan  # so River meets temp last
    second.column("temp")[0] = np.nan
    other = copy_of(second)
    models = RiverLogistic(), RiverLogistic()
    models[1].predict(other)  # and here its scaler has been asked for everything beforehand
    models[0].learn(first, first.label)
    models[1].learn(second, second.label)
    assert models[0].to_bytes() == models[1].to_bytes()


def test_the_bytes_are_no_pickle() -> None:
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads(RiverLogistic().to_bytes())


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 1000),
    stops=st.lists(st.integers(0, 11), max_size=6),
    missing=st.sampled_from([0.0, 0.3, 0.9, 1.0]),
    task=st.sampled_from(["nowcast", "dayahead"]),
)
def test_stops_anywhere_leave_no_trace(seed: int, stops: list[int], missing: float, task: str) -> None:
    dates = make_stream(12, n=8, seed=seed, missing=missing)
    straight, stopped = RiverLogistic(task), RiverLogistic(task)  # type: ignore[arg-type]
    for i, rows in enumerate(dates):
        for _ in range(stops.count(i)):
            state = stopped.to_bytes()
            stopped = RiverLogistic(task)  # type: ignore[arg-type]
            stopped.from_bytes(state)
        assert np.array_equal(straight.predict(rows), stopped.predict(rows))
        straight.learn(rows, rows.label)
        stopped.learn(rows, rows.label)
    assert straight.to_bytes() == stopped.to_bytes()
