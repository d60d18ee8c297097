"""The models by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, get_args

from thundercast.domain.models.base import Model, Task


@dataclass(frozen=True, slots=True)
class Entry:
    """A model that has a name of its own.

    Attributes:
        build: makes one for a task. It imports the model's module, so that River is loaded only when it is asked for.
        about: one line for people.
    """

    name: str
    build: Callable[[Task], Model]
    about: str


def _thunder(task: Task) -> Model:
    from thundercast.domain.models.thunder import Thunder

    return Thunder(task)


def _logistic(task: Task) -> Model:
    from thundercast.domain.models.logistic import Logistic

    return Logistic(task)


def _river_logistic(task: Task) -> Model:
    from thundercast.domain.models.river_logistic import RiverLogistic

    return RiverLogistic(task)


def _climatology(task: Task) -> Model:
    from thundercast.domain.scores.climatology import Climatology

    return Climatology(task)


ENTRIES: Final[tuple[Entry, ...]] = (
    Entry("thunder", _thunder, "binned additive logistic model with an intercept per station; the champion"),
    Entry("logistic", _logistic, "online scaler and logistic regression on five measurements, compiled"),
    Entry("river-logistic", _river_logistic, "the same by River itself: the reference"),
    Entry("climatology", _climatology, "the station's own past by calendar month: what skill is measured against"),
)
RIVER: Final = "river.module.Class(parameter=value, …)"
"""How any other River classifier is named."""


def names() -> tuple[str, ...]:
    """The models' own names, the champion first."""
    return tuple(entry.name for entry in ENTRIES)


def describe() -> tuple[tuple[str, str], ...]:
    """(name, one line about it) of everything that `make` knows, for people."""
    return (
        *((entry.name, entry.about) for entry in ENTRIES),
        (RIVER, "any River classifier by its import path, for backtests; live only with models.allow_pickle"),
    )


def make(name: str, task: Task, *, allow_pickle: bool = False, hmac_key: bytes | None = None) -> Model:
    """A model that has learnt nothing.

    Args:
        name: one of `names`, or the import path of a River classifier, with parameters in brackets if it needs any.
        task: nowcast or dayahead.
        allow_pickle: whether a classifier given by import path may keep its state, which is a pickle.
        hmac_key: the key that signs such a state.

    Raises:
        ValueError: there is no such model or task, or the classifier cannot be made; the message says why and what there is.
    """
    if task not in get_args(Task):
        raise ValueError(f"there is no task {task!r}; there are {', '.join(get_args(Task))}")
    for entry in ENTRIES:
        if entry.name == name:
            return entry.build(task)
    if "." in name:
        from thundercast.domain.models.river_any import RiverClassifier

        return RiverClassifier(name, task, allow_pickle=allow_pickle, hmac_key=hmac_key)
    near = get_close_matches(name, names(), n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise ValueError(
        f"there is no model {name!r}{hint}; there are {', '.join(names())}, and any River classifier by import path, as {RIVER}"
    )
