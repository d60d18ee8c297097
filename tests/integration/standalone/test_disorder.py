"""The promise of order: however batches come, and in how many parts, the results are those of a backtest."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from integration.standalone.conftest import SETTINGS, Drive, assert_equal_results
from thundercast.adapters.sources import open_source
from thundercast.domain.learning import TASKS
from thundercast.domain.models import registry
from thundercast.domain.models.base import Task
from thundercast_standalone.backtest import backtest


@pytest.mark.parametrize("shards", [1, 16, 64])
def test_the_number_of_shards_changes_no_result(drive: Drive, uninterrupted: dict[str, Any], shards: int) -> None:
    assert_equal_results(drive(shards=shards, speed="max"), uninterrupted)


def test_the_pace_changes_no_result(drive: Drive, uninterrupted: dict[str, Any]) -> None:
    found = drive(speed=20)
    assert found["batches"] == uninterrupted["batches"]
    assert_equal_results(found, uninterrupted)


@pytest.mark.parametrize(("shards", "reach"), [(16, 60), (4, 150)], ids=["within the window", "beyond it"])
def test_batches_out_of_order_and_repeated_change_no_result(drive: Drive, uninterrupted: dict[str, Any], shards: int, reach: int) -> None:
    found = drive(shards=shards, speed="max", disorder={"seed": shards, "reach": reach, "repeated": 0.3})
    assert found["batches"] == {"ok": 46 * shards}
    assert found["duplicates"] > 10 * shards
    assert_equal_results(found, uninterrupted)


def test_killed_amid_disorder_a_run_ends_as_if_nothing_had_been(drive: Drive, uninterrupted: dict[str, Any]) -> None:
    kills = [{"point": "applied", "nth": nth} for nth in (70, 40, 20)]
    found = drive(*kills, speed="max", disorder={"seed": 3, "reach": 40, "repeated": 0.2})
    assert found["killed"] == 3
    assert_equal_results(found, uninterrupted)


@pytest.mark.parametrize("task", TASKS)
def test_a_backtest_ends_with_the_scores_and_the_models_of_a_run(task: Task, uninterrupted: dict[str, Any], tmp_path: Path) -> None:
    source = open_source(SETTINGS["source"], cache=tmp_path)
    models = [registry.make(name, task) for name in SETTINGS["models"]]
    start, end = (dt.date.fromisoformat(SETTINGS[name]) for name in ("start", "end"))
    found = backtest(source, source.open(), models, start=start, end=end)
    assert found.rows == uninterrupted["rows"]
    for gate, scores in (("all", found.scores), ("reporting", found.reporting)):
        assert set(scores) == {"thunder", "logistic", "climatology"}
        for name, own in scores.items():
            row = uninterrupted["final"][f"{task}/{name}/{gate}"]
            own["rows"], reliability = own.pop("n"), own.pop("reliability")
            assert own == {score: row[score] for score in own}, (name, gate)
            assert [list(tenth) for tenth in json.loads(row["reliability"])] == [
                [rows, round(total, 6), positives] for rows, total, positives in reliability
            ]
    for model in models:
        digest = hashlib.sha256(model.to_bytes()).hexdigest()
        assert [digest] == [own for name, own in uninterrupted["models"].items() if name.endswith(f"models/{task}/{model.name}")]
