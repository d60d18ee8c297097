"""A namespace of its own for each module."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

import browsers
from charts.rendering import pods
from e2e.cluster import kube
from e2e.dashboard.conftest import FLAGS


@pytest.fixture(scope="session")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The umbrella, ready to be installed; skips where there is no cluster."""
    kube.skip_without_cluster()
    return kube.build_chart(tmp_path_factory.mktemp("charts"))


@pytest.fixture(scope="session")
def images(chart: Path) -> None:
    """Every image of the profile is on a node and unpacked, as a pull would have left it: one container of each has been made."""
    name = f"thundercast-images-{uuid.uuid4().hex[:8]}"
    kube.run("kubectl", "create", "namespace", name)
    try:
        space = kube.Namespace(name, chart)
        wanted = sorted({container["image"] for pod in pods(space.rendered()).values() for container in pod["containers"]})
        for number, image in enumerate(wanted):
            space.kubectl(
                "run",
                f"image-{number}",
                f"--image={image}",
                "--image-pull-policy=IfNotPresent",
                "--restart=Never",
                "--command",
                "--",
                "/none",
            )

            def made(pod: str = f"image-{number}") -> bool:
                # There is no such program in it: the container is made, which unpacks the image, and then cannot start.
                status = json.loads(space.kubectl("get", "pod", pod, "--output", "json"))["status"]
                return any("terminated" in container["state"] for container in status.get("containerStatuses", []))

            space.until(f"{image} is on the node", made, within=300)
    finally:
        kube.run("kubectl", "delete", "namespace", name, "--wait=true", "--timeout=180s")


@pytest.fixture(scope="module")
def namespace(chart: Path, images: None, request: pytest.FixtureRequest) -> Iterator[kube.Namespace]:
    """An empty namespace, deleted with all that is in it; for the Helm that the module names, where it is installed."""
    wanted = getattr(request.module, "HELM", "helm")
    name = f"thundercast-{uuid.uuid4().hex[:8]}"
    kube.run("kubectl", "create", "namespace", name)
    try:
        yield kube.Namespace(name, chart, wanted if shutil.which(wanted) else "helm")
    finally:
        kube.run("kubectl", "delete", "namespace", name, "--wait=true", "--timeout=180s")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    found = browsers.chromium()
    if found is None:
        pytest.skip(browsers.NONE_HERE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS.split())
        yield browser
        browser.close()
