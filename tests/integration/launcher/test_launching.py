"""What `thundercast-launch` makes of what there is: create, update, leave or wait; and how it says that it could not."""

from __future__ import annotations

import hashlib
from collections import deque
from typing import Any

import pytest
from apache_beam.portability.api import beam_runner_api_pb2
from google.cloud import storage

from integration.launcher.conftest import ACCOUNT, IMAGE, NAME, Done, Launcher
from thundercast_launcher import graph
from thundercast_launcher.settings import LauncherSettings
from thundercast_launcher.specification import SPECIFICATION, STATE, STEPS, Specification
from unit.launcher.dataflow_api import FakeDataflow, Fate

ERROR, WARNING, BASIC = "JOB_MESSAGE_ERROR", "JOB_MESSAGE_WARNING", "JOB_MESSAGE_BASIC"


def specification(launcher: Launcher) -> Specification:
    """That of the launcher's own flags."""
    given = {
        "project": "demo-project",
        "checkpoints": f"gs://{launcher.bucket}/thundercast",
        "sdk_container_image": IMAGE,
        "service_account_email": ACCOUNT,
    }
    return Specification.of(LauncherSettings(**given))  # type: ignore[arg-type]


def submissions(dataflow: FakeDataflow) -> int:
    return len(dataflow.asked("create")) + len(dataflow.asked("launch"))


def fine(done: Done) -> None:
    assert done.code == 0, done.err


# --- what there is, and what is done --------------------------------------------------------------------------


def test_where_there_is_no_job_it_is_created_and_waited_for(either: Launcher, dataflow: FakeDataflow) -> None:
    fine(either())
    (job,) = dataflow.active(NAME)
    assert job["currentState"] == "JOB_STATE_RUNNING"
    assert job["labels"] == specification(either).labels
    assert "replaceJobId" not in job
    assert submissions(dataflow) == 1


def test_a_job_of_the_same_specification_is_left_alone(either: Launcher, dataflow: FakeDataflow) -> None:
    fine(either())
    before = len(dataflow.calls)
    fine(either())
    assert {call.verb for call in dataflow.calls[before:]} == {"GET"}
    assert len(dataflow.jobs) == 1


def test_both_modes_make_the_same_specification(launcher: Launcher, dataflow: FakeDataflow) -> None:
    fine(launcher())
    fine(launcher("--mode=flex-template", "--template=gs://my-templates/launcher.json"))
    assert submissions(dataflow) == 1


def test_a_job_of_the_same_specification_that_is_starting_is_waited_for(launcher: Launcher, dataflow: FakeDataflow) -> None:
    ahead = ("JOB_STATE_QUEUED", "JOB_STATE_PENDING", "JOB_STATE_PENDING", "JOB_STATE_RUNNING")
    dataflow.add(NAME, "JOB_STATE_QUEUED", *ahead, labels=specification(launcher).labels)
    fine(launcher())
    assert submissions(dataflow) == 0
    assert dataflow.active(NAME)[0]["currentState"] == "JOB_STATE_RUNNING"


def test_another_specification_updates_the_job(either: Launcher, dataflow: FakeDataflow) -> None:
    fine(either())
    (first,) = dataflow.jobs
    fine(either("--machine-type=n1-standard-4"))
    old, new = dataflow.jobs.values()
    assert old.job["id"] == first
    assert (old.state, new.state) == ("JOB_STATE_UPDATED", "JOB_STATE_RUNNING")
    assert new.job["replaceJobId"] == first
    assert old.job["replacedByJobId"] == new.job["id"]
    assert new.job["labels"][SPECIFICATION] != old.job["labels"][SPECIFICATION]


def test_steps_that_have_other_names_now_are_mapped(either: Launcher, dataflow: FakeDataflow) -> None:
    top = {"Clean": "Tidy", "PublishClean": "PublishTidy"}
    names = (step.partition("/") for step in specification(either).steps)
    dataflow.tells_steps = sorted(f"{top.get(first, first)}{slash}{rest}" for first, slash, rest in names)
    dataflow.add(NAME, "JOB_STATE_RUNNING", labels={SPECIFICATION: "another", STEPS: "others", STATE: "1"})
    mapping = {"Tidy": "Clean", "PublishTidy": "PublishClean"}
    fine(either(*(f"--transform-name-mapping={old}={new}" for old, new in mapping.items())))
    (request,) = [*dataflow.asked("create"), *dataflow.asked("launch")]
    sent = request.body.get("launchParameter", {}).get("transformNameMappings") or request.body["transformNameMapping"]
    assert sent == mapping


