"""The commands of docs/deploy-cloud-run.md: they parse, and what they name is there."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import gcp_setup.__main__ as command_line
from charts.monitoring_chart import program
from gcp_setup.chosen import ROOT, choose
from gcp_setup.listing import grants, things
from thundercast_standalone.cli import app as thundercast
from unit.gcp.commands import EVERYWHERE, path_of, table

GUIDE = ROOT / "docs" / "deploy-cloud-run.md"
TEXT = GUIDE.read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
LINES = [line for language, block in BLOCKS if not language for line in block.splitlines()]
COMMANDS = [shlex.split(line.replace("$GOOGLE_CLOUD_PROJECT", "my-project")) for line in LINES]


def named(program_: str) -> list[list[str]]:
    return [words for words in COMMANDS if words[0] == program_]


def flags(words: list[str]) -> set[str]:
    return {word.partition("=")[0] for word in words if word.startswith("--")}


def test_they_parse_and_each_program_is_known_here() -> None:
    assert {words[0] for words in COMMANDS} == {
        "make",
        "export",
        "gcloud",
        "helm",
        "scripts/gcp",
        "scripts/cloudrun",
        ".venv/bin/thundercast",
    }
    for line in LINES:
        subprocess.run(["sh", "-n", "-c", line], check=True, timeout=10)


@pytest.mark.parametrize("words", named("gcloud"), ids=shlex.join)
def test_gcloud_knows_the_commands_and_flags(words: list[str]) -> None:
    known = table()
    path = path_of(words, known)
    assert path, shlex.join(words)
    assert flags(words) <= {*known[path], *EVERYWHERE}


@pytest.mark.parametrize("words", named("scripts/gcp"), ids=shlex.join)
def test_our_own_script_knows_the_commands_and_flags(words: list[str]) -> None:
    result = CliRunner().invoke(command_line.app, [words[1], "--help"])
    assert result.exit_code == 0
    assert all(re.search(rf"\s{flag}\b", result.output) for flag in flags(words))


@pytest.mark.parametrize("words", named("scripts/cloudrun"), ids=shlex.join)
def test_what_hands_over_knows_its_flags(words: list[str]) -> None:
    said = subprocess.run(
        [sys.executable, ROOT / "scripts" / "cloud_run.py", "--help"], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert words[1] in said
    assert all(re.search(rf"\s{flag}\b", said) for flag in flags(words))
    assert (ROOT / "scripts" / "cloudrun").stat().st_mode & 0o111 == 0o111


@pytest.mark.parametrize("words", named(".venv/bin/thundercast"), ids=shlex.join)
def test_thundercast_knows_the_commands_and_flags(words: list[str]) -> None:
    path = list(itertools.takewhile(lambda word: not word.startswith("-"), words[1:]))
    result = CliRunner().invoke(thundercast, [*path, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})
    assert result.exit_code == 0, result.output
    assert all(re.search(rf"\s{flag}\b", result.output) for flag in flags(words))


@pytest.mark.parametrize("words", named("helm"), ids=shlex.join)
def test_helm_knows_them_and_the_files_are_there(words: list[str]) -> None:
    said = subprocess.run([program("helm"), words[1], "--help"], capture_output=True, text=True, timeout=60, check=True).stdout
    assert all(re.search(rf"\s{flag}\b", said) for flag in flags(words))
    for word in words:
        if word.startswith("charts/"):
            assert (ROOT / word).exists(), word


def own(tmp_path: Path) -> Path:
    (text,) = [block for language, block in BLOCKS if language == "yaml"]
    file = tmp_path / "own.yaml"
    file.write_text(text)
    return file


def test_its_values_set_up_all_but_a_cluster(tmp_path: Path) -> None:
    choice = choose(
        project="my-project", region="europe-west1", release="thundercast", namespace="thundercast", tag="v1", files=[own(tmp_path)]
    )
    assert choice.on_cloud_run
    listed = things(choice)
    assert not {"cluster", "context", "release"} & {thing.kind for thing in listed}
    assert {"APIs", "account", "tables", "topic", "subscription", "bucket", "dataset", "registry", "images", "role"} <= {
        thing.kind for thing in listed
    }
    (enabled,) = [thing.make[0] for thing in listed if thing.kind == "APIs"]
    assert "run.googleapis.com" in enabled
    assert "container.googleapis.com" not in enabled
    accounts = {thing.name for thing in listed if thing.kind == "account"}
    assert accounts == {f"thundercast-{part}@my-project.iam.gserviceaccount.com" for part in (*choice.running(), "build")}
    assert not [grant for grant in grants(choice) if "workloadIdentity" in grant.role or "nodes" in grant.account]


def test_the_command_that_it_ends_with_renders_what_scripts_cloudrun_takes(tmp_path: Path) -> None:
    choice = choose(
        project="my-project", region="europe-west1", release="thundercast", namespace="thundercast", tag="v1", files=[own(tmp_path)]
    )
    said = command_line.handed_over(choice)
    line = next(line for line in said if "helm template" in line)
    words = shlex.split(line.partition(" > ")[0])
    from charts.rendering import KUBERNETES, built

    words = [program("helm"), *words[1:], "--kube-version", KUBERNETES]
    words[words.index("charts/thundercast")] = str(built("helm"))
    rendered = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    found = [thing for thing in yaml.safe_load_all(rendered) if thing]
    assert {thing["kind"] for thing in found} == {"Service", "Job", "WorkerPool"}
    assert f"gcloud run jobs execute {choice.release}-simulator" in "\n".join(said)
    names = {thing["metadata"]["name"] for thing in found}
    objects = {word for words in COMMANDS for word in words if word.startswith("thundercast-")} | {
        word.partition("=")[2] for words in COMMANDS for word in words if word.startswith(("--service=", "--job="))
    }
    assert objects <= names


def test_values_that_it_names_are_there(tmp_path: Path) -> None:
    choice = choose(project="my-project", region="europe-west1", release="tc", namespace="tc", tag="v1", files=[own(tmp_path)])
    found = re.findall(r"`((?:cleaner|dataflow|global|dashboard|trainer)\.[\w.]+)(?:: |`|=)", TEXT)
    assert len(found) > 6
    for text in found:
        place = json.loads(choice.values.model_dump_json(by_alias=True))
        for key in text.split("."):
            assert key in place, text
            place = place[key]


def test_files_that_it_names_are_there_and_the_readmes_lead_to_it() -> None:
    for link in re.findall(r"\]\(([^)#]+)", TEXT):
        assert link.startswith("https://") or (GUIDE.parent / link).resolve().exists(), link
    for readme in ("README.md", "README.es.md"):
        assert "docs/deploy-cloud-run.md" in (ROOT / readme).read_text()
