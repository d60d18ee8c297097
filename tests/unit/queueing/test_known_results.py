"""The simulated parts against what is known of queues."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import simpy

from queueing.observing import Level, quantile
from queueing.plant import drawn
from queueing.stages import Durable, Stage, Told
from queueing.topics import Batch, Process, Subscription
from thundercast.stage.settings import LoopSettings

CUSTOMERS = 12_000
SERVICE = 1.0


def queue(share: float, work: Callable[[random.Random], float]) -> tuple[float, float, float, float]:
    """One stage with Poisson arrivals and nothing but its work; returns its mean wait, sojourn, number in it, and arrival rate."""
    env, rng = simpy.Environment(), random.Random(7)
    subscription = Subscription(env, lambda: 0.0, ack_deadline=1e9)
    inside, waits, sojourns = Level(), [], []

    def arrive() -> Process:
        for seq in range(CUSTOMERS):
            yield env.timeout(rng.expovariate(share / SERVICE))
            inside.add(1, env.now)
            subscription.publish([Batch(seq, 1, env.now)])

    def applied(batch: Batch, begun: float, ended: float) -> None:
        inside.add(-1, ended)
        waits.append(begun - batch.published)
        sojourns.append(ended - batch.published)

    def nothing(_: list[Batch]) -> Process:
        yield env.timeout(0.0)

    def free() -> Process:
        yield env.timeout(0.0)

    settings = LoopSettings(window=10**6, pull_limit=10**6, unacked=10**6, ack_deadline=1e9, extend_every=1e8, gap_timeout=4e9, poll=10.0)
    stage = Stage(
        env, subscription, Durable({0: 0}), Told(), work=lambda _: work(rng), confirm=nothing, checkpoint=free, lanes=1, settings=settings,
        applied=applied,
    )  # fmt: skip
    env.process(arrive())
    env.process(stage.run())
    env.run(until=CUSTOMERS * SERVICE / share * 1.5)
    assert len(waits) == CUSTOMERS
    whole = env.now
    return sum(waits) / CUSTOMERS, sum(sojourns) / CUSTOMERS, inside.mean(whole), CUSTOMERS / whole


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_the_mean_wait_of_m_d_1_is_pollaczeks_and_khinchines(share: float) -> None:
    wait, _, _, _ = queue(share, lambda _: SERVICE)
    assert wait == pytest.approx(share * SERVICE / (2 * (1 - share)), rel=0.06)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_the_mean_wait_of_m_m_1_is_twice_that(share: float) -> None:
    wait, _, _, _ = queue(share, lambda rng: rng.expovariate(1 / SERVICE))
    assert wait == pytest.approx(share * SERVICE / (1 - share), rel=0.08)


@pytest.mark.parametrize("variation", [0.3, 0.8])
def test_the_mean_wait_of_m_g_1_grows_with_the_variation_of_the_work(variation: float) -> None:
    wait, _, _, _ = queue(0.6, lambda rng: drawn(rng, SERVICE, variation))
    assert wait == pytest.approx((1 + variation**2) / 2 * 0.6 * SERVICE / 0.4, rel=0.08)


def test_littles_law_holds() -> None:
    _, sojourn, inside, rate = queue(0.7, lambda rng: rng.expovariate(1 / SERVICE))
    assert inside == pytest.approx(rate * sojourn, rel=1e-6)


def test_a_level_is_averaged_over_time_since_it_counts() -> None:
    level = Level(since=10.0)
    level.set(4.0, 0.0)
    level.set(2.0, 12.0)
    level.set(0.0, 14.0)
    assert level.mean(20.0) == pytest.approx((4 * 2 + 2 * 2) / 10)
    assert level.most == 2.0


def test_a_quantile_is_a_value_that_was_there() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile(list(range(1, 101)), 0.99) == 99
    assert quantile([], 0.5) != quantile([], 0.5)


@pytest.mark.parametrize("variation", [0.0, 0.2, 1.5])
def test_times_are_drawn_with_the_mean_and_variation_that_were_asked_for(variation: float) -> None:
    rng = random.Random(3)
    times = [drawn(rng, 2.0, variation) for _ in range(40_000)]
    mean = sum(times) / len(times)
    spread = (sum((time - mean) ** 2 for time in times) / len(times)) ** 0.5
    assert (mean, spread / mean) == (pytest.approx(2.0, rel=0.03), pytest.approx(variation, rel=0.03))


def drained(subscription: Subscription, env: simpy.Environment, wait: float) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []

    def pull() -> Process:
        deliveries = yield from subscription.pull(100, wait)
        found.extend((delivery.token, delivery.batch.seq) for delivery in deliveries)

    env.process(pull())
    env.run(until=env.now + wait + 0.001)
    return found


def test_what_is_not_acked_comes_again_and_what_is_acked_never_does() -> None:
    env = simpy.Environment()
    subscription = Subscription(env, lambda: 0.0, ack_deadline=15.0)
    subscription.publish([Batch(0, 1, 0.0), Batch(1, 1, 0.0)])
    (first, _), (second, _) = drained(subscription, env, 1.0)
    subscription.ack([first])
    subscription.extend([second])
    assert drained(subscription, env, 13.0) == []
    again = drained(subscription, env, 5.0)
    assert [seq for _, seq in again] == [1]
    assert subscription.redelivered == 1
    subscription.ack([second])
    assert len(subscription) == 1, "the lease that ran out acks nothing"
    subscription.ack([token for token, _ in again])
    assert (len(subscription), subscription.acked) == (0, 2)


def test_what_is_given_back_comes_again_after_the_back_off() -> None:
    env = simpy.Environment()
    subscription = Subscription(env, lambda: 0.0, ack_deadline=15.0, backoff=2.0)
    subscription.publish([Batch(5, 1, 0.0)])
    subscription.nack([token for token, _ in drained(subscription, env, 0.5)])
    assert drained(subscription, env, 1.0) == []
    assert [seq for _, seq in drained(subscription, env, 1.5)] == [5]
