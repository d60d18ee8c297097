"""`thundercast bootstrap` makes all that the parts need, and leaves alone what is right."""

from __future__ import annotations

import datetime as dt
import json
import time

import pytest
from google.cloud import pubsub_v1
from typer.testing import CliRunner

import emulators
from integration.google.pubsub_scene import PATIENCE, unique
from thundercast.adapters.google.bigquery_clients import rest_client
from thundercast.adapters.google.bootstrap import bootstrap, grants
from thundercast.adapters.google.pubsub_making import Finding, wanted
from thundercast.adapters.google.pubsub_publisher import PubSubPublisher
from thundercast.adapters.google.pubsub_subscription import PubSubSubscription
from thundercast.adapters.google.pubsub_topics import check_topic, group_subscription, subscription_path, topic_path
from thundercast.adapters.refusals import Usage
from thundercast.adapters.settings import CloudSettings
from thundercast.domain.batch import Message
from thundercast.stage.protocols import Unavailable
from thundercast_standalone.cli import app

pytestmark = pytest.mark.usefixtures("pubsub_emulator", "bigquery_emulator", "storage_emulator")


def some_settings() -> CloudSettings:
    name = unique("boot")
    return CloudSettings(
        project="demo-project", raw_topic=f"{name}-raw", raw_subscription=f"{name}-raw-cleaner", clean_topic=f"{name}-clean",
        clean_subscription=f"{name}-clean-trainer", dead_letter_topic=f"{name}-dead", dead_letter_subscription=f"{name}-dead-drain",
        dataset=name.replace("-", "_"), checkpoints=f"gs://{name}/checkpoints",
    )  # fmt: skip


def states(findings: list[Finding]) -> set[str]:
    return {finding.state for finding in findings}


def test_the_second_time_changes_nothing() -> None:
    settings = some_settings()
    first = list(bootstrap(settings))
    assert states(first) == {"made"}
    second = list(bootstrap(settings))
    assert states(second) == {"there"}
    assert {finding.what for finding in second} >= {
        finding.what for finding in first if finding.what.startswith(("topic", "sub", "bucket"))
    }
    for topic, subscription in (
        (settings.raw_topic, settings.raw_subscription),
        (settings.clean_topic, settings.clean_subscription),
        (settings.dead_letter_topic, settings.dead_letter_subscription),
    ):
        check_topic(settings.project, topic, subscription=subscription)


def test_what_is_made_bears_the_labels_and_what_is_there_keeps_its_own() -> None:
    settings = some_settings()
    list(bootstrap(settings, labels={"thundercast": "first"}))
    assert states(list(bootstrap(settings, labels={"thundercast": "second"}))) == {"there"}
    with pubsub_v1.PublisherClient() as publisher, pubsub_v1.SubscriberClient() as subscriber:
        topics, subscriptions = wanted(settings)
        found = [dict(publisher.get_topic(topic=topic).labels) for topic in topics]
        found += [dict(subscriber.get_subscription(subscription=made.name).labels) for made in subscriptions]
    found.append(dict(rest_client(settings.project, location=settings.location).get_dataset(settings.dataset).labels))
    assert found == [{"thundercast": "first"}] * 7


@pytest.mark.parametrize("label", ["thundercast", "Thundercast=tc", "thundercast=a b", "=x", f"thundercast={'x' * 64}"])
def test_what_is_no_label_is_refused_before_anything_is_made(label: str) -> None:
    result = CliRunner().invoke(app, ["bootstrap", "--label", label])
    assert isinstance(result.exception, Usage)
    assert f"--label {label} is no label: KEY=VALUE" in str(result.exception)


