"""Station ids as numbers: order, shards, and the index of slots."""

from __future__ import annotations

import zlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thundercast.domain.stations import BAD_KEY, StationIndex, keys_of, shards_of, stations_of

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ids = st.text(ALPHABET, min_size=11, max_size=11)


@given(st.lists(ids))
def test_station_ids_survive_the_round_trip_through_keys(stations: list[str]) -> None:
    keys = keys_of(pa.array(stations, pa.string()))
    assert keys.dtype == np.int64
    assert stations_of(keys).to_pylist() == stations


@given(st.lists(ids, min_size=2))
def test_the_order_of_keys_is_the_order_of_ids(stations: list[str]) -> None:
    keys = keys_of(pa.array(stations))
    assert [stations[i] for i in np.argsort(keys, kind="stable")] == sorted(stations)
    assert (keys >= 0).all()


@given(st.lists(ids, min_size=1), st.integers(1, 4096))
def test_a_shard_is_the_crc32_of_the_id(stations: list[str], shards: int) -> None:
    found = shards_of(keys_of(pa.array(stations)), shards)
    assert found.tolist() == [zlib.crc32(s.encode()) % shards for s in stations]


@pytest.mark.parametrize(
    "text", [None, "", "7250901473", "725090147390", "7250901473a", "72509-14739", "7250901473 ", "725090147é", "７2509014739", "\x00" * 11]
)
def test_what_is_not_a_station_id_has_the_bad_key(text: str | None) -> None:
    assert keys_of(pa.array(["72509014739", text, "ZZZZZZZZZZZ"], pa.string())).tolist()[1] == BAD_KEY


@given(st.lists(st.one_of(st.none(), st.text(max_size=14), ids)), st.data())
def test_a_part_of_an_array_has_the_keys_of_that_part(texts: list[str | None], data: st.DataObject) -> None:
    whole = pa.array(texts, pa.string())
    start = data.draw(st.integers(0, len(texts)))
    assert np.array_equal(keys_of(whole.slice(start)), keys_of(whole)[start:])
    assert np.array_equal(keys_of(whole.cast(pa.large_string())), keys_of(whole))


def test_there_may_be_no_stations_at_all() -> None:
    assert keys_of(pa.array([], pa.string())).shape == (0,)
    assert stations_of(np.empty(0, np.int64)).to_pylist() == []
    assert StationIndex().find(np.array([5], np.int64)).tolist() == [-1]


@settings(max_examples=50)
@given(st.lists(st.lists(st.integers(0, 36**11 - 1), unique=True, max_size=60), max_size=12), st.integers(0, 11))
def test_the_index_is_a_dict_from_key_to_order_of_first_sight(batches: list[list[int]], restart: int) -> None:
    index, oracle = StationIndex(), dict[int, int]()
    for number, keys in enumerate(batches):
        if number == restart:
            index = StationIndex(index.keys)
        array = np.array(keys, np.int64)
        assert index.find(array).tolist() == [oracle.get(key, -1) for key in keys]
        slots = index.add(array)
        for key in keys:
            oracle.setdefault(key, len(oracle))
        assert slots.tolist() == [oracle[key] for key in keys]
        assert len(index) == len(oracle)
        assert index.keys.tolist() == list(oracle)


def test_the_index_grows_to_more_stations_than_there_are() -> None:
    keys = np.random.default_rng(0).permutation(np.arange(40_000, dtype=np.int64) * 36**4)
    index = StationIndex()
    for part in np.array_split(keys, 7):
        index.add(part)
    assert np.array_equal(index.find(keys), np.arange(40_000))
    assert (index.find(keys + 1) == -1).all()


def test_an_index_made_from_anothers_keys_leaves_the_other_alone() -> None:
    first = StationIndex(np.arange(10, dtype=np.int64))
    second = StationIndex(first.keys)
    second.add(np.array([77, 78], np.int64))
    first.add(np.array([99], np.int64))
    assert first.keys.tolist() == [*range(10), 99]
    assert second.keys.tolist() == [*range(10), 77, 78]
