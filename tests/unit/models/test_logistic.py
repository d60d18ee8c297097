from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import linear_model, optim, preprocessing

from benchmarks import seed_loop
from thundercast.domain.arrays import BadState
from thundercast.domain.models import inputs
from thundercast.domain.models.base import Task
from thundercast.domain.models.logistic import Logistic, gradient
from thundercast.domain.models.river_logistic import RiverLogistic
from unit.models.stationdays import copy_of, make_date, make_stream

Matrix = np.ndarray[Any, np.dtype[np.float64]]
Labels = np.ndarray[Any, np.dtype[np.int8]]


def river_row_by_row(x: Matrix, label: Labels) -> Matrix:
    """P(thunder) of each row from the rows before it, by River alone."""
    model = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    p = np.empty(len(x))
    for i, (row, y) in enumerate(seed_loop.river_rows(x, label)):
        p[i] = model.predict_proba_one(row)[True]
        model.learn_one(row, y)
    return p


def test_equals_river_row_by_row_on_made_up_rows() -> None:
    x, label = seed_loop.matrix_of(make_stream(100, n=200, missing=0.25), 20_000)
    assert len(x) == 20_000
    assert np.abs(seed_loop.predict_learn(x, label) - river_row_by_row(x, label)).max() <= 1e-12


@pytest.mark.real_data
@pytest.mark.slow
def test_equals_river_row_by_row_on_200_000_real_rows(real_data: Path) -> None:
    found = duckdb.sql(
        f"""
        SELECT nullif(temp, 9999.9) AS temp, nullif(dewp, 9999.9) AS dewp, nullif(slp, 9999.9) AS slp,
               nullif(wdsp, 999.9) AS wdsp, nullif(prcp, 99.99) AS prcp, (thunder = '1')::TINYINT AS label
        FROM read_parquet('{real_data / "gsod_real.parquet"}') WHERE date < DATE '2022-03-01' ORDER BY date, station LIMIT 200000
        """
    ).arrow().read_all()  # fmt: skip
    x = np.column_stack([found[name].to_numpy() for name in inputs.FIVE]).astype(np.float32).astype(np.float64)
    label = found["label"].to_numpy()
    assert len(x) == 200_000
    assert np.isnan(x).any()
    p = seed_loop.predict_learn(x, label)
    assert np.abs(p - river_row_by_row(x, label)).max() <= 1e-12
    assert p[label == 1].mean() > 2 * p[label == 0].mean()


@pytest.mark.parametrize("task", get_args(Task))
def test_equals_river_date_by_date(task: Task) -> None:
    dates = make_stream(40, n=100, missing=0.25)
    ours, rivers = Logistic(task), RiverLogistic(task)
    for today, tomorrow in pairwise(dates):
        label = (today if task == "nowcast" else tomorrow).label
        assert np.abs(ours.predict(today) - rivers.predict(today)).max() <= 1e-12
        for model in (ours, rivers):
            model.learn(today, label)
            model.close_date(today.date)


@settings(deadline=None)
@given(logit=st.floats(-800, 800), label=st.booleans())
def test_the_gradient_is_that_of_rivers_log_loss(logit: float, label: bool) -> None:
    # Not to the last bit: River asks the C library for exp, the kernel its compiler's.
    assert gradient(logit, int(label)) == pytest.approx(optim.losses.Log().gradient(label, logit), rel=1e-14, abs=5e-324)


@pytest.mark.parametrize("logit", [-18.0, 18.0, 18.000000001, -18.000000001])
def test_the_gradient_has_rivers_branches(logit: float) -> None:
    assert gradient(logit, 1) == pytest.approx(optim.losses.Log().gradient(True, logit), rel=1e-15)


@settings(deadline=None, max_examples=50)
@given(
    rows=st.lists(
        st.tuples(st.lists(st.one_of(st.none(), st.floats(-1e3, 1e3, width=32)), min_size=5, max_size=5), st.booleans()),
        min_size=1,
        max_size=60,
    )
)
def test_equals_river_on_any_rows(rows: list[tuple[list[float | None], bool]]) -> None:
    # Constant columns, columns that come and go, and values far from all before them.
    x = np.array([[np.nan if v is None else v for v in row] for row, _ in rows])
    label = np.array([y for _, y in rows], np.int8)
    assert np.abs(seed_loop.predict_learn(x, label) - river_row_by_row(x, label)).max() <= 1e-12


