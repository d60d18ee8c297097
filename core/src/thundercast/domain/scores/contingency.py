"""Scores of a 2 x 2 contingency table of yes/no forecasts.

|              | observed yes | observed no |
| ------------ | ------------ | ----------- |
| forecast yes | tp, hit      | fp, false alarm |
| forecast no  | fn, miss     | tn, correct negative |

A score whose denominator is zero is undefined and None: a month without thunder has no hit rate, not one of 0.

References:
    Wilks, D. S. (2019): Statistical Methods in the Atmospheric Sciences, 4th ed., section 9.2.
    Hogan, R. J. and Mason, I. B. (2012): Deterministic forecasts of binary events. In Jolliffe, I. T. and Stephenson,
    D. B. (eds.): Forecast Verification, 2nd ed., chapter 3, doi:10.1002/9781119960003.ch3.
    WWRP/WGNE Joint Working Group on Forecast Verification Research: Forecast verification, methods for dichotomous
    (yes/no) forecasts, https://www.cawcr.gov.au/projects/verification/.
"""

from __future__ import annotations

from typing import Final

SCORES: Final = ("accuracy", "pod", "far", "csi", "hss", "peirce", "bias")
"""What `scores` gives."""


def _ratio(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator else None


def accuracy(*, tp: float, fp: float, fn: float, tn: float) -> float | None:
    """Share of correct forecasts, (tp + tn) / n. Undefined without forecasts. Best 1.

    It says little of a rare event: never warning of thunder is right on 95 days in 100.

    The numbers here and below are Finley's tornado forecasts of 1884, as Wilks prints them.

    >>> round(accuracy(tp=28, fp=72, fn=23, tn=2680), 3)
    0.966
    """
    return _ratio(tp + tn, tp + fp + fn + tn)


def pod(*, tp: float, fn: float) -> float | None:
    """Probability of detection (hit rate), tp / (tp + fn). Undefined without an event. Best 1.

    >>> round(pod(tp=28, fn=23), 3)
    0.549
    """
    return _ratio(tp, tp + fn)


def far(*, tp: float, fp: float) -> float | None:
    """False alarm ratio, fp / (tp + fp). Undefined without a warning. Best 0.

    >>> round(far(tp=28, fp=72), 3)
    0.72
    """
    return _ratio(fp, tp + fp)


def csi(*, tp: float, fp: float, fn: float) -> float | None:
    """Critical success index (threat score; Gilbert 1884, Schaefer 1990), tp / (tp + fp + fn). Best 1.

    Undefined where there is neither a warning nor an event.

    >>> round(csi(tp=28, fp=72, fn=23), 3)
    0.228
    """
    return _ratio(tp, tp + fp + fn)


def hss(*, tp: float, fp: float, fn: float, tn: float) -> float | None:
    """Heidke skill score (Heidke 1926): accuracy beyond that of random forecasts with the same margins. Best 1, no skill 0.

    2 (tp tn - fp fn) / ((tp + fn)(fn + tn) + (tp + fp)(fp + tn)). Undefined where forecasts and observations are all
    yes or all no.

    >>> round(hss(tp=28, fp=72, fn=23, tn=2680), 3)
    0.355
    """
    return _ratio(2 * (tp * tn - fp * fn), (tp + fn) * (fn + tn) + (tp + fp) * (fp + tn))


def peirce(*, tp: float, fp: float, fn: float, tn: float) -> float | None:
    """Peirce skill score (Peirce 1884; true skill statistic, Hanssen-Kuipers), tp / (tp + fn) - fp / (fp + tn). Best 1, no skill 0.

    Undefined unless there are both events and non-events.

    >>> round(peirce(tp=28, fp=72, fn=23, tn=2680), 3)
    0.523
    """
    return _ratio(tp * tn - fp * fn, (tp + fn) * (fp + tn))


def bias(*, tp: float, fp: float, fn: float) -> float | None:
    """Frequency bias, (tp + fp) / (tp + fn): warnings for each event. Undefined without an event. Best 1.

    >>> round(bias(tp=28, fp=72, fn=23), 3)
    1.961
    """
    return _ratio(tp + fp, tp + fn)


def scores(tp: float, fp: float, fn: float, tn: float) -> dict[str, float | None]:
    """All of `SCORES` by name.

    >>> scores(0, 0, 0, 10)["pod"] is None
    True
    """
    return {
        "accuracy": accuracy(tp=tp, fp=fp, fn=fn, tn=tn),
        "pod": pod(tp=tp, fn=fn),
        "far": far(tp=tp, fp=fp),
        "csi": csi(tp=tp, fp=fp, fn=fn),
        "hss": hss(tp=tp, fp=fp, fn=fn, tn=tn),
        "peirce": peirce(tp=tp, fp=fp, fn=fn, tn=tn),
        "bias": bias(tp=tp, fp=fp, fn=fn),
    }
