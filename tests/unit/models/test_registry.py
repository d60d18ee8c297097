from __future__ import annotations

import subprocess
import sys
from typing import Any, get_args

import pytest

from thundercast.domain.models import registry
from thundercast.domain.models.base import Task
from thundercast.domain.models.logistic import Logistic
from thundercast.domain.models.river_any import RiverClassifier
from thundercast.domain.models.river_logistic import RiverLogistic
from thundercast.domain.models.thunder import Thunder
from thundercast.domain.scores.climatology import Climatology

KINDS: dict[str, type[Any]] = {"thunder": Thunder, "logistic": Logistic, "river-logistic": RiverLogistic, "climatology": Climatology}


@pytest.mark.parametrize("task", get_args(Task))
@pytest.mark.parametrize("name", registry.names())
def test_each_name_makes_its_model(name: str, task: Task) -> None:
    model = registry.make(name, task)
    assert type(model) is KINDS[name]
    assert (model.name, model.task) == (name, task)


def test_a_name_with_a_dot_is_the_import_path_of_a_river_classifier() -> None:
    model = registry.make("river.tree.HoeffdingTreeClassifier(grace_period=50)", "dayahead")
    assert type(model) is RiverClassifier
    assert model.name == "river.tree.HoeffdingTreeClassifier(grace_period=50)"
    assert model.task == "dayahead"


def test_an_unknown_name_is_told_the_known_ones() -> None:
    with pytest.raises(
        ValueError, match=r"no model 'thundre' \(did you mean thunder\?\); there are thunder, logistic, river-logistic, climatology"
    ):
        registry.make("thundre", "nowcast")


def test_an_unknown_task_is_told_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no task 'hindcast'; there are nowcast, dayahead"):
        registry.make("thunder", "hindcast")  # type: ignore[arg-type]


def test_the_description_names_every_model_and_says_something_about_it() -> None:
    described = dict(registry.describe())
    assert list(described) == [*registry.names(), registry.RIVER]
    assert all(len(about) > 20 for about in described.values())


def test_models_are_imported_only_when_asked_for() -> None:
    code = (
        "import sys; from thundercast.domain.models import registry; registry.describe();"
        "print(*sorted({'river', 'thundercast.domain.models.thunder', 'thundercast.domain.scores.climatology'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
