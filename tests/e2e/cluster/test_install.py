"""From nothing to a dashboard that shows a live stream, on a real cluster, as the README says it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Browser, expect

import emulators
from charts.monitoring_chart import program
from e2e.cluster import kube
from e2e.cluster.kube import Namespace

pytestmark = pytest.mark.timeout(600)
HELM = "helm4"
RELEASE = "tc"
WITHIN = 180.0  # s; from `helm install` to scores of live data


@pytest.fixture(scope="module")
def installed(namespace: Namespace) -> str:
    """A release of the profile for a cluster of one's own, whose stream flows; what was printed when it was installed."""
    began = time.monotonic()
    said = namespace.install(RELEASE)
    namespace.until("scores of live data", lambda: namespace.ask(RELEASE, "/v1/scores")["scores"], within=WITHIN)
    print(f"\nscores {time.monotonic() - began:.0f} s after the installation began")
    return said


def test_within_three_minutes_the_stream_flows_to_the_store(installed: str, namespace: Namespace) -> None:
    status = namespace.ask(RELEASE, "/v1/status")
    assert status["rows"] > 0
    # The leader answers, or a standby that has its checkpoint; both have the run that the simulator began.
    run = namespace.ask(RELEASE, "/v1/scores")["run_id"]
    newest = namespace.until("a later date", lambda: _later(namespace, status["date"]), within=60)
    assert newest["run_id"] == run


def _later(namespace: Namespace, date: str | None) -> Any:
    found = namespace.ask(RELEASE, "/v1/scores")
    return found if max(score["date"] for score in found["scores"]) > (date or "") else None


def test_every_pod_gets_ready_and_none_restarts(installed: str, namespace: Namespace) -> None:
    namespace.until("all Deployments are ready", lambda: namespace.settled(RELEASE))
    restarts = {
        pod["metadata"]["name"]: container["restartCount"]
        for pod in namespace.of(RELEASE)
        if pod["metadata"]["ownerReferences"][0]["kind"] != "Job"  # one that makes things tries again until it can
        for container in pod["status"]["containerStatuses"]
        if container["restartCount"]
    }
    assert restarts == {}, namespace.state()


def test_the_commands_in_the_notes_work(installed: str, namespace: Namespace) -> None:
    commands = re.findall(r"^  (kubectl .*?)(?:\s{3,}.*)?$", installed, re.MULTILINE)
    assert len(commands) == 3, installed
    for command in commands:
        assert kube.run("sh", "-c", command).strip(), command


def test_helm_test_passes(installed: str, namespace: Namespace) -> None:
    assert "Succeeded" in namespace.helm("test", RELEASE, "--timeout", "240s")


def test_the_dashboard_shows_the_stream_in_a_browser(installed: str, namespace: Namespace, browser: Browser) -> None:
    with namespace.forwarded(f"svc/{RELEASE}-dashboard", 80) as where:
        page = browser.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"http://{where}/", timeout=60_000)
        seen = [page.locator("body").inner_text()]
        # The date that it shows goes on while it is looked at, without a reload.
        expect(page.get_by_text(re.compile(r"20\d\d")).first).to_be_visible(timeout=60_000)

        def changed() -> bool:
            seen.append(page.locator("body").inner_text())
            return _dates(seen[-1]) != [] and max(_dates(seen[-1])) > max(_dates(seen[0]) or [""])

        namespace.until("a later date on the page", changed, within=90)
        assert errors == []
        assert "Traceback" not in seen[-1]
        page.close()


def _dates(text: str) -> list[str]:
    """Dates in a text, as they can be compared."""
    found = re.findall(r"\b(20\d\d-\d\d-\d\d)\b", text)
    for day, month, year in re.findall(
        r"\b(\d{1,2}) (January|February|March|April|May|June|July|August|September|October|November|December) (20\d\d)\b", text
    ):
        found.append(time.strftime("%Y-%m-%d", time.strptime(f"{day} {month} {year}", "%d %B %Y")))
    return found


# --- Prometheus -------------------------------------------------------------------------------------------


@contextmanager
def _process(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=os.environ)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def test_a_real_prometheus_scrapes_the_pods_and_takes_the_rules(installed: str, namespace: Namespace, tmp_path: Path) -> None:
    """The pods are reached through the API server, so that it works on any cluster."""
    proxy, port = emulators.free_port(), emulators.free_port()
    pods = {part: pod["metadata"]["name"] for part in ("simulator", "cleaner", "trainer") for pod in namespace.of(RELEASE, component=part)}
    rendered = namespace.rendered("--set", "monitoring.kind=operator")
    (rule,) = [thing for thing in rendered if thing["kind"] == "PrometheusRule"]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule["spec"]))
    jobs = [
        {
            "job_name": part, "scrape_interval": "2s", "metrics_path": f"/api/v1/namespaces/{namespace.name}/pods/{pod}:8080/proxy/metrics",
            "static_configs": [{"targets": [f"127.0.0.1:{proxy}"], "labels": {"namespace": namespace.name, "release": RELEASE, "component": part, "pod": pod}}],
        }
        for part, pod in pods.items()
    ]  # fmt: skip
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "scrape_configs": jobs}))
    server = [
        program("prometheus"), f"--config.file={tmp_path / 'prometheus.yaml'}", f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    through = ["kubectl", "proxy", f"--port={proxy}", "--address=127.0.0.1"]
    with _process(through, tmp_path / "proxy.log"), _process(server, tmp_path / "prometheus.log"):

        def query(asked: str) -> list[dict[str, Any]]:
            where = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(asked)}"
            with urllib.request.urlopen(where, timeout=10) as answer:
                found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
                return found

        namespace.until("all three parts are scraped", lambda: len(query("up == 1")) == 3, within=60)
        rows = namespace.until(
            "rows of each part", lambda: (found := query("thundercast_rows_total > 0")) and len(found) >= 3 and found, within=60
        )
        assert {row["metric"]["component"] for row in rows} == {"simulator", "cleaner", "trainer"}
        assert namespace.until("a score", lambda: query('thundercast_score{score="roc_auc"}'), within=60)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/rules", timeout=10) as answer:
            groups = json.load(answer)["data"]["groups"]
        loaded = [item["name"] for group in groups for item in group["rules"]]
        assert loaded == [item["alert"] for group in rule["spec"]["groups"] for item in group["rules"]]
        assert all(item["health"] in ("ok", "unknown") for group in groups for item in group["rules"])


# --- what stays -------------------------------------------------------------------------------------------


def test_an_upgrade_and_then_an_uninstallation_leave_what_the_notes_say(installed: str, namespace: Namespace) -> None:
    namespace.install(RELEASE, {"trainer": {"podAnnotations": {"note": "second"}}}, upgrade=True)
    namespace.until("the upgrade is through", lambda: namespace.settled(RELEASE))
    kinds = kube.run("kubectl", "api-resources", "--verbs=list", "--namespaced", "--output=name").split()
    namespace.uninstall(RELEASE)
    namespace.until("no pod is left", lambda: not namespace.of(RELEASE), within=120)
    left = set()
    for kind in kinds:
        if not kind.startswith("events"):
            left |= set(kube.names(namespace.get(kind)))
    made_by_the_cluster = {"ConfigMap/kube-root-ca.crt", "ServiceAccount/default"}
    assert left - made_by_the_cluster == {f"Lease/{RELEASE}-cleaner", f"Lease/{RELEASE}-trainer"}
    assert f"kubectl -n {namespace.name} get leases" in installed
