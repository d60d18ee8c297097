"""Whether what a streaming pipeline needs is there, before it starts."""

from __future__ import annotations

from google.cloud import pubsub_v1

from thundercast.adapters.google.errors import PUBSUB, answering
from thundercast.adapters.google.pubsub_topics import MEND, VIEWER, asked, check_subscription
from thundercast.stage.protocols import Unavailable
from thundercast_dataflow.options import StreamingSettings


def check(settings: StreamingSettings) -> None:
    """Passes if the raw subscription is there, and both topics with a subscription each: what is published before that is lost.

    Raises:
        Unavailable: something is missing, or cannot be seen; one line with what mends it.
    """
    _, project, _, subscription = settings.raw_subscription.split("/")
    check_subscription(project, subscription)
    publisher = pubsub_v1.PublisherClient()
    for topic in (settings.clean_topic, settings.dead_letter_topic):
        with answering(PUBSUB, f"topic {topic}", "be looked up", role=VIEWER, mend=MEND):
            found = list(publisher.list_topic_subscriptions(topic=topic, **asked()))
        if not found:
            raise Unavailable(f"topic {topic} has no subscription, and what is published would be lost: `thundercast bootstrap` makes it")
