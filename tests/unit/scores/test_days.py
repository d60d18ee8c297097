"""Scores from sums over days: against the scores of all rows, and bounds against a slow reference."""

from __future__ import annotations

import numpy as np
import pytest

from thundercast.domain.scores import bootstrap, contingency, days

Day = tuple[np.ndarray, np.ndarray]


def _days(count: int, seed: int, sharp: float) -> list[Day]:
    rng = np.random.default_rng(seed)
    out = []
    for i in range(count):
        weather = rng.normal(-2 + np.sin(i / 20), 1.5, 40)
        p = 1 / (1 + np.exp(-(sharp * weather + (1 - sharp) * -2)))
        out.append((p, (rng.random(40) < 1 / (1 + np.exp(-weather))).astype(np.int8)))
    return out


def _auc(p: np.ndarray, labels: np.ndarray) -> float | None:
    with_, without = p[labels == 1], p[labels == 0]
    if not len(with_) or not len(without):
        return None
    return float(np.mean([(a > b) + 0.5 * (a == b) for a in with_ for b in without]))


def _columns(given: list[Day], threshold: float = 0.3) -> dict[str, list[float | None]]:
    rows: list[dict[str, float | None]] = []
    for p, labels in given:
        warned = p >= threshold
        rows.append(
            {
                "rows": len(p), "positives": int(labels.sum()), "brier": float(np.mean((p - labels) ** 2)),
                "log_loss": float(-np.mean(np.log(np.where(labels == 1, p, 1 - p)))), "roc_auc": _auc(p, labels),
                "tp": int((warned & (labels == 1)).sum()), "fp": int((warned & (labels == 0)).sum()),
                "fn": int((~warned & (labels == 1)).sum()), "tn": int((~warned & (labels == 0)).sum()),
            }
        )  # fmt: skip
    return {name: [row[name] for row in rows] for name in rows[0]}


def test_the_scores_of_summed_days_are_those_of_all_their_rows() -> None:
    given = _days(60, 1, 0.8)
    model, baseline = days.sums(_columns(given)), days.sums(_columns(_days(60, 1, 0.1)))
    found = {name: float(value) for name, value in days.scores(model.sum(axis=0), baseline.sum(axis=0)).items()}
    p, labels = np.concatenate([p for p, _ in given]), np.concatenate([seen for _, seen in given])
    flat = np.concatenate([p for p, _ in _days(60, 1, 0.1)])
    warned = p >= 0.3
    counts = {
        "tp": (warned & (labels == 1)).sum(),
        "fp": (warned & (labels == 0)).sum(),
        "fn": (~warned & (labels == 1)).sum(),
        "tn": (~warned & (labels == 0)).sum(),
    }
    wanted = contingency.scores(**{name: int(count) for name, count in counts.items()})
    for name in ("hss", "csi", "pod", "far"):
        assert found[name] == pytest.approx(wanted[name])
    assert found["brier_skill"] == pytest.approx(1 - np.mean((p - labels) ** 2) / np.mean((flat - labels) ** 2))
    assert found["log_loss"] == pytest.approx(-np.mean(np.log(np.where(labels == 1, p, 1 - p))))
    assert found["base_rate"] == pytest.approx(labels.mean())


def test_the_roc_auc_is_that_of_pairs_of_one_day() -> None:
    given = _days(25, 2, 0.7)
    model = days.sums(_columns(given)).sum(axis=0)
    right = total = 0.0
    for p, labels in given:
        for a in p[labels == 1]:
            for b in p[labels == 0]:
                total += 1
                right += (a > b) + 0.5 * (a == b)
    assert float(days.scores(model, model)["roc_auc"]) == pytest.approx(right / total)


def test_days_without_thunder_count_for_brier_and_not_for_the_roc_auc() -> None:
    calm = (np.full(5, 0.2), np.zeros(5, np.int8))
    model = days.sums(_columns([calm]))[0]
    found = days.scores(model, model)
    assert [name for name, value in found.items() if np.isnan(value)] == ["roc_auc", "hss", "csi", "pod", "far"]
    assert float(found["brier_skill"]) == 0.0


def test_bounds_are_those_of_a_slow_reference_and_differences_are_of_the_same_days() -> None:
    models = {name: days.sums(_columns(_days(45, 3, sharp))) for name, sharp in (("good", 0.9), ("fair", 0.6), ("base", 0.1))}
    found = days.leaderboard(models, baseline="base", champion="good")
    block = bootstrap.block_length(45)
    rng = np.random.default_rng(bootstrap.SEED)
    starts = rng.integers(0, 45, (bootstrap.DRAWS, -(-45 // block)))
    skill: dict[str, list[float]] = {"good": [], "fair": []}
    for draw in starts:
        chosen = [(start + i) % 45 for start in draw.tolist() for i in range(block)][:45]
        brier = {name: sum(sums[day, days.COLUMNS.index("brier")] for day in chosen) for name, sums in models.items()}
        for name, drawn in skill.items():
            drawn.append(1 - brier[name] / brier["base"])
    for name, drawn in skill.items():
        assert found[name]["brier_skill"][1] == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))
    difference = np.array(skill["fair"]) - np.array(skill["good"])
    assert found["fair"]["above_champion"][1] == pytest.approx(tuple(np.quantile(difference, [0.025, 0.975])))
    assert found["good"]["above_champion"] == (0.0, (0.0, 0.0))
    assert found["base"]["brier_skill"][0] == 0.0
