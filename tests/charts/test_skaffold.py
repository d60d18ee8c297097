"""The chart as Skaffold would install it: its values are known, and what is forwarded and verified is there."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from charts.rendering import CLOUD_RUN, HELMS, KUBERNETES, built, objects, one, pods, run
from unit.skaffold.schema import Config, modules

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "skaffold.yaml").read_text()
CASES = [(), ("beam",), ("gke",), ("gke", "dataflow")]
ENV = {
    "GOOGLE_CLOUD_PROJECT": "my-project", "THUNDERCAST_BUCKET": "my-bucket", "THUNDERCAST_HOST": "thunder.example.org", "DATAFLOW_REGION": "europe-west1",
    "SKAFFOLD_DEFAULT_REPO": "europe-west1-docker.pkg.dev/my-project/thundercast", "DATAFLOW_WORKER": "worker@my-project.iam.gserviceaccount.com",
}  # fmt: skip
DIGEST = f"sha256:{'0123456789abcdef' * 4}"


def filled(template: str, repository: str) -> str:
    """A value as Skaffold would pass it, for images that are pushed."""

    def value(found: re.Match[str]) -> str:
        name = found[1]
        kind, _, image = name.removeprefix("IMAGE_").partition("_localhost_thundercast_")
        if not image:
            return ENV[name]
        full = f"{repository}/{image.replace('_', '-')}"
        return {"REPO": full, "TAG": "c-1234567", "DIGEST": DIGEST, "FULLY_QUALIFIED": f"{full}:c-1234567@{DIGEST}"}[kind]

    return re.sub(r"{{\.(\w+)}}", value, template)


def installed(helm: str, *profiles: str) -> tuple[Config, list[dict[str, Any]]]:
    """The module, and what it would install."""
    module = modules(TEXT, *profiles)["thundercast"]
    release = module.release
    repository = ENV["SKAFFOLD_DEFAULT_REPO"] if {"gke", "cloudrun"} & set(profiles) else "localhost/thundercast"
    words: list[str | Path] = ["template", release.name, built(helm), "--kube-version", KUBERNETES]
    for file in release.valuesFiles:
        if "{{" in file:
            own = Path(tempfile.mkdtemp()) / "own.yaml"
            own.write_text(yaml.safe_dump({part: value for part, value in CLOUD_RUN.items() if "serviceAccount" in value}))
        words += ["--values", own if "{{" in file else ROOT / file]
    for key, template in release.setValueTemplates.items():
        words += ["--set", f"{key}={filled(template, repository)}"]
    return module, objects(run(helm, *words))


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("profiles", CASES)
def test_every_pod_of_the_project_runs_an_image_that_was_built(profiles: tuple[str, ...], helm: str) -> None:
    _, things = installed(helm, *profiles)
    images = {c["image"] for pod in pods(things).values() for c in [*pod["containers"], *pod.get("initContainers", [])]}
    strangers = {image for image in images if DIGEST not in image}
    allowed = (
        set()
        if "gke" in profiles
        else {"gcr.io/google.com/cloudsdktool/google-cloud-cli:emulators", "docker.io/fsouza/fake-gcs-server:latest"}
    )
    assert strangers == allowed
    assert len(images - strangers) >= 5


@pytest.mark.parametrize("profiles", CASES)
def test_what_is_forwarded_and_verified_is_there(profiles: tuple[str, ...]) -> None:
    module, things = installed("helm", *profiles)
    services = {thing["metadata"]["name"]: {p["port"] for p in thing["spec"]["ports"]} for thing in things if thing["kind"] == "Service"}
    for forward in module.portForward:
        assert forward.port in services[forward.resourceName]
    (test,) = module.verify
    addresses = [urlsplit(word) for word in test.container.args if "://" in word]
    assert len(addresses) == 2
    assert all(address.port in services[address.hostname or ""] for address in addresses)
    # It does what the chart's own test does, and is let in where that is.
    check = one(things, "Pod", "-check")["spec"]["containers"][0]
    assert test.container.command == check["command"]
    manifest = yaml.safe_load((ROOT / test.executionMode.kubernetesCluster.jobManifestPath).read_text())
    labels = manifest["spec"]["template"]["metadata"]["labels"]
    policy = json.dumps(one(things, "NetworkPolicy", "-trainer")["spec"]["ingress"])
    assert json.dumps({"matchLabels": labels}) in policy


@pytest.mark.parametrize("helm", HELMS)
def test_on_cloud_run_every_part_runs_an_image_that_was_built(helm: str) -> None:
    module, things = installed(helm, "cloudrun")
    assert (module.portForward, module.verify) == ([], [])
    assert module.deploy is not None
    assert module.deploy.cloudrun is not None
    assert {thing["kind"] for thing in things} == {"Service", "Job", "WorkerPool"}
    images = re.findall(r"image: (\S+)", yaml.safe_dump_all(things))
    assert len(images) == len(things)
    assert all(DIGEST in image for image in images)