def test_subscriptions_are_as_the_stage_loop_needs_them() -> None:
    settings = some_settings()
    list(bootstrap(settings))
    with pubsub_v1.SubscriberClient() as client:
        raw, clean, dead = (
            client.get_subscription(subscription=subscription_path(settings.project, name))
            for name in (settings.raw_subscription, settings.clean_subscription, settings.dead_letter_subscription)
        )
    for subscription in (raw, clean):
        assert (subscription.ack_deadline_seconds, subscription.retain_acked_messages) == (15, True)
        assert subscription.message_retention_duration == dt.timedelta(days=7)
    for subscription in (raw, clean, dead):
        assert "expiration_policy" in subscription
        assert not subscription.expiration_policy.ttl
    assert "dead_letter_policy" not in raw, "Dataflow does not support it"
    assert clean.dead_letter_policy.dead_letter_topic == topic_path(settings.project, settings.dead_letter_topic)
    assert clean.dead_letter_policy.max_delivery_attempts == 100
    assert "retry_policy" not in clean, "the emulator would lose messages to it"
    assert not dead.retain_acked_messages


def test_dead_letters_are_kept_for_31_days_where_pubsub_can() -> None:
    _, subscriptions = wanted(some_settings())
    assert [s.retained.days for s in subscriptions] == [7, 7, 31]
    _, subscriptions = wanted(some_settings(), emulator=True)
    assert [s.retained.days for s in subscriptions] == [7, 7, 7]


def test_what_is_given_back_waits_a_little_where_pubsub_can() -> None:
    def back_offs(**how: bool) -> list[object]:
        return [subscription.properties()["retry_policy"] for subscription in wanted(some_settings(), **how)[1]]

    assert back_offs() == [None, {"minimum_backoff": dt.timedelta(seconds=1), "maximum_backoff": dt.timedelta(seconds=10)}, None]
    assert back_offs(emulator=True) == [None, None, None]


def test_what_is_given_back_comes_again_also_after_a_new_leader_has_sought() -> None:
    settings = some_settings()
    list(bootstrap(settings))
    name = subscription_path(settings.project, settings.clean_subscription)
    with PubSubPublisher(settings.project, settings.clean_topic, timeout=30.0) as publisher:
        publisher.publish([Message(b"given back", {})])
    since = time.time() - 60.0
    with PubSubSubscription(settings.project, settings.clean_subscription) as subscription:

        def held() -> list[str]:
            (delivery,) = subscription.pull(1, 30.0)
            assert delivery.message.data == b"given back"
            return [delivery.token]

        # What is given back a second time is what a back-off would keep waiting; then a new leader seeks, and it goes on.
        for _ in range(2):
            subscription.nack(held())
        subscription.seek(since)
        kept = held()
        time.sleep(3.0)
        subscription.nack(kept)
        for _ in range(3):
            subscription.nack(held())
        subscription.ack(held())
    with pubsub_v1.SubscriberClient() as client:
        assert client.get_subscription(subscription=name).dead_letter_policy.max_delivery_attempts == 100


def test_a_back_off_that_an_earlier_version_gave_a_subscription_in_the_emulator_is_taken_away() -> None:
    settings = some_settings()
    list(bootstrap(settings))
    name = subscription_path(settings.project, settings.clean_subscription)
    with pubsub_v1.SubscriberClient() as client:
        policy = {"minimum_backoff": dt.timedelta(seconds=1), "maximum_backoff": dt.timedelta(seconds=10)}
        client.update_subscription(
            request={"subscription": {"name": name, "retry_policy": policy}, "update_mask": {"paths": ["retry_policy"]}}
        )
        assert "retry_policy" in client.get_subscription(subscription=name)
        found = {finding.what: finding for finding in bootstrap(settings)}
        assert (found[f"subscription {name}"].state, found[f"subscription {name}"].detail) == ("changed", "retry_policy")
        assert "retry_policy" not in client.get_subscription(subscription=name)


