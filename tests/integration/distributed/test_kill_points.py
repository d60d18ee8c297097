"""Killed in any gap of the stage loop, over real transports, trainer and cleaner end as if they had not been.

All scenarios run side by side in one session's set-up, because most of their time is spent waiting for leases of the dead.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from integration.distributed import scene
from integration.distributed.scene import Names
from thundercast.adapters.google.bigquery_schema import ensure_tables
from thundercast.adapters.settings import CloudSettings
from thundercast.domain.batch import Attributes
from thundercast.stage.letters import from_message
from thundercast.stage.points import KILL_POINTS

pytestmark = pytest.mark.usefixtures("pubsub_emulator", "bigquery_emulator")
DRIVER = Path(__file__).with_name("fault_driver.py")
NEVER = {"trainer": {"published"}, "cleaner": {"rows_written", "outbox_written"}}
"""Points that a part never comes to: a trainer publishes no messages, a cleaner writes no rows."""
LIFE = {
    "THUNDERCAST_PORT": "0", "THUNDERCAST_LOG_FORMAT": "json", "THUNDERCAST_ACK_DEADLINE": "10", "THUNDERCAST_CHECKPOINT_MIN": "0",
    "THUNDERCAST_CHECKPOINT_SECONDS": "0.01", "THUNDERCAST_PULL_LIMIT": "7", "THUNDERCAST_STATUS_SECONDS": "5",
    "THUNDERCAST_MODELS": json.dumps(scene.MODELS), "THUNDERCAST_DRAIN_DEAD_LETTERS": "false",
}  # fmt: skip


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory, pubsub_emulator: Any, bigquery_emulator: Any) -> dict[str, dict[str, Any]]:
    """What became of every scenario: part x point, and one of each part that nobody disturbs."""
    folder = tmp_path_factory.mktemp("faults")
    dataset = "faults"
    ensure_tables(CloudSettings(project=scene.PROJECT, dataset=dataset))
    plan, runs, names = [], {}, {}
    for part in ("trainer", "cleaner"):
        for point in (None, *(p for p in KILL_POINTS if p not in NEVER[part])):
            name = f"{part}-{(point or 'undisturbed').replace('_', '-')}"
            run = runs[name] = scene.a_run(len(runs) + 1)
            own = names[name] = Names(name, str(folder / name), dataset)
            own.make(run)
            messages = scene.raw_messages(run) if part == "cleaner" else scene.clean_messages(run, damaged=True)
            scene.publish(f"{'raw' if part == 'cleaner' else 'clean'}-{name}", messages)
            nth = 1 if point in ("begun", "letters_published") else 2
            kills = [{"point": point, "nth": nth}, {"point": point, "nth": 1}] if point else []
            plan.append({"name": name, "part": part, "env": own.env | LIFE, "kills": kills})
    path = folder / "plan.json"
    path.write_text(json.dumps(plan))
    done = subprocess.run([sys.executable, DRIVER, path], capture_output=True, text=True, timeout=700)
    assert done.returncode == 0, done.stderr[-3000:]
    lives = json.loads(done.stdout)
    for name, life in lives.items():
        life |= {"run": runs[name], "names": names[name], "log": (folder / f"{name}.log").read_text()[-3000:]}
    return lives


def ended_well(life: dict[str, Any], *, deaths: int) -> None:
    assert life["ended"], f"{life['deaths']}: it did not complete the run\n{life['log']}"
    assert life["deaths"][-1] == 0, f"{life['deaths']}\n{life['log']}"
    assert life["deaths"][:-1] == [-9] * len(life["deaths"][:-1])
    assert len(life["deaths"]) > deaths, "it was never killed"


def letters_of(names: Names) -> set[str]:
    letters = [row for m in scene.waiting(f"dead-{names.key}-s") for row in from_message(m).to_pylist()]
    return {f"{x['stage']} {x['reason']} {x['seq']} {x['station']}" for x in letters}


@pytest.mark.parametrize("point", ["undisturbed", *(p for p in KILL_POINTS if p not in NEVER["trainer"])])
def test_a_trainer_killed_at_any_point_writes_the_same_rows_and_learns_the_same(outcomes: dict[str, dict[str, Any]], point: str) -> None:
    life = outcomes[f"trainer-{point.replace('_', '-')}"]
    # A point that lies in the gap of one effect only may be met once.
    ended_well(life, deaths=0 if point == "undisturbed" else 1)
    names, expected = life["names"], scene.expected(damaged=True)
    found = scene.found_rows(names.dataset, life["run"].run_id)
    assert expected.same_rows(found) == []
    assert scene.checkpointed_models(names.place) == expected.models
    assert letters_of(names) == {letter for letter in expected.letters if letter.startswith("trainer")}


@pytest.mark.parametrize("point", ["undisturbed", *(p for p in KILL_POINTS if p not in NEVER["cleaner"])])
def test_a_cleaner_killed_at_any_point_publishes_every_batch_and_never_two_truths(outcomes: dict[str, dict[str, Any]], point: str) -> None:
    life = outcomes[f"cleaner-{point.replace('_', '-')}"]
    ended_well(life, deaths=0 if point == "undisturbed" else 1)
    names, run = life["names"], life["run"]
    published: dict[int, set[bytes]] = {}
    for message in scene.waiting(f"clean-{names.key}-s"):
        published.setdefault(Attributes.from_text(message.attributes).seq, set()).add(message.data)
    assert published == {Attributes.from_text(m.attributes).seq: {m.data} for m in scene.clean_messages(run)}
    assert letters_of(names) == {letter for letter in scene.expected().letters if letter.startswith("cleaner")}
