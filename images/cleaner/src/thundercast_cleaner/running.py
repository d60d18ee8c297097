"""Wires the cleaner: Pub/Sub on both sides, checkpoints, lock and store around the stage loop."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

import thundercast
from thundercast.adapters import logs
from thundercast.adapters.google.bigquery_store import BigQueryStore
from thundercast.adapters.google.guarded import GuardedPublisher
from thundercast.adapters.google.pubsub_publisher import PubSubPublisher
from thundercast.adapters.google.pubsub_subscription import PubSubSubscription
from thundercast.adapters.google.pubsub_topics import check_subscription, check_topic, group_subscription
from thundercast.adapters.google.store_check import StoreCheck
from thundercast.adapters.hosting import Check, Host
from thundercast.adapters.locks import open_lock
from thundercast.adapters.manifests import run_from
from thundercast.adapters.metrics import Metrics
from thundercast.adapters.places import open_checkpoints, open_manifests
from thundercast.stage.loop import StageLoop
from thundercast.stage.points import Gap, go_on
from thundercast.stage.steps import CleanStep
from thundercast.stage.unconfirmed import Outlets
from thundercast_cleaner.settings import CleanerSettings


def run(settings: CleanerSettings, *, gap: Gap = go_on) -> int:
    """Cleans until a signal comes; returns the exit code.

    Args:
        gap: called at each of `points.KILL_POINTS`.

    Raises:
        Usage, Failed: as `Host.run`.
    """
    logs.configure(settings.log_format)
    s, component = settings, settings.component
    exposed = CollectorRegistry()
    collected = Metrics(exposed, version=thundercast.__version__)
    name = group_subscription(s.raw_subscription, s.group, s.groups)
    checkpoints = open_checkpoints(s.checkpoints, component, gap=gap)

    def clean_topic() -> None:
        check_topic(s.project, s.clean_topic, subscription=s.clean_subscription)

    def dead_letter_topic() -> None:
        check_topic(s.project, s.dead_letter_topic, subscription=s.dead_letter_subscription)

    with (
        BigQueryStore(s) as store,
        PubSubSubscription(s.project, name, ack_deadline=s.ack_deadline) as subscription,
        PubSubPublisher(s.project, s.clean_topic) as clean,
        PubSubPublisher(s.project, s.dead_letter_topic) as aside,
    ):
        outlets = Outlets(
            messages=GuardedPublisher(clean, clean_topic), dead_letters=GuardedPublisher(aside, dead_letter_topic), store=store
        )
        loop = StageLoop(
            component, CleanStep(), subscription=subscription, checkpoints=checkpoints, lock=open_lock(s.lock_of(component)),
            outlets=outlets, settings=s.loop(), gap=gap, observe=lambda seconds: collected.batch_took(component, seconds),
            find_run=run_from(open_manifests(s.checkpoints)), owns=s.owns,
        )  # fmt: skip
        checks: dict[str, Check] = {
            "the subscription": lambda: check_subscription(s.project, name),
            "the output topic": clean_topic,
            "the topic of dead letters": dead_letter_topic,
            "the checkpoint store": checkpoints.summary,
            "the store": StoreCheck(s, make=False),
        }
        return Host(loop, s, store=store, collected=collected, exposed=exposed, checks=checks).run()
