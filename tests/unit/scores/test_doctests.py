"""The numbers printed in docstrings are what the code prints."""

from __future__ import annotations

import doctest
from importlib import import_module

import pytest

MODULES = ("bootstrap", "champion", "climatology", "contingency", "costs", "curve", "exact", "histogram", "scorer", "tally", "watch")


@pytest.mark.parametrize("name", MODULES)
def test_docstrings_tell_the_truth(name: str) -> None:
    result = doctest.testmod(import_module(f"thundercast.domain.scores.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
