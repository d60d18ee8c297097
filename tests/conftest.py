"""Fixtures and rules that every suite shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A kernel may be compiled within the first example, and a machine may be busy: neither is a failure.
settings.register_profile("thundercast", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("thundercast")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with `gsod_real.parquet`; skips with the reason where it is not."""
    folder = Path(os.environ.get("THUNDERCAST_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "gsod_real.parquet").is_file():
        pytest.skip(f"the real station-days are not in {folder} (set THUNDERCAST_REAL_DATA)")
    return folder


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With THUNDERCAST_REQUIRE=all a skipped test is a failure: the machine was meant to have everything."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("THUNDERCAST_REQUIRE") == "all" and exitstatus == 0 and reporter is not None and reporter.stats.get("skipped"):
        reporter.write_line("THUNDERCAST_REQUIRE=all: nothing may be skipped here, see the reasons below", red=True)
        session.exitstatus = 1
