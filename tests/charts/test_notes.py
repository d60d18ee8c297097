"""What is printed after an installation: the address, what diagnoses, what is insecure, whose roles are needed, what stays."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from charts.rendering import HELMS, PROFILES, UMBRELLA, corner_cases, notes, profile

CASES = [*PROFILES, *corner_cases()]


def said(case: str, values: dict[str, Any] | None = None, helm: str = "helm") -> str:
    files, more = profile(case)
    return notes(files, {**more, **(values or {})}, helm=helm)


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("case", CASES)
def test_they_name_an_address_three_commands_and_what_stays(case: str, helm: str) -> None:
    text = said(case, helm=helm)
    assert "kubectl -n prod get pods -l app.kubernetes.io/instance=tc" in text
    assert "exec deploy/tc-trainer -- python -m thundercast.adapters.health /readyz" in text
    assert "kubectl -n prod logs -l app.kubernetes.io/instance=tc" in text
    assert re.search(r"The dashboard\n  \S", text), text
    assert "`helm uninstall -n prod tc` leaves behind\n  - " in text
    assert "<no value>" not in text
    assert "%!" not in text
    assert "\n\n\n" not in text
    assert not [line for line in text.splitlines() if line != line.rstrip()]


@pytest.mark.parametrize(
    ("case", "address"),
    [
        ("minimal", "kubectl -n prod port-forward svc/tc-dashboard 8501:80"),
        ("gke", "https://thunder.example.org/ "),
        ("gateway", "http(s)://weather.example.org/apps/thunder/ "),
        ("keda", "https://thunder.example.org/ "),
        ("load-balancer", "kubectl -n prod get svc tc-dashboard -o jsonpath='{.status.loadBalancer.ingress[0].ip}'"),
        ("maximal", "https://thunder.example.org/thunder/ "),
    ],
)
def test_the_address_is_that_of_the_exposure(case: str, address: str) -> None:
    assert address in said(case)


@pytest.mark.parametrize(
    ("case", "values", "risk"),
    [
        ("local", {}, "ask nobody who they are"),
        ("minimal", {"dashboard": {"exposure": "nodePort"}}, "without a login"),
        ("minimal", {"dashboard": {"exposure": "loadBalancer", "loadBalancer": {"public": True}}}, "whole internet"),
        ("minimal", {"dashboard": {"exposure": "ingress", "host": "a.example.org"}}, "without TLS"),
        ("minimal", {"trainer": {"mode": "push", "replicas": 1, "push": {"auth": "none"}}}, "Anybody who reaches the trainer may push"),
        ("volume", {}, "There is one trainer"),
        ("beam-direct", {}, "a restart of its pod loses batches"),
    ],
)
def test_what_is_insecure_about_the_values_is_said(case: str, values: dict[str, Any], risk: str) -> None:
    assert risk in said(case, values).partition("\nMind\n")[2]


@pytest.mark.parametrize("case", ["gke", "minimal", "groups"])
def test_nothing_is_said_to_be_insecure_where_nothing_is(case: str) -> None:
    assert "\nMind\n" not in said(case)


def test_the_roles_are_those_of_the_parts_that_run() -> None:
    roles = yaml.safe_load((UMBRELLA / "files" / "roles.yaml").read_text())
    minimal, dataflow, local = said("minimal"), said("dataflow"), said("local")
    for role in roles["trainer"]:
        assert f"prod/tc-trainer {role['role']}".replace(" ", "") in minimal.replace(" ", "")
    assert "roles/pubsub.subscriber" in minimal
    assert "subscription noaa-raw-cleaner" in minimal
    assert "bucket gs://my-bucket" in minimal.replace("on gs://", "on bucket gs://")
    assert "roles/dataflow.worker" not in minimal
    assert "thundercast-worker@my-project.iam.gserviceaccount.com roles/dataflow.worker" in re.sub(" +", " ", dataflow)
    assert "prod/tc-cleaner" not in dataflow
    assert "roles/" not in local
    assert "roles/bigquery.jobUser" in said("gke")
    assert "roles/bigquery.jobUser" not in minimal
