"""The scorer: rows of the table `model_metrics` for each date, and the scores of a whole run.

Everything is decided when a date closes, from all its rows at once. The threshold at which a model's probabilities
count as a warning was fixed when the date before closed, so that no label decides how it is itself judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from thundercast.domain import runs
from thundercast.domain.arrays import Arrays, BadState, nest, pack, part, unpack
from thundercast.domain.models.base import Labels, Probabilities, Task
from thundercast.domain.scores import contingency, exact, histogram, tally
from thundercast.domain.scores.climatology import NAME as BASELINE
from thundercast.domain.scores.curve import GATES, Curve
from thundercast.domain.scores.window import DAYS, Window

VERSION: Final = 1
FIRST_THRESHOLD: Final = 0.3
"""In force while the past 30 days give none: no rows, one class only, or no threshold with skill."""

Gate = Literal["all", "reporting"]
Row = dict[str, Any]


class Scorer:
    """Scores several models of one task, and climatology as one of them.

    Args:
        task: nowcast or dayahead.
        names: the models but for climatology, which is the baseline and always scored.
        score_from: the first date (days since 1970-01-01) whose rows count in the scope ``run``; None counts all.
            Thresholds and the other scopes do not depend on it.

    >>> rng = np.random.default_rng(1)
    >>> scorer = Scorer("nowcast", ["coin"])
    >>> for day in range(20_000, 20_040):
    ...     p = 1 / (1 + np.exp(-rng.normal(-3, 2, 500)))
    ...     labels = (rng.random(500) < p).astype(np.int8)
    ...     rows = scorer.score(
    ...         date=day, labels=labels, reports=np.ones(500, np.bool_), batch_id=day - 20_000, timestamp="",
    ...         probabilities={"coin": p, "climatology": np.full(500, 0.12)},
    ...     )
    >>> len(rows), rows[0]["model_name"], rows[0]["scope"], rows[0]["gate"], round(rows[0]["roc_auc"], 3)
    (12, 'coin', 'day', 'all', 0.917)
    >>> run = scorer.summary()["coin"]
    >>> run["n"], round(run["roc_auc"], 4), round(run["brier_skill"], 3), round(run["hss"], 3), round(run["best_hss"], 3)
    (20000, 0.8769, 0.301, 0.471, 0.474)
    """

    def __init__(self, task: Task, names: Sequence[str], *, score_from: int | None = None) -> None:
        if BASELINE in names or len(set(names)) != len(names):
            raise ValueError(f"names must be distinct and leave out {BASELINE!r}, which is always scored: {list(names)}")
        self.task: Final = task
        self.names: Final = (*names, BASELINE)
        self.score_from: Final = score_from
        models = len(self.names)
        self._date: int | None = None
        self._window = Window(models)
        self._run_counts = [histogram.empty() for _ in range(models)]
        self._run_sums = np.zeros((models, 2, tally.WIDTH))
        self._thresholds = [FIRST_THRESHOLD] * models
        self._thresholds_before = self._thresholds
        self.day_sums: npt.NDArray[np.float64] = np.zeros((models, 2, tally.WIDTH))
        """float64[models, 2, WIDTH]: the sums of the date that was scored last; of gate 0 all its rows. Not part of the state."""

    def threshold(self, name: str) -> float:
        """The threshold in force for the date after the last one scored: warn where probability >= threshold."""
        return self._thresholds[self.names.index(name)]

    def score(
        self,
        *,
        date: int,
        labels: Labels,
        reports: npt.NDArray[np.bool_],
        probabilities: Mapping[str, Probabilities],
        batch_id: int,
        timestamp: str,
        shards_missing: int = 0,
    ) -> list[Row]:
        """Closes a date.

        Args:
            date: of the labels, days since 1970-01-01; later than the last one scored.
            labels: int8[n], 1, 0 or `UNKNOWN`, sorted by station; rows without a label are passed over. n may be 0.
            reports: bool[n], the station has reported thunder before.
            probabilities: float64[n] of each model, climatology included, made before the date's labels were learnt.
            batch_id: number of the date in its run.
            timestamp: when the date closed, as text.
            shards_missing: batches of the date that were given up.

        Returns:
            For each model, scope and gate one row of `model_metrics` without ``run_id`` and ``written_at``; JSON
            values, None where a score is undefined.

        Raises:
            ValueError: the date is not later than the last, models are missing or unknown, lengths differ, or a
                probability is NaN or outside [0, 1].
        """
        self._check(date, labels, reports, probabilities)
        thresholds = self._thresholds_on(date)
        tallies = [self._tally(name, probabilities[name], labels, reports, at) for name, at in zip(self.names, thresholds, strict=True)]
        day_sums = np.array([sums for sums, _, _ in tallies])
        cells = [own for _, own, _ in tallies]
        self._date, self.day_sums = date, day_sums
        self._window.expire(date - DAYS + 1)
        self._window.add(date, cells, day_sums)
        if self.score_from is None or date >= self.score_from:
            self._run_sums += day_sums
            for counts, own in zip(self._run_counts, cells, strict=True):
                histogram.add(counts, own, 1)
        past = [histogram.scores(counts) for counts in self._window.counts]
        found = {
            "day": (day_sums, [exact.scores(keys) for _, _, keys in tallies]),
            "30d": (self._window.sums(), past),
            "run": (self._run_sums, [histogram.scores(counts) for counts in self._run_counts]),
        }
        self._thresholds_before, self._thresholds = thresholds, _fixed(past)
        common = {"timestamp": timestamp, "batch_id": batch_id, "task": self.task, "date": runs.day(date).isoformat()}
        rows = []
        for scope, (sums, curves) in found.items():
            for m, name in enumerate(self.names):
                for g, gate in enumerate(GATES):
                    row = {**common, "model_name": name, "scope": scope, "gate": gate, "shards_missing": shards_missing}
                    row |= _scores(sums[m, g], sums[-1, g], curves[m][g], thresholds[m])
                    row["reliability"] = None if scope == "day" else _reliability_json(sums[m, g])
                    rows.append(row)
        return rows

    def summary(self, gate: Gate = "all") -> dict[str, Row]:
        """The scores of the run so far by model: n, positives, every score of `model_metrics`, and reliability.

        ``threshold`` is the one of the last date; the contingency is the sum of each date's at its own threshold.
        ``reliability`` is a list of [rows, sum of probabilities, positives] for each tenth of probability.
        """
        g = GATES.index(gate)
        out = {}
        for m, name in enumerate(self.names):
            sums, curve = self._run_sums[m, g], histogram.scores(self._run_counts[m])[g]
            row = _scores(sums, self._run_sums[-1, g], curve, self._thresholds_before[m])
            out[name] = {"n": row.pop("rows"), **row, "reliability": _reliability(sums)}
        return out

    def _check(self, date: int, labels: Labels, reports: npt.NDArray[np.bool_], probabilities: Mapping[str, Probabilities]) -> None:
        if self._date is not None and date <= self._date:
            raise ValueError(f"date {runs.day(date)} comes after {runs.day(self._date)} was scored: dates must ascend")
        if set(probabilities) != set(self.names):
            raise ValueError(f"probabilities of {sorted(probabilities)}, but the scorer was made for {sorted(self.names)}")
        lengths = {"labels": len(labels), "reports": len(reports), **{name: len(p) for name, p in probabilities.items()}}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"all arrays of a date must have one length: {lengths}")

    def _tally(
        self, name: str, probability: Probabilities, labels: Labels, reports: npt.NDArray[np.bool_], threshold: float
    ) -> tuple[tally.Sums, histogram.Codes, exact.Keys]:
        try:
            return tally.tally(probability, labels, reports, threshold)
        except tally.NotAProbability as error:
            raise ValueError(f"{name!r} ({self.task}): {error}") from error

    def _thresholds_on(self, date: int) -> list[float]:
        """The thresholds for a date: those fixed at the last close, unless days have left the window since."""
        if self._window.expire(date - DAYS):
            return _fixed([histogram.scores(counts) for counts in self._window.counts])
        return self._thresholds

    def to_bytes(self) -> bytes:
        """Canonical state: equal scorers give equal bytes."""
        parts: dict[str, Arrays] = {
            "window": self._window.arrays(),
            "run": {"counts": np.array(self._run_counts), "sums": self._run_sums},
            "thresholds": {"next": np.array(self._thresholds), "last": np.array(self._thresholds_before)},
        }
        return pack(nest(parts), {**self._identity(), "date": self._date})

    def from_bytes(self, state: bytes) -> None:
        """Replaces the state.

        Raises:
            BadState: the bytes are of another version, task, of other models or another ``score_from``.
        """
        arrays, meta = unpack(state)
        date = meta.pop("date", None)
        if meta != self._identity():
            raise BadState(f"the scores are of {meta}, the settings say {self._identity()}: set them back or start a new run")
        self._date = date
        self._window = Window.from_arrays(part(arrays, "window"), len(self.names))
        self._run_counts, self._run_sums = list(arrays["run/counts"]), arrays["run/sums"]
        self._thresholds = arrays["thresholds/next"].tolist()
        self._thresholds_before = arrays["thresholds/last"].tolist()

    def _identity(self) -> dict[str, Any]:
        return {"scorer": VERSION, "task": self.task, "names": list(self.names), "score_from": self.score_from}


def _fixed(past: list[list[Curve]]) -> list[float]:
    """The threshold of best HSS over the past days of each model, gate all; a best of 0 is no skill, so no threshold."""
    return [every.hss_threshold if every.hss_threshold is not None and every.best_hss else FIRST_THRESHOLD for every, _ in past]


def _scores(sums: npt.NDArray[np.float64], baseline: npt.NDArray[np.float64], curve: Curve, threshold: float) -> Row:
    """The scores of one model, scope and gate from its sums, climatology's on the same rows, and its curve."""
    rows, positives, brier, log_loss, *table = sums[: tally.RELIABILITY].tolist()
    reference = float(baseline[tally.BRIER])
    tp, fp, fn, tn = map(int, table)
    return {
        "rows": int(rows),
        "positives": int(positives),
        "roc_auc": curve.roc_auc,
        "pr_auc": curve.pr_auc,
        "brier": brier / rows if rows else None,
        "brier_skill": 1.0 - brier / reference if reference else None,
        "log_loss": log_loss / rows if rows else None,
        "threshold": threshold,
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "tn": tn,
        **contingency.scores(tp, fp, fn, tn),
        "best_hss": curve.best_hss,
        "best_csi": curve.best_csi,
    }


def _reliability(sums: npt.NDArray[np.float64]) -> list[list[float]]:
    """[rows, sum of probabilities, positives] of each tenth of probability."""
    return [[int(rows), total, int(positives)] for rows, total, positives in sums[tally.RELIABILITY :].reshape(-1, 3).tolist()]


_RELIABILITY_JSON: Final = f"[{', '.join(['[%d, %.6f, %d]'] * tally.DECILES)}]"


def _reliability_json(sums: npt.NDArray[np.float64]) -> str:
    """`_reliability` as JSON, probabilities to six places; the general encoder would take a fifth of the time of a date."""
    return _RELIABILITY_JSON % tuple(sums[tally.RELIABILITY :].tolist())
