"""Champions and drifts: against a slow reference, and by what they promise on streams whose truth is known."""

from __future__ import annotations

import datetime as dt
import json
import math
import statistics
from typing import Any

import numpy as np
import pytest
import scipy.stats

from thundercast.domain.arrays import BadState, pack
from thundercast.domain.scores import tally, watch
from thundercast.domain.scores.watch import Watch

NAMES = ("first", "second", "climatology")
FIRST = 20_000
Days = np.ndarray
"""float64[days, models, WIDTH]."""


def days(count: int, seed: int, *, brier: tuple[float, ...] = (40, 40, 47), told: float = 1.0, since: int = 10**9) -> Days:
    """Days of 1,000 rows; from ``since`` on the first model says ``told`` times what happens."""
    rng = np.random.default_rng(seed)
    sums = np.zeros((count, len(NAMES), tally.WIDTH))
    weather = rng.gamma(10, 5, count)
    happened = rng.poisson(weather)
    sums[:, :, tally.ROWS], sums[:, :, tally.POSITIVES] = 1000, happened[:, None]
    # One day's weather makes all models' scores: only the differences are the models'.
    sums[:, :, tally.BRIER] = rng.normal(0, 10, (count, 1)) + rng.normal(brier, 2, (count, len(NAMES)))
    said = weather[:, None] * np.ones(len(NAMES))
    said[since:, 0] *= told
    for decile in range(tally.DECILES):
        sums[:, :, tally.RELIABILITY + 3 * decile + 1] = said / tally.DECILES
    return sums


def watched(sums: Days, of: Watch | None = None) -> tuple[Watch, list[dict[str, Any]]]:
    found = of or Watch("nowcast", NAMES)
    return found, [event | json.loads(event["detail"]) for i, day in enumerate(sums) for event in found.close(FIRST + i, day)]


def date(number: int) -> str:
    return (dt.date(1970, 1, 1) + dt.timedelta(FIRST + number)).isoformat()


# --- the reference ----------------------------------------------------------------------------------------


def drifts(sums: Days, m: int) -> list[tuple[int, str, int]]:
    """(day, direction, day since which) from whole lists, anew for each day."""
    x = [math.log((day[m, tally.POSITIVES] + 0.5) / (day[m, tally.RELIABILITY + 1 :: 3].sum() + 0.5)) for day in sums]
    found, start = [], 0
    for i in range(len(x)):
        walks = {}
        for direction, sign in (("more", 1), ("less", -1)):
            total, since = 0.0, i
            for j in range(start + watch.WARM, i + 1):
                past = x[start:j]
                z = max(-watch.CLIP, min(watch.CLIP, (x[j] - statistics.fmean(past)) / statistics.stdev(past)))
                since = j if total == 0.0 else since
                total = max(0.0, total + sign * z - watch.SLACK)
            walks[direction] = (total, since)
        for direction, (total, since) in walks.items():
            if total > watch.LIMIT:
                found.append((i, direction, since))
                start = i + 1
                break
    return found


def champions(sums: Days) -> list[tuple[int, str]]:
    """(day, name), by scipy's paired test on the blocks' means."""
    found, leads, start = [], 0, 0
    for i in range(len(sums)):
        if i + 1 - start < watch.BLOCK * watch.BLOCKS:
            continue
        blocks = sums[start : i + 1, :, tally.BRIER].reshape(watch.BLOCKS, watch.BLOCK, -1).sum(axis=1) / (1000 * watch.BLOCK)
        tests = {m: scipy.stats.ttest_rel(blocks[:, leads], blocks[:, m], alternative="greater") for m in (0, 1) if m != leads}
        better = [m for m, test in tests.items() if test.statistic > watch.T]
        start = i + 1 if better else start + watch.BLOCK
        if better:
            leads = better[0]
            found.append((i, NAMES[leads]))
    return found


@pytest.mark.parametrize(("told", "seed"), [(0.4, 1), (2.5, 2), (1.0, 3)])
def test_drifts_are_those_of_the_slow_reference(told: float, seed: int) -> None:
    given = days(260 if told != 1.0 else 140, seed, told=told, since=120)
    _, events = watched(given)
    found = [(e["date"], e["happens"], e["since"]) for e in events if e["event"] == "drift" and e["model_name"] == "first"]
    assert found == [(date(i), direction, date(since)) for i, direction, since in drifts(given, 0)]
    assert bool(found) == (told != 1.0)


