"""What holds of every object of every profile and corner case, with Helm 3 and Helm 4."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from pydantic_settings import BaseSettings

from charts.rendering import HELMS, PROFILES, RELEASE, corner_cases, one, pods, profile, render, run
from charts.rendering import built as chart_of
from thundercast.adapters.settings import CloudSettings
from thundercast_cleaner.settings import CleanerSettings
from thundercast_simulator.settings import SimulatorSettings
from thundercast_trainer.settings import TrainerSettings

CASES = [*PROFILES, *corner_cases()]
LABEL = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
Things = list[dict[str, Any]]


@pytest.fixture(scope="module", params=[(case, helm) for case in CASES for helm in HELMS], ids=lambda param: "-".join(param))
def things(request: pytest.FixtureRequest) -> Things:
    """Everything that is rendered for a case."""
    case, helm = request.param
    files, more = profile(case)
    return render(files, more, helm=helm)


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("case", CASES)
def test_it_lints_strictly(case: str, helm: str) -> None:
    files, more = profile(case)
    words = [word for file in files for word in ("--values", file)]
    run(helm, "lint", "--strict", chart_of(helm), *words, "--values", "-", text=json.dumps(more))


def test_nothing_is_there_twice(things: Things) -> None:
    keys = [(thing["apiVersion"], thing["kind"], thing["metadata"]["name"]) for thing in things]
    assert sorted(keys) == sorted(set(keys))


def test_labels_are_legal_and_tell_whose_it_is(things: Things) -> None:
    for thing in things:
        if thing["metadata"]["name"] == f"{RELEASE}-extra":  # the user's own
            continue
        labels = thing["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == RELEASE
        assert labels["app.kubernetes.io/component"]
        template = thing["spec"]["template"]["metadata"]["labels"] if thing["kind"] in ("Deployment", "Job") else {}
        for value in [*labels.values(), *template.values()]:
            assert isinstance(value, str)
            assert LABEL.fullmatch(value), value


def test_every_pod_is_hardened(things: Things) -> None:
    found = pods(things)
    assert found
    for name, pod in found.items():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["enableServiceLinks"] is False, name
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["readOnlyRootFilesystem"] is True, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert context["runAsUser"] > 10000, name
            for what in ("requests", "limits"):
                assert {"cpu", "memory", "ephemeral-storage"} <= set(container["resources"][what]), name


def test_only_who_keeps_a_lease_has_a_token_and_may_do_exactly_that(things: Things) -> None:
    with_token = {name for name, pod in pods(things).items() if pod["automountServiceAccountToken"]}
    roles = [thing for thing in things if thing["kind"] == "Role"]
    bindings = [thing for thing in things if thing["kind"] == "RoleBinding"]
    assert bool(with_token) == bool(roles)
    leases = []
    for role in roles:
        assert all(rule["apiGroups"] == ["coordination.k8s.io"] and rule["resources"] == ["leases"] for rule in role["rules"])
        assert sorted(verb for rule in role["rules"] for verb in rule["verbs"]) == ["create", "get", "update"]
        leases += [name for rule in role["rules"] for name in rule.get("resourceNames", [])]
    asked = []
    for name, pod in pods(things).items():
        for container in pod["containers"]:
            for variable in container.get("env", []):
                if variable["name"] == "THUNDERCAST_LOCK" and variable["value"].startswith("kubernetes:"):
                    assert name in with_token
                    asked.append(variable["value"].partition("/")[2])
                    bound = [binding for binding in bindings if pod["serviceAccountName"] in [s["name"] for s in binding["subjects"]]]
                    assert bound, name
    assert sorted(leases) == sorted(asked)
    assert not any(thing["kind"] in ("ClusterRole", "ClusterRoleBinding") for thing in things)


def test_no_variable_is_given_twice(things: Things) -> None:
    for name, pod in pods(things).items():
        for container in pod["containers"]:
            names = [variable["name"] for variable in container.get("env", [])]
            assert names == sorted(set(names)), name


SETTINGS: dict[str, type[BaseSettings]] = {
    "simulator": SimulatorSettings, "cleaner": CleanerSettings, "trainer": TrainerSettings, "bootstrap": CloudSettings,
}  # fmt: skip


def test_every_setting_is_one_that_the_program_knows_and_takes(things: Things, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)
    seen = 0
    for name, pod in pods(things).items():
        for container in pod["containers"]:
            settings = SETTINGS.get(container["name"])
            if settings is None:
                continue
            given = {item["name"]: item["value"] for item in container["env"] if item["name"].startswith("THUNDERCAST_")}
            with monkeypatch.context() as patch:
                for key, value in given.items():
                    patch.setenv(key, value)
                made = settings()
            shared = set(CloudSettings.model_fields) if container["name"] == "bootstrap" else set()
            known = {f"THUNDERCAST_{field.upper()}" for field in {*settings.model_fields, *shared}}
            assert set(given) <= known, name
            assert str(made.model_dump()["project"]) == given["THUNDERCAST_PROJECT"]
            seen += 1
    assert seen


def test_every_pod_has_its_network_policy_and_every_service_its_pods(things: Things) -> None:
    labels = {}
    for thing in things:
        if thing["kind"] in ("Deployment", "Job"):
            labels[thing["metadata"]["name"]] = thing["spec"]["template"]["metadata"]["labels"]
        elif thing["kind"] == "Pod":
            labels[thing["metadata"]["name"]] = thing["metadata"]["labels"]

    def selected(selector: dict[str, str]) -> list[str]:
        return [name for name, have in labels.items() if selector.items() <= have.items()]

    policies = [selected(thing["spec"]["podSelector"]["matchLabels"]) for thing in things if thing["kind"] == "NetworkPolicy"]
    assert sorted(name for found in policies for name in found) == sorted(labels)
    for thing in things:
        if thing["kind"] == "Service":
            (name,) = selected(thing["spec"]["selector"])
            (pod,) = [pod for key, pod in pods(things).items() if key.endswith(f"/{name}")]
            ports = {port["name"] for container in pod["containers"] for port in container["ports"]}
            assert {port["targetPort"] for port in thing["spec"]["ports"]} <= ports
        elif thing["kind"] == "Deployment":
            selector = thing["spec"]["selector"]["matchLabels"]
            assert selected(selector) == [thing["metadata"]["name"]]
        elif thing["kind"] == "PodDisruptionBudget":
            assert len(selected(thing["spec"]["selector"]["matchLabels"])) == 1


def test_each_part_has_an_account_of_its_own(things: Things) -> None:
    accounts: dict[str, set[str]] = {}
    for thing in things:
        spec = thing["spec"]["template"] if thing["kind"] in ("Deployment", "Job") else thing
        if thing["kind"] in ("Deployment", "Job", "Pod"):
            part = spec["metadata"]["labels"]["app.kubernetes.io/component"]
            accounts.setdefault(spec["spec"]["serviceAccountName"], set()).add(part)
    assert all(len(parts) == 1 for parts in accounts.values()), accounts
    made = {thing["metadata"]["name"] for thing in things if thing["kind"] == "ServiceAccount"}
    assert set(accounts) - made <= {"cleaners"}  # of the case in which it is the user's


def test_volumes_that_are_mounted_are_there(things: Things) -> None:
    for name, pod in pods(things).items():
        there = [volume["name"] for volume in pod.get("volumes", [])]
        assert there == list(dict.fromkeys(there)), name
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= set(there), name


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("case", ["groups", "gke", "dataflow"])
def test_the_longest_name_of_a_release_makes_legal_names(case: str, helm: str) -> None:
    release = "r" * 53
    files, more = profile(case)
    made = render(files, more, helm=helm, release=release)
    names = [thing["metadata"]["name"] for thing in made]
    assert max(map(len, names)) > 53
    assert [name for name in names if len(name) > 63 or not re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", name)] == []


def test_with_dataflow_there_are_no_workers_and_one_launcher() -> None:
    things = render(*profile("dataflow"))
    parts = [
        thing["metadata"]["labels"]["app.kubernetes.io/component"]
        for thing in things
        if thing["kind"] in ("Deployment", "Job") and "helm.sh/hook" not in thing["metadata"].get("annotations", {})
    ]
    assert "cleaner" not in parts
    assert parts.count("dataflow") == 1


def test_a_job_has_another_name_when_its_template_is_another() -> None:
    files, _ = profile("minimal")

    def names(values: dict[str, Any]) -> set[str]:
        return {thing["metadata"]["name"] for thing in render(files, values) if thing["kind"] == "Job"}

    assert names({}) == names({})
    assert len(names({"global": {"image": {"tag": "v2"}}}) & names({})) == 0


def test_what_is_scaled_by_others_has_no_number_of_replicas() -> None:
    for case in ("gke", "keda"):
        assert "replicas" not in one(render(*profile(case)), "Deployment", "-dashboard")["spec"]
    assert one(render(*profile("minimal")), "Deployment", "-dashboard")["spec"]["replicas"] == 2


def test_numbers_reach_the_programs_as_they_are_written() -> None:
    trainer = one(render(*profile("maximal")), "Deployment", "-trainer")["spec"]["template"]["spec"]["containers"][0]
    env = {item["name"]: item["value"] for item in trainer["env"] if "value" in item}
    assert env["THUNDERCAST_OUTBOX"] == "1000000"
    assert env["THUNDERCAST_GAP_TIMEOUT"] == "1200"
    assert json.loads(env["THUNDERCAST_MODELS"]) == ["thunder", "logistic", "river-logistic"]
    assert env["TZ"] == "Europe/Madrid"  # the part's own wins over the global one
