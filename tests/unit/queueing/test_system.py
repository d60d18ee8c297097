"""The simulated system: nothing is lost, order holds, bounds hold, and a measured case comes out."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figures import kept
from figures.kept import Work
from queueing import cases
from queueing.plant import Plant, Rates, Services
from queueing.system import Report, System
from thundercast.stage.settings import LoopSettings

FIGURES = kept.read()


def work(seconds: float, variation: float = 0.2) -> Work:
    return Work(seconds=seconds, variation=variation)


RATES = Rates(make=work(0.0), encode=work(1e-6), clean=work(5e-6), take=work(2e-6), close=work(2e-5))


def small(**changed: Any) -> Plant:
    plant = Plant(stations=1_000, shards=4, pace=1_000.0, rates=RATES, dates=30, until=400.0, warm_up=1.0, checkpoint_bytes=(1e6, 1e6))
    return replace(plant, **changed)


def is_whole(report: Report, plant: Plant) -> bool:
    """Every batch of every date was learnt."""
    assert plant.dates is not None
    return sorted(report.applied) == list(range(plant.dates * plant.shards)) and report.unfinished == 0


def runs_of(order: list[int]) -> list[list[int]]:
    """The order cut where it goes back: once for each process after the first."""
    parts: list[list[int]] = [[]]
    for seq in order:
        if parts[-1] and seq <= parts[-1][-1]:
            parts.append([])
        parts[-1].append(seq)
    return parts


def test_everything_that_is_published_is_learnt_once_and_in_order() -> None:
    plant = small()
    report = System(plant).run()
    assert is_whole(report, plant)
    assert report.order == list(range(120))
    assert report.published == report.learnt == 120


@pytest.mark.parametrize("fail_at", [3.0, 7.3, 12.1, 19.9])
def test_a_kill_loses_nothing_and_what_was_not_durable_is_learnt_again(fail_at: float) -> None:
    plant = small(fail_at=fail_at)
    report = System(plant).run()
    assert is_whole(report, plant)
    first, *later = runs_of(report.order)
    assert len(later) <= 1
    for part in (first, *later):
        assert part == list(range(part[0], part[-1] + 1))
    assert max(report.applied.values()) <= 2


@settings(max_examples=15, deadline=None)
@given(
    shards=st.integers(1, 8), groups=st.integers(1, 3), window=st.integers(8, 64), spread=st.sampled_from([0.0, 1.0, 3.0]),
    delivery=st.floats(0.0, 2.0), fail_at=st.one_of(st.none(), st.floats(2.0, 25.0)), seed=st.integers(0, 1000),
)  # fmt: skip
def test_whatever_is_shuffled_or_killed_nothing_is_lost_and_order_holds(
    shards: int, groups: int, window: int, spread: float, delivery: float, fail_at: float | None, seed: int
) -> None:
    loop = LoopSettings(window=window, pull_limit=8, unacked=64)
    services = Services(delivery=delivery, spread=spread)
    plant = small(
        shards=shards, groups=min(groups, shards), loop=loop, services=services, fail_at=fail_at, seed=seed, dates=20, until=900.0
    )
    report = System(plant).run()
    assert is_whole(report, plant)
    for part in runs_of(report.order):
        assert part == list(range(part[0], part[-1] + 1))


def test_a_stage_holds_no_more_than_its_window_and_one_pull() -> None:
    loop = LoopSettings(window=16, pull_limit=8, unacked=64)
    plant = small(loop=loop, shards=8, groups=4, pace=50_000.0, services=Services(delivery=0.5, spread=2.0), dates=12, until=1500.0)
    report = System(plant).run()
    assert is_whole(report, plant)
    assert report.window_most <= 16 + 8


def test_the_simulator_keeps_its_lead_while_nobody_learns() -> None:
    plant = small(pace=20_000.0, lead=5.0, fail_at=2.0, restore=60.0, dates=None, until=60.0)
    report = System(plant).run()
    assert report.lag_most <= 6
    assert report.paused > 0.5


def test_one_trainer_learns_no_more_than_one_core_can() -> None:
    plant = small(pace=1e9, dates=None, until=60.0, warm_up=10.0, shards=2, checkpoint_bytes=(0.0, 0.0), lead=300.0, lead_from="status")
    report = System(plant).run()
    most = 1 / (RATES.take.seconds + RATES.close.seconds)
    assert report.rows_per_second <= most * 1.05
    assert report.rows_per_second > 0.5 * most


def test_a_short_lead_is_a_limit_of_its_own_because_checkpoints_tell_where_the_trainer_is() -> None:
    plant = small(pace=20_000.0, dates=None, until=120.0, warm_up=20.0)
    short, long = (System(replace(plant, lead=lead)).run() for lead in (10.0, 300.0))
    assert short.paused > long.paused
    assert short.rows_per_second < 0.7 * long.rows_per_second
    # A checkpoint comes every two seconds at most, and until the next one no more than the lead is published.
    assert short.rows_per_second <= (10.0 + 1.0) * plant.stations / plant.loop.checkpoint_min


def test_below_what_it_can_do_it_learns_what_is_asked() -> None:
    report = System(small(pace=5_000.0, dates=None, until=120.0, warm_up=20.0, lead=200.0)).run()
    assert report.rows_per_second == pytest.approx(5_000.0, rel=0.02)
    assert report.busy["trainer"] == pytest.approx(5_000.0 * 2.2e-5, rel=0.25)
    assert report.lag <= 2


def test_little_holds_from_the_topic_to_the_end_of_the_work() -> None:
    plant = small(pace=5_000.0, dates=200, until=300.0, warm_up=0.0)
    report = System(plant).run()
    spans = [(journey.published, journey.ended) for journey in report.journeys]
    events = sorted([(at, 1) for at, _ in spans] + [(at, -1) for _, at in spans])
    area = sum(
        count * (after[0] - at)
        for (at, _), after, count in zip(events, events[1:], itertools.accumulate(d for _, d in events), strict=False)
    )
    assert area == pytest.approx(sum(ended - published for published, ended in spans))


def test_a_standby_learns_only_when_the_lease_has_run_out() -> None:
    plant = small(pace=3_000.0, dates=None, until=120.0, warm_up=5.0, fail_at=30.0)
    report = System(plant).run()
    assert report.out is not None
    # Renewed up to 2 s before the kill; seen up to 2 s late; two seconds for the checkpoint, and its leases come back within 15 s.
    assert 8.0 + 2.0 <= report.out <= 12.0 + 2.0 + plant.loop.ack_deadline
    assert report.catch_up is not None
    assert report.catch_up >= report.out


def test_the_same_seed_gives_the_same_and_another_one_does_not() -> None:
    plant = small(fail_at=10.0)
    assert System(plant).run() == System(plant).run()
    assert System(plant).run() != System(replace(plant, seed=2)).run()


def test_the_soak_that_was_measured_comes_out_within_15_percent() -> None:
    report = System(cases.soak(FIGURES)).run()
    assert report.rows_per_second == pytest.approx(cases.SOAKED, rel=0.15)
    assert sum(report.busy.values()) <= 2.0


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"pace": 0.0}, "pace must be more than 0"), ({"groups": 9}, "not be more than shards"), ({"warm_up": 500.0}, "less than until")],
)
def test_a_plant_that_cannot_be_is_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        small(**changed)
