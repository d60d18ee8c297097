"""The scorer's promises: gates, scopes, the threshold rule, the ring of thirty days, exact restarts."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from thundercast.domain import tables
from thundercast.domain.arrays import BadState
from thundercast.domain.rows import UNKNOWN
from thundercast.domain.runs import day
from thundercast.domain.scores import contingency, histogram
from thundercast.domain.scores.scorer import FIRST_THRESHOLD, Scorer
from unit.scores.reference import best, table_at

START = 19_500
SCOPES = ("day", "30d", "run")
GATES = ("all", "reporting")


@dataclass
class Date:
    """What a scorer is given of a date: n rows."""

    number: int
    labels: npt.NDArray[np.int8]
    reports: npt.NDArray[np.bool_]
    said: dict[str, npt.NDArray[np.float64]]

    def gated(self, gate: str, name: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int8]]:
        keep = (self.labels != UNKNOWN) & (self.reports | (gate == "all"))
        return self.said[name][keep], self.labels[keep]


def dates(seed: int, count: int, *, rows: int = 200, models: tuple[str, ...] = ("a", "b")) -> list[Date]:
    rng = np.random.default_rng(seed)
    out = []
    for i in range(count):
        n = int(rng.integers(0, rows + 1))
        logit = rng.normal(-2, 1.5, n)
        labels = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(np.int8)
        labels[rng.random(n) < 0.05] = UNKNOWN
        said = {name: 1 / (1 + np.exp(-logit - rng.normal(0, 0.5 + m, n))) for m, name in enumerate(models)}
        said["climatology"] = rng.uniform(0.08, 0.2, n)
        out.append(Date(START + i, labels, rng.random(n) < 0.6, said))
    return out


def score(scorer: Scorer, d: Date, **more) -> dict[tuple[str, str, str], dict]:
    rows = scorer.score(
        date=d.number, labels=d.labels, reports=d.reports, probabilities=d.said, batch_id=d.number - START, timestamp="t", **more
    )
    return {(row["model_name"], row["scope"], row["gate"]): row for row in rows}


def joined(stream: list[Date], gate: str, name: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int8]]:
    parts = [d.gated(gate, name) for d in stream]
    return np.concatenate([p for p, _ in parts]), np.concatenate([y for _, y in parts])


# --- the rows ------------------------------------------------------------------------------------------------


def test_a_date_gives_one_row_for_each_model_scope_and_gate_climatology_included() -> None:
    [d] = dates(1, 1)
    rows = Scorer("dayahead", ["a", "b"]).score(
        date=d.number,
        labels=d.labels,
        reports=d.reports,
        probabilities=d.said,
        batch_id=17,
        timestamp="2023-05-24T00:00:00Z",
        shards_missing=2,
    )
    keys = [(row["model_name"], row["scope"], row["gate"]) for row in rows]
    assert len(keys) == len(set(keys))
    assert set(keys) == {(name, scope, gate) for name in ("a", "b", "climatology") for scope in SCOPES for gate in GATES}
    for row in rows:
        assert (row["task"], row["batch_id"], row["timestamp"], row["shards_missing"]) == ("dayahead", 17, "2023-05-24T00:00:00Z", 2)
        assert row["date"] == day(d.number).isoformat()


def test_the_rows_have_the_columns_of_the_table_but_those_that_the_run_and_the_store_add_and_are_json() -> None:
    scorer = Scorer("nowcast", ["a", "b"])
    for d in dates(2, 3):
        for row in score(scorer, d).values():
            assert set(row) == {c.name for c in tables.MODEL_METRICS.columns} - {"run_id", "written_at"}
            assert json.loads(json.dumps(row, allow_nan=False)) == row
            for column in tables.MODEL_METRICS.columns:
                if column.kind == "INT64" and column.name in row:
                    assert type(row[column.name]) is int
                if column.kind == "FLOAT64" and column.name in row:
                    assert row[column.name] is None or type(row[column.name]) is float


# --- the scores ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gate", GATES)
def test_the_day_is_exact(gate: str) -> None:
    scorer = Scorer("nowcast", ["a", "b"])
    checked = 0
    for d in dates(3, 12):
        rows = score(scorer, d)
        for name in ("a", "b", "climatology"):
            row, (p, y) = rows[name, "day", gate], d.gated(gate, name)
            assert (row["rows"], row["positives"]) == (len(y), y.sum())
            if len(set(y.tolist())) < 2:
                continue
            checked += 1
            assert row["roc_auc"] == pytest.approx(roc_auc_score(y, p), abs=1e-12)
            assert row["pr_auc"] == pytest.approx(average_precision_score(y, p), abs=1e-12)
            assert row["brier"] == pytest.approx(brier_score_loss(y, p), abs=1e-12)
            assert row["log_loss"] == pytest.approx(log_loss(y, p), abs=1e-12)
            hss, _, csi, _ = best(p, y, np.unique(p))
            assert (row["best_hss"], row["best_csi"]) == pytest.approx((hss, csi), abs=1e-12)
            assert (row["tp"], row["fp"], row["fn"], row["tn"]) == table_at(p, y, row["threshold"])
    assert checked > 20


@pytest.mark.parametrize("gate", GATES)
def test_thirty_days_and_the_run_hold_exactly_their_rows(gate: str) -> None:
    scorer, stream = Scorer("nowcast", ["a", "b"]), dates(4, 70)
    for i, d in enumerate(stream):
        rows = score(scorer, d)
        if i not in (5, 29, 30, 31, 69):
            continue
        for scope, held in (("30d", stream[max(0, i - 29) : i + 1]), ("run", stream[: i + 1])):
            climatology = brier_score_loss(*reversed(joined(held, gate, "climatology")))
            for name in ("a", "b", "climatology"):
                row, (p, y) = rows[name, scope, gate], joined(held, gate, name)
                assert (row["rows"], row["positives"]) == (len(y), y.sum())
                assert row["roc_auc"] == pytest.approx(roc_auc_score(y, p), abs=1e-3)
                assert row["pr_auc"] == pytest.approx(average_precision_score(y, p), abs=5e-3)
                assert row["brier"] == pytest.approx(brier_score_loss(y, p), abs=1e-12)
                assert row["log_loss"] == pytest.approx(log_loss(y, p), abs=1e-12)
                assert row["brier_skill"] == pytest.approx(1 - brier_score_loss(y, p) / climatology, abs=1e-12)


def test_the_run_of_many_rows_is_within_1e_4_of_scikit_learn() -> None:
    scorer, stream = Scorer("nowcast", ["a"]), dates(5, 40, rows=3_000, models=("a",))
    for d in stream:
        rows = score(scorer, d)
    p, y = joined(stream, "all", "a")
    assert rows["a", "run", "all"]["roc_auc"] == pytest.approx(roc_auc_score(y, p), abs=1e-5)
    assert rows["a", "run", "all"]["pr_auc"] == pytest.approx(average_precision_score(y, p), abs=1e-4)


def test_the_skill_of_climatology_against_itself_is_zero() -> None:
    scorer = Scorer("nowcast", ["a", "b"])
    for d in dates(6, 5):
        rows = score(scorer, d)
    assert {rows["climatology", scope, gate]["brier_skill"] for scope in SCOPES for gate in GATES} == {0.0}


def test_reliability_of_thirty_days_and_the_run_adds_up_to_their_rows() -> None:
    scorer = Scorer("nowcast", ["a", "b"])
    for d in dates(7, 8):
        rows = score(scorer, d)
    for (name, scope, gate), row in rows.items():
        if scope == "day":
            assert row["reliability"] is None
            continue
        tenths = json.loads(row["reliability"])
        p, y = joined(dates(7, 8), gate, name)
        tenth = np.minimum((p * 10).astype(int), 9)
        for i, (n, total, positives) in enumerate(tenths):
            assert (n, positives) == ((tenth == i).sum(), y[tenth == i].sum())
            assert total == pytest.approx(p[tenth == i].sum(), abs=1e-6)
        assert len(tenths) == 10


def test_contingencies_of_longer_scopes_are_the_sum_of_each_date_at_its_own_threshold() -> None:
    scorer, daily, used = Scorer("nowcast", ["a", "b"]), [], set()
    for d in dates(8, 45):
        rows = score(scorer, d)
        daily.append(rows)
        used.add(rows["a", "day", "all"]["threshold"])
    assert len(used) > 5
    for scope, held in (("30d", daily[-30:]), ("run", daily)):
        for gate in GATES:
            row = rows["a", scope, gate]
            cells = {cell: sum(r["a", "day", gate][cell] for r in held) for cell in ("tp", "fp", "fn", "tn")}
            assert {cell: row[cell] for cell in cells} == cells
            assert {name: row[name] for name in contingency.SCORES} == contingency.scores(**cells)


# --- the null rule -------------------------------------------------------------------------------------------

CURVE = ("roc_auc", "pr_auc", "best_hss", "best_csi")


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_only_is_null_never_zero_or_a_half(label: int) -> None:
    d = Date(START, np.full(4, label, np.int8), np.ones(4, np.bool_), {"climatology": np.array([0.1, 0.2, 0.3, 0.9])})
    for row in score(Scorer("nowcast", []), d).values():
        assert [row[name] for name in CURVE] == [None] * 4
        assert row["hss"] is not None if label == 0 else True
        assert row["peirce"] is None
        assert (row["pod"] is None) == (label == 0)
        assert row["brier"] is not None


def test_a_date_without_rows_is_null_everywhere_and_still_has_its_rows() -> None:
    empty = np.empty(0)
    d = Date(START, np.empty(0, np.int8), np.empty(0, np.bool_), {"a": empty, "climatology": empty})
    rows = score(Scorer("nowcast", ["a"]), d, shards_missing=16)
    assert len(rows) == 12
    for row in rows.values():
        assert (row["rows"], row["positives"], row["shards_missing"]) == (0, 0, 16)
        for name in (*CURVE, *contingency.SCORES, "brier", "brier_skill", "log_loss"):
            assert row[name] is None, name


def test_a_gate_without_rows_is_null_while_the_other_is_not() -> None:
    d = Date(START, np.array([0, 1], np.int8), np.zeros(2, np.bool_), {"climatology": np.array([0.1, 0.2])})
    rows = score(Scorer("nowcast", []), d)
    assert rows["climatology", "day", "all"]["roc_auc"] == 1.0
    assert rows["climatology", "day", "reporting"]["roc_auc"] is None


# --- the threshold rule --------------------------------------------------------------------------------------


def test_the_first_threshold_is_in_force_until_the_past_days_give_one() -> None:
    scorer = Scorer("nowcast", ["a", "b"])
    assert scorer.threshold("a") == FIRST_THRESHOLD == 0.3
    for d in dates(9, 3, rows=40):
        d.labels[:] = 0
        assert score(scorer, d)["a", "day", "all"]["threshold"] == FIRST_THRESHOLD
    assert scorer.threshold("a") == FIRST_THRESHOLD


def test_a_model_without_skill_gets_no_threshold_of_its_own() -> None:
    scorer = Scorer("nowcast", [])
    score(scorer, Date(START, np.array([0, 1] * 50, np.int8), np.ones(100, np.bool_), {"climatology": np.full(100, 0.2)}))
    assert scorer.threshold("climatology") == FIRST_THRESHOLD


def test_the_threshold_is_that_of_best_hss_over_the_thirty_days_before() -> None:
    scorer, stream = Scorer("nowcast", ["a", "b"]), dates(10, 50)
    for i, d in enumerate(stream):
        before = stream[max(0, i - 30) : i]
        in_force = {name: scorer.threshold(name) for name in scorer.names}
        rows = score(scorer, d)
        for name in scorer.names:
            assert {rows[name, scope, gate]["threshold"] for scope in SCOPES for gate in GATES} == {in_force[name]}
        if i in (3, 30, 31, 49):
            p, y = joined(before, "all", "a")
            edges = histogram.EDGES[np.unique(histogram.codes(p, y) >> 2)]
            assert in_force["a"] == best(p, y, edges)[1]


def test_labels_of_a_date_do_not_decide_its_own_threshold() -> None:
    past, [last] = dates(11, 3), dates(12, 1)
    last.number = START + 3
    in_force = []
    for labels in (last.labels, np.where(last.labels == UNKNOWN, UNKNOWN, 1 - last.labels)):
        scorer = Scorer("nowcast", ["a", "b"])
        for d in past:
            score(scorer, d)
        row = score(scorer, Date(last.number, labels, last.reports, last.said))["a", "day", "all"]
        in_force.append((row["threshold"], scorer.threshold("a")))
    assert in_force[0][0] == in_force[1][0]
    assert in_force[0][1] != in_force[1][1]


# --- thirty calendar days ------------------------------------------------------------------------------------


def test_days_leave_the_thirty_days_by_the_calendar_not_by_how_many_dates_came() -> None:
    scorer, stream = Scorer("nowcast", ["a", "b"]), dates(13, 3)
    for d, number in zip(stream, (START, START + 28, START + 57), strict=True):
        d.number = number
    held = [score(scorer, d)["a", "30d", "all"]["rows"] for d in stream]
    n = [int((d.labels != UNKNOWN).sum()) for d in stream]
    assert held == [n[0], n[0] + n[1], n[1] + n[2]]


def test_dates_without_rows_and_dates_that_never_came_are_the_same() -> None:
    stream = dates(14, 41)
    hollow = [
        d if i % 3 else Date(d.number, d.labels[:0], d.reports[:0], {k: p[:0] for k, p in d.said.items()}) for i, d in enumerate(stream)
    ]
    told, untold = Scorer("nowcast", ["a", "b"]), Scorer("nowcast", ["a", "b"])
    for i, d in enumerate(hollow):
        rows = score(told, d)
        if i % 3:
            assert score(untold, d) == rows
    assert told.summary() == untold.summary()


def test_after_a_gap_of_more_than_thirty_days_the_first_threshold_is_in_force_again() -> None:
    scorer, stream = Scorer("nowcast", ["a", "b"]), dates(15, 2)
    score(scorer, stream[0])
    assert scorer.threshold("a") != FIRST_THRESHOLD
    stream[1].number = START + 31
    assert score(scorer, stream[1])["a", "day", "all"]["threshold"] == FIRST_THRESHOLD


# --- score_from, summary -------------------------------------------------------------------------------------


def test_score_from_bounds_the_run_and_nothing_else() -> None:
    stream = dates(16, 50)
    everything, late, fresh = (Scorer("nowcast", ["a", "b"], score_from=at) for at in (None, START + 35, None))
    for i, d in enumerate(stream):
        whole, bounded = score(everything, d), score(late, d)
        for key, row in whole.items():
            if key[1] == "run":
                assert bounded[key]["threshold"] == row["threshold"]
                assert bounded[key]["rows"] == (0 if i < 35 else sum(len(s.gated(key[2], key[0])[1]) for s in stream[35 : i + 1]))
            else:
                assert bounded[key] == row
        if i >= 35:
            alone = score(fresh, d)
            for name in ("roc_auc", "pr_auc", "brier", "log_loss", "best_hss", "best_csi", "reliability"):
                assert bounded["a", "run", "all"][name] == alone["a", "run", "all"][name]


SUMMARY = [
    "positives", "roc_auc", "pr_auc", "brier", "brier_skill", "log_loss", "threshold", "pod", "far", "csi", "hss", "peirce", "bias",
    "best_hss", "best_csi",
]  # fmt: skip


@pytest.mark.parametrize("gate", GATES)
def test_the_summary_is_the_last_date_s_run_with_its_reliability(gate: str) -> None:
    scorer = Scorer("nowcast", ["a", "b"])
    for d in dates(17, 10):
        rows = score(scorer, d)
    summary = scorer.summary(gate)
    assert list(summary) == ["a", "b", "climatology"]
    for name, found in summary.items():
        row = rows[name, "run", gate]
        assert found["n"] == row["rows"]
        for column in SUMMARY:
            assert found[column] == row[column], column
        assert np.allclose(found["reliability"], json.loads(row["reliability"]), atol=1e-6, rtol=0)


def test_a_scorer_that_saw_nothing_sums_up_to_nulls() -> None:
    found = Scorer("nowcast", ["a"]).summary()["a"]
    assert (found["n"], found["positives"], found["roc_auc"], found["brier_skill"]) == (0, 0, None, None)


# --- the state -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [0, 1, 20, 47])
def test_going_on_from_the_state_gives_identical_rows_and_bytes(cut: int) -> None:
    straight, stopped = (Scorer("nowcast", ["a", "b"], score_from=START + 10) for _ in range(2))
    for i, d in enumerate(dates(18, 60)):
        if i == cut:
            fresh = Scorer("nowcast", ["a", "b"], score_from=START + 10)
            fresh.from_bytes(stopped.to_bytes())
            assert fresh.to_bytes() == stopped.to_bytes()
            assert fresh.summary() == stopped.summary()
            assert [fresh.threshold(name) for name in fresh.names] == [stopped.threshold(name) for name in stopped.names]
            stopped = fresh
        assert score(straight, d) == score(stopped, d)
    assert straight.to_bytes() == stopped.to_bytes()


@pytest.mark.parametrize(
    "other",
    [Scorer("dayahead", ["a"]), Scorer("nowcast", ["a", "b"]), Scorer("nowcast", ["a"], score_from=START)],
    ids=["task", "models", "score_from"],
)
def test_the_state_of_other_settings_is_refused(other: Scorer) -> None:
    with pytest.raises(BadState, match="set them back or start a new run"):
        Scorer("nowcast", ["a"]).from_bytes(other.to_bytes())


# --- what is refused -----------------------------------------------------------------------------------------


def test_a_date_that_is_not_later_than_the_last_is_refused() -> None:
    scorer, stream = Scorer("nowcast", ["a", "b"]), dates(19, 2)
    score(scorer, stream[1])
    for d in reversed(stream):
        with pytest.raises(ValueError, match="dates must ascend"):
            score(scorer, d)


def test_missing_and_unknown_models_are_refused_by_name() -> None:
    [d] = dates(20, 1)
    with pytest.raises(ValueError, match=r"\['a', 'b', 'climatology'\].*\['a', 'climatology'\]"):
        score(Scorer("nowcast", ["a"]), d)


def test_arrays_of_different_lengths_are_refused() -> None:
    [d] = dates(21, 1)
    d.said["a"] = d.said["a"][1:]
    with pytest.raises(ValueError, match="one length"):
        score(Scorer("nowcast", ["a", "b"]), d)


def test_a_nan_is_refused_with_the_name_of_its_model() -> None:
    d = Date(START, np.zeros(2, np.int8), np.ones(2, np.bool_), {"a": np.array([0.1, np.nan]), "climatology": np.full(2, 0.1)})
    with pytest.raises(ValueError, match=r"'a' \(nowcast\): row 1 has nan"):
        score(Scorer("nowcast", ["a"]), d)


@pytest.mark.parametrize("names", [["climatology"], ["a", "a"]])
def test_names_are_distinct_and_leave_the_baseline_out(names: list[str]) -> None:
    with pytest.raises(ValueError, match="distinct"):
        Scorer("nowcast", names)
