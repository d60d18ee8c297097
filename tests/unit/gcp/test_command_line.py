"""`scripts/gcp`: exit codes, what is asked, what is printed, and that no secret is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

import gcp_setup.__main__ as command_line
from gcp_setup.chosen import ROOT
from unit.gcp.cloud import Cloud
from unit.gcp.scene import a_choice

FLAGS = ["--project", "my-project", "--region", "europe-west1", "--release", "tc", "--namespace", "weather"]
SECRET = "ya29.this-is-a-token"


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    made = Cloud(a_choice(tag="0123456789ab", revision="0123456789abcdef0123456789abcdef01234567"), secret=SECRET)
    monkeypatch.setattr(command_line, "programs", made)
    return iter([made]).__next__()


def call(*words: str, text: str = "") -> Result:
    result = CliRunner().invoke(command_line.app, [words[0], *FLAGS, *words[1:]], input=text)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert SECRET not in result.output
    assert SECRET not in result.stderr
    return result


def test_from_nothing_to_the_address_and_back(cloud: Cloud) -> None:
    assert call("plan").exit_code == 0
    assert cloud.changes == []
    made = call("up")
    assert made.exit_code == 0
    assert "kubectl port-forward deployment/tc-dashboard 8501:8501 --namespace=weather" in made.stdout
    assert call("verify", "--test").exit_code == 0
    assert call("down", text="y\n").exit_code == 0
    assert cloud.things == {}


def test_up_ends_with_1_says_the_thing_and_the_way_out_and_no_secret(cloud: Cloud) -> None:
    cloud.fail = (3, "before")
    result = call("up")
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "scripts/gcp: account tc-trainer@my-project.iam.gserviceaccount.com: `gcloud iam service-accounts create "
    )
    assert "the connection broke (before) [secret]" in result.stderr
    assert "Way out: " in result.stderr


def test_plan_prints_each_command_its_cost_the_roles_and_the_values(cloud: Cloud) -> None:
    said = call("plan", "--offline").stdout
    assert "    $ gcloud container clusters create-auto tc --region=europe-west1" in said
    assert "    costs: a fee per hour" in said
    assert re.search(r"  tc-trainer@my-project.iam.gserviceaccount.com +roles/storage.objectUser +on bucket gs://my-project-tc\n", said)
    assert "  global.checkpoints.place=gs://my-project-tc/checkpoints\n" in said
    assert {command[0] for command in cloud.commands} == {"git"}


def test_with_a_name_the_address_says_where_it_must_lead(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.choice = a_choice(tag="0123456789ab", host="thunder.example.org", revision="0123456789abcdef0123456789abcdef01234567")
    said = call("up", "--host", "thunder.example.org").stdout
    assert "The dashboard: https://thunder.example.org/" in said
    assert "Have the name thunder.example.org lead to 203.0.113.7" in said


def test_verify_ends_with_1_and_says_what_mends_it(cloud: Cloud) -> None:
    call("up")
    del cloud.things["topic noaa-raw"]
    result = call("verify")
    assert result.exit_code == 1
    assert "wrong     topic noaa-raw: absent: `scripts/gcp up` makes it" in result.stdout
    assert "scripts/gcp: " in result.stderr


@pytest.mark.parametrize(("words", "answer"), [(["down"], "n\n"), (["down"], ""), (["down", "--whole-project"], "another\n")])
def test_down_asks_first(cloud: Cloud, words: list[str], answer: str) -> None:
    call("up")
    there, changes = dict(cloud.things), len(cloud.changes)
    assert call(*words, text=answer).exit_code == 1
    assert cloud.things == there
    assert {command[:4] for command in cloud.changes[changes:]} <= {("gcloud", "container", "clusters", "get-credentials")}


def test_down_says_what_is_lost_and_what_stays_before_it_asks(cloud: Cloud) -> None:
    call("up")
    said = call("down", text="n\n").stdout
    assert "  bucket my-project-tc, and with it every checkpoint: what was learnt\n" in said
    assert "These stay:\n  APIs of project my-project: other things" in said
    assert said.index("release tc in weather") < said.index("cluster tc") < said.index("Remove ")


def test_the_whole_project_goes_only_if_its_id_is_typed(cloud: Cloud) -> None:
    call("up")
    assert call("down", "--whole-project", text="my-project\n").exit_code == 0
    assert cloud.changes[-1] == ("gcloud", "projects", "delete", "my-project")


def test_yes_does_not_ask(cloud: Cloud) -> None:
    call("up")
    assert call("down", "--yes").exit_code == 0
    assert cloud.things == {}


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["plan", "--region", "nowhere"], 2, "--region 'nowhere' is not a region"),
        (["down", "--whole-project", "--keep-data"], 2, "leave out --keep-data"),
        (["up", "--no-such-flag"], 2, "No such option"),
    ],
)
def test_what_is_asked_wrongly_ends_with_2(cloud: Cloud, words: list[str], code: int, says: str) -> None:
    result = call(*words)
    assert result.exit_code == code
    assert says in result.stderr
    assert cloud.changes == []


def test_a_program_that_is_missing_is_named(cloud: Cloud) -> None:
    cloud.lost = {"helm", "bq"}
    result = call("up")
    assert result.exit_code == 1
    assert "bq, helm not found on this machine. Way out: docs/deploy-gke.md" in result.stderr


def test_a_project_that_is_not_there_is_named(cloud: Cloud) -> None:
    result = call("up", "--project", "no-such-project")
    assert result.exit_code == 1
    assert "project no-such-project is not there, or you do not see it" in result.stderr


def test_images_that_nobody_builds_are_named_before_anything_is_made(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_line.listing, "built_images", lambda: ["thundercast/trainer"])
    result = call("up")
    assert result.exit_code == 2
    assert "does not build: thundercast/cleaner, thundercast/dashboard" in result.stderr
    assert cloud.changes == []


def test_files_that_differ_from_the_commit_want_a_tag(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(cloud), "_answer", lambda *_: "0123456-dirty\n")
    result = call("plan", "--offline")
    assert result.exit_code == 2
    assert "name a tag with --tag" in result.stderr


@pytest.mark.parametrize("command", ["plan", "up", "verify", "down"])
def test_each_help_has_an_example_that_the_command_line_takes(cloud: Cloud, command: str) -> None:
    said = CliRunner().invoke(command_line.app, [command, "--help"]).output
    (example,) = [line for line in said.splitlines() if line.startswith("Example: ") or "Example: `" in line]
    words = example.partition("`")[2].rpartition("`")[0].split()
    assert words[:2] == ["scripts/gcp", command]
    for flag in (word for word in words if word.startswith("--")):
        assert flag in said


def test_without_an_environment_it_says_how_to_make_one(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "gcp", tmp_path / "scripts" / "gcp")
    done = subprocess.run([tmp_path / "scripts" / "gcp", "plan"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "run `make setup`" in done.stderr


def test_the_script_starts_the_command_line() -> None:
    said = subprocess.run(
        [ROOT / "scripts" / "gcp", "plan", "--help"], capture_output=True, text=True, timeout=120, env=dict(os.environ), check=False
    )
    assert said.returncode == 0, said.stderr
    assert "--offline" in said.stdout


def test_programs_are_never_waited_for_at_a_question_and_their_secrets_are_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    from gcp_setup.running import Programs

    run = Programs()
    said = run(
        (sys.executable, "-c", "import os, sys; print(os.environ['CLOUDSDK_CORE_DISABLE_PROMPTS'], repr(sys.stdin.read())); sys.exit(3)")
    )
    assert (said.code, said.out) == (3, "1 ''\n")
    loud = run((sys.executable, "-c", f"print('token {SECRET}')"), aloud=True)
    assert loud.code == 0
    assert "token [secret]" in capsys.readouterr().out
    assert SECRET not in loud.words
