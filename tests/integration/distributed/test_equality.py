"""Over real transports the results equal those of one process: every row, every bit of every model."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import local
from integration.distributed import scene
from integration.distributed.scene import Names
from integration.distributed.whole import Data, reference
from thundercast.adapters.google.bigquery_schema import ensure_tables
from thundercast.adapters.places import open_manifests
from thundercast.adapters.settings import CloudSettings
from thundercast.domain import batch, tables
from thundercast.domain.batch import Attributes
from thundercast.domain.schema import CLEAN_SCHEMA

pytestmark = pytest.mark.usefixtures("pubsub_emulator", "bigquery_emulator", "storage_emulator")
PATIENCE = 600.0  # s; a run that does not end by then has failed


@dataclasses.dataclass
class Outcome:
    run_id: str
    rows: dict[str, list[str]]
    models: str
    trainer: dict[str, Any]


@pytest.fixture
def system(tmp_path: Path) -> Iterator[local.System]:
    running = local.System({}, tmp_path)
    yield running
    running.stop()


def completed(trainer: local.Part, system: local.System) -> dict[str, Any]:
    """Waits until the trainer's run is complete and all of its rows are in the store; returns its status."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        system.check()
        with suppress(OSError):  # it does not listen yet, or is busy
            status: dict[str, Any] = trainer.get("/v1/status")
            if status.get("completed") and not status["outbox"]:
                return status
        time.sleep(0.2)
    logs = "\n".join(f"{part.name}:\n{part.end_of_log(1500)}" for part in system.parts)
    raise AssertionError(f"the run did not complete within {PATIENCE:g} s\n{logs}")


def through(
    system: local.System, data: Data, names: Names, *, cleaner: str = "worker", groups: int = 1, settings: dict[str, str] | None = None
) -> Outcome:
    """The data through simulator, cleaner and trainer, as processes."""
    ensure_tables(CloudSettings(project=scene.PROJECT, dataset=names.dataset))
    system.env = {**names.env, **data.env, "THUNDERCAST_ACK_DEADLINE": "10", **(settings or {})}

    def lock(part: str) -> dict[str, str]:
        # A lease in the stand-in for Cloud Storage is lost where each request takes seconds.
        return {"THUNDERCAST_LOCK": f"file:{system.folder / part}.lock"}

    trainer = system.module("trainer", lock("trainer"))
    system.module("simulator", {"THUNDERCAST_TRAINER_URL": trainer.url})
    if cleaner == "beam":
        system.start("cleaner", local.beam_command())
    else:
        for group in range(groups):
            name = f"cleaner-{group}"
            system.module("cleaner", lock(name), flags=["--group", str(group), "--groups", str(groups)], as_name=name)
    status = completed(trainer, system)
    assert trainer.stop() == 0
    run_id = status["run_id"]
    return Outcome(run_id, scene.found_rows(names.dataset, run_id, data.dates), scene.checkpointed_models(names.place), status)


def backtest(data: Data, task: str, model: str) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        "thundercast_standalone.cli",
        "backtest",
        data.source,
        "--start",
        str(data.start),
        "--end",
        str(data.end),
    ]
    command += ["--task", task, "--model", model, "--json", "--cache", str(data.cache)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)["models"][model]
    return found


def equals_backtest(outcome: Outcome, data: Data) -> None:
    """The scores of the whole run, of all rows, are those that `thundercast backtest` prints."""
    rows = [json.loads(row) for row in outcome.rows["model_metrics"]]
    for task in scene.TASKS:
        said = backtest(data, task, "thunder")
        (last,) = [
            row
            for row in rows
            if (row["task"], row["model_name"], row["scope"], row["gate"], row["date"]) == (task, "thunder", "run", "all", str(data.end))
        ]
        assert last["rows"] == said["n"]
        for score in ("roc_auc", "pr_auc", "brier", "brier_skill", "log_loss", "pod", "far", "csi", "hss", "positives"):
            assert last[score] == said[score], score


def published(names: Names, since: float) -> pa.Table:
    """The clean rows that were published since then (UNIX seconds), each batch once, in order of date and station."""
    scene.seek(f"clean-{names.key}-s", since)
    batches = {}
    for message in scene.waiting(f"clean-{names.key}-s", limit=100_000):
        attributes = Attributes.from_text(message.attributes)
        batches[attributes.message_id] = batch.decode(message, attributes)[0]
    return pa.Table.from_batches(batches.values(), CLEAN_SCHEMA).sort_by([("date", "ascending"), ("station", "ascending")])


def cleaned_in_batch(source: Path, output: Path, cache: Path) -> pa.Table:
    """What Beam's batch mode writes of a file, in order of date and station."""
    command = [
        sys.executable,
        "-m",
        "thundercast_dataflow",
        "batch",
        f"--input={source}",
        f"--output={output}",
        f"--cache={cache}",
        "--shards=2",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return pa.concat_tables(map(pq.read_table, sorted(output.glob("clean-*.parquet")))).sort_by(
        [("date", "ascending"), ("station", "ascending")]
    )


@pytest.mark.parametrize(("cleaner", "groups"), [("worker", 1), ("worker", 3), ("beam", 1)])
def test_the_sample_over_processes_equals_one_process(cleaner: str, groups: int, system: local.System, tmp_path: Path) -> None:
    days = 31 if cleaner == "worker" else 6
    data = Data("sample", dt.date(2022, 5, 1), dt.date(2022, 5, 1) + dt.timedelta(days=days - 1), tmp_path / "cache")
    names = Names(f"equal-{cleaner}-{groups}", f"gs://{scene.bucket()}/{cleaner}-{groups}", "equality")
    names.make(groups=groups)
    outcome, expected = through(system, data, names, cleaner=cleaner, groups=groups), reference(data)
    assert [name for name in expected.rows if expected.rows[name] != outcome.rows[name]] == []
    assert outcome.models == expected.models
    assert outcome.trainer["rows"] == len(expected.rows["observations"])
    if cleaner == "worker" and groups == 1:
        equals_backtest(outcome, data)
        (run,) = scene.stored("equality", tables.RUNS, outcome.run_id).sort_by("written_at").to_pylist()[-1:]
        assert (run["state"], run["source"]) == ("completed", open_manifests(names.place).read_manifest(outcome.run_id)["source"])


@pytest.mark.real_data
@pytest.mark.parametrize("cleaner", ["worker", "beam"])
def test_a_month_of_all_stations_over_processes_equals_one_process(
    cleaner: str, system: local.System, real_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    month = scene.month_of(real_data, tmp_path_factory.mktemp("month"), dt.date(2023, 7, 1), dt.date(2023, 7, 31))
    data = Data(f"file:{month}", dt.date(2023, 7, 1), dt.date(2023, 7, 31), tmp_path_factory.mktemp("cache"), models=("thunder",))
    names = Names(f"equal-month-{cleaner}", f"gs://{scene.bucket()}/month-{cleaner}", f"equality_{cleaner}")
    names.make()
    since = time.time()
    outcome, expected = through(system, data, names, cleaner=cleaner), reference(data)
    assert len(expected.rows["observations"]) > 150_000
    assert [name for name in expected.rows if expected.rows[name] != outcome.rows[name]] == []
    assert outcome.models == expected.models
    if cleaner == "worker":
        equals_backtest(outcome, data)
    else:
        in_batch = cleaned_in_batch(month, system.folder / "batch", data.cache)
        assert in_batch.num_rows > 150_000
        assert published(names, since).equals(in_batch)
