"""Scores by sorting, against scikit-learn, the `scores` package and an exhaustive search."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from scores.probability import roc_curve_data
from sklearn.metrics import average_precision_score, roc_auc_score

from thundercast.domain.scores import exact
from thundercast.domain.scores.curve import Curve
from unit.scores.reference import best, columns, forecasts, rows

UNDEFINED = Curve(None, None, None, None, None, None)


def scores(p, labels, reports=None) -> list[Curve]:
    return exact.scores(exact.keys(p, labels, reports))


def expect(curve: Curve, p, labels) -> None:
    """The curve is what the definitions give, or undefined for one class."""
    if len(set(labels.tolist())) < 2:
        assert curve == UNDEFINED
        return
    assert curve.roc_auc == pytest.approx(roc_auc_score(labels, p), abs=1e-12)
    assert curve.pr_auc == pytest.approx(average_precision_score(labels, p), abs=1e-12)
    hss, hss_at, csi, csi_at = best(p, labels, np.unique(p))
    assert (curve.best_hss, curve.best_csi) == pytest.approx((hss, csi), abs=1e-12)
    assert (curve.hss_threshold, curve.csi_threshold) == (hss_at, csi_at)


@given(drawn=rows)
def test_both_gates_equal_scikit_learn_and_the_best_of_all_thresholds_ties_and_extremes_included(drawn) -> None:
    p, labels, reports = columns(drawn)
    every, reporting = scores(p, labels, reports)
    expect(every, p, labels)
    expect(reporting, p[reports], labels[reports])


def test_a_day_of_five_thousand_rows_equals_scikit_learn() -> None:
    p, labels = forecasts(3, 5_000)
    p = np.round(p, 3)
    every, _ = scores(p, labels)
    assert every.roc_auc == pytest.approx(roc_auc_score(labels, p), abs=1e-13)
    assert every.pr_auc == pytest.approx(average_precision_score(labels, p), abs=1e-13)


def test_the_roc_auc_equals_that_of_the_scores_package() -> None:
    p, labels = forecasts(4, 400)
    theirs = roc_curve_data(xr.DataArray(p, dims="row"), xr.DataArray(labels.astype(float), dims="row"), np.unique(p).tolist())
    assert scores(p, labels)[0].roc_auc == pytest.approx(float(theirs["AUC"]), abs=1e-12)


@given(drawn=rows)
def test_the_order_of_the_rows_does_not_matter(drawn) -> None:
    p, labels, reports = columns(drawn)
    order = np.random.default_rng(0).permutation(len(p))
    assert scores(p, labels, reports) == scores(p[order], labels[order], reports[order])


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_only_has_no_score_instead_of_zero_or_a_half(label: int) -> None:
    assert scores(np.array([0.2, 0.7]), np.full(2, label, np.int8)) == [UNDEFINED, UNDEFINED]


def test_no_rows_have_no_score() -> None:
    assert scores(np.empty(0), np.empty(0, np.int8)) == [UNDEFINED, UNDEFINED]


def test_a_gate_of_one_class_is_undefined_while_all_rows_are_not() -> None:
    every, reporting = scores(np.array([0.2, 0.7]), np.array([0, 1], np.int8), np.array([False, True]))
    assert every.roc_auc == 1.0
    assert reporting == UNDEFINED
