"""What `skaffold.yaml` names is there, and is what the project's own scripts build."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from unit.skaffold.schema import Config, modules

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "skaffold.yaml").read_text()
PREFIX = "localhost/thundercast/"
PROFILES: list[tuple[str, ...]] = [
    (),
    ("local",),
    ("beam",),
    ("gke",),
    ("gke", "dataflow"),
    ("cloudrun",),
    ("buildah",),
    ("buildah", "gke"),
]
BUILDER = runpy.run_path(str(ROOT / "scripts" / "build-images"))


def config(name: str, *profiles: str) -> Config:
    return modules(TEXT, *profiles)[name]


@pytest.mark.parametrize("profiles", PROFILES)
def test_the_file_is_as_the_published_schema_has_it_under_every_profile(profiles: tuple[str, ...]) -> None:
    found = modules(TEXT, *profiles)
    assert list(found) == ["images", "thundercast"]
    assert found["thundercast"].requires[0].configs == ["images"]


def test_a_key_that_skaffold_does_not_know_would_be_seen() -> None:
    with pytest.raises(ValidationError, match="artefacts"):
        modules(TEXT.replace("  artifacts:", "  artefacts:", 1))


@pytest.mark.parametrize("profile", sorted({name for names in PROFILES for name in names}))
def test_every_profile_is_tested(profile: str) -> None:
    declared = {one.name for module in modules(TEXT).values() for one in module.profiles}
    assert profile in declared
    assert declared == {name for names in PROFILES for name in names}


def test_all_profiles_together_build_the_projects_images_from_their_files() -> None:
    built = {}
    for profiles in PROFILES:
        for artifact in config("images", *profiles).build.artifacts:
            file = artifact.docker.dockerfile if artifact.docker else artifact.custom and artifact.custom.dependencies.dockerfile.path
            assert built.setdefault(artifact.image, file) == file
            assert artifact.context == "."
    assert built == {f"{PREFIX}{name}": path.relative_to(ROOT).as_posix() for name, path in BUILDER["DOCKERFILES"].items()}


@pytest.mark.parametrize("profiles", PROFILES)
def test_no_tag_is_a_number(profiles: tuple[str, ...]) -> None:
    """`--set x.tag=1234567` is a number to Helm, and the chart's tags are text."""
    policy = config("images", *profiles).build.tagPolicy
    assert policy is not None
    with pytest.raises(ValueError, match="could not convert"):
        float(f"{policy.gitCommit.prefix}1234567")


def test_the_launcher_is_built_on_the_worker() -> None:
    (launcher,) = [one for one in config("images", "gke", "dataflow").build.artifacts if one.image.endswith("/launcher")]
    assert [(need.image, need.alias) for need in launcher.requires] == [(f"{PREFIX}dataflow", "WORKER")]
    assert "ARG WORKER" in (ROOT / "images" / "launcher" / "Dockerfile").read_text()


@pytest.mark.parametrize("profiles", PROFILES)
def test_no_image_is_named_that_is_not_built(profiles: tuple[str, ...]) -> None:
    found = modules(TEXT, *profiles)
    built = {re.sub(r"[^A-Za-z0-9]", "_", artifact.image) for artifact in found["images"].build.artifacts}
    named = set()
    for value in found["thundercast"].release.setValueTemplates.values():
        named |= set(re.findall(r"\.IMAGE_(?:REPO|TAG|DIGEST|FULLY_QUALIFIED)_(\w+)}}", value))
    assert named == built
    assert {re.sub(r"[^A-Za-z0-9]", "_", test.container.image) for test in found["thundercast"].verify} <= built


@pytest.mark.parametrize("profiles", PROFILES)
def test_files_and_folders_that_are_named_are_there(profiles: tuple[str, ...]) -> None:
    module = config("thundercast", *profiles)
    release = module.release
    files = [file for file in release.valuesFiles if "{{" not in file]
    named = [release.chartPath, *files, *(test.executionMode.kubernetesCluster.jobManifestPath for test in module.verify)]
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_module_of_the_dashboard_is_synced_to_where_python_looks_first() -> None:
    (dashboard,) = [one for one in config("images").build.artifacts if one.image.endswith("/dashboard")]
    assert dashboard.sync is not None
    package = ROOT / "images" / "dashboard" / "src" / "thundercast_dashboard"
    live = yaml.safe_load((ROOT / "scripts" / "skaffold" / "live.yaml").read_text())["dashboard"]
    env = {item["name"]: item["value"] for item in live["extraEnv"]}
    (mount,) = live["extraVolumeMounts"]
    synced = set()
    for rule in dashboard.sync.manual:
        assert rule.src.startswith(rule.strip)
        assert rule.dest == mount["mountPath"] == env["PYTHONPATH"].split(":")[0]
        matched = set(ROOT.glob(rule.src))
        assert matched, rule.src
        synced |= matched
    assert set(package.rglob("*.py")) | {path for path in (package / "assets").iterdir() if path.is_file()} <= synced
    # What is not synced comes with the image.
    (first,) = live["extraInitContainers"]
    assert first["command"] == ["cp", "-r", f"/app/{package.name}", f"{mount['mountPath']}/"]
    assert first["volumeMounts"] == live["extraVolumeMounts"]


def test_streamlit_looks_for_changes_where_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    from thundercast_dashboard.serve import command

    live = yaml.safe_load((ROOT / "scripts" / "skaffold" / "live.yaml").read_text())["dashboard"]
    assert "--server.fileWatcherType=none" in command("bigquery", 8501)
    for item in live["extraEnv"]:
        monkeypatch.setenv(item["name"], item["value"])
    assert not [word for word in command("bigquery", 8501) if word.startswith(("--server.fileWatcherType", "--server.runOnSave"))]


def test_buildah_builds_and_pushes_what_skaffold_asks_for(tmp_path: Path) -> None:
    """The script beside stand-ins for the two programs that it calls, which write down how."""
    place = tmp_path / "scripts" / "skaffold"
    place.mkdir(parents=True)
    script = place / "buildah"
    script.write_text((ROOT / "scripts" / "skaffold" / "buildah").read_text())
    said = tmp_path / "said"
    for program in (tmp_path / "scripts" / "build-images", tmp_path / "bin" / "buildah"):
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\necho "{program.name} $*" >>{said}\n')
        program.chmod(0o755)
    env = os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "IMAGE": "registry.example.org:5000/weather/trainer:abc"}
    for push in ("false", "true"):
        subprocess.run(["sh", str(script)], env=env | {"PUSH_IMAGE": push}, check=True, timeout=30)
    build = "build-images trainer --builder buildah --prefix registry.example.org:5000/weather --tag abc"
    image = "registry.example.org:5000/weather/trainer:abc"
    assert said.read_text().splitlines() == [build, build, f"buildah push {image} docker://{image}"]
    assert os.access(ROOT / "scripts" / "skaffold" / "buildah", os.X_OK)
