"""The cost of warnings: every threshold against a count row by row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thundercast.domain.scores import costs

ROWS = st.lists(st.tuples(st.sampled_from([0.0, 0.01, 0.2, 0.2000001, 0.5, 0.99, 1.0]), st.integers(0, 1)), max_size=40)


@given(ROWS)
def test_every_threshold_has_the_counts_of_a_count_row_by_row(rows: list[tuple[float, int]]) -> None:
    found = costs.warned(np.array([p for p, _ in rows], np.float64), np.array([label for _, label in rows], np.int8))
    assert found.threshold.tolist() == [np.inf, *sorted({p for p, _ in rows}, reverse=True)]
    for i, threshold in enumerate(found.threshold.tolist()):
        counts = [sum((p >= threshold) == said and label == seen for p, label in rows) for said, seen in ((1, 1), (1, 0), (0, 1), (0, 0))]
        assert [int(part[i]) for part in (found.tp, found.fp, found.fn, found.tn)] == counts


@given(ROWS, st.floats(0, 50), st.floats(0, 50))
def test_no_threshold_costs_less_than_the_best(rows: list[tuple[float, int]], miss: float, false_alarm: float) -> None:
    found = costs.warned(np.array([p for p, _ in rows], np.float64), np.array([label for _, label in rows], np.int8))
    best = found.best(miss=miss, false_alarm=false_alarm)
    cost = found.cost(miss=miss, false_alarm=false_alarm)
    assert cost[best] == min(miss * fn + false_alarm * fp for fn, fp in zip(found.fn.tolist(), found.fp.tolist(), strict=True))
    assert (cost[:best] > cost[best]).all()


def test_the_best_threshold_of_true_probabilities_is_the_ratio_of_costs() -> None:
    rng = np.random.default_rng(3)
    p = rng.random(200_000)
    found = costs.warned(p, (rng.random(200_000) < p).astype(np.int8))
    for miss in (1.0, 4.0, 9.0):
        wanted = costs.true_threshold(miss=miss, false_alarm=1.0)
        assert found.threshold[found.best(miss=miss, false_alarm=1.0)] == pytest.approx(wanted, abs=0.03)


def test_costs_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        costs.warned(np.zeros(1), np.zeros(1, np.int8)).best(miss=-1, false_alarm=1)
    with pytest.raises(ValueError, match="2 probabilities for 1 labels"):
        costs.warned(np.zeros(2), np.zeros(1, np.int8))
    assert costs.true_threshold(miss=0, false_alarm=0) is None
