"""Every object of every profile is what an API server takes, and what kubeconform and kube-score find right."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from charts.conftest import Kubectl
from charts.monitoring_chart import program
from charts.rendering import HELMS, NAMESPACE, PROFILES, corner_cases, objects, profile, text

CASES = [*PROFILES, *corner_cases()]


@pytest.fixture(scope="module")
def namespace(kubectl: Kubectl) -> str:
    """The namespace that the charts are rendered for."""
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    # Of the maximal case; a pod of a class that is not there is refused.
    classes = [
        {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": 10}
        for name in ("high", "weather")
    ]
    for thing in (made, *classes):
        kubectl("apply", "--filename", "-", text=json.dumps(thing))
    return NAMESPACE


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("case", CASES)
def test_the_api_server_takes_every_object(case: str, helm: str, kubectl: Kubectl, namespace: str) -> None:
    files, more = profile(case)
    rendered = text(files, more, helm=helm)
    said = kubectl(
        "create", "--namespace", namespace, "--dry-run=server", "--validate=strict", "--output", "name", "--filename", "-", text=rendered
    )
    assert len(said.splitlines()) == len(objects(rendered))


def test_the_api_server_would_refuse_a_field_that_is_none(kubectl: Kubectl, namespace: str) -> None:
    wrong = text(*profile("gke")).replace("timeoutSec:", "timeOutSec:")
    with pytest.raises(AssertionError, match="unknown field"):
        kubectl("create", "--namespace", namespace, "--dry-run=server", "--validate=strict", "--filename", "-", text=wrong)


# --- kubeconform ------------------------------------------------------------------------------------------


def _strict(part: Any) -> Any:
    """An OpenAPI schema as a JSON Schema that takes no key that it does not name."""
    if isinstance(part, list):
        return [_strict(item) for item in part]
    if not isinstance(part, dict):
        return part
    made = {key: _strict(value) for key, value in part.items() if not key.startswith("x-kubernetes-")}
    if part.get("x-kubernetes-int-or-string") or part.get("format") == "int-or-string":
        return {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    if "properties" in made and not part.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    made.pop("format", None)
    return made


@pytest.fixture(scope="module")
def schemas(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A schema for each kind that the API server knows, as it publishes them, in a folder as kubeconform wants it."""
    folder = tmp_path_factory.mktemp("schemas")
    for path in json.loads(kubectl("get", "--raw", "/openapi/v3"))["paths"]:
        if not path.startswith(("api/v1", "apis/")) or path.count("/") < 1:
            continue
        document = json.loads(kubectl("get", "--raw", f"/openapi/v3/{path}"))
        definitions = document.get("components", {}).get("schemas", {})
        for schema in definitions.values():
            for kind in schema.get("x-kubernetes-group-version-kind", []):
                group = kind["group"].split(".")[0]
                name = "-".join(filter(None, [kind["kind"].lower(), group, kind["version"]]))
                whole = {**_strict(schema), "components": {"schemas": _strict(definitions)}}
                whole.get("properties", {}).update(apiVersion={"type": "string"}, kind={"type": "string"})
                (folder / f"{name}.json").write_text(json.dumps(whole))
    return folder


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("case", CASES)
def test_kubeconform_finds_nothing_wrong(case: str, helm: str, schemas: Path) -> None:
    files, more = profile(case)
    rendered = text(files, more, helm=helm)
    where = f"{schemas}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"
    command = [program("kubeconform"), "-strict", "-summary", "-output", "json", "-schema-location", where]
    done = subprocess.run(command, input=rendered, capture_output=True, text=True, timeout=120, check=False)
    found = json.loads(done.stdout)
    assert [(item["kind"], item["name"], item["msg"]) for item in found.get("resources", []) if item["status"] != "statusValid"] == []
    assert found["summary"]["valid"] == len(objects(rendered))


# --- kube-score -------------------------------------------------------------------------------------------


def criticals(rendered: str) -> Iterator[str]:
    """What kube-score calls critical: object, check and what it says."""
    command = [program("kube-score"), "score", "--output-format", "json", "-"]
    done = subprocess.run(command, input=rendered, capture_output=True, text=True, timeout=120, check=False)
    for thing in json.loads(done.stdout):
        for check in thing["checks"]:
            if check["grade"] == 1 and not check["skipped"]:
                for comment in check["comments"] or [{"summary": ""}]:
                    yield f"{thing['object_name']}: {check['check']['id']}: {comment['summary']}"


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("case", CASES)
def test_kube_score_finds_nothing_critical(case: str, helm: str) -> None:
    files, more = profile(case)
    assert list(criticals(text(files, more, helm=helm))) == []


def test_each_check_that_is_passed_over_has_its_reason() -> None:
    reasons = Path(__file__).parent.joinpath("kube-score.yaml")
    known = yaml.safe_load(reasons.read_text())
    used: set[str] = set()
    for case in CASES:
        for thing in objects(text(*profile(case))):
            if "labels" not in thing["metadata"]:  # the user's own
                continue
            places = [thing["metadata"], (thing.get("spec") or {}).get("template", {}).get("metadata", {})]
            for place in places:
                ignored = (place.get("annotations") or {}).get("kube-score/ignore", "")
                part = thing["metadata"]["labels"].get("app.kubernetes.io/component", "")
                used |= {f"{part}: {check}" for check in filter(None, ignored.split(","))}
    used = {"*: container-image-pull-policy" if check.endswith(": container-image-pull-policy") else check for check in used}
    assert used == set(known)
    assert all(known.values())