@pytest.mark.parametrize("seed", range(3))
def test_champions_are_those_of_the_paired_test(seed: int) -> None:
    given = np.concatenate([days(200, seed, brier=(40, 38, 47)), days(300, seed + 10, brier=(38, 40, 47))])
    _, events = watched(given)
    found = [(e["date"], e["model_name"]) for e in events if e["event"] == "champion"]
    assert found == [(date(i), name) for i, name in champions(given)]
    assert [name for _, name in found] == ["second", "first"]


def test_the_level_is_one_in_a_thousand() -> None:
    assert scipy.stats.t.sf(watch.T, watch.BLOCKS - 1) == pytest.approx(0.001, rel=0.01)


# --- promises ---------------------------------------------------------------------------------------------


def test_models_that_are_alike_change_places_rarely_and_what_fits_does_not_drift() -> None:
    """Twenty streams of three years each, with 98 looks of one in a thousand at the champion: 2 changes are to be expected."""
    events = [event for seed in range(20) for event in watched(days(1_095, seed))[1]]
    assert sum(event["event"] == "champion" for event in events) <= 5
    assert sum(event["event"] == "drift" for event in events) <= 1


@pytest.mark.parametrize(("told", "happens"), [(0.5, "more"), (2.0, "less")])
def test_a_model_that_says_half_or_double_drifts_within_weeks_and_tells_since_when(told: float, happens: str) -> None:
    for seed in range(10):
        _, events = watched(days(260, seed, told=told, since=200))
        (first,) = [e for e in events if e["event"] == "drift" and e["date"] >= date(200)][:1]
        assert (first["model_name"], first["happens"]) == ("first", happens)
        assert first["date"] <= date(220)
        assert date(190) <= first["since"] <= date(202)


def test_the_baseline_neither_leads_nor_drifts() -> None:
    given = days(400, 5, brier=(40, 40, 20))
    given[200:, 2, tally.RELIABILITY + 1 :: 3] *= 3
    found, events = watched(given)
    assert events == []
    assert set(found.drifts()) == {"first", "second"}


def test_who_leads_is_left_alone_for_twelve_blocks_after_a_change() -> None:
    given = np.concatenate([days(120, 1, brier=(44, 36, 47)), days(119, 2, brier=(30, 50, 47)), days(1, 3, brier=(30, 50, 47))])
    _, events = watched(given)
    assert [(e["date"], e["model_name"], e["instead_of"]) for e in events if e["event"] == "champion"] == [
        (date(119), "second", "first"),
        (date(239), "first", "second"),
    ]


def test_a_date_without_rows_is_passed_over() -> None:
    given = days(240, 4, brier=(40, 37, 47))
    empty = np.zeros_like(given[:1])
    with_gaps = np.concatenate([part for day in given for part in (day[None], empty)])
    _, events = watched(given)
    _, gapped = watched(with_gaps)
    assert [(e["event"], e["model_name"]) for e in events] == [(e["event"], e["model_name"]) for e in gapped] != []


def test_a_watch_that_is_restored_anywhere_goes_on_as_if_nothing_had_been() -> None:
    given = np.concatenate([days(250, 6, brier=(44, 36, 47)), days(80, 7, told=0.3, since=0)])
    whole, events = watched(given)
    assert {e["event"] for e in events} == {"drift", "champion"}
    for cut in (0, 1, 59, 60, 61, 119, 120, 121, 255, 262, 329):
        before, first = watched(given[:cut])
        after = Watch("nowcast", NAMES)
        after.restore(before.arrays())
        rest = [e | json.loads(e["detail"]) for i, day in enumerate(given[cut:]) for e in after.close(FIRST + cut + i, day)]
        assert first + rest == events
        assert pack(after.arrays()) == pack(whole.arrays())
        assert (after.champion, after.drifts()) == (whole.champion, whole.drifts())


def test_a_state_of_other_models_or_another_version_is_refused() -> None:
    state = Watch("nowcast", NAMES).arrays()
    with pytest.raises(BadState, match="start a new run"):
        Watch("nowcast", NAMES[1:]).restore(state)
    with pytest.raises(BadState, match="version 7"):
        Watch("nowcast", NAMES).restore(state | {"version": np.array(7)})
    with pytest.raises(BadState, match="version None"):
        Watch("nowcast", NAMES).restore({})
