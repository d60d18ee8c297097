"""`thundercast-launch drain` and `cancel`, and the hook that must not stop an uninstallation."""

from __future__ import annotations

import json
from collections import deque

import pytest

from integration.launcher.conftest import NAME, Launcher
from unit.launcher.dataflow_api import FakeDataflow


@pytest.mark.parametrize(("action", "wanted", "ended"), [("drain", "DRAINED", "DRAINED"), ("cancel", "CANCELLED", "CANCELLED")])
def test_the_job_is_asked_once_and_waited_for(launcher: Launcher, dataflow: FakeDataflow, action: str, wanted: str, ended: str) -> None:
    job_id = dataflow.add(NAME, "JOB_STATE_RUNNING")
    assert launcher(action).code == 0
    (call,) = dataflow.asked("update")
    assert call.body == {"requestedState": f"JOB_STATE_{wanted}"}
    assert dataflow.jobs[job_id].state == f"JOB_STATE_{ended}"


@pytest.mark.parametrize("action", ["drain", "cancel"])
def test_where_nothing_is_active_nothing_is_asked(launcher: Launcher, dataflow: FakeDataflow, action: str) -> None:
    dataflow.add(NAME, "JOB_STATE_FAILED")
    other = dataflow.add("another-pipeline", "JOB_STATE_RUNNING")
    assert launcher(action).code == 0
    assert dataflow.asked("update") == []
    assert dataflow.jobs[other].state == "JOB_STATE_RUNNING"


def test_a_job_that_drains_already_is_waited_for(launcher: Launcher, dataflow: FakeDataflow) -> None:
    dataflow.add(NAME, "JOB_STATE_DRAINING", *["JOB_STATE_DRAINING"] * 3, "JOB_STATE_DRAINED")
    assert launcher("drain").code == 0
    assert dataflow.asked("update") == []


def test_a_job_that_drains_can_be_cancelled(launcher: Launcher, dataflow: FakeDataflow) -> None:
    job_id = dataflow.add(NAME, "JOB_STATE_DRAINING")
    assert launcher("cancel").code == 0
    assert dataflow.jobs[job_id].state == "JOB_STATE_CANCELLED"


def test_a_job_that_is_starting_is_drained_when_it_runs(launcher: Launcher, dataflow: FakeDataflow) -> None:
    job_id = dataflow.add(NAME, "JOB_STATE_PENDING", "JOB_STATE_PENDING", "JOB_STATE_RUNNING")
    assert launcher("drain").code == 0
    assert dataflow.jobs[job_id].state == "JOB_STATE_DRAINED"
    assert len(dataflow.asked("update")) == 1


def test_all_of_an_update_that_is_under_way_is_drained(launcher: Launcher, dataflow: FakeDataflow) -> None:
    old = dataflow.add(NAME, "JOB_STATE_RUNNING")
    new = dataflow.add(NAME, "JOB_STATE_PENDING", *["JOB_STATE_PENDING"] * 12, "JOB_STATE_RUNNING", replaceJobId=old)
    assert launcher("drain").code == 0
    assert dataflow.active(NAME) == []
    assert {dataflow.jobs[old].state, dataflow.jobs[new].state} == {"JOB_STATE_DRAINED"}


@pytest.mark.parametrize("code", [429, 503])
def test_a_request_that_is_refused_for_now_is_made_again(launcher: Launcher, dataflow: FakeDataflow, code: int) -> None:
    job_id = dataflow.add(NAME, "JOB_STATE_RUNNING")
    dataflow.faults = {"list": deque([code]), "update": deque([code])}
    assert launcher("drain").code == 0
    assert dataflow.jobs[job_id].state == "JOB_STATE_DRAINED"


def test_a_job_that_ends_by_itself_meanwhile_is_as_good(launcher: Launcher, dataflow: FakeDataflow) -> None:
    # It runs when it is listed, and has ended when it is asked.
    dataflow.add(NAME, "JOB_STATE_RUNNING", "JOB_STATE_RUNNING")
    dataflow.on_stop = {"JOB_STATE_DRAINED": ()}
    dataflow.meet_update = lambda job: job.update(currentState="JOB_STATE_FAILED")
    assert launcher("drain").code == 0
    assert len(dataflow.asked("update")) == 1


def test_a_drain_that_takes_too_long_is_told(launcher: Launcher, dataflow: FakeDataflow) -> None:
    job_id = dataflow.add(NAME, "JOB_STATE_RUNNING")
    dataflow.on_stop["JOB_STATE_DRAINED"] = ("JOB_STATE_DRAINING",)
    done = launcher("drain", "--stop-seconds=0.3")
    assert done.code == 1
    assert f"within 0.3 s: {job_id} is JOB_STATE_" in done.err


def test_a_drain_that_takes_too_long_can_be_followed_by_a_cancellation(launcher: Launcher, dataflow: FakeDataflow) -> None:
    job_id = dataflow.add(NAME, "JOB_STATE_RUNNING")
    dataflow.on_stop["JOB_STATE_DRAINED"] = ("JOB_STATE_DRAINING",)
    assert launcher("drain", "--stop-seconds=3", "--cancel-after-drain").code == 0
    assert [call.body["requestedState"] for call in dataflow.asked("update")] == ["JOB_STATE_DRAINED", "JOB_STATE_CANCELLED"]
    assert dataflow.jobs[job_id].state == "JOB_STATE_CANCELLED"


@pytest.mark.parametrize("action", ["drain", "cancel"])
def test_the_hook_says_what_is_left_and_ends_with_zero(launcher: Launcher, dataflow: FakeDataflow, action: str) -> None:
    job_id = dataflow.add(NAME, "JOB_STATE_RUNNING")
    dataflow.on_stop = {"JOB_STATE_DRAINED": ("JOB_STATE_DRAINING",), "JOB_STATE_CANCELLED": ("JOB_STATE_CANCELLING",)}
    done = launcher(action, "--lenient", "--stop-seconds=0.3")
    assert done.code == 0
    last = json.loads(done.err.splitlines()[-1])
    assert last["event"] == "left as it is"
    assert job_id in last["why"]
    assert last["to_end_it"].startswith(f"gcloud dataflow jobs {action} ")


def test_the_hook_ends_with_zero_if_dataflow_does_not_answer(launcher: Launcher, dataflow: FakeDataflow) -> None:
    dataflow.faults = {"list": deque([503] * 99)}
    done = launcher("drain", "--lenient", "--request-seconds=1")
    assert done.code == 0
    assert "left as it is" in done.err


def test_the_hook_ends_with_zero_if_it_is_not_allowed(launcher: Launcher, dataflow: FakeDataflow) -> None:
    dataflow.add(NAME, "JOB_STATE_RUNNING")
    dataflow.faults = {"update": deque([403])}
    done = launcher("drain", "--lenient")
    assert done.code == 0
    assert "roles/dataflow.developer" in done.err


def test_status_tells_how_the_job_is(launcher: Launcher, dataflow: FakeDataflow) -> None:
    assert launcher("status").code == 1
    dataflow.add(NAME, "JOB_STATE_DRAINED")
    job_id = dataflow.add(NAME, "JOB_STATE_RUNNING", labels={"team": "weather"})
    done = launcher("status")
    assert done.code == 0
    told = json.loads(done.out)
    assert (told["id"], told["state"], told["labels"]) == (job_id, "JOB_STATE_RUNNING", {"team": "weather"})
