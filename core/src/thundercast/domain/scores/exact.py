"""Scores over all thresholds by sorting: exact, for the rows of one day.

Probability, label and gate go into one integer whose order is that of the probabilities, so that one sort without
an index serves both gates.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

from thundercast.domain.scores.curve import Counts, Curve, Floats, curves, sweep

Keys = npt.NDArray[np.uint64]
"""uint64[n]: the bits of the probability (62 are enough from 0 to 1) << 2 | label << 1 | reports."""


def keys(probability: Floats, labels: npt.NDArray[np.int8], reports: npt.NDArray[np.bool_] | None = None) -> Keys:
    """The sort keys of n rows.

    Args:
        probability: float64[n], from 0 to 1.
        labels: int8[n], 0 or 1.
        reports: bool[n]; None is all True.
    """
    low = labels.astype(np.uint64) << np.uint64(1) | (np.uint64(1) if reports is None else reports.astype(np.uint64))
    return probability.view(np.uint64) << np.uint64(2) | low


@nb.njit(cache=True, nogil=True)
def _grouped(ordered: Keys) -> tuple[Floats, Counts]:
    """The distinct probabilities float64[g] of sorted keys, ascending, and their counts int32[g, 2, 2]."""
    n = len(ordered)
    bits = np.empty(n, np.uint64)
    counts = np.zeros((n, 2, 2), np.int32)
    g = -1
    for i in range(n):
        value = ordered[i] >> np.uint64(2)
        if g < 0 or value != bits[g]:
            g += 1
            bits[g] = value
        counts[g, np.int64(ordered[i] >> np.uint64(1)) & 1, np.int64(ordered[i]) & 1] += 1
    return bits[: g + 1].view(np.float64), counts[: g + 1]


@nb.njit(cache=True, nogil=True)
def _swept(ordered: Keys) -> Floats:
    thresholds, counts = _grouped(ordered)
    out: Floats = sweep(counts, thresholds, False)
    return out


def scores(unordered: Keys) -> list[Curve]:
    """The scores over all distinct probabilities of rows given by their `keys`, for each gate.

    ROC AUC is the probability that an event was given more than a non-event, ties counting half. Average precision is
    the sum over thresholds of (recall - recall before) x precision, as scikit-learn defines it.

    >>> p = np.array([0.1, 0.4, 0.35, 0.8])
    >>> every, _ = scores(keys(p, np.array([0, 0, 1, 1], np.int8)))
    >>> every.roc_auc, round(every.pr_auc, 4), every.best_csi, every.csi_threshold
    (0.75, 0.8333, 0.6666666666666666, 0.35)
    """
    return curves(_swept(np.sort(unordered)))
