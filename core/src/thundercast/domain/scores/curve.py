"""What is read off a sequence of thresholds: ROC AUC, average precision, the best HSS and the best CSI.

A sequence is groups of rows in ascending order of probability, with how many of each label are in each group. The
groups are distinct probabilities (`exact`) or bins (`histogram`); the sweep over them is the same.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

GATES: Final = ("all", "reporting")
"""All rows, or only those of stations that have reported thunder before."""

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int32]
"""int32[groups, 2, 2]: rows by group, label (0, 1) and whether the station has reported thunder before (0, 1).

One cell holds 2^31 rows, fifty times the whole archive since 2015; half the width of int64 keeps the sweeps in the cache.
"""


class Curve(NamedTuple):
    """Scores over all thresholds; all None where the rows are of one class only, or where there are none.

    Attributes:
        roc_auc: area under the ROC curve; ties count half.
        pr_auc: average precision.
        best_hss, best_csi: the best after the fact over all thresholds.
        hss_threshold, csi_threshold: where it was, the highest one among equals: yes is probability >= threshold.
    """

    roc_auc: float | None
    pr_auc: float | None
    best_hss: float | None
    hss_threshold: float | None
    best_csi: float | None
    csi_threshold: float | None


def curves(swept: Floats) -> list[Curve]:
    """The `Curve` of each gate, from float64[gates, 6] with NaN where undefined."""
    return [Curve(*(None if v != v else v for v in row)) for row in swept.tolist()]


@nb.njit(cache=True, nogil=True)
def harmonic_sum(start: int, terms: int) -> float:
    """1/(start+1) + … + 1/(start+terms), to a relative error below 1e-9.

    k terms around their middle c add up to k/c (1 + (k²-1)/(12c²) + (k²-1)(3k²-7)/(240c⁴) + …), the power sums of
    -(k-1)/2 … (k-1)/2. Taken by sixteenths of ``start`` the rest of the series vanishes, and one step is the rule.

    >>> round(harmonic_sum(0, 100), 9)
    5.187377518
    """
    total = 0.0
    while terms > 0:
        k = min(terms, max(1, start // 16))
        c = 1.0 / (start + 0.5 * (k + 1))
        square = float(k) * k
        total += k * c * (1.0 + (square - 1.0) * c * c * (1.0 / 12.0 + (3.0 * square - 7.0) * c * c * (1.0 / 240.0)))
        start += k
        terms -= k
    return total


@nb.njit(cache=True, nogil=True)
def expected_precision(above_yes: int, above: int, yes: int, rows: int) -> float:
    """The expected sum of the precisions at the events of a group whose rows come in random order.

    With T events and C rows above it, p events and m rows in it, the event at place i has precision
    (T + 1 + (i-1)(p-1)/(m-1)) / (C + i) on average, and place i holds an event with probability p/m; summed over i
    this has a closed form in harmonic numbers. McSherry, F. and Najork, M. (2008): Computing information retrieval
    performance measures efficiently in the presence of tied scores, section 3, doi:10.1007/978-3-540-78646-7_38.

    >>> round(expected_precision(0, 0, 1, 2), 6)  # first: 1, second: 1/2
    0.75
    """
    step = (yes - 1) / (rows - 1) if rows > 1 else 0.0
    total: float = step * rows + (above_yes + 1 - step - step * above) * harmonic_sum(above, rows)
    return yes / rows * total


@nb.njit(cache=True, nogil=True)
def _sweep(counts: Counts, thresholds: Floats, reporting: int, expected: bool, out: Floats) -> None:
    """One gate of `sweep`: rows with reports >= ``reporting``; ``out`` float64[6]."""
    groups = len(thresholds)
    yes = 0
    no = 0
    for g in range(groups):
        for r in range(reporting, 2):
            no += counts[g, 0, r]
            yes += counts[g, 1, r]
    out[:] = np.nan
    if yes == 0 or no == 0:
        return
    tp = 0
    fp = 0
    area = 0
    precision = 0.0
    # Fractions are compared by cross-multiplying: a division for each group would be most of the work.
    hss_part = -1.0
    hss_whole = 1.0
    csi_part = -1.0
    csi_whole = 1.0
    hss_at = 0
    csi_at = 0
    for g in range(groups - 1, -1, -1):
        n = counts[g, 0, 1]
        p = counts[g, 1, 1]
        if reporting == 0:
            n += counts[g, 0, 0]
            p += counts[g, 1, 0]
        if n + p == 0:
            continue
        if p > 0 and expected:
            precision += expected_precision(tp, tp + fp, p, p + n)
        area += n * (2 * tp + p)
        tp += p
        fp += n
        if p > 0 and not expected:
            precision += p * (tp / (tp + fp))
        # tp·tn - fp·fn = tp·no - fp·yes, the sizes of the classes being fixed. Floats, for products beyond 2^63.
        part = 2.0 * (float(tp) * no - float(fp) * yes)
        whole = float(yes) * (yes + no - tp - fp) + float(tp + fp) * no
        if part * hss_whole > hss_part * whole:
            hss_part = part
            hss_whole = whole
            hss_at = g
        if tp * csi_whole > csi_part * (yes + fp):
            csi_part = float(tp)
            csi_whole = float(yes + fp)
            csi_at = g
    out[0] = area / 2.0 / yes / no
    out[1] = precision / yes
    out[2] = hss_part / hss_whole
    out[3] = thresholds[hss_at]
    out[4] = csi_part / csi_whole
    out[5] = thresholds[csi_at]


@nb.njit(cache=True, nogil=True)
def sweep(counts: Counts, thresholds: Floats, expected: bool) -> Floats:
    """The fields of `Curve` for each gate.

    Args:
        counts: int32[groups, 2, 2], groups in ascending order; empty ones are passed over.
        thresholds: float64[groups], the least probability of each group.
        expected: average precision by the expected order within a group, as of rows that a bin threw together; else
            a group is one threshold, as scikit-learn has it for equal probabilities.

    Returns:
        float64[gates, 6], NaN where undefined.
    """
    out = np.empty((2, 6))
    for gate in range(2):
        _sweep(counts, thresholds, gate, expected, out[gate])
    return out
