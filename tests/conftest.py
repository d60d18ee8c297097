"""Fixtures and rules that every suite shares."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import structlog
from hypothesis import HealthCheck, settings

# A kernel may be compiled within the first example, and a machine may be busy: neither is a failure.
settings.register_profile("thundercast", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("thundercast")

pytest_plugins = ["clouds"]

ROOT = Path(__file__).resolve().parents[1]
NO_REAL_DATA = "the real station-days are not in"


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """A program that a test runs in this process sets its logs up for a standard error that is gone after the test."""
    yield
    structlog.reset_defaults()


def _loaded_twice() -> set[str]:
    """Our modules that their package knows as another one than `sys.modules` does."""
    ours = [(name.rpartition("."), module) for name, module in list(sys.modules.items()) if name.startswith("thundercast")]
    known = {f"{package}.{name}": (getattr(sys.modules.get(package), name, module), module) for (package, _, name), module in ours}
    # A package may have a function of a module's name.
    return {name for name, (attribute, module) in known.items() if isinstance(attribute, ModuleType) and attribute is not module}


@pytest.fixture(autouse=True)
def _modules_as_before() -> Iterator[None]:
    """A module that is loaded twice is two: what a later test replaces in the one, the program reads from the other."""
    before = _loaded_twice()
    yield
    twice = _loaded_twice() - before
    assert not twice, f"the test took modules out of sys.modules, and they were loaded again: {sorted(twice)}"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with `gsod_real.parquet`; skips with the reason where it is not."""
    folder = Path(os.environ.get("THUNDERCAST_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "gsod_real.parquet").is_file():
        pytest.skip(f"{NO_REAL_DATA} {folder} (set THUNDERCAST_REAL_DATA)")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs an API server or Helm comes last: where they are being built, that takes the longest. The API server's tests wait for it."""

    def place(item: pytest.Item) -> int:
        path = item.path.as_posix()
        return 1 if "/integration/kubernetes/" in path else 2 if "/tests/charts/" in path or "/unit/gcp/" in path else 0

    items.sort(key=place)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With THUNDERCAST_REQUIRE=all a skipped test is a failure: the machine was meant to have everything that can be installed.

    THUNDERCAST_EXCEPT names reasons that are let pass all the same, with a semicolon between them.
    """
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("THUNDERCAST_REQUIRE") != "all" or exitstatus != 0 or reporter is None:
        return
    # Data cannot be installed.
    passed = [NO_REAL_DATA, *filter(None, os.environ.get("THUNDERCAST_EXCEPT", "").split(";"))]
    reasons = [str(report.longrepr) for report in reporter.stats.get("skipped", [])]
    if any(not any(reason in text for reason in passed) for text in reasons):
        reporter.write_line(f"THUNDERCAST_REQUIRE=all: nothing may be missing here but {passed}, see the reasons below", red=True)
        session.exitstatus = 1
