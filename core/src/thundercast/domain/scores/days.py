"""Scores of many days from what can be summed over them, with bounds from drawing the days again.

Every score here is a ratio of sums over days, so that it can be had for any set of days: those of a month, or those that a
draw of `bootstrap` came to. The ROC AUC is that of pairs of the same day: the chance that, of two stations on one day, the
one with thunder was given the higher probability. It leaves out what only tells days apart, so it is below the ROC AUC of
all rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from thundercast.domain.scores import bootstrap

Floats = npt.NDArray[np.float64]

COLUMNS: Final = ("rows", "positives", "brier", "log_loss", "tp", "fp", "fn", "tn", "pairs", "pairs_in_order")
"""What is summed: counts, sums of squared differences and of log losses, and pairs of a row with and one without thunder."""
SCORES: Final = ("brier_skill", "roc_auc", "hss", "csi", "pod", "far", "log_loss", "base_rate")
"""What `scores` gives."""
_AT: Final = {name: i for i, name in enumerate(COLUMNS)}


def sums(columns: Mapping[str, Sequence[float | None]]) -> Floats:
    """float64[days, len(COLUMNS)] from scores by day.

    Args:
        columns: rows, positives, brier, log_loss, roc_auc, tp, fp, fn, tn of each day, as in `model_metrics`; null where undefined.
    """
    given = {name: np.array(values, np.float64) for name, values in columns.items()}
    rows, positives = given["rows"], given["positives"]
    pairs = np.where(np.isnan(given["roc_auc"]), 0.0, positives * (rows - positives))
    means = {name: np.where(rows > 0, np.nan_to_num(given[name]) * rows, 0.0) for name in ("brier", "log_loss")}
    parts = given | means | {"pairs": pairs, "pairs_in_order": pairs * np.nan_to_num(given["roc_auc"])}
    return np.stack([parts[name] for name in COLUMNS], axis=-1)


def scores(total: Floats, baseline: Floats) -> dict[str, Floats]:
    """The `SCORES` of sums over days; NaN where a score is undefined.

    Args:
        total: float64[..., len(COLUMNS)], of a model.
        baseline: the same of climatology, over the same days.
    """
    part = {name: total[..., i] for name, i in _AT.items()}
    tp, fp, fn, tn = part["tp"], part["fp"], part["fn"], part["tn"]
    with np.errstate(divide="ignore", invalid="ignore"):
        found = {
            "brier_skill": 1.0 - part["brier"] / baseline[..., _AT["brier"]],
            "roc_auc": part["pairs_in_order"] / part["pairs"],
            "hss": 2 * (tp * tn - fp * fn) / ((tp + fn) * (fn + tn) + (tp + fp) * (fp + tn)),
            "csi": tp / (tp + fp + fn),
            "pod": tp / (tp + fn),
            "far": fp / (tp + fp),
            "log_loss": part["log_loss"] / part["rows"],
            "base_rate": part["positives"] / part["rows"],
        }
    return {name: np.where(np.isfinite(values), values, np.nan) for name, values in found.items()}


Bounded = tuple[float | None, tuple[float, float] | None]
"""A score and its bounds; None where undefined."""


def leaderboard(models: Mapping[str, Floats], *, baseline: str, champion: str, level: float = 0.95) -> dict[str, dict[str, Bounded]]:
    """Each model's scores over all days, with bounds, and by how much its Brier skill exceeds the champion's.

    All models are drawn on the same days, so the bounds of a difference are those of paired days: two models may differ for
    sure though their own bounds overlap.

    Args:
        models: name and float64[days, len(COLUMNS)], the same days for all.
        baseline, champion: names among them.
        level: that the bounds hold.

    Returns:
        By model: the `SCORES`, and ``above_champion``, the difference in Brier skill.
    """
    names = list(models)
    stacked = np.stack([models[name] for name in names], axis=1)
    whole = stacked.sum(axis=0)
    drawn = bootstrap.resampled(stacked.reshape(len(stacked), -1)).reshape(-1, len(names), len(COLUMNS))
    reference = names.index(baseline)
    said = {name: scores(whole[m], whole[reference]) for m, name in enumerate(names)}
    again = {name: scores(drawn[:, m], drawn[:, reference]) for m, name in enumerate(names)}
    out: dict[str, dict[str, Bounded]] = {}
    for name in names:
        out[name] = {score: _bounded(said[name][score], again[name][score], level) for score in SCORES}
        difference = said[name]["brier_skill"] - said[champion]["brier_skill"]
        out[name]["above_champion"] = _bounded(difference, again[name]["brier_skill"] - again[champion]["brier_skill"], level)
    return out


def _bounded(value: Floats, drawn: Floats, level: float) -> Bounded:
    number = float(value)
    return (None, None) if np.isnan(number) else (number, bootstrap.bounds(drawn, level=level))
