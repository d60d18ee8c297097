"""The cleaner over whole streams: equal to a plain reference, causal, shardable, and the same after any restart."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thundercast.domain import runs
from thundercast.domain.arrays import BadState, pack, unpack
from thundercast.domain.cleaning import Cleaner
from thundercast.domain.rows import CleanRows
from thundercast.domain.schema import RAW_SCHEMA
from unit.domain.rawrows import Stream, assert_same_rows, batch_of, make_stream, of_shard, raw, state_bytes, stations
from unit.domain.reference_cleaner import ReferenceCleaner

START = dt.date(2021, 12, 5)
DAMAGE: list[dict[str, Any]] = [
    {"temp": -9999.0}, {"dewp": 90.0, "temp": 60.0}, {"min": 90.0, "max": 60.0}, {"thunder": 3}, {"hail": None}, {"station": "?"}, {"date": None},
    {"stp": 150.0}, {"prcp": 99999.9}, {"slp": None}, {"stp": 3.4}, {"lat": None}, {"temp": None, "slp": 9999.9}, {"lat": 0.0},
]  # fmt: skip


def plain(rows: CleanRows) -> list[dict[str, Any]]:
    return rows.to_arrow().to_pylist()  # type: ignore[no-any-return]


def spoilt(rows: pa.RecordBatch, rng: np.random.Generator, share: float) -> list[dict[str, Any]]:
    """Rows as dicts with damage and repeats, in any order."""
    found = rows.to_pylist()
    for row in found:
        if rng.random() < share:
            row |= DAMAGE[rng.integers(len(DAMAGE))]
    found += [dict(row) for row in found if rng.random() < share / 3]
    rng.shuffle(found)
    return found


@settings(max_examples=8)
@given(st.integers(0, 2**32), st.floats(0, 0.6), st.floats(0, 0.8), st.floats(0, 0.2), st.integers(1, 45))
def test_the_cleaner_is_equal_to_the_plain_reference(seed: int, missing: float, absent: float, damage: float, hole: int) -> None:
    stream = make_stream(26, 5, seed=seed, start=START, missing=missing, absent=absent)
    # A hole in the middle that may outlast the memory of 30 days, and the same time of the year once more.
    stream = stream[:9] + [(date + hole, rows) for date, rows in stream[9:18]] + [(date + 365 - 18, rows) for date, rows in stream[18:]]
    cleaner, reference = Cleaner(), ReferenceCleaner()
    rng = np.random.default_rng(seed)
    for date, rows in stream:
        day = runs.day(date)
        items = [row | {"date": day} for row in rows.to_pylist()]
        items = spoilt(pa.RecordBatch.from_pylist(items, schema=RAW_SCHEMA), rng, damage)
        done = cleaner.clean(batch_of(*items), date)
        wanted, rejected = reference.clean(items, day)
        found = plain(done.rows)
        for mine, theirs in zip(found, wanted, strict=True):
            assert mine == theirs
        assert len(done.dead_letters) == len(rejected)
        reasons: dict[str, list[set[str]]] = {}
        for row, why in rejected:
            reasons.setdefault(str(row["station"] or ""), []).append(why)
        for letter in done.dead_letters:
            assert any(letter.reason in why for why in reasons[letter.station])
        assert done.counts["rows_in"] == len(items) == len(found) + len(rejected)
        if items:
            assert done.counts["imputed"] == sum(row[name] is True for row in wanted for name in row if name.endswith("_imputed"))


def test_the_reference_knows_nulls() -> None:
    (row,), rejected = ReferenceCleaner().clean([raw(slp=9999.9)], raw()["date"])
    assert row["slp"] is None
    assert rejected == []
    assert math.isclose(row["temp"], 21.277778, rel_tol=1e-7)


def cleaned(stream: Stream) -> list[CleanRows]:
    cleaner = Cleaner()
    return [cleaner.clean(rows, date).rows for date, rows in stream]


@settings(max_examples=8)
@given(st.integers(0, 99), st.integers(0, 19))
def test_changing_the_future_changes_nothing_of_the_past(seed: int, now: int) -> None:
    stream, other = make_stream(20, 8, seed=seed), make_stream(20, 8, seed=seed + 1)
    changed = stream[: now + 1] + other[now + 1 :]
    for a, b in zip(cleaned(stream)[: now + 1], cleaned(changed)[: now + 1], strict=True):
        assert_same_rows(a, b)


@settings(max_examples=8)
@given(st.integers(0, 99), st.integers(0, 7))
def test_changing_another_station_changes_nothing(seed: int, number: int) -> None:
    stream = make_stream(33, 8, seed=seed)
    station = stations(8, seed)[number]
    alone = [(date, rows.filter(pc.equal(rows.column("station"), station))) for date, rows in stream]
    for (_, own), whole, single in zip(alone, cleaned(stream), cleaned(alone), strict=True):
        ids = whole.to_arrow().column("station").to_pylist()
        assert own.num_rows == len(single) == ids.count(station)
        if len(single):
            assert_same_rows(single, whole.take(np.array([ids.index(station)])))


@pytest.mark.parametrize("shards", [1, 16, 64])
def test_shards_change_no_row(shards: int) -> None:
    stream = make_stream(33, 80, seed=3)
    whole = cleaned(stream)
    cleaners = [Cleaner() for _ in range(shards)]
    for (date, rows), wanted in zip(stream, whole, strict=True):
        parts = [c.clean(of_shard(rows, i, shards), date, shard=i, shards=shards) for i, c in enumerate(cleaners)]
        assert not any(part.dead_letters for part in parts)
        assert_same_rows(CleanRows.joined([part.rows for part in parts]), wanted)


@pytest.mark.parametrize("rounds", [1, 7, 44])
def test_a_restored_cleaner_goes_on_as_if_it_had_never_stopped(rounds: int) -> None:
    stream = make_stream(45, 25, seed=5, absent=0.3)
    steady, restored = Cleaner(), Cleaner()
    for number, (date, rows) in enumerate(stream):
        if number % rounds == 0:
            state = state_bytes(restored)
            restored = Cleaner.from_arrays(unpack(state)[0])
            assert state_bytes(restored) == state
        wanted, found = steady.clean(rows, date), restored.clean(rows, date)
        assert_same_rows(found.rows, wanted.rows)
        assert found.counts == wanted.counts
    assert state_bytes(restored) == state_bytes(steady)


def test_a_restored_cleaner_remembers_its_date() -> None:
    (date, rows), *_ = make_stream(1)
    cleaner = Cleaner()
    cleaner.clean(rows, date)
    with pytest.raises(ValueError, match="in order"):
        Cleaner.from_arrays(unpack(state_bytes(cleaner))[0]).clean(rows, date)


def test_the_state_of_a_cleaner_that_has_seen_nothing_is_a_state() -> None:
    state = state_bytes(Cleaner())
    assert state_bytes(Cleaner.from_arrays(unpack(state)[0])) == state


def test_a_station_takes_less_than_three_kilobytes() -> None:
    (date, rows), *_ = make_stream(1, 200, absent=0)
    cleaner = Cleaner()
    empty = len(state_bytes(cleaner))
    cleaner.clean(rows, date)
    assert len(state_bytes(cleaner)) - empty < 3000 * 200


def test_new_stations_join_in_the_middle_of_a_stream_without_a_trace_on_the_others() -> None:
    late = 20
    stream = make_stream(35, 400, seed=8)
    newcomers = set(stations(400, 8)[::3] + stations(400, 8)[::7])

    def without(rows: pa.RecordBatch) -> pa.RecordBatch:
        return rows.filter(pa.array([s not in newcomers for s in rows.column("station").to_pylist()]))

    grown = cleaned([(date, without(rows) if i < late else rows) for i, (date, rows) in enumerate(stream)])
    settled = cleaned([(date, without(rows)) for date, rows in stream])
    for a, b in zip(grown, settled, strict=True):
        both = np.isin(a.key, b.key)
        assert_same_rows(a.take(np.flatnonzero(both)), b)
    first = grown[late].take(np.flatnonzero(~np.isin(grown[late].key, settled[late].key)))
    assert np.isnan(first.column("thunder_1d")).all()
    assert not first.imputed.any()


@pytest.mark.parametrize("name", ["version", "date", "keys", "last", "values", "month_sum", "month_rows", "labels", "days", "thunder_days"])
def test_a_damaged_state_is_refused(name: str) -> None:
    cleaner = Cleaner()
    for date, rows in make_stream(3):
        cleaner.clean(rows, date)
    state, _ = unpack(state_bytes(cleaner))
    assert set(state) == {"version", "date", "keys", "last", "values", "month_sum", "month_rows", "labels", "days", "thunder_days"}
    array = state[name]
    broken = [{k: v for k, v in state.items() if k != name}, state | {name: array[..., None].repeat(2, -1)}]
    if name not in ("version", "date"):
        broken += [state | {name: array[:-1]}, state | {name: array[:1]}, state | {name: array.astype(np.bool_)}]
    for parts in broken:
        with pytest.raises(BadState, match="cleaner's state"):
            Cleaner.from_arrays(parts)


def test_the_state_of_another_version_is_refused() -> None:
    with pytest.raises(BadState, match="version 2, this program reads 1: start a new run"):
        Cleaner.from_arrays(Cleaner().arrays() | {"version": np.array(2)})


def test_equal_pasts_have_equal_bytes_in_whatever_order_rows_came() -> None:
    rng = np.random.default_rng(0)
    first, second = Cleaner(), Cleaner()
    for date, rows in make_stream(12, 30):
        first.clean(rows, date)
        second.clean(rows.take(pa.array(rng.permutation(rows.num_rows))), date)
    assert state_bytes(first) == state_bytes(second)
    assert pack(first.arrays()) == state_bytes(first)