def test_what_differs_is_changed_and_what_cannot_be_is_named() -> None:
    settings, other = some_settings(), unique("other")
    raw, clean, dead = (
        subscription_path(settings.project, name)
        for name in (settings.raw_subscription, settings.clean_subscription, settings.dead_letter_subscription)
    )
    with pubsub_v1.PublisherClient() as publisher, pubsub_v1.SubscriberClient() as client:
        for topic in (settings.raw_topic, settings.clean_topic, other):
            publisher.create_topic(name=topic_path(settings.project, topic))
        never: dict[str, object] = {"expiration_policy": {}}
        client.create_subscription(request={"name": raw, "topic": topic_path(settings.project, settings.raw_topic)} | never)
        longer = {"message_retention_duration": dt.timedelta(days=7), "retain_acked_messages": True, "ack_deadline_seconds": 60}
        client.create_subscription(request={"name": clean, "topic": topic_path(settings.project, settings.clean_topic)} | never | longer)
        client.create_subscription(request={"name": dead, "topic": topic_path(settings.project, other)})
        found = {finding.what: finding for finding in bootstrap(settings)}
        assert found[f"subscription {raw}"].state == "changed"
        assert found[f"subscription {raw}"].detail == "ack_deadline_seconds, retain_acked_messages"
        assert found[f"subscription {clean}"].detail == "ack_deadline_seconds, dead_letter_policy"
        assert found[f"subscription {dead}"].state == "differs"
        assert f"its topic is {topic_path(settings.project, other)}, not" in found[f"subscription {dead}"].detail
        assert client.get_subscription(subscription=raw).retain_acked_messages
        again = {finding.what: finding.state for finding in bootstrap(settings)}
    assert again[f"subscription {raw}"] == again[f"subscription {clean}"] == "there"
    assert again[f"subscription {dead}"] == "differs"


def test_groups_have_subscriptions_of_their_own_that_share_nothing_out_of_the_stream() -> None:
    settings = some_settings()
    list(bootstrap(settings, groups=2))
    with PubSubPublisher(settings.project, settings.raw_topic, timeout=30.0) as publisher:
        publisher.publish([Message(str(s).encode(), {"shard": str(s)}) for s in range(20)])
    for group in range(2):
        found: set[int] = set()
        with PubSubSubscription(settings.project, group_subscription(settings.raw_subscription, group, 2)) as subscription:
            until = time.monotonic() + PATIENCE
            while not found >= set(range(group, 20, 2)) and time.monotonic() < until:
                found |= {int(delivery.message.data) for delivery in subscription.pull(20, 1.0)}
        assert found >= set(range(group, 20, 2))


def test_the_command_tells_what_it_did_and_what_is_left_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = some_settings()
    for name in CloudSettings.model_fields:
        monkeypatch.setenv(f"THUNDERCAST_{name.upper()}", str(getattr(settings, name)))
    first = CliRunner().invoke(app, ["bootstrap"], catch_exceptions=False)
    assert first.exit_code == 0
    assert f"made    topic projects/demo-project/topics/{settings.raw_topic}" in first.stdout
    again = CliRunner().invoke(app, ["bootstrap", "--json"], catch_exceptions=False)
    told = json.loads(again.stdout)
    assert {thing["state"] for thing in told["things"]} == {"there"}
    assert told["grants"] == []
    other = topic_path(settings.project, settings.clean_topic)
    with pubsub_v1.SubscriberClient() as client:
        name = subscription_path(settings.project, settings.raw_subscription)
        client.delete_subscription(subscription=name)
        client.create_subscription(name=name, topic=other)
    differing = CliRunner().invoke(app, ["bootstrap"], catch_exceptions=False)
    assert differing.exit_code == 1
    assert f"its topic is {other}, not" in differing.stdout


def test_a_folder_of_checkpoints_needs_no_bucket() -> None:
    settings = some_settings().model_copy(update={"checkpoints": "some/folder"})
    assert not any("bucket" in finding.what for finding in bootstrap(settings))


def test_what_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{emulators.free_port()}")
    monkeypatch.setattr("thundercast.adapters.google.pubsub_topics._TIMEOUT", 0.5)
    with pytest.raises(
        Unavailable, match=r"^topic projects/demo-project/topics/boot-.*-raw could not be made: the emulator at .* does not answer"
    ):
        list(bootstrap(some_settings()))


def test_the_grants_that_dead_lettering_needs() -> None:
    settings = some_settings()
    text = "\n".join(grants(settings))
    assert f"topics add-iam-policy-binding {settings.dead_letter_topic} --project=demo-project" in text
    assert f"subscriptions add-iam-policy-binding {settings.clean_subscription} --project=demo-project" in text
    assert "roles/pubsub.publisher" in text
    assert "roles/pubsub.subscriber" in text
