"""The commands of docs/deploy-gke.md: they parse, and what they name is there."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import gcp_setup.__main__ as command_line
from charts.monitoring_chart import program
from gcp_setup.chosen import CHART, ROOT, choose
from thundercast_standalone.cli import app as thundercast
from unit.gcp.commands import EVERYWHERE, ask, path_of, sdk, table

GUIDE = ROOT / "docs" / "deploy-gke.md"
TEXT = GUIDE.read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
LINES = [line for language, block in BLOCKS if not language for line in block.splitlines()]
COMMANDS = [shlex.split(line.replace("$GOOGLE_CLOUD_PROJECT", "my-project")) for line in LINES]


def named(program_: str) -> list[list[str]]:
    return [words for words in COMMANDS if words[0] == program_]


def flags(words: list[str]) -> list[str]:
    return [word.partition("=")[0] for word in words if word.startswith("--")]


def test_they_parse_and_each_program_is_known_here() -> None:
    assert len(COMMANDS) > 15
    assert {words[0] for words in COMMANDS} == {"make", "gcloud", "export", "scripts/gcp", "kubectl", "helm", ".venv/bin/thundercast"}
    for line in LINES:
        subprocess.run(["sh", "-n", "-c", line], check=True, timeout=10)


def test_make_has_the_targets() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert all(word in targets for words in named("make") for word in words[1:])


@pytest.mark.parametrize("words", named("scripts/gcp"), ids=shlex.join)
def test_our_own_script_knows_the_commands_and_flags(words: list[str]) -> None:
    result = CliRunner().invoke(command_line.app, [words[1], "--help"])
    assert result.exit_code == 0
    for flag in flags(words):
        assert re.search(rf"\s{flag}\b", result.output), flag


def test_the_script_is_there_for_everybody_to_run() -> None:
    assert (ROOT / "scripts" / "gcp").stat().st_mode & 0o111 == 0o111


def test_flags_in_the_text_are_flags_of_the_script() -> None:
    said = "".join(CliRunner().invoke(command_line.app, [command, "--help"]).output for command in ("plan", "up", "verify", "down"))
    prose = re.sub(r"^```.*?^```", "", TEXT, flags=re.MULTILINE | re.DOTALL)
    found = set(re.findall(r"`(--[a-z-]+)", prose)) - {"--help"}
    assert len(found) > 9
    assert not [flag for flag in found if not re.search(rf"\s{flag}\b", said)]


@pytest.mark.parametrize("words", named(".venv/bin/thundercast"), ids=shlex.join)
def test_thundercast_knows_the_commands_and_flags(words: list[str]) -> None:
    path = list(itertools.takewhile(lambda word: not word.startswith("-"), words[1:]))
    result = CliRunner().invoke(thundercast, [*path, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})
    assert result.exit_code == 0, result.output
    for flag in flags(words):
        assert re.search(rf"\s{flag}\b", result.output), flag


@pytest.mark.parametrize("words", named("gcloud"), ids=shlex.join)
def test_gcloud_knows_the_commands_and_flags(words: list[str]) -> None:
    known = table()
    path = path_of(words, known)
    assert path, shlex.join(words)
    assert set(flags(words)) <= {*known[path], *EVERYWHERE}


def test_gcloud_itself_takes_them(tmp_path: Path) -> None:
    if sdk() is None:
        pytest.skip("gcloud is not installed with a Python of its own")
    assert ask("parse", [json.dumps(words) for words in named("gcloud")], tmp_path) == ""


@pytest.mark.parametrize("words", [*named("kubectl"), *named("helm")], ids=shlex.join)
def test_kubectl_and_helm_know_them(words: list[str]) -> None:
    path = program("helm") if words[0] == "helm" else shutil.which("kubectl")
    if path is None:
        pytest.skip("kubectl is not installed")
    said = subprocess.run([path, words[1], "--help"], capture_output=True, text=True, timeout=60, check=True).stdout
    said += subprocess.run(
        [path, "options"] if words[0] == "kubectl" else [path, "--help"], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    for flag in flags(words):
        assert re.search(rf"(^|\s){flag}\b", said), flag


def test_the_objects_are_those_of_the_default_release() -> None:
    choice = choose(project="my-project", region="us-central1", release="thundercast", namespace="thundercast", tag="v1")
    deployments = {f"deployment/{choice.release}-{part}" for part in choice.running()}
    for words in named("kubectl"):
        assert all(word in deployments for word in words if word.startswith("deployment/"))
        assert f"--namespace={choice.namespace}" in words
    for words in named("helm"):
        assert words[2] == choice.release


def test_its_values_can_be_used(tmp_path: Path) -> None:
    (own,) = [block for language, block in BLOCKS if language == "yaml"]
    (tmp_path / "own.yaml").write_text(own)
    choice = choose(project="my-project", region="us-central1", release="tc", namespace="tc", tag="v1", files=[tmp_path / "own.yaml"])
    assert choice.values.global_.location == "EU"
    for text in re.findall(r"`((?:cleaner|dataflow|global|dashboard)\.[\w.]+)(?:: |`|=)", TEXT):
        place = json.loads(choice.values.model_dump_json(by_alias=True))
        for key in text.split("."):
            assert key in place, text
            place = place[key]


def test_files_that_it_names_are_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)", TEXT) if not link.startswith("https://")]
    assert len(links) > 3
    for link in links:
        assert (GUIDE.parent / link).resolve().exists(), link
    assert yaml.safe_load((CHART / "values-gke.yaml").read_text())


@pytest.mark.parametrize("readme", ["README.md", "README.es.md"])
def test_the_readme_leads_to_it(readme: str) -> None:
    assert "docs/deploy-gke.md" in (ROOT / readme).read_text()
