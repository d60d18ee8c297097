"""A histogram of probabilities by label, from which the scores over all thresholds can be read at any time.

4,096 equal bins of the logit ln(p / (1-p)) from -16 to 16; what is beyond falls into the outermost bins. A bin is
0.8 % wide in odds, everywhere: rare events need that near 0, where equal bins of probability would be too coarse.
Counts are whole numbers, so histograms add and subtract exactly, in any order.
"""

from __future__ import annotations

import math
from typing import Final

import numba as nb
import numpy as np
import numpy.typing as npt

from thundercast.domain.scores.curve import Counts, Curve, Floats, curves, sweep

BINS: Final = 4096
LIMIT: Final = 16.0
_PER_LOGIT: Final = BINS / (2 * LIMIT)

EDGES: Final = np.array([0.0, *(1.0 / (1.0 + math.exp(LIMIT - i / _PER_LOGIT)) for i in range(1, BINS)), np.inf])
"""float64[BINS + 1]: bin b holds EDGES[b] <= p < EDGES[b + 1], so "p >= EDGES[b]" is exactly "its bin is b or above"."""

Codes = npt.NDArray[np.uint16]
"""uint16[n]: bin << 2 | label << 1 | reports, a row's cell in a histogram."""


@nb.njit(cache=True, nogil=True)
def bin_of(p: float, edges: Floats) -> int:
    """The bin of a probability, 0 <= p <= 1."""
    if p < edges[1]:
        return 0
    if p >= edges[BINS - 1]:
        return BINS - 1
    b = int((math.log(p / (1.0 - p)) + LIMIT) * _PER_LOGIT)
    # The logarithm may be off by a rounding at an edge; the table of edges decides, so that bins and thresholds agree.
    while p < edges[b]:
        b -= 1
    while p >= edges[b + 1]:
        b += 1
    return b


@nb.njit(cache=True, nogil=True)
def _codes(p: Floats, labels: npt.NDArray[np.int8], reports: npt.NDArray[np.bool_], edges: Floats) -> Codes:
    out = np.empty(len(p), np.uint16)
    for i in range(len(p)):
        out[i] = bin_of(p[i], edges) << 2 | labels[i] << 1 | reports[i]
    return out


def codes(probability: Floats, labels: npt.NDArray[np.int8], reports: npt.NDArray[np.bool_] | None = None) -> Codes:
    """The cells of n rows.

    Args:
        probability: float64[n], from 0 to 1.
        labels: int8[n], 0 or 1.
        reports: bool[n]; None is all True.
    """
    cells: Codes = _codes(probability, labels, np.ones(len(labels), np.bool_) if reports is None else reports, EDGES)
    return cells


def empty() -> Counts:
    """A histogram without rows."""
    return np.zeros((BINS, 2, 2), np.int32)


@nb.njit(cache=True, nogil=True)
def add(counts: Counts, cells: Codes, times: int) -> None:
    """Adds ``times`` (1, or -1 to take away) to the cells uint16[n] of a histogram."""
    flat = counts.reshape(counts.size)
    for i in range(len(cells)):
        flat[cells[i]] += times


def scores(counts: Counts) -> list[Curve]:
    """The scores over all bin edges, for each gate.

    Ties within a bin count half in the ROC AUC. Average precision is the expected one of a random order within the bin,
    less than 1e-4 from that of all rows sorted, at some ten thousand rows; where very many probabilities are equal,
    scikit-learn's convention of one threshold for all of them is another, somewhat lower number.

    >>> rng = np.random.default_rng(7)
    >>> logit = rng.normal(-3, 2, 100_000)
    >>> p = 1 / (1 + np.exp(-logit))
    >>> labels = (rng.random(100_000) < p).astype(np.int8)
    >>> histogram = empty()
    >>> add(histogram, codes(p, labels), 1)
    >>> every, _ = scores(histogram)
    >>> round(every.roc_auc, 4), round(every.pr_auc, 4), round(every.best_hss, 3), round(every.hss_threshold, 3)
    (0.8797, 0.5724, 0.479, 0.301)
    """
    return curves(sweep(counts, EDGES[:-1], True))
