"""The files that images are built from agree with each other; needs nothing but them."""

from __future__ import annotations

import os
import re
import runpy
import tomllib
from pathlib import Path

import pytest
import yaml

from images.test_images import NAMES

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILES = {path.parent.name: path for path in sorted([*ROOT.glob("images/*/Dockerfile"), ROOT / "dataflow" / "Dockerfile"])}


def instructions(path: Path) -> list[str]:
    """The lines of a Dockerfile, continued ones joined."""
    text = path.read_text().replace("\\\n", " ")
    return [" ".join(line.split()) for line in text.splitlines() if line.strip() and not line.startswith("#")]


# Those that are built from the project's core, and not from another image.
PARTS = tuple(name for name in NAMES if "COPY core /build/core" in instructions(DOCKERFILES[name]))


def test_every_image_has_a_file_and_is_tested() -> None:
    assert set(DOCKERFILES) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_version_is_the_projects(name: str) -> None:
    with (ROOT / "core" / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    assert f"ARG VERSION={version}" in instructions(DOCKERFILES[name])


def stages(path: Path) -> dict[str, list[str]]:
    """The instructions of each stage by its name; the last one's is empty."""
    found: dict[str, list[str]] = {}
    for line in instructions(path):
        if line.startswith("FROM "):
            found[line.partition(" AS ")[2]] = here = [line]
        elif found:
            here.append(line)
    return found


def pins(lock: Path) -> set[str]:
    """What a lock installs, each with its version and the condition on which it does."""
    return {line.removesuffix("\\").strip() for line in lock.read_text().splitlines() if "==" in line and not line.startswith((" ", "#"))}


@pytest.mark.parametrize("name", NAMES)
def test_packages_come_from_a_hashed_lock(name: str) -> None:
    lines = instructions(DOCKERFILES[name])
    locks = [word for line in lines if line.startswith("COPY ") for word in line.split() if word.startswith("requirements/")]
    of_images = {"bigquery-emulator": ["emulators"], "launcher": []}.get(name, ["common", name])
    assert locks == [f"requirements/{lock}.txt" for lock in ("build", *of_images)]
    installing = [line.split("image.sh ")[1] for line in lines if line.startswith("RUN ") and "--mount=type=secret" in line]
    assert installing == ["tools", *(f"{step} {lock}.txt" for step, lock in zip(("dependencies", "more"), of_images, strict=False))]
    for lock in locks:
        assert all("--hash=sha256:" in block for block in (ROOT / lock).read_text().split("\n\n") if "==" in block)
    assert not any("pip install" in line for line in lines)
    steps = (ROOT / "scripts" / "image.sh").read_text().replace("\\\n", " ").splitlines()
    fetching = [line for line in steps if "pip" in line and " install " in line and "--no-index" not in line]
    assert len(fetching) == 2
    assert all("--require-hashes" in line and "--only-binary :all:" in line for line in fetching)


@pytest.mark.parametrize("name", PARTS)
def test_what_parts_share_is_built_once(name: str) -> None:
    """A builder makes a stage once for all files that have it in the same words."""
    shared = {file: {stage: stages(DOCKERFILES[file])[stage] for stage in ("tools", "common", "core")} for file in (name, PARTS[0])}
    assert shared[name] == shared[PARTS[0]]
    assert len(shared[name]["core"]) > 2
    assert stages(DOCKERFILES[name])[""][:4] == stages(DOCKERFILES[PARTS[0]])[""][:4]
    assert stages(DOCKERFILES[name])[""][3] == "COPY --from=common /opt/python /opt/python"


@pytest.mark.parametrize("name", PARTS)
def test_what_parts_share_has_the_versions_of_each(name: str) -> None:
    common = pins(ROOT / "requirements" / "common.txt")
    assert len(PARTS) > 5
    assert len(common) > 20
    assert common <= pins(ROOT / "requirements" / f"{name}.txt")


def test_the_launcher_is_the_worker_with_one_more_distribution() -> None:
    """So launch and run have the same dependencies; and a lock of its own says the same for where there is no image."""
    found = stages(DOCKERFILES["launcher"])
    assert found["worker"] == ["FROM ${WORKER} AS worker"]
    assert [line for line in found[""] if line.startswith(("COPY", "RUN"))] == ["COPY --from=program /part /app"]
    assert found["program"][-1] == "RUN sh /build/image.sh program /part images/launcher"
    assert pins(ROOT / "requirements" / "launcher.txt") == pins(ROOT / "requirements" / "dataflow.txt")


def test_the_launcher_is_built_after_the_worker_and_on_it() -> None:
    (step,) = [step for step in yaml.safe_load((ROOT / "cloudbuild.yaml").read_text())["steps"] if step["id"] == "launcher"]
    assert step["waitFor"] == ["dataflow"]
    assert "WORKER=${_REGISTRY}/thundercast/dataflow:${_TAG}" in step["args"]
    script = (ROOT / "scripts" / "build-images").read_text()
    assert 'LAST: Final = ("dataflow", "launcher")' in script


def test_every_image_is_in_the_tables() -> None:
    text = (ROOT / "docs" / "images.md").read_text()
    for table in ("sizes", "times"):
        lines = text.partition(f"<!-- {table} -->")[2].partition(f"<!-- end of {table} -->")[0].splitlines()
        listed = {line.split("|")[1].strip(" `") for line in lines if line.startswith("| `")}
        services = {name for name in NAMES if any(line.startswith("HEALTHCHECK ") for line in instructions(DOCKERFILES[name]))}
        assert listed == (set(NAMES) if table == "sizes" else services), table


@pytest.mark.parametrize("name", NAMES)
def test_the_last_stage_is_the_same_base_and_user(name: str) -> None:
    lines = instructions(DOCKERFILES[name])
    last = lines[max(i for i, line in enumerate(lines) if line.startswith("FROM ")) :]
    assert last[0] == ("FROM worker" if name == "launcher" else "FROM ${PYTHON}")
    assert "ARG PYTHON=python:3.13-slim" in lines
    assert "USER 65532:65532" in last
    assert "STOPSIGNAL SIGTERM" in last


def test_cloud_build_builds_the_same_images_from_the_same_files() -> None:
    config = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text())
    built = {step["id"]: step["args"][step["args"].index("--file") + 1] for step in config["steps"]}
    assert built == {name: os.path.relpath(path, ROOT) for name, path in DOCKERFILES.items()}
    assert sorted(config["images"]) == sorted(f"${{_REGISTRY}}/thundercast/{name}:${{_TAG}}" for name in NAMES)


def test_images_are_pushed_and_built_to_where_the_charts_look_for_them() -> None:
    registry, tag = "europe-west1-docker.pkg.dev/my-project/thundercast", "0.1.0"
    golden = (ROOT / "tests" / "charts" / "golden" / "dataflow.yaml").read_text()
    pulled = set(re.findall(rf"{re.escape(registry)}/\S+:{re.escape(tag)}", golden))
    assert len(pulled) >= 6
    script = runpy.run_path(str(ROOT / "scripts" / "build-images"))
    assert pulled <= {script["destination"](registry, name, tag) for name in NAMES}
    built = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text())["images"]
    assert pulled <= {image.replace("${_REGISTRY}", registry).replace("${_TAG}", tag) for image in built}


def test_nothing_but_what_images_are_built_from_is_sent_to_the_builder() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = {
        word
        for path in DOCKERFILES.values()
        for line in instructions(path)
        if line.startswith("COPY ") and "--from=" not in line
        for word in line.split()[1:-1]
    }
    assert all(any(word == place or word.startswith(f"{place}/") for place in allowed) for word in copied)
    assert not any(place.startswith((".git", ".venv", "tests")) for place in allowed)
