"""The stand-in is as strict as Google's document: what is not in it is not let through."""

from __future__ import annotations

import doctest
from typing import Any

import pytest
import requests

import discovery
from discovery import Violation, check
from unit.launcher.dataflow_api import FakeDataflow

JOBS = "/v1b3/projects/demo-project/locations/us-central1/jobs"


def test_examples_hold() -> None:
    assert doctest.testmod(discovery).failed == 0


def test_paths_lead_to_the_documents_methods() -> None:
    for verb, path, name in (
        ("POST", JOBS, "jobs.create"), ("GET", f"{JOBS}/a", "jobs.get"), ("PUT", f"{JOBS}/a", "jobs.update"), ("GET", f"{JOBS}/a/messages", "jobs.messages.list"),
        ("POST", "/v1b3/projects/p/locations/l/flexTemplates:launch", "flexTemplates.launch"),
    ):  # fmt: skip
        assert discovery.method_of(verb, path)[0].id == f"dataflow.projects.locations.{name}"
    with pytest.raises(Violation, match="there is no method DELETE"):
        discovery.method_of("DELETE", JOBS)


@pytest.mark.parametrize(
    ("job", "what"),
    [
        ({"nmae": "x"}, "nmae"),
        ({"name": 3}, "Job.name"),
        ({"currentState": "JOB_STATE_ASLEEP"}, "currentState"),
        ({"labels": {"a": 1}}, "labels.a"),
        ({"createTime": "yesterday"}, "createTime"),
        ({"environment": {"workerPools": [{"diskSize": 3}]}}, "workerPools.0"),
        ({"environment": {"workerPools": {}}}, "workerPools"),
    ],
)
def test_what_is_not_of_the_schema_is_found(job: dict[str, Any], what: str) -> None:
    with pytest.raises(Violation, match=what):
        check("Job", job)


@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        ("POST", JOBS, {"nmae": "x"}),
        ("POST", JOBS, {"name": "x", "type": "JOB_TYPE_ENDLESS"}),
        ("POST", f"{JOBS}?colour=red", {"name": "x"}),
        ("GET", f"{JOBS}?filter=SOME", None),
        ("GET", f"{JOBS}?pageSize=1.5", None),
        ("POST", "/v1b3/projects/p/locations/l/flexTemplates:launch", {"launchParameter": {"job_title": "x"}}),
        ("DELETE", JOBS, None),
    ],
)
def test_the_stand_in_refuses_it_and_remembers(verb: str, path: str, body: Any) -> None:
    with FakeDataflow().serving() as service:
        answer = requests.request(verb, service.url + path, json=body, timeout=30)
        assert answer.status_code == 400
        assert len(service.violations) == 1
        assert service.jobs == {}


def test_an_answer_that_is_not_of_the_document_is_found_too() -> None:
    with FakeDataflow().serving() as service:
        job_id = service.add("a", "JOB_STATE_RUNNING", colour="red")
        assert requests.get(f"{service.url}{JOBS}/{job_id}?view=JOB_VIEW_ALL", timeout=30).status_code == 400
        assert "colour" in service.violations[0]
