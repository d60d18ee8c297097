"""The table of runs says what became of each run."""

from __future__ import annotations

import json

import pytest

from thundercast.domain.runs import Run, RunState
from thundercast.domain.tables import RUNS
from thundercast.stage.outbox import to_arrow
from thundercast_trainer.bookkeeping import run_accounts
from unit.stage.scene import a_run

RUN = a_run(started="20240101T000000Z")


@pytest.mark.parametrize("state", ["running", "completed", "superseded"])
def test_the_row_of_a_run_has_what_its_manifest_says_and_with_what_it_was_trained(state: RunState) -> None:
    account = run_accounts({RUN.run_id: RUN}.get, models=["thunder"], tasks=["nowcast"])
    ((table, row),) = account(RUN.run_id, state)
    assert table == RUNS.name
    assert json.loads(json.dumps(row)) == row, "it waits in a checkpoint"
    (found,) = to_arrow(RUNS, [row]).to_pylist()
    assert Run(started="20240101T000000Z", **{name: found[name] for name in ("source", "shards", "synthetic", "filter", "rights", "version")},
               start=found["start_date"], end=found["end_date"]) == RUN  # fmt: skip
    assert (found["run_id"], found["fingerprint"], found["state"]) == (RUN.run_id, RUN.fingerprint, state)
    assert json.loads(found["models"]) == {"models": ["thunder"], "tasks": ["nowcast"]}


def test_of_a_run_without_a_manifest_nothing_can_be_said() -> None:
    assert run_accounts(lambda _: None, models=["thunder"], tasks=["nowcast"])(RUN.run_id, "completed") == []
