"""What the BigQuery store promises to those who read: what every store does, over the wire protocols of the emulator."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator

import pytest

import emulators
from thundercast.adapters.google.bigquery_reader import BigQueryReader
from thundercast.adapters.google.bigquery_schema import ensure_tables
from thundercast.adapters.google.bigquery_store import BigQueryStore
from thundercast.adapters.settings import CloudSettings
from unit.store.read_promises import *  # noqa: F403


class BigQueryPlace:
    def __init__(self, settings: CloudSettings) -> None:
        self.settings = settings
        self.readers: list[BigQueryReader] = []

    def writer(self, clock: Callable[[], float] = time.time) -> BigQueryStore:
        return BigQueryStore(self.settings, clock=clock)

    def reader(self) -> BigQueryReader:
        self.readers.append(BigQueryReader(self.settings))
        return self.readers[-1]


@pytest.fixture
def place(bigquery_emulator: emulators.Running) -> Iterator[BigQueryPlace]:
    place = BigQueryPlace(CloudSettings(project="demo-project", dataset=f"d{uuid.uuid4().hex[:12]}"))
    ensure_tables(place.settings)
    yield place
    for reader in place.readers:
        reader.close()
