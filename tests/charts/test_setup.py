"""What `scripts/gcp` grants is what NOTES say, and the values that it sets are the charts'."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from charts.rendering import HELMS, NAMESPACE, RELEASE, UMBRELLA, notes, objects, text
from gcp_setup.chosen import Choice, choose
from gcp_setup.roles import Grant, grants_of_parts

CASES: dict[str, dict[str, Any]] = {
    "workers": {},
    "groups": {"global": {"groups": 3}, "cleaner": {"replicas": 2}},
    "dataflow": {"cleaner": {"runner": "dataflow"}, "dataflow": {"enabled": True}},
    "beam-direct": {"cleaner": {"runner": "beam-direct"}, "dataflow": {"enabled": True, "runner": "DirectRunner"}},
    "own names": {
        "global": {
            "pubsub": {"rawTopic": "raw", "deadLetterSubscription": "dead-sub"}, "dataset": "weather",
            "checkpoints": {"place": "gs://somewhere/deep/down"},
        },
        "trainer": {"serviceAccount": {"name": "trainers", "googleServiceAccount": "t@elsewhere.iam.gserviceaccount.com"}},
        "simulator": {"settings": {"source": "ncei:2020"}},
    },
    "without simulator and dashboard": {"simulator": {"enabled": False}, "dashboard": {"enabled": False}},
}  # fmt: skip


def chosen(case: str, folder: Path) -> Choice:
    own = folder / "own.yaml"
    own.write_text(yaml.safe_dump(CASES[case]))
    return choose(project="my-project", region="europe-west1", release=RELEASE, namespace=NAMESPACE, tag="v1", files=[own])


def as_helm_takes(choice: Choice) -> dict[str, Any]:
    """What is set beside the files."""
    made: dict[str, Any] = {}
    for key, value in choice.sets.items():
        *folders, last = key.split(".")
        place = made
        for name in folders:
            place = place.setdefault(name, {})
        place[last] = {"true": True, "false": False}.get(value, value)
    return made


@pytest.mark.parametrize("case", CASES)
def test_it_grants_what_the_notes_say(case: str, tmp_path: Path) -> None:
    choice = chosen(case, tmp_path)
    said = notes(choice.files, as_helm_takes(choice)).partition("Roles that the accounts need")[2]
    rows = {tuple(row) for row in re.findall(r"^  (\S+) +(roles/\S+) +on (.+)$", said, re.MULTILINE)}
    granted = {(grant.account, grant.role, as_noted(grant, choice)) for grant in grants_of_parts(choice)}
    assert granted == rows
    assert len(rows) > 8


def as_noted(grant: Grant, choice: Choice) -> str:
    match grant.at:
        case "bucket":
            return f"gs://{grant.name}"
        case "dataset":
            return f"{choice.project}.{grant.name}"
        case "topic" | "subscription":
            return f"{grant.at} " + re.sub(r"-\d+-of-(\d+)$", r"-K-of-\1", grant.name)
        case _:
            return grant.name


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("case", CASES)
def test_the_chart_takes_its_values(case: str, helm: str, tmp_path: Path) -> None:
    choice = chosen(case, tmp_path)
    made = objects(text(choice.files, as_helm_takes(choice), helm=helm))
    accounts = {thing["metadata"]["annotations"].get("iam.gke.io/gcp-service-account") for thing in made if thing["kind"] == "ServiceAccount"
                and thing["metadata"].get("annotations")}  # fmt: skip
    parts = {grant.account for grant in grants_of_parts(choice)} - {choice.account("dataflow-worker")}
    assert parts <= accounts
    assert not [thing for thing in made if thing["metadata"]["name"].startswith(f"{RELEASE}-bootstrap")]
    labels = [thing["metadata"]["labels"].get("thundercast") for thing in made if thing["kind"] in ("Deployment", "StatefulSet", "Job")]
    assert labels
    assert set(labels) == {RELEASE}


def test_no_account_of_a_part_may_do_more_than_its_part() -> None:
    roles: dict[str, list[dict[str, str]]] = yaml.safe_load((UMBRELLA / "files" / "roles.yaml").read_text())
    at_project = {(part, role["role"]) for part in roles for role in roles[part] if role["at"] == "project" and part != "bootstrap"}
    # What Google lets nobody grant lower down: jobs, sessions and pipelines belong to a project.
    assert at_project == {
        ("simulator", "roles/bigquery.jobUser"), ("simulator", "roles/bigquery.readSessionUser"), ("dashboard", "roles/bigquery.readSessionUser"),
        ("dataflow", "roles/dataflow.developer"), ("dataflowWorker", "roles/dataflow.worker"),
    }  # fmt: skip
    assert not {role["role"] for part in roles.values() for role in part} & {"roles/owner", "roles/editor", "roles/viewer"}
