"""Nobody starts before the topic and subscription are there that they need."""

from __future__ import annotations

import pytest
from google.cloud import pubsub_v1

import emulators
from integration.google.pubsub_scene import PROJECT, a_place, unique
from thundercast.adapters.google.pubsub_topics import check_subscription, check_topic, topic_path
from thundercast.stage.protocols import Unavailable

pytestmark = pytest.mark.usefixtures("pubsub_emulator")


def test_what_is_there_passes() -> None:
    place = a_place()
    check_topic(PROJECT, place.topic, subscription=place.subscription)
    assert check_subscription(PROJECT, place.subscription) == topic_path(PROJECT, place.topic)


def test_what_is_missing_is_named() -> None:
    place, other, missing = a_place(), a_place(), unique("missing")
    with pytest.raises(Unavailable, match=f"^topic projects/{PROJECT}/topics/{missing} does not exist: `thundercast bootstrap` makes it"):
        check_topic(PROJECT, missing, subscription=place.subscription)
    with pytest.raises(Unavailable, match=f"^subscription projects/{PROJECT}/subscriptions/{missing} does not exist"):
        check_topic(PROJECT, place.topic, subscription=missing)
    with pytest.raises(Unavailable, match=f"is to topic projects/{PROJECT}/topics/{other.topic}, not to .*{place.topic}: delete it"):
        check_topic(PROJECT, place.topic, subscription=other.subscription)


def test_a_subscription_that_lost_its_topic_is_named() -> None:
    place = a_place()
    with pubsub_v1.PublisherClient() as client:
        client.delete_topic(topic=topic_path(PROJECT, place.topic))
    with pytest.raises(Unavailable, match="has lost its topic, which was deleted"):
        check_subscription(PROJECT, place.subscription)


def test_an_emulator_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{emulators.free_port()}")
    monkeypatch.setattr("thundercast.adapters.google.pubsub_topics._TIMEOUT", 0.5)
    with pytest.raises(Unavailable, match="PUBSUB_EMULATOR_HOST.* does not answer"):
        check_subscription(PROJECT, "sub")
