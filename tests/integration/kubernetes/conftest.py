"""An API server for the tests in this folder, and a namespace in it."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from kubernetes import client

import emulators
from integration.kubernetes import apiserver

BUILT_WITHIN = 3000.0  # s


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test may have to wait for the API server to be built."""
    for item in items:
        if "/integration/kubernetes/" in item.path.as_posix():
            item.add_marker(pytest.mark.timeout(BUILT_WITHIN + 300.0))


def _wait_for_the_build() -> None:
    """THUNDERCAST_BUILDING names a file that is there while somebody builds the API server on this machine."""
    until = time.monotonic() + BUILT_WITHIN
    while (path := os.environ.get("THUNDERCAST_BUILDING")) and Path(path).exists() and time.monotonic() < until:
        time.sleep(1.0)


@dataclass(frozen=True)
class Cluster:
    """An API server that answers; the namespace is ours."""

    kubeconfig: Path
    namespace: str


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """That of KUBECONFIG if it is set, else etcd and kube-apiserver of this machine; skips where neither is to be had."""
    with ExitStack() as stack:
        if "KUBECONFIG" in os.environ:
            kubeconfig = Path(os.environ["KUBECONFIG"])
        else:
            _wait_for_the_build()
            try:
                kubeconfig = stack.enter_context(apiserver.running(tmp_path_factory.mktemp("apiserver")))
            except emulators.Missing as missing:
                pytest.skip(str(missing))
        namespace = f"thundercast-test-{uuid.uuid4().hex[:12]}"
        with apiserver.api_client(kubeconfig) as api:
            core = client.CoreV1Api(api)
            core.create_namespace({"metadata": {"name": namespace}})
            yield Cluster(kubeconfig, namespace)
            core.delete_namespace(namespace)
