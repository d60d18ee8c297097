"""Making everything that the parts meet at: topics, subscriptions, the bucket, the dataset with its tables."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from google.cloud import pubsub_v1

from thundercast.adapters.google.bigquery_schema import ensure_tables
from thundercast.adapters.google.errors import PUBSUB, answering
from thundercast.adapters.google.pubsub_making import EDITOR, Finding, ensure_subscription, ensure_topic, wanted
from thundercast.adapters.google.storage_clients import ensure_bucket
from thundercast.adapters.settings import CloudSettings


def bootstrap(settings: CloudSettings, *, groups: int = 1, labels: Mapping[str, str] | None = None) -> Iterator[Finding]:
    """Makes what is missing, changes what differs; yields each thing as it is done. Doing it again changes nothing.

    Args:
        groups: groups of shards that are cleaned apart; each has its subscription.
        labels: of what is made: topics, subscriptions, bucket, dataset. What is there already keeps its own.

    Raises:
        Unavailable: a service does not answer or refuses; what was yielded before is done, and calling again is safe.
        StoreMismatch: a table of the name is there that cannot be used.
    """
    topics, subscriptions = wanted(settings, groups=groups, emulator=bool(os.environ.get(PUBSUB.emulator)))
    with answering(PUBSUB, f"project {settings.project}", "be used", role=EDITOR, mend="make it, or name another one"):
        publisher, subscriber = pubsub_v1.PublisherClient(), pubsub_v1.SubscriberClient()
    with publisher, subscriber:
        for topic in topics:
            yield ensure_topic(publisher, topic, labels=labels)
        for subscription in subscriptions:
            yield ensure_subscription(subscriber, subscription, labels=labels)
    bucket = ensure_bucket(settings, labels=labels)
    if bucket is not None:
        yield Finding(f"bucket of {settings.checkpoints}", bucket)
    done = ensure_tables(settings, labels=labels)
    for line in done:
        what, _, change = line.partition(": ")
        yield Finding(what, "changed" if change else "made", change)
    if not done:
        yield Finding(f"dataset {settings.project}.{settings.dataset} with its tables", "there")


def grants(settings: CloudSettings) -> list[str]:
    """The commands that let Pub/Sub itself move messages to the dead letters; an emulator needs none of them.

    Without them messages are delivered over and over instead of being given up.
    """
    project = settings.project
    member = '--member="serviceAccount:service-$NUMBER@gcp-sa-pubsub.iam.gserviceaccount.com"'
    return [
        f"NUMBER=$(gcloud projects describe {project} --format='value(projectNumber)')",
        f"gcloud pubsub topics add-iam-policy-binding {settings.dead_letter_topic} --project={project} {member} "
        "--role=roles/pubsub.publisher",
        f"gcloud pubsub subscriptions add-iam-policy-binding {settings.clean_subscription} --project={project} {member} "
        "--role=roles/pubsub.subscriber",
    ]
