"""What the models reach on 4.58 million real station-days, each predicted before it was learnt."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from thundercast.adapters.sources import open_source
from thundercast.domain.models import registry
from thundercast.domain.models.base import Task
from thundercast_standalone.backtest import backtest

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize(("task", "roc_auc", "pr_auc", "skill"), [("nowcast", 0.965, 0.63, 0.30), ("dayahead", 0.922, 0.38, 0.065)])
def test_thunder_is_skilful_on_the_whole_world(
    real_data: Path, cache: Path, task: Task, roc_auc: float, pr_auc: float, skill: float
) -> None:
    source = open_source(f"file:{real_data / 'gsod_real.parquet'}", cache=cache)
    info = source.open()
    result = backtest(source, info, [registry.make("thunder", task)], score_from=dt.date(2023, 1, 1))
    found = result.scores["thunder"]
    assert result.rows == 4_584_869
    assert result.dead_letters == {}
    assert found["roc_auc"] >= roc_auc
    assert found["pr_auc"] >= pr_auc
    assert found["brier_skill"] >= skill
