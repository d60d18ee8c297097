"""The sums of a day, against scikit-learn and the `scores` package."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from scores.probability import brier_score
from sklearn.metrics import brier_score_loss, log_loss

from thundercast.domain.scores import exact, histogram
from thundercast.domain.scores.tally import (
    BRIER,
    CLIP,
    FN,
    FP,
    LOG_LOSS,
    POSITIVES,
    RELIABILITY,
    ROWS,
    TN,
    TP,
    NotAProbability,
    tally,
)  # fmt: skip
from unit.scores.reference import columns, forecasts, rows, table_at


@given(drawn=rows)
def test_both_gates_have_the_sums_of_their_rows(drawn) -> None:
    p, labels, reports = columns(drawn)
    sums, cells, keys = tally(p, labels, reports, 0.3)
    for own, gate in zip(sums, (np.ones(len(p), np.bool_), reports), strict=True):
        q, y = p[gate], labels[gate]
        assert (own[ROWS], own[POSITIVES]) == (len(q), y.sum())
        assert own[BRIER] == pytest.approx(((q - y) ** 2).sum(), abs=1e-9)
        clipped = np.clip(q, CLIP, 1 - CLIP)
        assert own[LOG_LOSS] == pytest.approx(-np.log(np.where(y == 1, clipped, 1 - clipped)).sum(), rel=1e-9, abs=1e-9)
        assert tuple(own[[TP, FP, FN, TN]]) == table_at(q, y, 0.3)
        tenth = np.minimum((q * 10).astype(int), 9)
        reliability = own[RELIABILITY:].reshape(10, 3)
        for i in range(10):
            assert reliability[i] == pytest.approx([(tenth == i).sum(), q[tenth == i].sum(), y[tenth == i].sum()])
    assert np.array_equal(cells, histogram.codes(p, labels, reports))
    assert np.array_equal(keys, exact.keys(p, labels, reports))


def test_brier_and_log_loss_of_a_day_equal_scikit_learn_and_the_scores_package() -> None:
    p, labels = forecasts(5, 5_000)
    sums, _, _ = tally(p, labels, np.ones(5_000, np.bool_), 0.3)
    assert sums[0, BRIER] / 5_000 == pytest.approx(brier_score_loss(labels, p), rel=1e-12)
    assert sums[0, BRIER] / 5_000 == pytest.approx(float(brier_score(xr.DataArray(p), xr.DataArray(labels.astype(float)))), rel=1e-12)
    assert sums[0, LOG_LOSS] / 5_000 == pytest.approx(log_loss(labels, p), rel=1e-12)


def test_certain_and_wrong_forecasts_have_a_finite_log_loss_however_many_they_are() -> None:
    n = 1_000
    sums, _, _ = tally(np.tile([0.0, 1.0], n), np.tile(np.array([1, 0], np.int8), n), np.ones(2 * n, np.bool_), 0.3)
    assert sums[0, LOG_LOSS] == pytest.approx(-n * (np.log(CLIP) + np.log(1 - (1 - CLIP))), rel=1e-12)


def test_rows_without_a_label_are_passed_over_whatever_was_said_of_them() -> None:
    p, labels, reports = np.array([0.9, np.nan, 0.2]), np.array([1, -1, 0], np.int8), np.array([True, True, False])
    sums, cells, keys = tally(p, labels, reports, 0.3)
    known = labels >= 0
    others = tally(p[known], labels[known], reports[known], 0.3)
    assert all(np.array_equal(a, b) for a, b in zip((sums, cells, keys), others, strict=True))


@pytest.mark.parametrize("value", [np.nan, -1e-9, 1.0000001, np.inf])
def test_what_is_not_a_probability_is_refused_by_row(value: float) -> None:
    with pytest.raises(NotAProbability, match=r"row 1 has .*, which is not a probability from 0 to 1") as refused:
        tally(np.array([0.1, value]), np.zeros(2, np.int8), np.ones(2, np.bool_), 0.3)
    assert refused.value.row == 1


def test_the_threshold_itself_is_a_warning() -> None:
    sums, _, _ = tally(np.array([0.3, np.nextafter(0.3, 0)]), np.ones(2, np.int8), np.ones(2, np.bool_), 0.3)
    assert (sums[0, TP], sums[0, FN]) == (1, 1)
