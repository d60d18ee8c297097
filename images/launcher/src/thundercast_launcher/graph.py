"""The pipeline as Beam builds it, and what its steps are called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pipeline import PipelineVisitor

from thundercast.adapters.refusals import Usage
from thundercast_dataflow import streaming
from thundercast_dataflow.options import BadOption, StreamingSettings


class _Names(PipelineVisitor):
    def __init__(self) -> None:
        self.found: set[str] = set()

    def enter_composite_transform(self, node: Any) -> None:
        self.found.add(node.full_label)

    def visit_transform(self, node: Any) -> None:
        self.found.add(node.full_label)


def built(words: Sequence[str]) -> Any:
    """The `beam.Pipeline` that these options make. Its runner translates it, and submits nothing.

    Raises:
        Usage: an option cannot be used; the message names it.
    """
    # With dry_run Beam does not look at buckets either, for which it would need credentials.
    options = PipelineOptions([*words, "--dry_run=True"], streaming=True)
    try:
        settings = StreamingSettings.of(options)
        pipeline = beam.Pipeline(options=options)
    except BadOption as error:
        raise Usage(str(error)) from error
    except ValueError as error:  # Beam's own validator
        raise Usage(f"Beam cannot use these options: {' '.join(str(error).split())}") from error
    streaming.build(pipeline, settings)
    return pipeline


def steps(pipeline: Any) -> set[str]:
    """Full names of a pipeline's transforms, composite ones included."""
    names = _Names()
    pipeline.visit(names)
    return names.found - {""}
