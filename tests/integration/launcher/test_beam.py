"""Beam's own Dataflow runner submits our pipeline to the stand-in: what it sends is of Google's document, and the launcher sends the same."""

from __future__ import annotations

import json
import runpy
import sys
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.portability.api import beam_runner_api_pb2
from google.cloud import dataflow_v1beta3 as dataflow_client
from google.cloud import storage
from google.protobuf import json_format

import discovery
from integration.launcher.conftest import ACCOUNT, IMAGE, NAME, Launcher
from integration.launcher.test_launching import specification
from thundercast_dataflow import streaming
from thundercast_dataflow.__main__ import main as clean_on_dataflow
from thundercast_dataflow.options import StreamingSettings
from thundercast_launcher import template
from thundercast_launcher.specification import SPECIFICATION
from unit.launcher.dataflow_api import FakeDataflow, Fate

# Beam speaks HTTP only to an endpoint with `localhost` or `sandbox` in it. With the former it makes a job for a local service; with the latter,
# which its validator does not let pass if there is a port, one for the real service.
LOCAL, REAL = "--dataflow_endpoint={}", "--dataflow_endpoint={}/sandbox"


@pytest.fixture(autouse=True)
def _any_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PipelineOptionsValidator, "validate_endpoint_url", lambda *_: True)


def submitted_by_beam(launcher: Launcher, *more: str) -> dict[str, Any]:
    """The job that Beam's runner submits by itself, of the launcher's own options."""
    words = [*specification(launcher).words, "--no_auth", REAL.format(launcher.dataflow.url), *more]
    options = PipelineOptions(words, streaming=True)
    pipeline = beam.Pipeline(options=options)
    streaming.build(pipeline, StreamingSettings.of(options))
    result = pipeline.run()
    call = launcher.dataflow.asked("create")[-1]
    assert result.job_id() in launcher.dataflow.jobs
    return call.body


def comparable(job: dict[str, Any]) -> dict[str, Any]:
    """Without where files lie, whom Beam spoke to, and what numbers a request."""
    job = json.loads(json.dumps(job))
    environment = job["environment"]
    del job["clientRequestId"], environment["tempStoragePrefix"]
    for pool in environment["workerPools"]:
        del pool["taskrunnerSettings"]["parallelWorkerSettings"]["servicePath"]
    told = environment["sdkPipelineOptions"]
    for name in ("temp_location", "staging_location", "pipelineUrl", "pipelineProtoHash", "dataflow_endpoint", "no_auth"):
        told["options"].pop(name, None)
    passing = {"temp_location", "staging_location", "dataflow_endpoint", "no_auth", "dry_run"}
    told["display_data"] = sorted((item for item in told["display_data"] if item["key"] not in passing), key=lambda item: item["key"])
    return dict(job)


def pipeline_of(client: storage.Client, job: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The pipeline that a job names, with its payloads read, so that the order in their maps is nothing."""
    bucket, _, name = job["environment"]["sdkPipelineOptions"]["options"]["pipelineUrl"].removeprefix("gs://").partition("/")
    pipeline = beam_runner_api_pb2.Pipeline.FromString(client.bucket(bucket).blob(name).download_as_bytes())
    payloads = {}
    for key, transform in pipeline.components.transforms.items():
        if transform.spec.urn == "beam:transform:pardo:v1":
            payloads[key] = json_format.MessageToDict(beam_runner_api_pb2.ParDoPayload.FromString(transform.spec.payload))
            transform.spec.payload = b""
        # Composites, which no worker reads; Beam's own ones hold all options, and so where files lie.
        elif transform.spec.urn == "beam:transform:pickled_python:v1":
            assert transform.subtransforms
            transform.spec.payload = b""
    return json_format.MessageToDict(pipeline), payloads


def test_what_beam_submits_is_of_the_document_and_the_launcher_submits_the_same(launcher: Launcher, storage_client: storage.Client) -> None:
    theirs = submitted_by_beam(launcher)
    launcher.dataflow.jobs.clear()
    done = launcher()
    assert done.code == 0, done.err
    ours = launcher.dataflow.asked("create")[-1].body
    assert comparable(ours) == comparable(theirs)
    assert pipeline_of(storage_client, ours) == pipeline_of(storage_client, theirs)


def test_an_update_is_the_one_that_beam_would_make(launcher: Launcher) -> None:
    old = launcher.dataflow.add(NAME, "JOB_STATE_RUNNING", labels={SPECIFICATION: "another"})
    # Beam looks for the job among all that there are.
    launcher.dataflow.page = 100
    launcher.dataflow.fates.append(Fate(("JOB_STATE_FAILED",)))
    theirs = submitted_by_beam(launcher, "--update", "--transform_name_mapping=" + json.dumps({"Tidy": "Clean"}))
    done = launcher("--transform-name-mapping=Tidy=Clean")
    assert done.code == 0, done.err
    ours = launcher.dataflow.asked("create")[-1].body
    assert ours["replaceJobId"] == old
    assert ours["transformNameMapping"] == {"Tidy": "Clean"}
    assert comparable(ours) == comparable(theirs)


def test_the_pipelines_own_program_submits_a_job_of_the_document(launcher: Launcher, dataflow: FakeDataflow) -> None:
    assert (
        clean_on_dataflow(
            ["streaming", *specification(launcher).words, "--no_auth", LOCAL.format(dataflow.url.replace("127.0.0.1", "localhost"))]
        )
        == 0
    )
    assert len(dataflow.active(NAME)) == 1


def test_in_a_templates_image_the_pipeline_is_written_as_a_job_of_the_document(
    launcher: Launcher, dataflow: FakeDataflow, storage_client: storage.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Google's program in such an image runs, with the parameters and the environment that the launcher sends as flags."""
    done = launcher("--mode=flex-template", "--template=gs://t/launcher.json")
    assert done.code == 0, done.err
    told = dataflow.asked("launch")[0].body["launchParameter"]
    place = f"gs://{launcher.bucket}/template/job.json"
    environment = {
        "project": "demo-project", "region": "us-central1", "job_name": told["jobName"], "service_account_email": ACCOUNT, "sdk_container_image": IMAGE,
        "temp_location": told["environment"]["tempLocation"], "staging_location": told["environment"]["stagingLocation"],
        "max_num_workers": told["environment"]["maxWorkers"], "machine_type": told["environment"]["machineType"],
        "template_location": place, "runner": "DataflowRunner",
    }  # fmt: skip
    flags = [f"--{name}={value}" for name, value in {**environment, **told["parameters"]}.items()]
    monkeypatch.setattr(sys, "argv", ["template.py", *flags, "--enable_streaming_engine", "--no_use_public_ips", "--no_auth"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(template.__file__), run_name="__main__")
    assert ended.value.code == 0
    written = json.loads(storage_client.bucket(launcher.bucket).blob("template/job.json").download_as_bytes())
    job = json_format.MessageToDict(json_format.ParseDict(written, dataflow_client.Job.pb(dataflow_client.Job())))
    discovery.check("Job", job)
    assert job["name"] == NAME
    assert job["environment"]["workerPools"][0]["ipConfiguration"] == "WORKER_IP_PRIVATE"
    # Nothing but the pipeline: the image has the rest.
    assert [blob.name.rpartition("/")[2] for blob in storage_client.list_blobs(launcher.bucket)].count("pickled_main_session") == 0
