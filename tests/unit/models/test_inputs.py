from __future__ import annotations

import numpy as np
import pytest

from thundercast.domain.models import inputs
from thundercast.domain.rows import UNKNOWN
from thundercast.domain.schema import WEATHER
from unit.models.stationdays import copy_of, make_date


def test_each_name_gets_its_own_column_of_the_row() -> None:
    rows = make_date(missing=0.3)
    names = ("slp", "hail", "temp", "reports_thunder", "thunder_rate", inputs.TODAY)
    x = inputs.matrix(rows, inputs.codes_of(names, "dayahead"))
    hail = rows.weather[:, WEATHER.index("hail")]
    expected = (
        rows.column("slp"), hail, rows.column("temp"), rows.reports, rows.column("thunder_rate"), rows.label,
    )  # fmt: skip
    assert np.array_equal(x, np.column_stack([column.astype(np.float64) for column in expected]), equal_nan=True)


def test_what_is_not_a_finite_number_is_null() -> None:
    rows = make_date(n=4, missing=0.0)
    rows.column("temp")[:] = [1.5, np.inf, -np.inf, np.nan]
    rows.label[:] = [0, 1, UNKNOWN, 0]
    x = inputs.matrix(rows, inputs.codes_of(("temp", inputs.TODAY), "dayahead"))
    nan = np.nan
    assert np.array_equal(x, [[1.5, 0], [nan, 1], [nan, nan], [nan, 0]], equal_nan=True)


def test_mappings_hold_python_floats_in_order_and_leave_nulls_out() -> None:
    x = np.array([[1.5, np.nan, 2.0], [0.0, -1.0, 3.0]])
    mappings = inputs.mappings(("a", "b", "c"), x)
    assert [list(mapping.items()) for mapping in mappings] == [[("a", 1.5), ("c", 2.0)], [("a", 0.0), ("b", -1.0), ("c", 3.0)]]
    assert {type(value) for mapping in mappings for value in mapping.values()} == {float}


def test_imputed_values_are_taken_as_filled_in() -> None:
    rows = make_date(missing=0.0)
    other = copy_of(rows)
    other.imputed[:] = ~rows.imputed
    codes = inputs.codes_of(inputs.EVERYTHING, "nowcast")
    assert np.array_equal(inputs.matrix(rows, codes), inputs.matrix(other, codes))


@pytest.mark.parametrize(
    ("features", "says"),
    [
        (("dewpoint",), "no feature 'dewpoint'; did you mean"),
        (("qqqq",), "there are temp, dewp"),
        (("temp", "slp", "temp"), "named twice"),
        ((), "at least one"),
        (("temp", inputs.TODAY), "is what the nowcast predicts"),
    ],
)
def test_features_that_cannot_be_used_are_refused_by_name(features: tuple[str, ...], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        inputs.codes_of(features, "nowcast")


def test_probabilities_are_moved_inside_by_less_than_1e_12() -> None:
    p = np.array([0.0, 1e-13, 1e-3, 0.5, 1.0])
    q = inputs.inside(p)
    assert ((q > 0) & (q < 1)).all()
    assert np.abs(q - p).max() < 1e-12
    assert np.array_equal(q[1:4], p[1:4])
