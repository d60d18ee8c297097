"""`--dry-run` prints the request that would be made, exactly, and makes none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.cloud import storage

import discovery
from integration.launcher.conftest import NAME, Launcher
from thundercast_launcher.specification import SPECIFICATION
from unit.launcher.dataflow_api import Call, FakeDataflow


def printed(launcher: Launcher, *words: str) -> dict[str, Any]:
    before = len(launcher.dataflow.calls)
    done = launcher("--dry-run", *words)
    assert done.code == 0, done.err
    assert {call.verb for call in launcher.dataflow.calls[before:]} == {"GET"}
    found: dict[str, Any] = json.loads(done.out)
    return found


def sent(launcher: Launcher, *words: str) -> Call:
    """The one request that the same command line sends."""
    before = len(launcher.dataflow.calls)
    done = launcher(*words)
    assert done.code == 0, done.err
    (call,) = [call for call in launcher.dataflow.calls[before:] if call.verb != "GET"]
    return call


def same(shown: dict[str, Any], call: Call) -> None:
    assert (shown["method"], shown["path"]) == (call.verb, call.path)
    assert shown.get("query", {}) == {name: value for name, value in call.query.items() if name not in discovery.SYSTEM}
    assert shown["body"] == call.body


def test_what_creates_the_job(either: Launcher) -> None:
    plan = printed(either)
    assert (plan["action"], plan["job_id"]) == ("create", None)
    same(plan["request"], sent(either))


def test_what_updates_the_job(either: Launcher) -> None:
    job_id = either.dataflow.add(NAME, "JOB_STATE_RUNNING", labels={SPECIFICATION: "another"})
    plan = printed(either)
    assert (plan["action"], plan["job_id"]) == ("update", job_id)
    same(plan["request"], sent(either))


def test_what_changes_the_number_of_workers(either: Launcher) -> None:
    sent(either)
    plan = printed(either, "--max-num-workers=9")
    assert plan["action"] == "change-workers"
    same(plan["request"], sent(either, "--max-num-workers=9"))


@pytest.mark.parametrize("action", ["drain", "cancel"])
def test_what_ends_the_job(launcher: Launcher, action: str) -> None:
    launcher.dataflow.add(NAME, "JOB_STATE_RUNNING")
    plan = printed(launcher, action)
    (request,) = plan["requests"]
    same(request, sent(launcher, action))


def test_nothing_to_do_and_waiting_are_said(launcher: Launcher) -> None:
    sent(launcher)
    assert printed(launcher)["action"] == "nothing"
    (job_id,) = launcher.dataflow.jobs
    launcher.dataflow.jobs[job_id].job["currentState"] = "JOB_STATE_DRAINING"
    plan = printed(launcher)
    assert (plan["action"], plan["request"]) == ("wait", None)


def test_nothing_is_staged(launcher: Launcher, storage_client: storage.Client) -> None:
    printed(launcher)
    assert list(storage_client.list_blobs(launcher.bucket)) == []


def test_an_update_that_would_be_refused_is_refused(launcher: Launcher, dataflow: FakeDataflow) -> None:
    dataflow.tells_steps = ["Clean/Sort/ParDo(Sort)"]
    dataflow.add(NAME, "JOB_STATE_RUNNING", labels={SPECIFICATION: "another"})
    done = launcher("--dry-run")
    assert done.code == 1
    assert "Clean/Sort" in done.err
