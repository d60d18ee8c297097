"""Every command is one that its program knows, with flags that it knows."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from charts.monitoring_chart import program
from gcp_setup.chosen import ROOT
from gcp_setup.running import shown
from thundercast.adapters.command import main
from thundercast.adapters.settings import CloudSettings
from thundercast_launcher.settings import LauncherSettings
from thundercast_standalone.cli import app
from unit.gcp.commands import EVERYWHERE, TABLE, ask, every_command, path_of, sdk, table
from unit.gcp.scene import a_choice, listed

BQ = {
    "": {"--project_id", "--format", "--location"},
    "show": {"--dataset"}, "ls": {"--max_results"}, "rm": {"-r", "-f", "--dataset"}, "query": {"--use_legacy_sql"},
}  # fmt: skip
"""Flags by command of bq 2.1; cloud.google.com/bigquery/docs/reference/bq-cli-reference."""


def flags(command: tuple[str, ...]) -> set[str]:
    return {word.partition("=")[0] for word in command if word.startswith("-")}


def test_gcloud_knows_every_command_and_flag(tmp_path: Path) -> None:
    known = table()
    asked = [command for command in every_command(tmp_path) if command[0] == "gcloud"]
    assert len(asked) > 60
    for command in asked:
        path = path_of(command, known)
        assert path, f"{shown(command)} is not in {TABLE.name}"
        assert flags(command) <= {*known[path], *EVERYWHERE}, shown(command)


def test_gcloud_itself_takes_every_command(tmp_path: Path) -> None:
    if sdk() is None:
        pytest.skip("gcloud is not installed with a Python of its own (packages google-cloud-cli and google-cloud-cli-bundled-python3)")
    asked = [json.dumps(command) for command in every_command(tmp_path) if command[0] == "gcloud"]
    wrong = ["gcloud", "pubsub", "topics", "describe", "t", "--no-such-flag=x"]
    assert ask("parse", [*asked, json.dumps(wrong)], tmp_path).splitlines() == [json.dumps(wrong)]


def test_the_table_is_what_gcloud_says(tmp_path: Path) -> None:
    root = sdk()
    version = (root / "VERSION").read_text().strip() if root else "no gcloud"
    if version != json.loads(TABLE.read_text())["sdk"]:
        pytest.skip(f"the table is of the SDK {json.loads(TABLE.read_text())['sdk']}, here is {version}")
    assert json.loads(ask("flags", table(), tmp_path)) == table()


def test_bq_knows_every_command_and_flag(tmp_path: Path) -> None:
    asked = [command for command in every_command(tmp_path) if command[0] == "bq"]
    assert {verb(command) for command in asked} == set(BQ) - {""}
    for command in asked:
        place = command.index(verb(command))
        assert flags(command[1:place]) <= BQ[""], "flags of all commands stand before the command"
        assert flags(command[place:]) <= BQ[verb(command)], shown(command)


def verb(command: tuple[str, ...]) -> str:
    return next(word for word in command[1:] if not word.startswith("-"))


def test_bq_itself_has_these_flags() -> None:
    root = sdk()
    if root is None or not (root / "platform" / "bq").is_dir():
        pytest.skip("bq is not installed (it comes with the Google Cloud SDK)")
    files = {"ls": "list", "rm": "delete", "show": "show", "query": "query", "": "../bq_flags"}
    for name, known in BQ.items():
        file = f"{files[name]}.py" if not name else f"command_{files[name]}.py"
        source = (root / "platform" / "bq" / "frontend" / file).read_text()
        for flag in known:
            text = flag.lstrip("-")
            assert re.search(rf"DEFINE_\w+\(\s*'{text}'|short_name='{text}'", source), (name, flag)


@pytest.mark.parametrize("helm", ["helm", "helm4"])
def test_helm_knows_every_command_and_flag(helm: str, tmp_path: Path) -> None:
    for command in every_command(tmp_path):
        if command[0] != "helm":
            continue
        words = [word for word in command[1:3] if word in ("upgrade", "uninstall", "rollback", "status", "dependency", "build")]
        said = subprocess.run([program(helm), *words, "--help"], capture_output=True, text=True, timeout=60, check=True).stdout
        for flag in flags(command):
            assert re.search(rf"(^|\s){flag}\b", said), (helm, shown(command), flag)


def test_kubectl_knows_every_command_and_flag(tmp_path: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    asked = [command for command in every_command(tmp_path) if command[0] == "kubectl"]
    assert asked
    for command in asked:
        words = list(command[1:-2])
        said = subprocess.run(["kubectl", *words, "--help"], capture_output=True, text=True, timeout=60, check=True).stdout
        for flag in flags(command):
            assert re.search(rf"(^|\s|, ){flag}\b", said), (shown(command), flag)


def test_the_launcher_knows_what_it_is_told_when_a_job_goes(tmp_path: Path) -> None:
    told = [command for command in every_command(tmp_path) if command[0].endswith("thundercast-launch")]
    said: list[LauncherSettings] = []

    def run(settings: LauncherSettings) -> int:
        said.append(settings)
        return 0

    assert [main(LauncherSettings, run, prog="launch", about="", argv=command[1:]) for command in told] == [0]
    assert all(Path(command[0]).is_file() for command in told)
    assert (said[0].action, said[0].job_name, said[0].stop_seconds) == ("drain", "tc-dataflow", 1800)


def test_bootstrap_gets_the_names_of_the_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"global": {"pubsub": {"rawTopic": "raw", "deadLetterSubscription": "dead-sub"}, "dataset": "weather", "groups": 2}}
    choice = a_choice(tmp_path, own)
    (command,) = next(thing.make for thing in listed(choice) if thing.kind == "tables")
    assert command[0] == "env"
    words = list(itertools.dropwhile(lambda word: "=" in word, command[1:]))
    assert Path(words[0]) == ROOT / ".venv" / "bin" / "thundercast"
    asked: dict[str, object] = {}

    def make(settings: CloudSettings, **how: object) -> list[object]:
        asked.update(how, settings=settings)
        return []

    monkeypatch.setattr("thundercast.adapters.google.bootstrap.bootstrap", make)
    monkeypatch.chdir(tmp_path)
    env = dict(word.split("=", 1) for word in command[1:] if word.startswith("THUNDERCAST_"))
    assert CliRunner().invoke(app, words[1:], env=env).exit_code == 0
    assert asked == {"settings": choice.settings(), "groups": 2, "labels": {"thundercast": "tc"}}
