"""Topics and subscriptions of their own for each test, on one emulator."""

from __future__ import annotations

import itertools
import time
import uuid
from dataclasses import dataclass
from typing import Any

from google.cloud import pubsub_v1

from thundercast.adapters.google.pubsub_publisher import PubSubPublisher
from thundercast.adapters.google.pubsub_subscription import PubSubSubscription
from thundercast.domain.batch import Message
from thundercast.stage.protocols import Delivery, Subscription

PROJECT = "demo-project"
LEASE = 10  # s, the emulator's shortest
PATIENCE = 60.0  # s

_numbers = itertools.count()


def unique(prefix: str) -> str:
    return f"{prefix}-{next(_numbers)}-{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True)
class Place:
    """A topic with one subscription."""

    topic: str
    subscription: str

    def publisher(self, **options: Any) -> PubSubPublisher:
        return PubSubPublisher(PROJECT, self.topic, **{"timeout": 30.0} | options)

    def subscriber(self, **options: Any) -> PubSubSubscription:
        return PubSubSubscription(PROJECT, self.subscription, **{"ack_deadline": LEASE} | options)


def a_place(**properties: Any) -> Place:
    """Makes a topic and a subscription with these properties."""
    place = Place(unique("topic"), unique("sub"))
    topic = f"projects/{PROJECT}/topics/{place.topic}"
    with pubsub_v1.PublisherClient() as publisher:
        publisher.create_topic(name=topic)
    with pubsub_v1.SubscriberClient() as subscriber:
        name = f"projects/{PROJECT}/subscriptions/{place.subscription}"
        subscriber.create_subscription(request={"name": name, "topic": topic, "ack_deadline_seconds": LEASE} | properties)
    return place


def numbered(*numbers: int, size: int = 0) -> list[Message]:
    return [Message(str(n).encode().ljust(size), {"message_id": f"run/{n}"}) for n in numbers]


def data(deliveries: list[Delivery]) -> list[int]:
    return sorted(int(d.message.data) for d in deliveries)


def pull_all(subscription: Subscription, count: int) -> list[Delivery]:
    """Pulls until ``count`` deliveries have come."""
    found: list[Delivery] = []
    until = time.monotonic() + PATIENCE
    while len(found) < count and time.monotonic() < until:
        found += subscription.pull(count - len(found), 0.5)
    return found