@pytest.mark.parametrize("task", get_args(Task))
def test_splitting_a_date_changes_no_prediction(task: Task) -> None:
    *past, today = make_stream(5)
    model = Logistic(task)
    for rows in past:
        model.learn(rows, rows.label)
    pieces = [model.predict(today.take(part)) for part in np.split(np.arange(len(today)), [1, 2, 20, 20])]
    assert np.array_equal(np.concatenate(pieces), model.predict(today))


def test_a_null_is_the_mean_so_far() -> None:
    model = Logistic(features=("temp", "slp"))
    for rows in make_stream(10, missing=0.0):
        model.learn(rows, rows.label)
    null, mean = make_date(n=1, missing=0.0), make_date(n=1, missing=0.0)
    null.column("temp")[:] = np.nan
    mean.column("temp")[:] = np.float32(model._state["means"][0])
    assert model.predict(null) == pytest.approx(model.predict(mean), abs=1e-6)  # the mean is rounded to float32 here


def test_a_null_leaves_its_scaler_and_weight_as_they_were() -> None:
    model = Logistic(features=("temp", "slp"))
    for rows in make_stream(3, missing=0.0):
        model.learn(rows, rows.label)
    before = {name: array.copy() for name, array in model._state.items()}
    gap = make_date(n=1, missing=0.0)
    gap.column("temp")[:] = np.nan
    model.learn(gap, gap.label)
    for name in ("counts", "means", "variances", "weights"):
        assert model._state[name][0] == before[name][0]
        assert model._state[name][1] != before[name][1]


def test_more_features_are_learnt_from_when_named() -> None:
    dates = make_stream(60, n=100)
    for rows in dates:  # the label stands in one of the weather digits
        rows.weather[:, 3] = rows.label == 1
    blind, seeing = Logistic(), Logistic(features=(*inputs.FIVE, "hail", "elev"))
    for rows in dates[:-1]:
        for model in (blind, seeing):
            model.learn(rows, rows.label)
    label = dates[-1].label

    def gap(model: Logistic) -> float:
        p = model.predict(dates[-1])
        return float(p[label == 1].mean() - p[label == 0].mean())

    assert gap(seeing) > gap(blind) + 0.3


def test_the_day_ahead_task_knows_todays_label_and_the_nowcast_does_not() -> None:
    assert Logistic("dayahead").features == (*inputs.FIVE, inputs.TODAY)
    assert Logistic("nowcast").features == inputs.FIVE
    *past, today, tomorrow = make_stream(30, n=100)
    model = Logistic("dayahead")
    for rows, following in zip([*past, today], [*past[1:], today, tomorrow], strict=True):
        model.learn(rows, following.label)
    other = copy_of(tomorrow)
    other.label = (1 - tomorrow.label).astype(np.int8)
    assert not np.array_equal(model.predict(tomorrow), model.predict(other))


@pytest.mark.parametrize("settings_", [{"lr": -0.1}, {"lr": float("nan")}, {"intercept_lr": float("inf")}])
def test_a_rate_that_is_none_is_refused_by_name(settings_: dict[str, float]) -> None:
    (name,) = settings_
    with pytest.raises(ValueError, match=rf"^{name} must be"):
        Logistic(**settings_)


@pytest.mark.parametrize("other", [Logistic(lr=0.02), Logistic(intercept_lr=0.1), Logistic(features=("temp",)), RiverLogistic()])
def test_a_state_of_other_settings_is_refused(other: Logistic | RiverLogistic) -> None:
    with pytest.raises(BadState, match="start a new run"):
        Logistic().from_bytes(other.to_bytes())


def test_a_state_that_is_no_number_is_refused() -> None:
    model = Logistic()
    model._state["weights"][2] = np.nan
    with pytest.raises(BadState, match="damaged in weights"):
        Logistic().from_bytes(model.to_bytes())
    model._state["weights"][2] = 0.0
    model._state["variances"][1] = -1.0
    with pytest.raises(BadState, match="damaged in its counts or variances"):
        Logistic().from_bytes(model.to_bytes())


@pytest.mark.parametrize("loop", [seed_loop.seed_loop, seed_loop.river_predict_learn, seed_loop.logistic_kernel])
def test_the_timed_loops_go_over_all_rows(loop: Any) -> None:
    x, label = seed_loop.matrix_of(make_stream(3), 120)
    timing = loop(x, label) if loop is seed_loop.logistic_kernel else loop(seed_loop.river_rows(x, label))
    assert timing.rows == 120
    assert timing.rows_per_second == timing.rows / timing.seconds > 0
