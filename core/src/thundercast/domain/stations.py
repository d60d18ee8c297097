"""Station ids as order-preserving integers, their shard, and a compiled id -> slot index.

A station id is eleven characters 0-9A-Z (USAF + WBAN). Read as a base-36 number it fits an int64, and the
order of the numbers is the order of the texts, so a batch sorted by key is sorted by station id.
"""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

LENGTH: Final = 11
BAD_KEY: Final = -1
"""The key of a text that is not a station id."""

Keys = npt.NDArray[np.int64]


def _crc_table() -> npt.NDArray[np.uint32]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, np.uint32(0xEDB88320) ^ (table >> 1), table >> 1).astype(np.uint32)
    return table


_CRC: Final = _crc_table()


@nb.njit(cache=True, nogil=True)
def _keys_of_text(data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int32]) -> Keys:
    keys = np.empty(len(offsets) - 1, np.int64)
    for i in range(len(keys)):
        key = np.int64(0)
        if offsets[i + 1] - offsets[i] != LENGTH:
            key = np.int64(BAD_KEY)
        else:
            for j in range(offsets[i], offsets[i + 1]):
                c = data[j]
                if 48 <= c <= 57:
                    key = key * 36 + (c - 48)
                elif 65 <= c <= 90:
                    key = key * 36 + (c - 55)
                else:
                    key = np.int64(BAD_KEY)
                    break
        keys[i] = key
    return keys


@nb.njit(cache=True, nogil=True)
def _text_of_keys(keys: Keys) -> npt.NDArray[np.uint8]:
    text = np.empty((len(keys), LENGTH), np.uint8)
    for i in range(len(keys)):
        key = keys[i]
        for j in range(LENGTH - 1, -1, -1):
            digit = key % 36
            text[i, j] = digit + (48 if digit < 10 else 55)
            key //= 36
    return text


@nb.njit(cache=True, nogil=True)
def _shards(text: npt.NDArray[np.uint8], shards: int, table: npt.NDArray[np.uint32]) -> npt.NDArray[np.int32]:
    out = np.empty(len(text), np.int32)
    for i in range(len(text)):
        crc = np.uint32(0xFFFFFFFF)
        for j in range(text.shape[1]):
            crc = table[(crc ^ text[i, j]) & np.uint32(0xFF)] ^ (crc >> np.uint32(8))
        out[i] = np.int32((crc ^ np.uint32(0xFFFFFFFF)) % np.uint32(shards))
    return out


def keys_of(stations: pa.Array) -> Keys:
    """int64 keys of station ids; `BAD_KEY` where the text is null or is not eleven characters 0-9A-Z."""
    array = stations.cast(pa.string()).fill_null("")
    if array.offset:
        array = pa.concat_arrays([array])
    if len(array) == 0:
        return np.empty(0, np.int64)
    _, offsets, data = array.buffers()
    text = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    keys: Keys = _keys_of_text(text, np.frombuffer(offsets, np.int32)[: len(array) + 1])
    return keys


def stations_of(keys: Keys) -> pa.Array:
    """The station ids of valid keys, as an Arrow string array."""
    text = np.ascontiguousarray(_text_of_keys(keys))
    offsets = np.arange(len(keys) + 1, dtype=np.int32) * LENGTH
    return pa.StringArray.from_buffers(len(keys), pa.py_buffer(offsets), pa.py_buffer(text))


def shards_of(keys: Keys, shards: int) -> npt.NDArray[np.int32]:
    """``crc32(station id) % shards`` of each key (the CRC of zlib, over the ASCII text)."""
    numbers: npt.NDArray[np.int32] = _shards(_text_of_keys(keys), shards, _CRC)
    return numbers


@nb.njit(cache=True, nogil=True)
def _insert(table: npt.NDArray[np.int32], key: int, slot: int) -> None:
    mask = len(table) - 1
    at = (key * np.int64(-7046029254386353131) >> np.int64(20)) & mask
    while table[at] >= 0:
        at = (at + 1) & mask
    table[at] = slot


@nb.njit(cache=True, nogil=True)
def _find(table: npt.NDArray[np.int32], stored: Keys, keys: Keys) -> npt.NDArray[np.int32]:
    mask = len(table) - 1
    out = np.empty(len(keys), np.int32)
    for i in range(len(keys)):
        at = (keys[i] * np.int64(-7046029254386353131) >> np.int64(20)) & mask
        while table[at] >= 0 and stored[table[at]] != keys[i]:
            at = (at + 1) & mask
        out[i] = table[at]
    return out


@nb.njit(cache=True, nogil=True)
def _fill(table: npt.NDArray[np.int32], stored: Keys, start: int, stop: int) -> None:
    for slot in range(start, stop):
        _insert(table, stored[slot], slot)


class StationIndex:
    """Gives each station a slot 0, 1, 2, … in the order of first sight. Its state is the keys in that order."""

    __slots__ = ("_count", "_stored", "_table")

    def __init__(self, keys: Keys | None = None) -> None:
        stored = np.empty(0, np.int64) if keys is None else np.ascontiguousarray(keys, np.int64)
        self._count = len(stored)
        self._stored = stored
        self._table = np.full(16, -1, np.int32)
        self._grow(self._count)

    def __len__(self) -> int:
        return self._count

    @property
    def keys(self) -> Keys:
        """The keys by slot."""
        return self._stored[: self._count]

    def _grow(self, need: int) -> None:
        if need > len(self._stored):
            stored = np.empty(max(need, 2 * len(self._stored), 64), np.int64)
            stored[: self._count] = self._stored[: self._count]
            self._stored = stored
        if 2 * need >= len(self._table):
            size = 16
            while size < 4 * need:
                size *= 2
            self._table = np.full(size, -1, np.int32)
            _fill(self._table, self._stored, 0, self._count)
        elif self._count and self._table.max() < 0:
            _fill(self._table, self._stored, 0, self._count)

    def find(self, keys: Keys) -> npt.NDArray[np.int32]:
        """Slots of the keys; -1 where a key is not known."""
        slots: npt.NDArray[np.int32] = _find(self._table, self._stored, keys)
        return slots

    def add(self, keys: Keys) -> npt.NDArray[np.int32]:
        """Slots of the keys; unknown ones get new slots, in the order given. Keys must be distinct."""
        slots = self.find(keys)
        new = slots < 0
        count = int(np.count_nonzero(new))
        if count:
            self._grow(self._count + count)
            self._stored[self._count : self._count + count] = keys[new]
            _fill(self._table, self._stored, self._count, self._count + count)
            slots[new] = np.arange(self._count, self._count + count, dtype=np.int32)
            self._count += count
        return slots
