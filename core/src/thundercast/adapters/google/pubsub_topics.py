"""Topics and subscriptions: what they are called, and whether those are there that a part needs before it starts."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any, Final

from google.api_core import exceptions as api
from google.api_core.retry import Retry, if_exception_type
from google.cloud import pubsub_v1

from thundercast.adapters.google.errors import PUBSUB, answering
from thundercast.domain.runs import DEFAULT_SHARDS
from thundercast.stage.protocols import Unavailable

VIEWER: Final = "roles/pubsub.viewer"
MEND: Final = "`thundercast bootstrap` makes it"
SUBSCRIPTION_GONE: Final = "_deleted-topic_"
"""What Pub/Sub calls the topic of a subscription whose topic was deleted."""

_TIMEOUT: Final = 5.0  # s
_FILTER_BYTES: Final = 256


def topic_path(project: str, topic: str) -> str:
    """A topic's full name."""
    return f"projects/{project}/topics/{topic}"


def subscription_path(project: str, subscription: str) -> str:
    """A subscription's full name."""
    return f"projects/{project}/subscriptions/{subscription}"


# --- groups of shards -------------------------------------------------------------------------------------


def group_subscription(subscription: str, group: int, groups: int) -> str:
    """The subscription of the workers that clean one group of shards; ``subscription`` itself if there is one group only.

    >>> group_subscription("noaa-raw-cleaner", 1, 4)
    'noaa-raw-cleaner-1-of-4'
    """
    return subscription if groups == 1 else f"{subscription}-{group}-of-{groups}"


def group_filter(group: int, groups: int) -> str:
    """A subscription filter that keeps away what shards of other groups get (shard s belongs to group s modulo groups).

    It names shards to leave out, never those to let in: a run may have more shards than are known here, and what a filter
    leaves out is lost to the subscription. Where it would be longer than Pub/Sub allows, some come along that are not the
    group's; a worker acks those.

    >>> group_filter(0, 2)[:49]
    'NOT attributes.shard="1" AND NOT attributes.shard'
    """
    text = ""
    for shard in range(DEFAULT_SHARDS):
        if shard % groups != group:
            longer = f"{text} AND NOT" if text else "NOT"
            longer += f' attributes.shard="{shard}"'
            if len(longer) > _FILTER_BYTES:
                break
            text = longer
    return text


# --- start order ------------------------------------------------------------------------------------------


def check_topic(project: str, topic: str, *, subscription: str) -> None:
    """Passes if the topic is there and has the subscription: what is published before that is lost.

    Raises:
        Unavailable: something is missing, or cannot be seen; one line with what mends it.
    """
    wanted = topic_path(project, topic)
    with answering(PUBSUB, f"topic {wanted}", "be looked up", role=VIEWER, mend=MEND):
        _publisher().get_topic(topic=wanted, **asked())
    found = check_subscription(project, subscription)
    if found != wanted:
        name = subscription_path(project, subscription)
        raise Unavailable(
            f"subscription {name} is to topic {found}, not to {wanted}: delete it (`gcloud pubsub subscriptions delete {name}`), then "
            "`thundercast bootstrap` makes it anew"
        )


def check_subscription(project: str, subscription: str) -> str:
    """Passes if the subscription is there and has a topic; returns that topic's full name.

    Raises:
        Unavailable: it is missing, or cannot be seen; one line with what mends it.
    """
    name = subscription_path(project, subscription)
    with answering(PUBSUB, f"subscription {name}", "be looked up", role=VIEWER, mend=MEND):
        found = str(_subscriber().get_subscription(subscription=name, **asked()).topic)
    if found == SUBSCRIPTION_GONE:
        raise Unavailable(
            f"subscription {name} has lost its topic, which was deleted: delete it (`gcloud pubsub subscriptions delete {name}`), then "
            "`thundercast bootstrap` makes both anew"
        )
    return found


# --- clients ----------------------------------------------------------------------------------------------


def asked() -> dict[str, Any]:
    """How a question about a topic or subscription is asked: seconds, and what is tried again within them."""
    passes = if_exception_type(api.Aborted, api.InternalServerError, api.ServiceUnavailable, api.Unknown)
    return {"timeout": _TIMEOUT, "retry": Retry(passes, initial=0.1, maximum=1.0, multiplier=2.0, timeout=_TIMEOUT)}


def _publisher() -> pubsub_v1.PublisherClient:
    return _publisher_at(os.environ.get(PUBSUB.emulator))


def _subscriber() -> pubsub_v1.SubscriberClient:
    return _subscriber_at(os.environ.get(PUBSUB.emulator))


# Readiness asks every few seconds: one connection is kept for all of it. Google's clients read the variable themselves.
@lru_cache(maxsize=1)
def _publisher_at(emulator: str | None) -> pubsub_v1.PublisherClient:  # noqa: ARG001
    return pubsub_v1.PublisherClient()


@lru_cache(maxsize=1)
def _subscriber_at(emulator: str | None) -> pubsub_v1.SubscriberClient:  # noqa: ARG001
    return pubsub_v1.SubscriberClient()
