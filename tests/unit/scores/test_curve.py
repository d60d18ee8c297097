"""The arithmetic of average precision within a group of rows in random order."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thundercast.domain.scores.curve import expected_precision, harmonic_sum


@given(start=st.integers(0, 5_000), terms=st.integers(0, 5_000))
def test_the_harmonic_sum_equals_its_terms_added_up(start: int, terms: int) -> None:
    assert harmonic_sum(start, terms) == pytest.approx(sum(1.0 / (start + i) for i in range(1, terms + 1)), rel=1e-9)


def test_the_harmonic_sum_holds_at_the_size_of_the_whole_archive() -> None:
    # H(n) = ln n + gamma + 1/(2n) - 1/(12 n^2) + ..., at n = 44 million
    assert harmonic_sum(0, 44_000_000) == pytest.approx(18.176915868147706, rel=1e-9)


@given(above_yes=st.integers(0, 5), above_no=st.integers(0, 5), yes=st.integers(1, 3), no=st.integers(0, 3))
def test_expected_precision_is_the_mean_over_all_orders_of_the_group(above_yes: int, above_no: int, yes: int, no: int) -> None:
    total, orders = Fraction(0), 0
    for order in permutations([1] * yes + [0] * no):
        tp, seen = above_yes, above_yes + above_no
        for event in order:
            tp, seen = tp + event, seen + 1
            total += Fraction(tp, seen) * event
        orders += 1
    assert expected_precision(above_yes, above_yes + above_no, yes, yes + no) == pytest.approx(float(total / orders), rel=1e-9)
