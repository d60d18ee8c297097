"""The station-by-month climatology: causal, shrunk, compact."""

from __future__ import annotations

import datetime as dt
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thundercast.domain.arrays import BadState
from thundercast.domain.rows import UNKNOWN, CleanRows
from thundercast.domain.runs import day, ordinal
from thundercast.domain.scores.climatology import Climatology

START = ordinal(dt.date(2023, 1, 20))


def rows_of(date: int, keys) -> CleanRows:
    rows = CleanRows.empty(date)
    rows.key = np.array(sorted(keys), np.int64)
    return rows


class Slow:
    """The formula of the module, over counters."""

    def __init__(self) -> None:
        self.n: Counter = Counter()
        self.pos: Counter = Counter()

    def rate(self, station: int, month: int) -> float:
        base = (self.pos["all"] + 0.5) / (self.n["all"] + 10)
        monthly = (self.pos[month] + 50 * base) / (self.n[month] + 50)
        return (self.pos[station, month] + 10 * monthly) / (self.n[station, month] + 10)

    def learn(self, station: int, month: int, label: int) -> None:
        for cell in ("all", month, (station, month)):
            self.n[cell] += 1
            self.pos[cell] += label


def stream(seed: int, dates: int, stations: int):
    """Rows and labels of some dates; stations come and go, some labels are unknown."""
    rng = np.random.default_rng(seed)
    for date in range(START, START + dates):
        rows = rows_of(date, rng.choice(stations, rng.integers(0, stations + 1), replace=False) * 7919)
        yield rows, np.where(rng.random(len(rows)) < 0.1, UNKNOWN, rng.random(len(rows)) < 0.3).astype(np.int8)


@pytest.mark.parametrize(("task", "ahead"), [("nowcast", 0), ("dayahead", 1)])
def test_rates_equal_the_formula_over_the_labels_of_earlier_dates_in_the_month_of_the_label(task, ahead) -> None:
    model, slow = Climatology(task), Slow()
    for rows, labels in stream(1, 60, 90):
        month = day(rows.date + ahead).month
        expected = [slow.rate(key, month) for key in rows.key.tolist()]
        assert model.predict(rows) == pytest.approx(expected, rel=1e-14)
        model.learn(rows, labels)
        model.close_date(rows.date)
        for key, label in zip(rows.key.tolist(), labels.tolist(), strict=True):
            if label != UNKNOWN:
                slow.learn(key, month, label)
    assert len({m for m in slow.n if isinstance(m, int)}) == 3


def test_on_the_last_of_a_month_the_day_ahead_rate_is_that_of_the_next_month() -> None:
    july = rows_of(ordinal(dt.date(2023, 7, 30)), [1])
    last = rows_of(ordinal(dt.date(2023, 7, 31)), [1])
    model = Climatology("dayahead")
    model.learn(july, np.array([1], np.int8))
    in_july, in_august = model.predict(july)[0], model.predict(last)[0]
    assert in_july > in_august


def test_labels_of_a_date_do_not_change_its_own_rates_and_change_the_next_ones() -> None:
    rows = rows_of(START, range(50))
    said = []
    for label in (0, 1):
        model = Climatology("nowcast")
        before = model.predict(rows)
        model.learn(rows, np.full(50, label, np.int8))
        said.append((before, model.predict(rows_of(START + 1, range(50)))))
    assert np.array_equal(said[0][0], said[1][0])
    assert (said[0][1] < said[1][1]).all()


@given(split=st.integers(0, 40))
def test_rates_do_not_depend_on_how_a_date_is_split_into_calls(split: int) -> None:
    model = Climatology("nowcast")
    for rows, labels in stream(2, 5, 40):
        model.learn(rows, labels)
    keys = range(0, 40 * 7919, 7919)
    parts = [model.predict(rows_of(START + 5, part)) for part in (keys[:split], keys[split:])]
    assert np.array_equal(model.predict(rows_of(START + 5, keys)), np.concatenate(parts))


def test_rates_are_strictly_between_zero_and_one_from_the_first_row_on() -> None:
    model = Climatology("nowcast")
    rows = rows_of(START, range(20))
    for label in (0, 1):
        for _ in range(200):
            rates = model.predict(rows)
            assert ((rates > 0) & (rates < 1)).all()
            model.learn(rows, np.full(20, label, np.int8))


@pytest.mark.parametrize("cut", [0, 1, 17])
def test_going_on_from_the_state_gives_the_same_rates_and_the_same_bytes(cut: int) -> None:
    straight, stopped = Climatology("nowcast"), Climatology("nowcast")
    for i, (rows, labels) in enumerate(stream(3, 30, 70)):
        if i == cut:
            fresh = Climatology("nowcast")
            fresh.from_bytes(stopped.to_bytes())
            stopped = fresh
        assert np.array_equal(straight.predict(rows), stopped.predict(rows))
        for model in (straight, stopped):
            model.learn(rows, labels)
            model.close_date(rows.date)
    assert straight.to_bytes() == stopped.to_bytes()


def test_the_state_takes_56_bytes_a_station() -> None:
    model = Climatology("nowcast")
    sizes = []
    for stations in (1_000, 3_000):
        model.learn(rows_of(START, range(stations)), np.zeros(stations, np.int8))
        sizes.append(len(model.to_bytes()))
    assert sizes[1] - sizes[0] == pytest.approx(2_000 * 56, abs=10)


def test_the_state_of_the_other_task_is_refused() -> None:
    with pytest.raises(BadState, match="dayahead"):
        Climatology("nowcast").from_bytes(Climatology("dayahead").to_bytes())
