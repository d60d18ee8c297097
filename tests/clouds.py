"""Stand-ins for Google's services, started once for a session of tests. A plugin of pytest."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import emulators


def _running(start: Callable[[Path], emulators.Running], log: Path) -> Iterator[emulators.Running]:
    try:
        running = start(log)
    except emulators.Missing as missing:
        pytest.skip(str(missing))
    before = {name: os.environ.get(name) for name in running.env}
    os.environ |= running.env
    try:
        yield running
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        running.stop()


@pytest.fixture(scope="session")
def pubsub_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[emulators.Running]:
    """Google's Pub/Sub emulator; the variables for clients are set, for this process and its children."""
    yield from _running(emulators.start_pubsub, tmp_path_factory.mktemp("pubsub") / "log")


@pytest.fixture(scope="session")
def bigquery_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[emulators.Running]:
    """The BigQuery emulator; the variables for clients are set, for this process and its children."""
    yield from _running(emulators.start_bigquery, tmp_path_factory.mktemp("bigquery") / "log")


@pytest.fixture(scope="session")
def storage_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[emulators.Running]:
    """fake-gcs-server; the variables for clients are set, for this process and its children."""
    yield from _running(emulators.start_storage, tmp_path_factory.mktemp("storage") / "log")
