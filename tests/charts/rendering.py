"""The charts as Helm 3 and Helm 4 render them, with their dependencies put together."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from charts.monitoring_chart import ROOT, Refused, program

HELMS = ("helm", "helm4")
CHARTS = ROOT / "charts"
UMBRELLA = CHARTS / "thundercast"
RELEASE, NAMESPACE = "tc", "prod"
KUBERNETES = "1.34.0"

GKE = {
    "global": {
        "project": "my-project",
        "image": {"registry": "europe-west1-docker.pkg.dev/my-project/thundercast"},
        "checkpoints": {"place": "gs://my-bucket/thundercast"},
    },
    "dashboard": {"host": "thunder.example.org"},
}
"""What a user of values-gke.yaml must say."""
PROFILES: dict[str, tuple[tuple[str, ...], Mapping[str, Any]]] = {
    "local": (("values-local.yaml",), {}),
    "gke": (("values-gke.yaml",), GKE),
}
"""Values files of the umbrella and what a user adds to them, by the name of the profile."""
CLOUD_RUN = {
    **GKE,
    "dashboard": {},
    **{
        part: {"serviceAccount": {"googleServiceAccount": f"tc-{part}@my-project.iam.gserviceaccount.com"}}
        for part in ("simulator", "cleaner", "trainer", "dashboard", "dataflow", "bootstrap")
    },
}
"""What a user of values-cloudrun.yaml must say. No profile of a cluster: tests/charts/test_cloudrun.py has its own promises."""


@functools.cache
def built(helm: str) -> Path:
    """The umbrella with its dependencies, as `helm dependency build` puts them together; a copy, so that the tree stays as it is."""
    folder = Path(tempfile.mkdtemp(prefix="charts-"))
    shutil.copytree(CHARTS, folder / "charts", ignore=shutil.ignore_patterns("charts", "Chart.lock"))
    chart = folder / "charts" / "thundercast"
    done = subprocess.run([program(helm), "dependency", "build", str(chart)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return chart


def run(helm: str, *words: str | Path, text: str | None = None) -> str:
    """What Helm prints.

    Raises:
        Refused: it ends with an error; with what it says.
    """
    done = subprocess.run([program(helm), *map(str, words)], input=text, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout


def profile(name: str) -> tuple[list[Path], Mapping[str, Any]]:
    """Files and further values of a profile, or of a corner case (`ci/NAME-values.yaml`)."""
    if name == "cloudrun":
        return [UMBRELLA / "values-cloudrun.yaml"], CLOUD_RUN
    if name in PROFILES:
        files, more = PROFILES[name]
        return [UMBRELLA / file for file in files], more
    return [UMBRELLA / "ci" / f"{name}-values.yaml"], {}


def corner_cases() -> list[str]:
    """Names of the corner cases."""
    return sorted(path.name.removesuffix("-values.yaml") for path in (UMBRELLA / "ci").glob("*-values.yaml"))


def text(
    files: Sequence[Path] = (), values: Mapping[str, Any] | None = None, *, helm: str = "helm", chart: Path | None = None,
    release: str = RELEASE,
) -> str:  # fmt: skip
    """All that is rendered, as text.

    Raises:
        Refused: Helm did not render.
    """
    return _text(tuple(files), yaml.safe_dump(dict(values or {})), helm, chart or built(helm), release)


@functools.cache
def _text(files: tuple[Path, ...], values: str, helm: str, chart: Path, release: str) -> str:
    command = ["template", release, chart, "--namespace", NAMESPACE, "--kube-version", KUBERNETES]
    for file in files:
        command += ["--values", file]
    return run(helm, *command, "--values", "-", text=values)


def objects(rendered: str) -> list[dict[str, Any]]:
    """The objects of a rendered text."""
    return [document for document in yaml.safe_load_all(rendered) if document]


def render(files: Sequence[Path] = (), values: Mapping[str, Any] | None = None, **how: Any) -> list[dict[str, Any]]:
    """The objects that come of it; as `text`."""
    return objects(text(files, values, **how))


@functools.cache
def _noted(helm: str) -> Path:
    """The umbrella with its notes as an object: `helm template` does not print them, and `helm install` would want a cluster."""
    chart = Path(shutil.copytree(built(helm), Path(tempfile.mkdtemp(prefix="charts-")) / "thundercast"))
    shutil.copy(UMBRELLA / "templates" / "NOTES.txt", chart / "files" / "notes.txt")
    (chart / "templates" / "notes.yaml").write_text('kind: Notes\ntext: {{ tpl (.Files.Get "files/notes.txt") . | toJson }}\n')
    return chart


def notes(files: Sequence[Path] = (), values: Mapping[str, Any] | None = None, *, helm: str = "helm") -> str:
    """What is printed after an installation."""
    (said,) = [thing["text"] for thing in render(files, values, helm=helm, chart=_noted(helm)) if thing["kind"] == "Notes"]
    return str(said)


def one(things: Sequence[dict[str, Any]], kind: str, name: str = "") -> dict[str, Any]:
    """The object of a kind whose name ends so; there must be exactly one."""
    found = [thing for thing in things if thing["kind"] == kind and thing["metadata"]["name"].endswith(name)]
    assert len(found) == 1, (kind, name, [thing["metadata"]["name"] for thing in found])
    return found[0]


def pods(things: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The pod specifications, by kind and name of what has them."""
    found = {}
    for thing in things:
        name = f"{thing['kind']}/{thing['metadata']['name']}"
        if thing["kind"] in ("Deployment", "StatefulSet", "Job"):
            found[name] = thing["spec"]["template"]["spec"]
        elif thing["kind"] == "Pod":
            found[name] = thing["spec"]
    return found