def test_an_update_that_would_lose_state_is_refused_before_anything_is_sent(either: Launcher, dataflow: FakeDataflow) -> None:
    dataflow.tells_steps = ["ReadRaw/Read", "Clean/Address/ParDo(Address)", "Clean/Sort/ParDo(Sort)", "PublishClean/ToProtobufX"]
    dataflow.add(NAME, "JOB_STATE_RUNNING", labels={SPECIFICATION: "another", STEPS: "others"})
    done = either()
    assert done.code == 1
    assert "Clean/Sort/ParDo(Sort)" in done.err
    assert "--transform-name-mapping" in done.err
    assert submissions(dataflow) == 0


def test_state_of_a_newer_version_is_not_given_to_an_older_program(launcher: Launcher, dataflow: FakeDataflow) -> None:
    dataflow.add(NAME, "JOB_STATE_RUNNING", labels={SPECIFICATION: "another", STEPS: specification(launcher).labels[STEPS], STATE: "99"})
    done = launcher()
    assert done.code == 1
    assert "version 99" in done.err
    assert submissions(dataflow) == 0


def test_an_update_that_dataflow_refuses_leaves_the_old_job_and_says_why(either: Launcher, dataflow: FakeDataflow) -> None:
    fine(either())
    (first,) = dataflow.jobs
    dataflow.fates.append(Fate(("JOB_STATE_PENDING", "JOB_STATE_FAILED"), ((ERROR, "The new job is not compatible with the old one."),)))
    done = either("--disk-size-gb=50")
    assert done.code == 1
    assert "not compatible" in done.err
    assert f"{first}, goes on" in done.err
    assert [job["id"] for job in dataflow.active(NAME)] == [first]


@pytest.mark.parametrize("state", ["DRAINING", "CANCELLING"])
def test_a_job_that_is_stopping_is_waited_for(either: Launcher, dataflow: FakeDataflow, state: str) -> None:
    ended = {"DRAINING": "JOB_STATE_DRAINED", "CANCELLING": "JOB_STATE_CANCELLED"}[state]
    dataflow.add(NAME, f"JOB_STATE_{state}", *[f"JOB_STATE_{state}"] * 6, ended, labels=specification(either).labels)
    fine(either())
    old, new = dataflow.jobs.values()
    assert (old.state, new.state) == (ended, "JOB_STATE_RUNNING")
    assert "replaceJobId" not in new.job
    assert submissions(dataflow) == 1


def test_a_job_that_does_not_stop_in_time_is_told(launcher: Launcher, dataflow: FakeDataflow) -> None:
    job_id = dataflow.add(NAME, "JOB_STATE_DRAINING")
    done = launcher("--stop-seconds=0.3", "--running-seconds=0.3")
    assert done.code == 1
    assert f"{job_id} is JOB_STATE_DRAINING" in done.err
    assert submissions(dataflow) == 0


def test_a_job_of_another_specification_is_updated_only_when_it_runs(launcher: Launcher, dataflow: FakeDataflow) -> None:
    dataflow.add(NAME, "JOB_STATE_PENDING", *["JOB_STATE_PENDING"] * 5, "JOB_STATE_RUNNING", labels={SPECIFICATION: "another"})
    fine(launcher())
    old, new = dataflow.jobs.values()
    assert (old.state, new.state) == ("JOB_STATE_UPDATED", "JOB_STATE_RUNNING")
    assert submissions(dataflow) == 1


def test_another_number_of_workers_is_told_to_the_running_job(either: Launcher, dataflow: FakeDataflow) -> None:
    fine(either())
    fine(either("--max-num-workers=7"))
    (call,) = dataflow.asked("update")
    assert call.query["updateMask"] == "runtimeUpdatableParams.maxNumWorkers"
    assert call.body == {"runtimeUpdatableParams": {"maxNumWorkers": 7}}
    fine(either("--max-num-workers=7"))
    assert len(dataflow.asked("update")) == 1
    assert submissions(dataflow) == 1


def test_jobs_of_other_names_are_nothing_to_it(launcher: Launcher, dataflow: FakeDataflow) -> None:
    other = dataflow.add("another-pipeline", "JOB_STATE_RUNNING")
    fine(launcher())
    assert dataflow.jobs[other].state == "JOB_STATE_RUNNING"
    assert len(dataflow.active(NAME)) == 1


# --- faults ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [429, 503])
def test_a_request_that_is_refused_for_now_is_made_again(either: Launcher, dataflow: FakeDataflow, code: int) -> None:
    methods = ("list", "get", "create", "launch")
    dataflow.faults = {method: deque([code]) for method in methods}
    fine(either())
    assert len(dataflow.active(NAME)) == 1
    assert [method for method in methods if dataflow.faults[method]] == ["launch" if "--mode=direct" in either.more else "create"]


