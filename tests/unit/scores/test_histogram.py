"""The histogram's bins, and its scores against exact ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from thundercast.domain.scores import exact, histogram
from thundercast.domain.scores.curve import Curve
from unit.scores.reference import best, columns, forecasts, logit, probabilities, rows

UNDEFINED = Curve(None, None, None, None, None, None)


def counted(p, labels, reports=None):
    counts = histogram.empty()
    histogram.add(counts, histogram.codes(p, labels, reports), 1)
    return counts


def bins(p) -> list[int]:
    return (histogram.codes(np.asarray(p, np.float64), np.zeros(len(p), np.int8)) >> 2).tolist()


@given(p=probabilities)
def test_a_probability_lies_between_the_edges_of_its_bin(p: float) -> None:
    [b] = bins([p])
    assert histogram.EDGES[b] <= p < histogram.EDGES[b + 1]


@given(p=st.floats(2e-7, 1 - 2e-7))
def test_a_bin_is_the_logit_in_steps_of_a_128th(p: float) -> None:
    [b] = bins([p])
    assert b == pytest.approx((logit(p) + 16) * 128 - 0.5, abs=0.5001)


def test_every_edge_opens_its_own_bin_and_the_number_before_it_closes_the_one_below() -> None:
    inner = histogram.EDGES[1:-1]
    assert bins(inner) == list(range(1, histogram.BINS))
    assert bins(np.nextafter(inner, 0.0)) == list(range(histogram.BINS - 1))


def test_certainty_falls_into_the_outermost_bins() -> None:
    assert bins([0.0, 1e-300, 1 - 1e-16, 1.0]) == [0, 0, histogram.BINS - 1, histogram.BINS - 1]


@given(drawn=rows)
def test_the_scores_are_exactly_those_of_the_probabilities_rounded_down_to_their_bins(drawn) -> None:
    p, labels, reports = columns(drawn)
    rounded = histogram.EDGES[histogram.codes(p, labels, reports) >> 2]
    of_bins = histogram.scores(counted(p, labels, reports))
    of_rounded = exact.scores(exact.keys(rounded, labels, reports))
    for ours, theirs in zip(of_bins, of_rounded, strict=True):
        assert ours._replace(pr_auc=None) == theirs._replace(pr_auc=None)
        assert (ours.pr_auc is None) == (theirs.pr_auc is None)


@pytest.mark.parametrize(("rows", "mean", "spread"), [(30_000, -3.0, 2.0), (150_000, -4.5, 2.5), (150_000, -3.0, 0.3)])
def test_roc_auc_and_average_precision_are_within_1e_4_of_scikit_learn(rows: int, mean: float, spread: float) -> None:
    p, labels = forecasts(11, rows, mean=mean, spread=spread)
    every, reporting = histogram.scores(counted(p, labels))
    assert every == reporting
    assert every.roc_auc == pytest.approx(roc_auc_score(labels, p), abs=2e-5)
    assert every.pr_auc == pytest.approx(average_precision_score(labels, p), abs=1e-4)


def test_the_best_thresholds_are_those_of_an_exhaustive_search_over_the_edges() -> None:
    p, labels = forecasts(12, 3_000)
    every, _ = histogram.scores(counted(p, labels))
    hss, hss_at, csi, csi_at = best(p, labels, histogram.EDGES[np.unique(histogram.codes(p, labels) >> 2)])
    assert (every.best_hss, every.best_csi) == pytest.approx((hss, csi), abs=1e-12)
    assert (every.hss_threshold, every.csi_threshold) == (hss_at, csi_at)


@given(drawn=rows)
def test_what_is_added_and_taken_away_again_leaves_no_trace(drawn) -> None:
    p, labels, reports = columns(drawn)
    counts = counted(*forecasts(1, 100))
    before = counts.copy()
    cells = histogram.codes(p, labels, reports)
    histogram.add(counts, cells, 1)
    assert counts.sum() == before.sum() + len(p)
    histogram.add(counts, cells, -1)
    assert np.array_equal(counts, before)


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_only_has_no_score(label: int) -> None:
    assert histogram.scores(counted(np.array([0.2, 0.7]), np.full(2, label, np.int8))) == [UNDEFINED, UNDEFINED]


def test_an_empty_histogram_has_no_score() -> None:
    assert histogram.scores(histogram.empty()) == [UNDEFINED, UNDEFINED]


def test_equal_probabilities_discriminate_nothing() -> None:
    labels = np.array([0, 1, 0, 0], np.int8)
    every, _ = histogram.scores(counted(np.full(4, 0.2), labels))
    assert every.roc_auc == 0.5
    # The event is first, second, third or last with equal chances.
    assert every.pr_auc == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert math.isclose(every.best_hss, 0.0)
