"""The streaming pipeline: subscription, cleaner, topics."""

from __future__ import annotations

from typing import Any

from apache_beam.io.gcp.pubsub import ReadFromPubSub, WriteToPubSub

from thundercast_dataflow.options import StreamingSettings
from thundercast_dataflow.transforms import CLEAN, DEAD_LETTERS, CleanStream


def build(pipeline: Any, settings: StreamingSettings) -> None:
    """Adds the transforms to a pipeline. Their names never change, see `transforms`."""
    read = ReadFromPubSub(subscription=settings.raw_subscription, id_label=settings.id_label, with_attributes=True)
    out = pipeline | "ReadRaw" >> read | "Clean" >> CleanStream(settings.checkpoints, settings.pace)
    # Expressions for their effect: the pipeline keeps what is applied to it.
    _ = out[CLEAN] | "PublishClean" >> WriteToPubSub(settings.clean_topic, with_attributes=True)
    _ = out[DEAD_LETTERS] | "PublishDeadLetters" >> WriteToPubSub(settings.dead_letter_topic, with_attributes=True)
