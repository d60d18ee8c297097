"""A part that is told to stop in full flow, with the state of all stations: Cloud Run gives it ten seconds, and the promise is eight."""

from __future__ import annotations

import datetime as dt
import os
import resource
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import local
from integration.distributed import scene
from integration.distributed.scene import Names
from integration.distributed.whole import Data
from thundercast.adapters.google.bigquery_schema import ensure_tables
from thundercast.adapters.places import open_checkpoints
from thundercast.adapters.settings import CloudSettings

pytestmark = [pytest.mark.usefixtures("pubsub_emulator", "bigquery_emulator", "storage_emulator"), pytest.mark.real_data]
PROMISE = 8.0
"""Seconds of CPU: those of the clock depend on what else the machine does."""
PATIENCE = 600.0
START, DATES = dt.date(2023, 7, 1), 12


@pytest.fixture
def system(tmp_path: Path) -> Iterator[local.System]:
    running = local.System({}, tmp_path)
    yield running
    running.stop()


def applied(part: local.Part) -> int:
    """The watermark that a part shows Prometheus; -1 while it shows none."""
    with suppress(OSError), urllib.request.urlopen(f"{part.url}/metrics", timeout=60) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith("thundercast_watermark_seq "):
                return int(float(line.split()[1]))
    return -1


def spent(pid: int) -> float:
    """Seconds of CPU that a running process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def spent_by_the_ended() -> float:
    """Seconds of CPU of all processes of ours that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("name", ["trainer", "cleaner"])
def test_a_part_in_full_flow_stops_with_all_that_it_applied_in_a_checkpoint(
    name: str, system: local.System, real_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    days = scene.month_of(real_data, tmp_path_factory.mktemp("days"), START, START + dt.timedelta(days=DATES - 1))
    data = Data(f"file:{days}", START, START + dt.timedelta(days=DATES - 1), tmp_path_factory.mktemp("cache"))
    names = Names(f"stopping-{name}", f"gs://{scene.bucket()}/stopping-{name}", f"stopping_{name}")
    names.make()
    ensure_tables(CloudSettings(project=scene.PROJECT, dataset=names.dataset))
    system.env = {**names.env, **data.env, "THUNDERCAST_ACK_DEADLINE": "10", "THUNDERCAST_LOCK": f"file:{system.folder / 'lock'}"}
    if name == "trainer":
        system.module("cleaner", {"THUNDERCAST_LOCK": f"file:{system.folder / 'cleaner.lock'}"})
    part = system.module(name)
    # Paced, so that the flow is not over before it is looked at.
    system.module("simulator", {"THUNDERCAST_MAX_LEAD_DATES": "1000", "THUNDERCAST_SPEED": "2"})
    until, total = time.monotonic() + PATIENCE, DATES * 16
    while (before := applied(part)) < total // 2:
        system.check()
        assert time.monotonic() < until, part.end_of_log()
        time.sleep(0.05)
    assert before < total, "it was told too late: the flow was over"
    running, ended = spent(part.process.pid), spent_by_the_ended()
    assert part.stop() == 0, part.end_of_log()
    used = spent_by_the_ended() - ended - running
    assert "could not be given back" not in part.log.read_text(), "what it held ready is anybody's at once"
    summary: dict[str, Any] | None = open_checkpoints(names.place, name).summary()
    assert summary is not None
    assert summary["watermark"] >= before
    assert used < PROMISE, f"{name} took {used:.1f} s of CPU to stop"