def test_a_dataflow_that_does_not_mend_is_told_in_one_line(launcher: Launcher, dataflow: FakeDataflow) -> None:
    dataflow.faults = {"list": deque([503] * 50)}
    done = launcher("--request-seconds=1")
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert "Dataflow" in done.err
    assert "try again later" in done.err


@pytest.mark.parametrize("taken", ["refused", "returned"])
def test_an_answer_that_is_lost_makes_no_second_job(either: Launcher, dataflow: FakeDataflow, taken: Any) -> None:
    dataflow.taken = taken
    dataflow.faults = {"create": deque(["lost"]), "launch": deque(["lost"])}
    fine(either())
    assert len(dataflow.jobs) == 1
    ids = {call.body["clientRequestId"] for call in dataflow.asked("create")}
    assert len(ids) <= 1


@pytest.mark.parametrize("taken", ["refused", "returned"])
def test_an_answer_to_an_update_that_is_lost_makes_no_third_job(either: Launcher, dataflow: FakeDataflow, taken: Any) -> None:
    fine(either())
    dataflow.taken = taken
    dataflow.faults = {"create": deque(["lost"]), "launch": deque(["lost"])}
    fine(either("--machine-type=n1-standard-4"))
    assert [one.state for one in dataflow.jobs.values()] == ["JOB_STATE_UPDATED", "JOB_STATE_RUNNING"]


def test_a_job_that_failed_is_made_anew_although_its_specification_is_the_same(launcher: Launcher, dataflow: FakeDataflow) -> None:
    dataflow.fates.append(Fate(("JOB_STATE_PENDING", "JOB_STATE_FAILED"), ((ERROR, "quota"),)))
    assert launcher().code == 1
    fine(launcher())
    assert [one.state for one in dataflow.jobs.values()] == ["JOB_STATE_FAILED", "JOB_STATE_RUNNING"]
    # Else Dataflow would take the second for the first one repeated.
    assert len({call.body["clientRequestId"] for call in dataflow.asked("create")}) == 2


def test_a_job_that_fails_is_told_with_its_errors(either: Launcher, dataflow: FakeDataflow) -> None:
    said = (
        (BASIC, "Worker configuration: n1-standard-2."),
        (WARNING, "a little odd"),
        (ERROR, "Startup of the worker pool failed.\nQuota exceeded."),
    )
    dataflow.fates.append(Fate(("JOB_STATE_PENDING", "JOB_STATE_FAILED"), said, silent_looks=3))
    done = either()
    assert done.code == 1
    assert "JOB_STATE_FAILED" in done.err
    assert "Startup of the worker pool failed. Quota exceeded." in done.err
    assert "a little odd" not in done.err
    assert "console.cloud.google.com/dataflow/jobs/us-central1/" in done.err


def test_a_job_that_fails_without_a_word_is_told_too(launcher: Launcher, dataflow: FakeDataflow) -> None:
    dataflow.fates.append(Fate(("JOB_STATE_FAILED",)))
    done = launcher("--request-seconds=0.5")
    assert done.code == 1
    assert "it gives no reason" in done.err


def test_a_job_that_does_not_run_in_time_is_told_with_its_state_and_errors(launcher: Launcher, dataflow: FakeDataflow) -> None:
    dataflow.fates.append(Fate(("JOB_STATE_PENDING",), ((ERROR, "no machines of this kind are left in the zone"),)))
    done = launcher("--running-seconds=0.4")
    assert done.code == 1
    assert "within 0.4 s" in done.err
    assert "JOB_STATE_PENDING" in done.err
    assert "no machines of this kind" in done.err


def test_a_job_that_somebody_cancels_meanwhile_is_told(launcher: Launcher, dataflow: FakeDataflow) -> None:
    dataflow.fates.append(Fate(("JOB_STATE_PENDING", "JOB_STATE_CANCELLING", "JOB_STATE_CANCELLED")))
    done = launcher()
    assert done.code == 1
    assert "JOB_STATE_CANCELLED" in done.err


@pytest.mark.parametrize(("code", "words"), [(403, "roles/dataflow.developer"), (404, "project")])
def test_what_is_not_allowed_or_not_there_is_said(either: Launcher, dataflow: FakeDataflow, code: int, words: str) -> None:
    dataflow.faults = {"create": deque([code]), "launch": deque([code])}
    done = either()
    assert done.code == 1
    assert done.err.splitlines()[-1].startswith("thundercast-launch: job thundercast-cleaner in us-central1 of project demo-project")
    assert words in done.err


