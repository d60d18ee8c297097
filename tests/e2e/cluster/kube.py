"""kubectl and Helm as a person uses them, against the cluster that KUBECONFIG names."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).resolve().parents[3]
CHART: Final = ROOT / "charts" / "thundercast"
PATIENCE: Final = 180.0  # s


def why_not() -> str:
    """Why there is no cluster to test on; empty if there is one."""
    if "KUBECONFIG" not in os.environ:
        return "no cluster: KUBECONFIG is not set"
    if missing := [name for name in ("kubectl", "helm") if shutil.which(name) is None]:
        return f"{' and '.join(missing)} not found on the PATH"
    return ""


class Failed(AssertionError):
    """A command ended with an error; the message is what it said."""


def run(*words: str | Path, text: str | None = None, timeout: float = 240.0) -> str:
    """What a command prints.

    Raises:
        Failed: it ended with an error.
    """
    done = subprocess.run([*map(str, words)], input=text, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(map(str, words))}\n{done.stdout}\n{done.stderr}")
    return done.stdout


@dataclass
class Namespace:
    """A namespace of the cluster, and the releases in it.

    Attributes:
        chart: folder of the umbrella with its dependencies built.
        program: Helm.
    """

    name: str
    chart: Path
    program: str = "helm"
    releases: list[str] = field(default_factory=list)

    def kubectl(self, *words: str, text: str | None = None) -> str:
        return run("kubectl", "--namespace", self.name, *words, text=text)

    def get(self, what: str, *words: str) -> list[dict[str, Any]]:
        """Objects of a kind; none if there are none."""
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", what, *words, "--output", "json"))["items"]
        return found

    def of(self, release: str, what: str = "pods", component: str = "") -> list[dict[str, Any]]:
        """Objects of a release, and of one part of it."""
        wanted = f"app.kubernetes.io/instance={release}" + (f",app.kubernetes.io/component={component}" if component else "")
        return self.get(what, "--selector", wanted)

    def helm(self, *words: str | Path) -> str:
        return run(self.program, *words, "--namespace", self.name)

    def install(self, release: str, values: Mapping[str, Any] | None = None, *, upgrade: bool = False) -> str:
        """Installs or upgrades with the profile for a cluster of one's own; returns what is printed."""
        command = ["upgrade" if upgrade else "install", release, str(self.chart), "--values", str(self.chart / "values-local.yaml")]
        if not upgrade:
            self.releases.append(release)
        return run(self.program, *command, "--namespace", self.name, "--values", "-", text=json.dumps(dict(values or {})))

    def rendered(self, *words: str) -> list[dict[str, Any]]:
        """What the same profile renders, without a cluster."""
        command = ["template", "tc", str(self.chart), "--values", str(self.chart / "values-local.yaml"), "--kube-version", "1.34.0", *words]
        return [thing for thing in yaml.safe_load_all(self.helm(*command)) if thing]

    def uninstall(self, release: str) -> None:
        self.helm("uninstall", release, "--wait", "--timeout", "120s")
        self.releases.remove(release)

    def until(self, what: str, holds: Callable[[], Any], *, within: float = PATIENCE) -> Any:
        """Waits until it holds; returns what it gave, and fails with the state of the pods if it does not.

        Errors of a connection or a command are no answer yet.
        """
        until, problem = time.monotonic() + within, ""
        while time.monotonic() < until:
            try:
                if found := holds():
                    return found
            except (OSError, Failed, LookupError, ValueError) as error:
                problem = str(error)
            time.sleep(0.5)
        raise AssertionError(f"not within {within:g} s: {what}\n{problem[-1500:]}\n{self.state()}")

    def state(self) -> str:
        """What a person would look at."""
        said = [self.kubectl("get", "pods", "--output", "wide"), self.kubectl("get", "events", "--sort-by", ".lastTimestamp")[-3000:]]
        for pod in self.get("pods"):
            name = pod["metadata"]["name"]
            for container in pod["status"].get("containerStatuses", []):
                if ended := container["lastState"].get("terminated"):
                    said.append(f"--- {name} ended: {ended.get('reason')}, exit code {ended.get('exitCode')}")
            with contextlib.suppress(Failed):
                said.append(f"--- {name}\n{self.kubectl('logs', name, '--tail=8', '--all-containers')[-1500:]}")
        return "\n".join(said)

    def ready(self, release: str, component: str) -> list[str]:
        """Names of the pods of a part that are ready."""
        return [
            pod["metadata"]["name"]
            for pod in self.of(release, component=component)
            if "deletionTimestamp" not in pod["metadata"]
            and any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
        ]

    def settled(self, release: str) -> bool:
        """Whether every Deployment of a release is as it was told to be."""
        deployments = self.of(release, "deployments")
        return bool(deployments) and all(
            d["status"].get("observedGeneration", 0) >= d["metadata"]["generation"]
            and d["status"].get("updatedReplicas", 0)
            == d["status"].get("readyReplicas", 0)
            == d["status"].get("replicas", 0)
            == d["spec"]["replicas"]
            for d in deployments
        )

    def evict(self, pod: str) -> None:
        """As a node that is drained does; disruption budgets are heeded."""
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": self.name}}
        run(
            "kubectl",
            "create",
            "--raw",
            f"/api/v1/namespaces/{self.name}/pods/{pod}/eviction",
            "--filename",
            "-",
            text=json.dumps(eviction),
        )

    @contextmanager
    def forwarded(self, target: str, port: int) -> Iterator[str]:
        """``HOST:PORT`` on this machine of a port of a Service or pod."""
        command = ["kubectl", "--namespace", self.name, "port-forward", "--address", "127.0.0.1", target, f":{port}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                found = re.search(r"127\.0\.0\.1:(\d+)", line)
                if found is None:
                    raise Failed(f"{' '.join(command)}: {line}")
                # It says a line for each connection, and would stop if nobody read them.
                threading.Thread(target=process.stdout.read, daemon=True).start()
                yield f"127.0.0.1:{found[1]}"
            finally:
                process.terminate()
                process.wait(10)

    def ask(self, release: str, path: str) -> Any:
        """What the trainer's API answers, through its Service."""
        with self.forwarded(f"svc/{release}-trainer", 8080) as where, urllib.request.urlopen(f"http://{where}{path}", timeout=10) as answer:
            return json.load(answer)

    def leader(self, release: str, component: str = "trainer") -> str:
        """The pod that holds a part's Lease; empty if none does."""
        lease = json.loads(self.kubectl("get", "lease", f"{release}-{component}", "--output", "json"))
        return str(lease["spec"].get("holderIdentity") or "").rpartition("_")[0]


def build_chart(folder: Path) -> Path:
    """A copy of the umbrella with its dependencies."""
    shutil.copytree(ROOT / "charts", folder / "charts", ignore=shutil.ignore_patterns("charts", "Chart.lock"))
    chart = folder / "charts" / "thundercast"
    run("helm", "dependency", "build", chart)
    return chart


def skip_without_cluster() -> None:
    """Skips where there is no cluster."""
    if problem := why_not():
        pytest.skip(problem)


def names(things: Sequence[Mapping[str, Any]]) -> list[str]:
    """Kind and name of each."""
    return sorted(f"{thing['kind']}/{thing['metadata']['name']}" for thing in things)
