"""The inputs of the models that know no more than numbers by name: River's and the compiled logistic regression.

A matrix float64[n, k] with one column per named feature; NaN where the clean row has none. Imputed values are taken
as the cleaner filled them in.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

import numba as nb
import numpy as np
import numpy.typing as npt

from thundercast.domain.models.base import Probabilities, Task
from thundercast.domain.rows import CleanRows
from thundercast.domain.schema import CLEAN_VALUES, WEATHER

FIVE: Final = ("temp", "dewp", "slp", "wdsp", "prcp")
TODAY: Final = "thunder_today"
"""The label of the row itself: an input of the day-ahead task, the answer of the nowcast."""
EVERYTHING: Final = (*(name for name, _, _ in CLEAN_VALUES), *WEATHER, "reports_thunder")
"""All that a clean row says in numbers but the label: values, present-weather digits (0, 1), and whether the station reports thunder."""

_CODES: Final = {name: code for code, name in enumerate((*EVERYTHING, TODAY))}
_EDGE: Final = 1.0 / (1.0 + np.exp(30.0))


def for_task(features: Sequence[str], task: Task) -> tuple[str, ...]:
    """The features, and `TODAY` for the day-ahead task."""
    return (*features, *((TODAY,) if task == "dayahead" else ()))


def codes_of(features: Sequence[str], task: Task) -> npt.NDArray[np.int64]:
    """int64[k], what `matrix` takes for the features.

    Raises:
        ValueError: none, unknown or repeated features, or the label as a feature of the nowcast.
    """
    if not features:
        raise ValueError("a model needs at least one feature")
    for name in features:
        if name not in _CODES:
            raise ValueError(f"there is no feature {name!r}; {_nearest(name)}")
    if len(set(features)) < len(features):
        raise ValueError(f"a feature is named twice in {', '.join(features)}")
    if TODAY in features and task == "nowcast":
        raise ValueError(f"{TODAY!r} is what the nowcast predicts; only the day-ahead task may use it")
    return np.array([_CODES[name] for name in features], np.int64)


def _nearest(name: str) -> str:
    near = get_close_matches(name, _CODES, n=3)
    return f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(_CODES)}"


@nb.njit(cache=True, nogil=True)
def _matrix(values, weather, reports, label, codes, out) -> None:  # type: ignore[no-untyped-def]
    v, w = values.shape[1], weather.shape[1]
    for i in range(len(values)):
        for j in range(len(codes)):
            c = codes[j]
            x = np.nan
            if c < v:
                # Infinite is not a measurement either: one of them would spoil a running mean for good.
                if np.isfinite(values[i, c]):
                    x = np.float64(values[i, c])
            elif c < v + w:
                x = np.float64(weather[i, c - v])
            elif c == v + w:
                x = np.float64(reports[i])
            elif label[i] >= 0:
                x = np.float64(label[i])
            out[i, j] = x


def matrix(rows: CleanRows, codes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """float64[n, k]: the features with these `codes_of`, NaN where there is none."""
    out = np.empty((len(rows), len(codes)))
    _matrix(rows.values, rows.weather, rows.reports, rows.label, codes, out)
    return out


def mappings(features: Sequence[str], x: npt.NDArray[np.float64]) -> list[dict[str, float]]:
    """The rows of a `matrix` as River takes them: n mappings of Python floats in the order of the features, NaN left out."""
    gaps: list[bool] = np.logical_or.reduce(np.isnan(x), axis=1).tolist()
    return [
        {name: value for name, value in zip(features, row, strict=True) if value == value} if gap else dict(zip(features, row, strict=True))
        for row, gap in zip(x.tolist(), gaps, strict=True)
    ]


def inside(p: Probabilities) -> Probabilities:
    """Moves probabilities of exactly 0 or 1 inside by 9.4e-14, the sigmoid at 30: they are the models' rounding, not their certainty."""
    return np.clip(p, _EDGE, 1.0 - _EDGE)
