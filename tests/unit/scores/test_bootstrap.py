"""Bounds by blocks of days: the sums of each draw against a slow reference, and what the bounds must hold."""

from __future__ import annotations

import numpy as np
import pytest

from thundercast.domain.scores import bootstrap


def _slow(sums: np.ndarray, block: int, draws: int, seed: int) -> np.ndarray:
    """Day by day, as the method is described."""
    days = len(sums)
    blocks = -(-days // block)
    starts = np.random.default_rng(seed).integers(0, days, (draws, blocks))
    out = []
    for draw in starts:
        drawn = [(start + i) % days for start in draw.tolist() for i in range(block)][:days]
        out.append(sum(sums[day] for day in drawn))
    return np.array(out)


@pytest.mark.parametrize(("days", "block"), [(1, 1), (7, 3), (12, 4), (12, 12), (31, 10), (5, 1)])
def test_each_draw_sums_whole_blocks_of_consecutive_days(days: int, block: int) -> None:
    sums = np.random.default_rng(days).normal(size=(days, 3))
    found = bootstrap.resampled(sums, block=block, draws=40, seed=5)
    np.testing.assert_allclose(found, _slow(sums, block, 40, 5), rtol=0, atol=1e-9)


def test_a_draw_has_as_many_days_as_there_are_and_the_same_ones_for_every_column() -> None:
    day = np.arange(100.0)
    found = bootstrap.resampled(np.stack([np.ones(100), day, 2 * day], axis=1))
    assert found.shape == (bootstrap.DRAWS, 3)
    np.testing.assert_allclose(found[:, 0], 100.0)
    np.testing.assert_allclose(found[:, 2], 2 * found[:, 1])


def test_equal_days_give_equal_bounds_and_no_doubt_at_all_if_all_days_are_alike() -> None:
    sums = np.random.default_rng(1).normal(size=(50, 2))
    assert np.array_equal(bootstrap.resampled(sums), bootstrap.resampled(sums))
    alike = bootstrap.resampled(np.full((50, 1), 0.25))
    assert bootstrap.bounds(alike[:, 0]) == pytest.approx((12.5, 12.5))


def test_the_bounds_hold_the_truth_as_often_as_they_say_for_days_that_are_alike() -> None:
    # An AR(1) series: its mean's variance is known, and single days would make the bounds less than half as wide.
    rng = np.random.default_rng(7)
    days, phi, held, wide, narrow = 400, 0.7, 0, 0.0, 0.0
    for _ in range(200):
        noise = rng.normal(size=days + 50)
        series = np.zeros(days + 50)
        for i in range(1, len(series)):
            series[i] = phi * series[i - 1] + noise[i]
        sums = series[50:, None]
        bounds = bootstrap.bounds(bootstrap.resampled(sums, block=20, draws=300)[:, 0] / days)
        single = bootstrap.bounds(bootstrap.resampled(sums, block=1, draws=300)[:, 0] / days)
        assert bounds is not None
        assert single is not None
        held += bounds[0] <= 0.0 <= bounds[1]
        wide, narrow = wide + bounds[1] - bounds[0], narrow + single[1] - single[0]
    assert 0.84 <= held / 200 <= 0.99
    assert narrow < 0.6 * wide


def test_bounds_are_undefined_where_the_score_is_in_more_than_a_twentieth_of_the_draws() -> None:
    values = np.arange(100.0)
    values[:5] = np.nan
    assert bootstrap.bounds(values) is not None
    values[5] = np.nan
    assert bootstrap.bounds(values) is None
    assert bootstrap.bounds(np.zeros(0)) is None


def test_what_cannot_be_drawn_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="days by columns"):
        bootstrap.resampled(np.zeros(3))
    with pytest.raises(ValueError, match="block and draws must be at least 1"):
        bootstrap.resampled(np.zeros((3, 1)), block=0)
    assert bootstrap.resampled(np.zeros((0, 2)), draws=3).tolist() == [[0.0, 0.0]] * 3
