"""`scripts/cloudrun` beside a stand-in of gcloud that writes down how it is called."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from unit.gcp.commands import EVERYWHERE, path_of, table

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = [str(ROOT / ".venv" / "bin" / "python"), str(ROOT / "scripts" / "cloud_run.py")]
GCLOUD = """#!{python}
import json, os, sys
with open({said!r}, "a") as file:
    file.write(json.dumps([sys.argv[1:], os.environ.get("CLOUDSDK_RUN_REGION"), "" if sys.stdin is None else sys.stdin.read()]) + "\\n")
sys.exit(3 if {fails!r} and {fails!r} in " ".join(sys.argv) else 0)
"""
FLAGS = ["--project", "my-project", "--region", "europe-west1"]


@pytest.fixture(scope="module")
def rendered() -> str:
    return (ROOT / "tests" / "charts" / "golden" / "cloudrun.yaml").read_text()


def run(folder: Path, *words: str, text: str = "", fails: str = "") -> tuple[int, str, list[tuple[list[str], str, str]]]:
    """Exit code, what it said, and how gcloud was called: words, region, standard input."""
    said = folder / "said"
    said.unlink(missing_ok=True)
    program = folder / "bin" / "gcloud"
    program.parent.mkdir(exist_ok=True)
    program.write_text(GCLOUD.format(python=PROGRAM[0], said=str(said), fails=fails))
    program.chmod(0o755)
    env = os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}"}
    done = subprocess.run([*PROGRAM, *words], input=text, env=env, capture_output=True, text=True, timeout=120, check=False)
    calls = [tuple(json.loads(line)) for line in said.read_text().splitlines()] if said.exists() else []
    return done.returncode, done.stdout + done.stderr, calls


def test_each_object_goes_to_the_command_of_its_kind_as_it_was_rendered(tmp_path: Path, rendered: str) -> None:
    code, said, calls = run(tmp_path, "replace", *FLAGS, text=rendered)
    assert code == 0, said
    things = [thing for thing in yaml.safe_load_all(rendered) if thing]
    groups = {"Service": "run services", "Job": "run jobs", "WorkerPool": "beta run worker-pools"}
    assert [words for words, _, _ in calls] == [
        [*groups[thing["kind"]].split(), "replace", "-", "--project=my-project"] for thing in things
    ]
    assert {region for _, region, _ in calls} == {"europe-west1"}
    assert [yaml.safe_load(given) for _, _, given in calls] == things


def test_gcloud_knows_the_commands_and_their_flags(tmp_path: Path, rendered: str) -> None:
    known = table()
    for action in (["replace"], ["replace", "--dry-run"], ["delete", "--yes"]):
        _, _, calls = run(tmp_path, *action, *FLAGS, text=rendered)
        for words, _, _ in calls:
            if words[0] == "beta" and "delete" in words:
                continue  # it cannot be asked of without the SDK's optional parts; cloud.google.com/sdk/gcloud/reference/run/worker-pools/delete
            path = path_of(["gcloud", *words], known)
            assert path.endswith(action[0]), words
            assert {word.partition("=")[0] for word in words if word.startswith("--")} <= {*known[path], *EVERYWHERE}


def test_a_dry_run_leaves_out_what_gcloud_cannot_only_try(tmp_path: Path, rendered: str) -> None:
    code, said, calls = run(tmp_path, "replace", "--dry-run", *FLAGS, text=rendered)
    assert code == 0
    assert all("--dry-run" in words for words, _, _ in calls)
    assert not [words for words, _, _ in calls if "jobs" in words]
    assert "run jobs tc-simulator: gcloud cannot try it without making it" in said


def test_it_stops_at_the_first_that_is_refused_and_names_it(tmp_path: Path, rendered: str) -> None:
    code, said, calls = run(tmp_path, "replace", *FLAGS, text=rendered, fails="worker-pools")
    assert code == 1
    assert "worker-pools tc-" in said
    assert sum("worker-pools" in words for words, _, _ in calls) == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "nothing to read"),
        ("kind: Pod\napiVersion: v1\n", "v1/Pod is nothing of Cloud Run's"),
        ("hello", "hello is nothing of Cloud Run's"),
        ("a: [", "while parsing"),
    ],
)
def test_what_is_nothing_of_cloud_runs_is_refused_before_anything_is_done(tmp_path: Path, text: str, problem: str) -> None:
    code, said, calls = run(tmp_path, "replace", *FLAGS, text=text)
    assert (code, calls) == (1, [])
    assert problem in said


def test_deleting_asks_and_does_nothing_without_a_yes(tmp_path: Path, rendered: str) -> None:
    file = tmp_path / "cloudrun.yaml"
    file.write_text(rendered)
    code, said, calls = run(tmp_path, "delete", str(file), *FLAGS, text="no\n")
    assert (code, calls) == (1, [])
    assert "nothing was deleted" in said
    code, said, calls = run(tmp_path, "delete", *FLAGS, text=rendered)
    assert (code, calls) == (1, [])
    assert "say --yes" in said
    code, said, calls = run(tmp_path, "delete", str(file), *FLAGS, text="yes\n")
    assert code == 0
    assert {words[words.index("delete") + 1] for words, _, _ in calls} == {
        "tc-dashboard",
        "tc-simulator",
        "tc-bootstrap",
        "tc-cleaner",
        "tc-trainer",
    }


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    code, said, calls = run(tmp_path, "replace", str(tmp_path / "none.yaml"), *FLAGS)
    assert (code, calls) == (1, [])
    assert "none.yaml" in said


def test_without_gcloud_it_says_where_to_get_it(tmp_path: Path, rendered: str) -> None:
    done = subprocess.run(
        [*PROGRAM, "replace", *FLAGS], input=rendered, env={"PATH": str(tmp_path)}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "gcloud is not installed" in done.stderr
