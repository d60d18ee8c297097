"""Slow, plain statements of what the kernels compute, and what several suites draw from."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st


def forecasts(seed: int, rows: int, *, mean: float = -3.0, spread: float = 2.0) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int8]]:
    """Calibrated probabilities and their outcomes."""
    rng = np.random.default_rng(seed)
    p = 1.0 / (1.0 + np.exp(-rng.normal(mean, spread, rows)))
    return p, (rng.random(rows) < p).astype(np.int8)


def table_at(p: npt.NDArray[np.float64], labels: npt.NDArray[np.int8], threshold: float) -> tuple[int, int, int, int]:
    """tp, fp, fn, tn where yes is p >= threshold."""
    yes, event = p >= threshold, labels == 1
    return tuple(int(np.count_nonzero(c)) for c in (yes & event, yes & ~event, ~yes & event, ~yes & ~event))  # type: ignore[return-value]


def heidke(tp: int, fp: int, fn: int, tn: int) -> float:
    return 2 * (tp * tn - fp * fn) / ((tp + fn) * (fn + tn) + (tp + fp) * (fp + tn))


def best(
    p: npt.NDArray[np.float64], labels: npt.NDArray[np.int8], thresholds: npt.NDArray[np.float64]
) -> tuple[float, float, float, float]:
    """Best HSS, its threshold, best CSI, its threshold: the highest threshold among equals."""
    scored = []
    for t in sorted(thresholds.tolist(), reverse=True):
        tp, fp, fn, tn = table_at(p, labels, t)
        scored.append((heidke(tp, fp, fn, tn), tp / (tp + fp + fn), t))
    hss = max(scored, key=lambda s: s[0])
    csi = max(scored, key=lambda s: s[1])
    return hss[0], hss[2], csi[1], csi[2]


def logit(p: float) -> float:
    return math.log(p / (1 - p))


probabilities = st.one_of(
    st.floats(0.0, 1.0),
    st.sampled_from([0.0, 1e-300, 1e-15, 1e-8, 0.05, 0.1, 0.25, 0.3, 0.5, 0.7, 0.9, 1 - 1e-9, 1.0]),
)
"""Any probability, with ties and extremes often among them."""

rows = st.lists(st.tuples(probabilities, st.sampled_from([0, 1]), st.booleans()), max_size=60)
"""(probability, label, reports) of some rows."""


def columns(drawn: list[tuple[float, int, bool]]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int8], npt.NDArray[np.bool_]]:
    return (
        np.array([p for p, _, _ in drawn], np.float64),
        np.array([y for _, y, _ in drawn], np.int8),
        np.array([r for _, _, r in drawn], np.bool_),
    )
