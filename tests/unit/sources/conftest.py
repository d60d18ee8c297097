"""Fixtures of the tests of sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from thundercast.adapters.sources.file import FileSource
from unit.sources.stationdays import Read


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def read(cache: Path) -> Read:
    """Makes a `file:` source with a cache of the test's own."""
    return lambda path: FileSource(path, cache=cache)
