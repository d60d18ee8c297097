"""The promise of a restart: killed at any moment, a run ends with the results of one that was never interrupted."""

from __future__ import annotations

import random
from typing import Any

import pytest

from integration.standalone.conftest import Drive, assert_equal_results
from thundercast.stage.points import KILL_POINTS


@pytest.mark.parametrize("point", KILL_POINTS)
def test_a_run_killed_at_any_named_point_ends_as_if_it_had_not_been(drive: Drive, uninterrupted: dict[str, Any], point: str) -> None:
    nth = 1 if point in ("begun", "letters_published", "published") else 2
    found = drive({"point": point, "nth": nth}, {"point": point, "nth": nth})
    killed = found["killed"]
    if point in ("letters_published", "published"):
        assert killed == 0, "a standalone run publishes nothing: these points are met by the stages that do"
    else:
        assert killed >= 1
    assert found["batches"] == uninterrupted["batches"]
    assert_equal_results(found, uninterrupted)


def test_a_run_killed_at_twenty_random_moments_ends_as_if_it_had_not_been(drive: Drive, uninterrupted: dict[str, Any]) -> None:
    moments = random.Random(20)
    found = drive(*[{"seconds": round(moments.uniform(0.1, 4.0), 3)} for _ in range(24)], speed=1.5)
    assert found["killed"] >= 20
    assert found["batches"] == uninterrupted["batches"]
    assert_equal_results(found, uninterrupted)
