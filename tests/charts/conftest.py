"""An API server that knows every kind that the charts make."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from charts.monitoring_chart import ROOT, program
from integration.kubernetes.conftest import BUILT_WITHIN, Cluster, cluster

__all__ = ["cluster"]

NO_DEFINITIONS = "the definitions of custom resources are not in"
OURS = Path(__file__).parent / "crds"
Kubectl = Callable[..., str]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test that needs Helm or the API server may have to wait until they are built."""
    for item in items:
        if "/tests/charts/" in item.path.as_posix():
            item.add_marker(pytest.mark.timeout(BUILT_WITHIN + 300.0))


@pytest.fixture(scope="session")
def kubectl(cluster: Cluster) -> Kubectl:
    """kubectl against that API server, with the definitions of all kinds applied; returns what it prints, fails with what it says."""
    path = program("kubectl")
    theirs = Path(os.environ.get("THUNDERCAST_CRDS", ROOT.parent / "shared" / "cluster" / "crds"))
    if not theirs.is_dir():
        pytest.skip(
            f"{NO_DEFINITIONS} {theirs} (set THUNDERCAST_CRDS to a folder with those of the Prometheus operator, KEDA, Gateway API and GKE)"
        )

    def ask(*words: str | Path, text: str | None = None) -> str:
        done = subprocess.run(
            [path, f"--kubeconfig={cluster.kubeconfig}", *map(str, words)],
            input=text,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode:
            raise AssertionError(done.stderr)
        return done.stdout

    for folder in (theirs, OURS):
        ask("apply", "--server-side", "--force-conflicts", "--filename", folder)
    ask("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    return ask
