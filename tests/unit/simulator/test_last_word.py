"""What the simulator says at its end reaches a store that answers late: nothing else would ever tell that the run is out."""

from __future__ import annotations

import datetime as dt
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from structlog.testing import capture_logs

from thundercast.adapters.feeding import Feeder
from thundercast.adapters.memory import MemoryTopic
from thundercast.adapters.places import open_manifests
from thundercast.adapters.sources import open_source
from thundercast.domain.runs import Run
from thundercast.domain.tables import Table
from thundercast.stage.protocols import Unavailable
from thundercast_simulator import running
from thundercast_simulator.settings import SimulatorSettings

DATE = dt.date(2022, 5, 1)


class AwayAtTheEnd:
    """A store that refuses the first rows that tell of an end, so many times."""

    def __init__(self, times: float) -> None:
        self.left = times
        self.rows: list[dict[str, Any]] = []
        self.lock = threading.Lock()

    def write(self, table: Table, rows: pa.Table) -> None:
        with self.lock:
            (row,) = rows.to_pylist()
            if row["state"] in {"completed", "failed"} and self.left > 0:
                self.left -= 1
                raise Unavailable("the store does not answer")
            self.rows.append(row)


def simulated(tmp_path: Path, store: AwayAtTheEnd, monkeypatch: pytest.MonkeyPatch) -> running.Simulator:
    monkeypatch.setattr(running, "check_topic", lambda *_, **__: None)
    settings = SimulatorSettings(project="p", checkpoints=str(tmp_path), source="sample", start=DATE, end=DATE, speed="max", port=0)
    source = open_source("sample", cache=tmp_path)
    info = source.open()

    def feeder(run: Run) -> Feeder:
        return Feeder(source, run, MemoryTopic(), pace=None, set_aside=lambda _: None)

    return running.Simulator(settings, info, open_manifests(str(tmp_path)), store, feeder)


def test_the_last_status_is_written_when_the_store_answers_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = AwayAtTheEnd(2)
    assert simulated(tmp_path, store, monkeypatch).run() == 0
    assert (store.rows[-1]["state"], store.rows[-1]["watermark"]) == ("completed", 16)


def test_a_store_that_stays_away_does_not_keep_it_and_the_log_says_what_was_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_LAST_WORD", running._LAST_WORD.with_timeout(1.0))
    store = AwayAtTheEnd(float("inf"))
    with capture_logs() as logged:
        assert simulated(tmp_path, store, monkeypatch).run() == 0
    (said,) = [entry for entry in logged if entry["event"] == "last status not written"]
    assert (said["error"], said["state"]) == ("the store does not answer", "completed")
