"""Making topics and subscriptions as the stage loop needs them; changing those that are there and differ."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from google.api_core import exceptions as api
from google.cloud import pubsub_v1
from google.pubsub_v1 import types

from thundercast.adapters.google.errors import PUBSUB, answering
from thundercast.adapters.google.pubsub_topics import asked, group_filter, group_subscription, subscription_path, topic_path
from thundercast.adapters.settings import CloudSettings

EDITOR: Final = "roles/pubsub.editor"
ACK_DEADLINE: Final = 15
"""Seconds: what a killed process held comes back so soon."""
RETAINED: Final = dt.timedelta(days=7)
"""So far back a stage can fall to an older checkpoint."""
KEPT: Final = dt.timedelta(days=31)
"""The longest that Pub/Sub keeps a message."""
ATTEMPTS: Final = 100
BACK_OFF: Final = (dt.timedelta(seconds=1), dt.timedelta(seconds=10))
"""Least and most time before a message comes again that was given back or whose lease ran out."""

_EMULATOR_KEEPS: Final = dt.timedelta(days=7)
_EMULATOR_NEVER_CHANGES: Final = frozenset({"expiration_policy"})

State = Literal["made", "there", "changed", "differs"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one thing.

    Attributes:
        what: its kind and full name.
        state: ``differs`` if it is there, otherwise than it should be, and cannot be changed.
        detail: what was changed, or what differs and what to do.
    """

    what: str
    state: State
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A subscription as it should be. It never expires.

    Attributes:
        name, topic: full names.
        retained: how long messages are kept at least; acked ones too if ``retain_acked``.
        dead_letter_topic: full name; where messages go after `ATTEMPTS` deliveries, if anywhere.
        back_off: least and most time before a message comes again; at once if None.
    """

    name: str
    topic: str
    retained: dt.timedelta = RETAINED
    retain_acked: bool = True
    dead_letter_topic: str = ""
    back_off: tuple[dt.timedelta, dt.timedelta] | None = None
    filter: str = ""

    def request(self) -> dict[str, Any]:
        """As it is asked for."""
        return {"name": self.name, "topic": self.topic, "filter": self.filter} | self.properties()

    def properties(self) -> dict[str, Any]:
        """What can be changed later."""
        dead = {"dead_letter_topic": self.dead_letter_topic, "max_delivery_attempts": ATTEMPTS} if self.dead_letter_topic else None
        retry = {"minimum_backoff": self.back_off[0], "maximum_backoff": self.back_off[1]} if self.back_off else None
        return {
            "ack_deadline_seconds": ACK_DEADLINE, "retain_acked_messages": self.retain_acked, "message_retention_duration": self.retained,
            "expiration_policy": {},  # without a time in it: never
            "dead_letter_policy": dead, "retry_policy": retry,
        }  # fmt: skip

    def differences(self, found: types.Subscription) -> dict[str, Any]:
        """The properties to be changed. More retention than needed is left as somebody wanted it."""
        same = {
            "ack_deadline_seconds": found.ack_deadline_seconds == ACK_DEADLINE,
            "retain_acked_messages": found.retain_acked_messages or not self.retain_acked,
            "message_retention_duration": found.message_retention_duration >= self.retained,
            "expiration_policy": "expiration_policy" in found and not found.expiration_policy.ttl,
            "dead_letter_policy": found.dead_letter_policy.dead_letter_topic == self.dead_letter_topic
            and (not self.dead_letter_topic or found.dead_letter_policy.max_delivery_attempts == ATTEMPTS),
            "retry_policy": (found.retry_policy.minimum_backoff, found.retry_policy.maximum_backoff) == self.back_off
            if self.back_off
            else "retry_policy" not in found,
        }
        return {name: value for name, value in self.properties().items() if not same[name]}


def wanted(settings: CloudSettings, *, groups: int = 1, emulator: bool = False) -> tuple[list[str], list[Subscription]]:
    """Full names of the topics, and the subscriptions, that the parts need.

    Args:
        groups: groups of shards that are cleaned apart; each has its subscription.
        emulator: they are made in Google's emulator, which keeps messages for seven days at most. Nor do they have a back-off there:
            of a message that waits for its time, and is acked or sought meanwhile, the emulator (0.8.20) loses count, and from then
            on whatever is given back a second time never comes again.
    """
    project = settings.project
    raw, clean, dead = (topic_path(project, name) for name in (settings.raw_topic, settings.clean_topic, settings.dead_letter_topic))
    subscriptions = [
        Subscription(
            name=subscription_path(project, group_subscription(settings.raw_subscription, group, groups)),
            topic=raw,
            filter=group_filter(group, groups),
        )
        for group in range(groups)
    ]
    clean_name, back_off = subscription_path(project, settings.clean_subscription), None if emulator else BACK_OFF
    subscriptions.append(Subscription(name=clean_name, topic=clean, dead_letter_topic=dead, back_off=back_off))
    kept = _EMULATOR_KEEPS if emulator else KEPT
    subscriptions.append(
        Subscription(name=subscription_path(project, settings.dead_letter_subscription), topic=dead, retained=kept, retain_acked=False)
    )
    return [raw, clean, dead], subscriptions


def ensure_topic(client: pubsub_v1.PublisherClient, name: str, *, labels: Mapping[str, str] | None = None) -> Finding:
    """Makes a topic if it is not there.

    Raises:
        Unavailable: it cannot be made now; says why.
    """
    with answering(PUBSUB, f"topic {name}", "be made", role=EDITOR, mend="its project does not exist"):
        try:
            client.create_topic(request={"name": name, "labels": dict(labels or {})}, **asked())
        except api.AlreadyExists:
            return Finding(f"topic {name}", "there")
    return Finding(f"topic {name}", "made")


def ensure_subscription(
    client: pubsub_v1.SubscriberClient, subscription: Subscription, *, labels: Mapping[str, str] | None = None
) -> Finding:
    """Makes a subscription if it is not there; changes what differs and can be changed.

    Raises:
        Unavailable: it cannot be made or changed now; says why.
    """
    what = f"subscription {subscription.name}"
    with answering(PUBSUB, what, "be made or changed", role=EDITOR, mend=f"its topic {subscription.topic} does not exist"):
        try:
            client.create_subscription(request=subscription.request() | {"labels": dict(labels or {})}, **asked())
        except api.AlreadyExists:
            found = client.get_subscription(subscription=subscription.name, **asked())
        else:
            return Finding(what, "made")
        fixed = {
            name: (has, should)
            for name, has, should in (("topic", found.topic, subscription.topic), ("filter", found.filter, subscription.filter))
            if has != should
        }
        if fixed:
            says = ", ".join(f"its {name} is {has or 'none'}, not {should or 'none'}" for name, (has, should) in fixed.items())
            return Finding(
                what,
                "differs",
                f"{says}, which cannot be changed: once all of it is processed, "
                f"`gcloud pubsub subscriptions delete {subscription.name}`, then `thundercast bootstrap`",
            )
        changes = subscription.differences(found)
        beyond = sorted(_EMULATOR_NEVER_CHANGES & changes.keys()) if os.environ.get(PUBSUB.emulator) else []
        if beyond:
            return Finding(what, "differs", f"the emulator cannot change its {', '.join(beyond)}")
        if not changes:
            return Finding(what, "there")
        client.update_subscription(
            request={"subscription": {"name": subscription.name} | changes, "update_mask": {"paths": sorted(changes)}}, **asked()
        )
    return Finding(what, "changed", ", ".join(sorted(changes)))
