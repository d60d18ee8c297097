"""Who follows the clean rows holds the histories of the cleaner that made them, bit for bit, and can make each row once more."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thundercast.domain.arrays import BadState, pack
from thundercast.domain.cleaning import Cleaner, Follower
from thundercast.domain.rows import CleanRows
from thundercast.domain.schema import CLEAN_VALUES, IMPUTABLE, MEASUREMENTS, RAW_SCHEMA
from thundercast.domain.stations import keys_of
from unit.domain.rawrows import assert_same_rows, make_stream, of_shard


def canonical(arrays: dict[str, np.ndarray]) -> dict[str, bytes]:
    """Histories by station in order of their keys, whatever the slots."""
    order = np.argsort(arrays["keys"])
    return {name: pack({"a": array[order]}) for name, array in arrays.items() if name not in ("version", "date")}


@settings(max_examples=8)
@given(st.integers(0, 2**32), st.floats(0, 0.6), st.floats(0, 0.8), st.integers(1, 45))
def test_the_histories_are_those_of_the_cleaner(seed: int, missing: float, absent: float, hole: int) -> None:
    stream = make_stream(70, 5, seed=seed, missing=missing, absent=absent)
    stream = stream[:40] + [(date + hole, rows) for date, rows in stream[40:]]
    cleaner, follower = Cleaner(), Follower()
    for date, rows in stream:
        moved = pa.array(np.full(rows.num_rows, date, np.int32)).cast(pa.date32())
        rows = rows.set_column(RAW_SCHEMA.get_field_index("date"), "date", moved)
        follower.absorb(cleaner.clean(rows, date).rows)
    assert canonical(follower.history()) == canonical(cleaner.arrays())


@pytest.mark.parametrize("dates", [1, 2, 33, 47])
@pytest.mark.parametrize("restored", [False, True])
def test_the_next_row_and_the_last_row_once_more_are_those_of_the_stream(dates: int, restored: bool) -> None:
    stream = make_stream(dates + 1, 40, absent=0.3)
    cleaner, follower = Cleaner(), Follower()
    made: list[CleanRows] = []
    for date, rows in stream[:-1]:
        made.append(cleaner.clean(rows, date).rows)
        follower.absorb(made[-1])
    if restored:
        follower = Follower.from_arrays(follower.arrays())
    before = pack(follower.arrays())
    last, raw = stream[-2]
    known = follower.index.find(keys_of(raw.column("station")))
    assert_same_rows(follower.cleaner(known, last).clean(raw, last).rows, made[-1])
    date, raw = stream[-1]
    slots = follower.index.find(keys_of(raw.column("station")))
    wanted = cleaner.clean(raw, date).rows
    assert_same_rows(follower.cleaner(slots[slots >= 0], date).clean(raw, date).rows, wanted)
    # Of some of the stations alone it is the same: nothing of another one is in a row.
    some = wanted.take(np.arange(0, len(wanted), 3))
    few = raw.take(np.arange(0, len(wanted), 3))
    slots = follower.index.find(some.key)
    assert_same_rows(follower.cleaner(slots[slots >= 0], date).clean(few, date).rows, some)
    assert pack(follower.arrays()) == before, "asking changed the histories"


def test_the_order_in_which_shards_come_changes_no_history() -> None:
    one, other = Follower(), Follower()
    for date, rows in make_stream(10, 30):
        parts = [Cleaner().clean(of_shard(rows, shard, 4), date).rows for shard in range(4)]
        one.absorb(CleanRows.joined(parts))
        for part in reversed(parts):
            other.absorb(part)
    assert canonical(one.history()) == canonical(other.history())


def test_a_label_that_is_not_known_counts_for_nothing() -> None:
    follower = Follower()
    (date, raw), *_ = make_stream(1, 8, absent=0.0)
    rows = Cleaner().clean(raw, date).rows
    rows.label[:] = -1
    follower.absorb(rows)
    again = follower.cleaner(follower.index.find(rows.key), date).clean(raw, date).rows
    np.testing.assert_array_equal(again.values, rows.values)
    assert follower.history()["days"].tolist() == [0] * len(rows)


@pytest.mark.parametrize("name", ["version", "history/keys", "history/values", "replaced/labels"])
def test_a_damaged_state_is_refused(name: str) -> None:
    follower = Follower()
    (date, raw), *_ = make_stream(1, 4)
    follower.absorb(Cleaner().clean(raw, date).rows)
    arrays = follower.arrays()
    arrays[name] = np.zeros(3)
    with pytest.raises(BadState):
        Follower.from_arrays(arrays)
    del arrays[name]
    with pytest.raises(BadState):
        Follower.from_arrays(arrays)


def test_the_clean_values_begin_with_the_measurements_and_these_with_what_may_be_imputed() -> None:
    """The follower relies on it."""
    names = [name for name, _, _ in CLEAN_VALUES]
    assert names[: len(MEASUREMENTS)] == [m.clean for m in MEASUREMENTS]
    assert names[: len(IMPUTABLE)] == list(IMPUTABLE)
