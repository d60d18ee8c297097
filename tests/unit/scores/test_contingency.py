"""The scores of a contingency table, against the `scores` package and by their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scores.categorical import BasicContingencyManager

from thundercast.domain.scores import contingency

counts = st.integers(0, 10_000_000)
THEIRS = {
    "accuracy": "accuracy",
    "pod": "probability_of_detection",
    "far": "false_alarm_ratio",
    "csi": "critical_success_index",
    "hss": "heidke_skill_score",
    "peirce": "peirce_skill_score",
    "bias": "frequency_bias",
}


def of_the_scores_package(tp: int, fp: int, fn: int, tn: int) -> dict[str, float]:
    cells = {"tp_count": tp, "fp_count": fp, "fn_count": fn, "tn_count": tn, "total_count": tp + fp + fn + tn}
    manager = BasicContingencyManager({name: xr.DataArray(float(value)) for name, value in cells.items()})
    with np.errstate(all="ignore"):
        return {ours: float(getattr(manager, theirs)()) for ours, theirs in THEIRS.items()}


@given(tp=counts, fp=counts, fn=counts, tn=counts)
def test_every_score_equals_that_of_the_scores_package_and_is_none_where_theirs_is_nan(tp: int, fp: int, fn: int, tn: int) -> None:
    ours, theirs = contingency.scores(tp, fp, fn, tn), of_the_scores_package(tp, fp, fn, tn)
    assert tuple(ours) == contingency.SCORES
    for name, expected in theirs.items():
        if name == "hss" and fp == fn == 0 and not (tp and tn):
            continue  # 0/0, which the package's form of the formula rounds to a skill of 1 or 0 for some counts
        if ours[name] is None:
            assert not math.isfinite(expected), name
        else:
            assert ours[name] == pytest.approx(expected, rel=1e-9, abs=1e-12), name


@given(tp=counts, fp=counts, fn=counts, tn=counts)
def test_a_score_is_undefined_exactly_where_its_denominator_is_zero(tp: int, fp: int, fn: int, tn: int) -> None:
    undefined = {name for name, value in contingency.scores(tp, fp, fn, tn).items() if value is None}
    expected = {
        "accuracy": tp + fp + fn + tn == 0,
        "pod": tp + fn == 0,
        "far": tp + fp == 0,
        "csi": tp + fp + fn == 0,
        "hss": (tp + fn) * (fn + tn) + (tp + fp) * (fp + tn) == 0,
        "peirce": tp + fn == 0 or fp + tn == 0,
        "bias": tp + fn == 0,
    }
    assert undefined == {name for name, is_undefined in expected.items() if is_undefined}


def test_a_day_without_thunder_and_without_warnings_is_accurate_and_nothing_else() -> None:
    assert contingency.scores(0, 0, 0, 500) == {
        "accuracy": 1.0, "pod": None, "far": None, "csi": None, "hss": None, "peirce": None, "bias": None,
    }  # fmt: skip


def test_perfect_forecasts_score_one_and_no_false_alarms() -> None:
    assert contingency.scores(5, 0, 0, 95) == {"accuracy": 1.0, "pod": 1.0, "far": 0.0, "csi": 1.0, "hss": 1.0, "peirce": 1.0, "bias": 1.0}


def test_never_warning_is_accurate_and_has_no_skill() -> None:
    never = contingency.scores(0, 0, 5, 95)
    assert never["accuracy"] == 0.95
    assert never["hss"] == never["peirce"] == never["pod"] == 0.0
