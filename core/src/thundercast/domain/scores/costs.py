"""What warning costs: the threshold at which misses and false alarms together cost least.

Who warns where the probability is at least t pays for each false alarm and for each miss. If the probabilities are true,
warning pays wherever p * miss >= (1 - p) * false alarm, so the best threshold is false alarm / (false alarm + miss);
where they are not, the past tells which threshold would have cost least.

References:
    Murphy, A. H. (1977): The value of climatological, categorical and probabilistic forecasts in the cost-loss ratio
    situation. Monthly Weather Review 105, 803-816, doi:10.1175/1520-0493(1977)105<0803:TVOCCA>2.0.CO;2.
    Elkan, C. (2001): The foundations of cost-sensitive learning. Proceedings of IJCAI, 973-978.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Warned:
    """The contingency table at every threshold that tells rows apart, from never warning to always.

    Attributes:
        threshold: float64[k], descending; the first is infinite (no warning), the last is the smallest probability.
        tp, fp, fn, tn: int64[k], warned where the probability is at least the threshold.
    """

    threshold: Floats
    tp: Counts
    fp: Counts
    fn: Counts
    tn: Counts

    def cost(self, *, miss: float, false_alarm: float) -> Floats:
        """float64[k]: miss * fn + false_alarm * fp."""
        return miss * self.fn + false_alarm * self.fp

    def best(self, *, miss: float, false_alarm: float) -> int:
        """Which threshold costs least; of equal ones the highest, which warns least.

        Raises:
            ValueError: a cost is negative.
        """
        if miss < 0 or false_alarm < 0:
            raise ValueError(f"costs must not be negative: miss {miss}, false alarm {false_alarm}")
        return int(np.argmin(self.cost(miss=miss, false_alarm=false_alarm)))


def warned(probability: Floats, labels: npt.NDArray[np.int8]) -> Warned:
    """Counts hits, false alarms, misses and correct silence at every threshold.

    Args:
        probability: float64[n], 0 to 1.
        labels: int8[n], 0 or 1.

    Raises:
        ValueError: the arrays are not of one length.

    >>> found = warned(np.array([0.1, 0.4, 0.4, 0.8]), np.array([0, 1, 0, 1], np.int8))
    >>> found.threshold.tolist(), found.tp.tolist(), found.fp.tolist()
    ([inf, 0.8, 0.4, 0.1], [0, 1, 2, 2], [0, 0, 1, 2])
    >>> found.best(miss=3, false_alarm=1), found.best(miss=1, false_alarm=3)
    (2, 1)
    """
    if len(probability) != len(labels):
        raise ValueError(f"{len(probability)} probabilities for {len(labels)} labels")
    order = np.argsort(-probability, kind="stable")
    p, hit = probability[order], np.cumsum(labels[order], dtype=np.int64)
    # The last of each run of equal probabilities: a threshold takes all of them or none.
    last = np.flatnonzero(np.append(p[1:] != p[:-1], True)) if len(p) else np.zeros(0, np.int64)
    tp = np.append(np.int64(0), hit[last])
    fp = np.append(np.int64(0), last + 1 - hit[last])
    positives = int(hit[-1]) if len(hit) else 0
    return Warned(np.append(np.inf, p[last]), tp, fp, positives - tp, len(p) - positives - fp)


def true_threshold(*, miss: float, false_alarm: float) -> float | None:
    """The best threshold for probabilities that are true, false_alarm / (false_alarm + miss). Undefined if nothing costs.

    >>> true_threshold(miss=9, false_alarm=1)
    0.1
    """
    return false_alarm / (false_alarm + miss) if false_alarm + miss else None