# --- what is sent ---------------------------------------------------------------------------------------------


def test_the_workers_are_private_and_have_what_was_asked_for(launcher: Launcher, dataflow: FakeDataflow) -> None:
    fine(launcher("--subnetwork=regions/us-central1/subnetworks/inner", "--experiments=some_experiment", "--labels=team=weather"))
    (call,) = dataflow.asked("create")
    environment = call.body["environment"]
    (pool,) = environment["workerPools"]
    assert call.body["name"] == NAME
    assert call.body["type"] == "JOB_TYPE_STREAMING"
    assert environment["serviceAccountEmail"] == ACCOUNT
    assert pool["ipConfiguration"] == "WORKER_IP_PRIVATE"
    assert pool["subnetwork"] == "regions/us-central1/subnetworks/inner"
    assert (pool["machineType"], pool["diskSizeGb"]) == ("n1-standard-2", 30)
    assert pool["autoscalingSettings"] == {"algorithm": "AUTOSCALING_ALGORITHM_BASIC", "maxNumWorkers": 4}
    assert pool["workerHarnessContainerImage"] == IMAGE
    assert [image["containerImage"] for image in pool["sdkHarnessContainerImages"]] == [IMAGE]
    assert {"enable_streaming_engine", "enable_windmill_service", "use_runner_v2", "some_experiment"} <= set(environment["experiments"])
    assert call.body["labels"]["team"] == "weather"


def test_a_template_is_told_the_same(launcher: Launcher, dataflow: FakeDataflow) -> None:
    fine(launcher("--mode=flex-template", "--template=gs://t/launcher.json", "--experiments=some_experiment", "--labels=team=weather"))
    (call,) = dataflow.asked("launch")
    told = call.body["launchParameter"]
    environment = told["environment"]
    assert told["jobName"] == NAME
    assert told["containerSpecGcsPath"] == "gs://t/launcher.json"
    assert told["parameters"]["checkpoints"] == f"gs://{launcher.bucket}/thundercast"
    assert told["parameters"]["raw_subscription"] == "noaa-raw-cleaner"
    assert "update" not in told
    assert environment["ipConfiguration"] == "WORKER_IP_PRIVATE"
    assert environment["enableStreamingEngine"] is True
    assert environment["serviceAccountEmail"] == ACCOUNT
    assert environment["sdkContainerImage"] == IMAGE
    assert (environment["machineType"], environment["diskSizeGb"], environment["maxWorkers"]) == ("n1-standard-2", 30, 4)
    assert environment["autoscalingAlgorithm"] == "AUTOSCALING_ALGORITHM_BASIC"
    assert "some_experiment" in environment["additionalExperiments"]
    assert environment["additionalUserLabels"]["team"] == "weather"


def test_the_pipeline_lies_where_the_job_says_and_is_the_projects(
    launcher: Launcher, dataflow: FakeDataflow, storage_client: storage.Client
) -> None:
    fine(launcher())
    (call,) = dataflow.asked("create")
    options = call.body["environment"]["sdkPipelineOptions"]["options"]
    bucket, _, name = options["pipelineUrl"].removeprefix("gs://").partition("/")
    assert bucket == launcher.bucket
    data = storage_client.bucket(bucket).blob(name).download_as_bytes()
    assert hashlib.sha256(data).hexdigest() == options["pipelineProtoHash"]
    pipeline = beam_runner_api_pb2.Pipeline.FromString(data)
    names = {transform.unique_name for transform in pipeline.components.transforms.values()}
    assert {"ReadRaw", "Clean/InOrder/ParDo(CleanInOrder)", "PublishClean", "PublishDeadLetters"} <= names
    assert {env.urn for env in pipeline.components.environments.values()} == {"beam:env:docker:v1"}
    assert not any(env.dependencies for env in pipeline.components.environments.values())


def test_a_pipeline_that_is_there_already_stays(launcher: Launcher, dataflow: FakeDataflow, storage_client: storage.Client) -> None:
    fine(launcher())
    generations = {blob.name: blob.generation for blob in storage_client.list_blobs(launcher.bucket)}
    dataflow.jobs.clear()
    fine(launcher())
    assert {blob.name: blob.generation for blob in storage_client.list_blobs(launcher.bucket)} == generations
    assert len(generations) == 1


def test_steps_are_those_of_the_pipeline(launcher: Launcher) -> None:
    wanted = specification(launcher)
    assert frozenset(graph.steps(graph.built(wanted.words))) == wanted.steps
    assert "Clean/InOrder" in wanted.steps
