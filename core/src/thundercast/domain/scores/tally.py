"""One pass over a day's rows of one model: everything that is a sum, and what the sorted scores need."""

from __future__ import annotations

import math
from typing import Final

import numba as nb
import numpy as np
import numpy.typing as npt

from thundercast.domain.models.base import Labels
from thundercast.domain.scores.curve import Floats
from thundercast.domain.scores.exact import Keys
from thundercast.domain.scores.histogram import EDGES, Codes, bin_of

DECILES: Final = 10
ROWS, POSITIVES, BRIER, LOG_LOSS, TP, FP, FN, TN, RELIABILITY = range(9)
"""Places in `Sums`; from RELIABILITY on, by tenth of probability: rows, sum of probabilities, positives."""
WIDTH: Final = RELIABILITY + 3 * DECILES

Reports = npt.NDArray[np.bool_]
Sums = npt.NDArray[np.float64]
"""float64[2, WIDTH]: all rows, and those of stations that have reported thunder before."""

CLIP: Final = 1e-15
"""Log loss takes probabilities within [CLIP, 1 - CLIP]: one certain and wrong forecast must not make it infinite."""

_TINY: Final = 1e-280


@nb.njit(cache=True, nogil=True)
def _tally(p: Floats, labels: Labels, reports: Reports, threshold: float, edges: Floats, cells: Codes, keys: Keys, out: Sums) -> int:
    """See `tally`. Returns the number of rows with a label, or -1 - i if row i is not a probability."""
    bits = p.view(np.uint64)
    apart = np.zeros((2, WIDTH))
    product = np.ones(2)
    n = 0
    for i in range(len(p)):
        y = np.int64(labels[i])
        if y < 0:
            continue
        q = p[i]
        if not 0.0 <= q <= 1.0:
            return -1 - i
        r = np.int64(reports[i])
        cells[n] = bin_of(q, edges) << 2 | y << 1 | r
        keys[n] = bits[i] << np.uint64(2) | np.uint64(y << 1 | r)
        n += 1
        apart[r, POSITIVES] += y
        apart[r, BRIER] += (q - y) * (q - y)
        # A sum of logarithms is the logarithm of a product, as long as that does not underflow.
        clipped = min(max(q, CLIP), 1.0 - CLIP)
        product[r] *= clipped if y else 1.0 - clipped
        if product[r] < _TINY:
            apart[r, LOG_LOSS] -= math.log(product[r])
            product[r] = 1.0
        if q >= threshold:
            apart[r, TP if y else FP] += 1.0
        else:
            apart[r, FN if y else TN] += 1.0
        tenth = RELIABILITY + 3 * min(int(q * DECILES), DECILES - 1)
        apart[r, tenth] += 1.0
        apart[r, tenth + 1] += q
        apart[r, tenth + 2] += y
    for gate in range(2):
        apart[gate, LOG_LOSS] -= math.log(product[gate])
        apart[gate, ROWS] = apart[gate, TP] + apart[gate, FP] + apart[gate, FN] + apart[gate, TN]
    out[0] = apart[0] + apart[1]
    out[1] = apart[1]
    return n


class NotAProbability(ValueError):
    """A model said something that is not a probability.

    Attributes:
        row: the first row in question.
    """

    def __init__(self, row: int, value: float) -> None:
        super().__init__(f"row {row} has {value}, which is not a probability from 0 to 1")
        self.row = row


def tally(
    probability: Floats,
    labels: Labels,
    reports: Reports,
    threshold: float,
) -> tuple[Sums, Codes, Keys]:
    """The sums of n rows, and the histogram cells and sort keys of those with a label.

    Args:
        probability: float64[n].
        labels: int8[n]: 1, 0, or negative where unknown: such a row is passed over.
        reports: bool[n].
        threshold: yes is probability >= threshold.

    Raises:
        NotAProbability: a row with a label has a probability that is NaN or outside [0, 1].

    >>> sums, _, _ = tally(np.array([0.9, 0.2, 0.6]), np.array([1, 0, 0], np.int8), np.ones(3, np.bool_), 0.3)
    >>> sums[0, :RELIABILITY].round(4).tolist()
    [3.0, 1.0, 0.41, 1.2448, 1.0, 1.0, 0.0, 1.0]
    """
    cells = np.empty(len(labels), np.uint16)
    keys = np.empty(len(labels), np.uint64)
    out = np.empty((2, WIDTH))
    n = _tally(np.ascontiguousarray(probability, np.float64), labels, reports, threshold, EDGES, cells, keys, out)
    if n < 0:
        raise NotAProbability(-1 - n, float(probability[-1 - n]))
    return out, cells[:n], keys[:n]
