"""Wires the trainer: its intake, checkpoints, lock and store around the stage loop, and the API beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

import thundercast
from thundercast.adapters import logs
from thundercast.adapters.deadletters import Drain
from thundercast.adapters.google.bigquery_store import BigQueryStore
from thundercast.adapters.google.guarded import GuardedPublisher
from thundercast.adapters.google.pubsub_publisher import PubSubPublisher
from thundercast.adapters.google.pubsub_subscription import PubSubSubscription
from thundercast.adapters.google.pubsub_topics import check_subscription, check_topic
from thundercast.adapters.google.store_check import StoreCheck
from thundercast.adapters.hosting import Check, Host
from thundercast.adapters.locks import open_lock
from thundercast.adapters.manifests import run_from
from thundercast.adapters.metrics import Metrics
from thundercast.adapters.places import open_checkpoints, open_manifests, open_objects
from thundercast.adapters.scored import ScoredStore
from thundercast.domain.models import registry
from thundercast.stage.loop import StageLoop
from thundercast.stage.points import Gap, go_on
from thundercast.stage.protocols import RowWriter, Subscription
from thundercast.stage.steps import TrainStep
from thundercast.stage.unconfirmed import Outlets
from thundercast_trainer.api import api_routes
from thundercast_trainer.auth import Anyone, OidcVerifier
from thundercast_trainer.bookkeeping import run_accounts
from thundercast_trainer.kept import Kept
from thundercast_trainer.pauses import keep_pauses_short
from thundercast_trainer.problems import BODY_LIMIT
from thundercast_trainer.push import PushSubscription, push_route
from thundercast_trainer.serving import ServedStep, Snapshot
from thundercast_trainer.settings import TrainerSettings
from thundercast_trainer.standby import Standby

COMPONENT, PUSHED = "trainer", "trainer-pushed"
_log: structlog.stdlib.BoundLogger = structlog.get_logger()


def run(settings: TrainerSettings, *, gap: Gap = go_on) -> int:
    """Trains and serves until a signal comes; returns the exit code.

    Args:
        gap: called at each of `points.KILL_POINTS`.

    Raises:
        Usage, Failed: as `Host.run`.
    """
    logs.configure(settings.log_format)
    keep_pauses_short()
    s = settings
    exposed = CollectorRegistry()
    collected = Metrics(exposed, version=thundercast.__version__)

    def make_step() -> ServedStep:
        models = lambda: [registry.make(name, task) for task in s.tasks for name in s.models]  # noqa: E731
        return ServedStep(TrainStep(models, on_new_run=s.on_new_run, observations=s.observations))

    def dead_letter_topic() -> None:
        check_topic(s.project, s.dead_letter_topic, subscription=s.dead_letter_subscription)

    checkpoints = open_checkpoints(s.checkpoints, COMPONENT, gap=gap)
    find_run = run_from(open_manifests(s.checkpoints))
    with ExitStack() as stack:
        store = stack.enter_context(BigQueryStore(s))
        aside = stack.enter_context(PubSubPublisher(s.project, s.dead_letter_topic))
        step = make_step()
        collected.drifts_from(step.train.drifts)
        intake = _intake(s, lambda: loop.status.leader, stack)
        loop = StageLoop(
            COMPONENT, step, subscription=intake.subscription, checkpoints=checkpoints, lock=open_lock(s.lock_of(COMPONENT)),
            outlets=Outlets(dead_letters=GuardedPublisher(aside, dead_letter_topic), store=ScoredStore(store, collected)),
            settings=s.loop(), gap=gap, observe=lambda seconds: collected.batch_took(COMPONENT, seconds), find_run=find_run,
            account=run_accounts(find_run, models=s.models, tasks=s.tasks),
        )  # fmt: skip
        standby = Standby(lambda: open_checkpoints(s.checkpoints, COMPONENT), make_step, every=s.standby_seconds)

        def snapshot() -> Snapshot | None:
            return step.snapshot() if loop.recovered.is_set() else standby.snapshot()

        checks: dict[str, Check] = intake.checks | {
            "the topic of dead letters": dead_letter_topic,
            "the checkpoint store": checkpoints.summary,
            "the store": StoreCheck(s, make=True),
        }
        stack.enter_context(_until_leading(standby, loop))
        if s.drain_dead_letters:
            stack.enter_context(_draining(s, store, loop))
        routes = [*intake.routes, *api_routes(snapshot, lambda: loop.status, collected)]
        host = Host(
            loop, s, store=store, collected=collected, exposed=exposed, checks=checks, routes=routes, body_limit=BODY_LIMIT,
            loaded=lambda: standby.loaded,
        )  # fmt: skip
        return host.run()


@dataclass(frozen=True, slots=True)
class _Intake:
    """Where batches come from, the routes that it needs, and what must be there."""

    subscription: Subscription
    checks: dict[str, Check]
    routes: list[web.RouteDef]


def _intake(s: TrainerSettings, leads: Callable[[], bool], stack: ExitStack) -> _Intake:
    if s.mode == "push":
        door = PushSubscription(Kept(open_objects(s.checkpoints, PUSHED)))
        verifier = OidcVerifier(s.push_audience, [s.push_service_account]) if s.push_auth == "oidc" else Anyone()
        return _Intake(door, {}, [push_route(door, verifier, leads=leads)])
    name = s.clean_subscription
    pulled = stack.enter_context(PubSubSubscription(s.project, name, ack_deadline=s.ack_deadline))
    return _Intake(pulled, {"the subscription": lambda: check_subscription(s.project, name)}, [])


@contextmanager
def _until_leading(standby: Standby, loop: StageLoop) -> Iterator[None]:
    """Has the standby look on while another process leads."""
    ended = threading.Event()

    def work() -> None:
        with standby.running():
            while not (ended.is_set() or loop.recovered.wait(0.5)):
                pass

    yield from _thread(work, "standby-until-leading", ended)


@contextmanager
def _draining(s: TrainerSettings, store: RowWriter, loop: StageLoop) -> Iterator[None]:
    """Moves dead letters to their table while this process leads."""
    ended = threading.Event()
    letters = PubSubSubscription(s.project, s.dead_letter_subscription, ack_deadline=s.ack_deadline)
    yield from _thread(lambda: Drain(letters, store).run(ended, may=lambda: loop.status.leader), "dead-letters", ended)


def _thread(work: Callable[[], None], name: str, ended: threading.Event) -> Iterator[None]:
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
