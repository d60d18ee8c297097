"""Frozen: what a running job's state is found by when the job is updated, and how the bytes of today are read tomorrow."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from apache_beam.coders import BytesCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pipeline import PipelineVisitor
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, get_dofn_specs

from thundercast_dataflow import envelopes, lane, snapshots, streaming
from thundercast_dataflow.options import StreamingSettings
from thundercast_dataflow.transforms import CleanInOrder, Pace

# Dataflow matches the steps of an updated job to those of the running one by these names. A step whose name has changed
# starts without state: every station's history is gone. `transformNameMapping` can rename, but must then be given for ever.
STEPS = {
    "ReadRaw",
    "Clean",
    "Clean/Address",
    "Clean/Key",
    "Clean/InOrder",
    "Clean/DeadLetters",
    "PublishClean",
    "PublishDeadLetters",
}


def built(*arguments: str) -> Any:
    options = PipelineOptions(["--project=demo-project", *arguments], streaming=True)
    pipeline = beam.Pipeline(options=options, runner="DirectRunner")
    streaming.build(pipeline, StreamingSettings.of(options))
    return pipeline


class Labels(PipelineVisitor):
    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def enter_composite_transform(self, node: Any) -> None:
        self.found[node.full_label] = node

    def visit_transform(self, node: Any) -> None:
        self.found[node.full_label] = node


def labels(pipeline: Any) -> dict[str, Any]:
    visitor = Labels()
    pipeline.visit(visitor)
    return visitor.found


def test_the_names_of_the_steps_are_frozen() -> None:
    found = labels(built())
    ours = {label for label in found if label.partition("/")[0] in ("ReadRaw", "Clean", "PublishClean", "PublishDeadLetters")}
    top = {label for label in ours if "/" not in label or (label.startswith("Clean/") and label.count("/") == 1)}
    assert top == STEPS


def test_state_and_timers_are_frozen() -> None:
    states, timers = get_dofn_specs(CleanInOrder("place", Pace()))
    assert {(spec.name, type(spec)) for spec in states} == {("lane", ReadModifyWriteStateSpec), ("waiting", BagStateSpec)}
    # Bytes, so that no coder of Python's or Beam's own is in the state: versions are inside.
    assert {type(spec.coder) for spec in states} == {BytesCoder}
    assert {(spec.name, spec.time_domain) for spec in timers} == {("ts-gap", TimeDomain.REAL_TIME), ("ts-rest", TimeDomain.WATERMARK)}


def test_the_key_is_coded_deterministically_as_run_and_shard() -> None:
    (keyed,) = labels(built())["Clean/Key"].outputs.values()
    coder = beam.coders.registry.get_coder(keyed.element_type)
    assert coder.key_coder().is_deterministic()
    # The bytes that a key has in every job: a length, the run, the shard as a varint.
    assert coder.key_coder().encode(("20260101T000000Z-711971f2", 300)) == b"\x1920260101T000000Z-711971f2\xac\x02"


def test_versions_inside_the_bytes_are_those_that_running_jobs_hold() -> None:
    # To raise one of these, teach the reader the version before: an updated job finds the old bytes.
    assert (lane.VERSION, snapshots.VERSION) == (1, 1)
    assert envelopes.__doc__ is not None


def test_duplicates_are_left_out_by_the_runner_where_it_can() -> None:
    """DirectRunner refuses `id_label`; on Dataflow the state would drop them too, after they were shuffled."""
    assert StreamingSettings.of(PipelineOptions(["--project=demo-project"])).id_label is None
    dataflow = ["--project=demo-project", "--runner=DataflowRunner", "--checkpoints=gs://bucket/prefix"]
    assert StreamingSettings.of(PipelineOptions(dataflow)).id_label == "message_id"


def test_the_pipeline_can_be_submitted() -> None:
    """Everything in it has a portable form, and nothing of it needs this machine."""
    pipeline = built("--checkpoints=gs://bucket/prefix")
    proto = pipeline.to_runner_api()
    assert len(proto.components.transforms) > len(STEPS)
