"""Who leads at first: apart from everything that computes, for those who only read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

BASELINE: Final = "climatology"
"""The model that the others are measured against."""
PREFERRED: Final = "thunder"


def first_champion(names: Iterable[str]) -> str:
    """Who leads before any test (`Watch`): ``thunder``, else the first by name that is not the baseline, else the baseline.

    >>> first_champion(["river-logistic", "climatology", "logistic"])
    'logistic'
    """
    return min(names, key=lambda name: (name != PREFERRED, name == BASELINE, name))
