"""Whole standalone runs, by the driver beside this file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DRIVER = Path(__file__).with_name("restart_driver.py")
SETTINGS = {
    "source": "sample", "start": "2022-05-01", "end": "2022-06-15", "speed": 12, "shards": 4, "models": ["thunder", "logistic"],
    "log_format": "json", "checkpoint_seconds": 2.0,
}  # fmt: skip
RESULTS = ("models", "metrics", "metric_rows", "final", "predictions", "prediction_rows", "dead_letters", "rows", "gaps")
"""What neither kills nor the way of delivery may change. Batches differ with the shards, duplicates with what was repeated."""

Drive = Callable[..., dict[str, Any]]


def assert_equal_results(found: dict[str, Any], other: dict[str, Any]) -> None:
    """Names the first result that differs."""
    for name in RESULTS:
        assert found[name] == other[name], name


@pytest.fixture(scope="session")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Drive:
    cache = tmp_path_factory.mktemp("cache")

    def run(*kills: dict[str, Any], disorder: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
        plan = json.dumps({"settings": SETTINGS | settings, "kills": kills, "disorder": disorder})
        state = tmp_path_factory.mktemp("state")
        done = subprocess.run([sys.executable, DRIVER, state, cache, plan], capture_output=True, text=True, timeout=850, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return run


@pytest.fixture(scope="session")
def uninterrupted(drive: Drive) -> dict[str, Any]:
    found = drive(speed="max")
    assert found["killed"] == 0
    assert found["rows"] > 5_000
    assert found["batches"] == {"ok": 46 * 4}
    assert found["gaps"] == 0
    assert found["prediction_rows"] == 2 * 3 * found["rows"]  # two tasks, three models
    # 45 dates of day-ahead scores and 46 of nowcast; three models, three scopes, two gates.
    assert found["metric_rows"] == (46 + 45) * 3 * 3 * 2
    return found
