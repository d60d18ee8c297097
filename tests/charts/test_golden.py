"""Renders as they were looked at last: `make golden` writes them anew, and the difference is read before it is committed."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from charts import golden
from charts.rendering import HELMS


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("case", golden.CASES)
def test_it_renders_as_it_was_looked_at(case: str, helm: str) -> None:
    kept = Path(golden.PLACE, f"{case}.yaml")
    was, now = kept.read_text().splitlines(), golden.made(case, helm).splitlines()
    changes = list(difflib.unified_diff(was, now, "kept", "rendered", lineterm="", n=2))
    assert changes == [], "\n".join(["look at it, then `make golden`:", *changes[:80]])
