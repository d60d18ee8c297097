"""The promise of a restart: killed at any moment, a run ends with the results of one that was never interrupted."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thundercast.stage.points import KILL_POINTS

DRIVER = Path(__file__).with_name("restart_driver.py")
SETTINGS = {
    "source": "sample", "start": "2022-05-01", "end": "2022-06-15", "speed": 12, "shards": 4, "models": ["thunder", "logistic"],
    "log_format": "json", "checkpoint_seconds": 2.0,
}  # fmt: skip
Drive = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Drive:
    cache = tmp_path_factory.mktemp("cache")

    def run(*kills: dict[str, Any], **settings: Any) -> dict[str, Any]:
        plan = json.dumps({"settings": SETTINGS | settings, "kills": kills})
        state = tmp_path_factory.mktemp("state")
        done = subprocess.run([sys.executable, DRIVER, state, cache, plan], capture_output=True, text=True, timeout=280, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return run


@pytest.fixture(scope="module")
def uninterrupted(drive: Drive) -> dict[str, Any]:
    found = drive(speed="max")
    assert found.pop("killed") == 0
    assert found["rows"] > 5_000
    assert found["batches"] == {"ok": 46 * 4}
    assert found["gaps"] == 0
    # 45 dates of day-ahead scores and 46 of nowcast; three models, three scopes, two gates.
    assert found["metric_rows"] == (46 + 45) * 3 * 3 * 2
    return found


@pytest.mark.parametrize("point", KILL_POINTS)
def test_a_run_killed_at_any_named_point_ends_as_if_it_had_not_been(drive: Drive, uninterrupted: dict[str, Any], point: str) -> None:
    nth = 1 if point in ("begun", "letters_published", "published") else 2
    found = drive({"point": point, "nth": nth}, {"point": point, "nth": nth})
    killed = found.pop("killed")
    if point in ("letters_published", "published"):
        assert killed == 0, "a standalone run publishes nothing: these points are met by the stages that do"
    else:
        assert killed >= 1
    assert found == uninterrupted


def test_a_run_killed_at_twenty_random_moments_ends_as_if_it_had_not_been(drive: Drive, uninterrupted: dict[str, Any]) -> None:
    moments = random.Random(20)
    found = drive(*[{"seconds": round(moments.uniform(0.1, 4.0), 3)} for _ in range(24)], speed=1.5)
    assert found.pop("killed") >= 20
    assert found == uninterrupted


@pytest.mark.parametrize("shards", [1, 16, 64])
def test_the_number_of_shards_changes_no_result(drive: Drive, uninterrupted: dict[str, Any], shards: int) -> None:
    found = drive(shards=shards, speed="max")
    for name in ("models", "metrics", "metric_rows", "predictions", "dead_letters", "rows"):
        assert found[name] == uninterrupted[name], name


def test_the_pace_changes_no_result(drive: Drive, uninterrupted: dict[str, Any]) -> None:
    found = drive(speed=20)
    assert found.pop("killed") == 0
    assert found == uninterrupted
