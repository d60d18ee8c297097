"""An upgrade from the chart of the commit before changes no field that cannot be changed."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from charts.monitoring_chart import ROOT, Refused
from charts.rendering import PROFILES, UMBRELLA, objects, profile, run, text

CASES = [*PROFILES, "volume", "groups", "dataflow"]
BACK = 10  # commits


def _git(*words: str) -> bytes:
    return subprocess.run(["git", "-C", str(ROOT), *words], check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The umbrella of the latest commit whose charts differ from the tree's and render."""
    if not (ROOT / ".git").exists():
        pytest.skip("there is no history: this is no clone")
    for commit in _git("log", f"-{BACK}", "--format=%H", "--", "charts").decode().split():
        if not _git("diff", "--name-only", commit, "--", "charts"):
            continue
        folder = tmp_path_factory.mktemp("before")
        with tarfile.open(fileobj=io.BytesIO(_git("archive", commit, "charts"))) as archive:
            archive.extractall(folder)
        chart = folder / "charts" / "thundercast"
        try:
            run("helm", "dependency", "build", chart)
            text([chart / "ci" / "minimal-values.yaml"], {}, chart=chart)
        except Refused:
            continue
        return chart
    pytest.skip(f"none of the {BACK} commits before has another chart that renders")


def immutable(thing: dict[str, Any]) -> Any:
    """What the API server would not let an upgrade change."""
    spec = thing.get("spec", {})
    if thing["kind"] == "Deployment":
        return spec["selector"]
    if thing["kind"] == "Job":
        return {key: spec.get(key) for key in ("template", "selector", "completions", "completionMode", "podFailurePolicy")}
    if thing["kind"] == "PersistentVolumeClaim":
        return {key: value for key, value in spec.items() if key != "resources"}
    if thing["kind"] == "Service":
        return spec.get("clusterIP")
    if thing["kind"] in ("RoleBinding", "ClusterRoleBinding"):
        return thing["roleRef"]
    if thing["kind"] in ("Secret", "ConfigMap"):
        return thing.get("immutable"), thing.get("type")
    return None


@pytest.mark.parametrize("case", CASES)
def test_an_upgrade_from_the_commit_before_changes_no_immutable_field(case: str, before: Path) -> None:
    files, more = profile(case)
    there = [before / file.relative_to(UMBRELLA) for file in files]
    if not all(file.exists() for file in there):
        pytest.skip("the case is new")
    old = {(thing["kind"], thing["metadata"]["name"]): thing for thing in objects(text(there, more, chart=before))}
    new = {(thing["kind"], thing["metadata"]["name"]): thing for thing in objects(text(files, more))}
    kept = set(old) & set(new)
    assert {kind for kind, _ in kept} >= {"Deployment", "Service"}
    changed = [f"{kind}/{name}" for kind, name in sorted(kept) if immutable(old[kind, name]) != immutable(new[kind, name])]
    assert changed == []


def test_a_changed_selector_would_be_seen() -> None:
    (thing, *_) = [thing for thing in objects(text(*profile("minimal"))) if thing["kind"] == "Deployment"]
    other = {**thing, "spec": {**thing["spec"], "selector": {"matchLabels": {"app": "other"}}}}
    assert immutable(thing) != immutable(other)
