"""Named arrays to bytes: canonical, exact, and closed to anything else."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from thundercast.domain.arrays import MAGIC, BadState, nest, pack, part, unpack
from unit.domain.damage import Changes, changes, damaged

dtypes = st.sampled_from(["?", "i1", "u1", "<i2", "<u2", "<i4", "<i8", ">i8", "<f2", "<f4", "<f8", ">f4", "S1", "S7"])
some_arrays = dtypes.flatmap(lambda kind: npst.arrays(kind, npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)))
named = st.dictionaries(st.text(max_size=6), some_arrays, max_size=4)
metadata = st.dictionaries(
    st.text(max_size=4),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)
SAMPLE = pack(
    {"a": np.arange(6.0).reshape(2, 3), "b/c": np.array([True]), "d": np.array([b"US", b""]), "e": np.int64(7)}, {"v": 1, "é": [0.1]}
)
HEADER = len(MAGIC) + 8


def headed(header: Any, rest: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    return MAGIC + len(text).to_bytes(8, "little") + text + rest


@given(named, metadata)
def test_arrays_and_metadata_survive_the_round_trip(arrays: dict[str, npt.NDArray[Any]], meta: dict[str, Any]) -> None:
    found, found_meta = unpack(pack(arrays, meta))
    assert found_meta == meta
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].shape == array.shape
        assert found[name].dtype == array.dtype.newbyteorder("<")
        assert found[name].tobytes() == array.astype(array.dtype.newbyteorder("<")).tobytes()


@given(named, metadata, st.randoms())
def test_equal_states_have_equal_bytes(arrays: dict[str, npt.NDArray[Any]], meta: dict[str, Any], random: Any) -> None:
    names = list(arrays)
    random.shuffle(names)
    again = {name: np.asfortranarray(arrays[name].astype(arrays[name].dtype.newbyteorder(">"))) for name in names}
    again = {name: array.reshape(arrays[name].shape) for name, array in again.items()}
    assert pack(again, dict(reversed(meta.items()))) == pack(arrays, meta)


def test_what_was_unpacked_may_be_written_to_and_is_a_copy() -> None:
    data = bytearray(SAMPLE)
    arrays, _ = unpack(bytes(data))
    arrays["a"][0, 0] = 99
    assert unpack(bytes(data))[0]["a"][0, 0] == 0


@pytest.mark.parametrize("array", [np.array([{}]), np.array(["text"]), np.array([1j]), np.array(["2022-01-01"], "M8[D]")])
def test_arrays_without_canonical_bytes_are_refused(array: npt.NDArray[Any]) -> None:
    with pytest.raises(TypeError, match="'x' has dtype"):
        pack({"x": array})


def test_metadata_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        pack({}, {"score": float("nan")})


@pytest.mark.parametrize("size", [0, 5, len(MAGIC), len(MAGIC) + 4, HEADER, HEADER + 20, len(SAMPLE) - 30, len(SAMPLE) - 1])
def test_a_state_that_is_cut_off_is_refused(size: int) -> None:
    with pytest.raises(BadState):
        unpack(SAMPLE[:size])


def test_a_state_that_is_too_long_is_refused() -> None:
    with pytest.raises(BadState, match="3 bytes too many"):
        unpack(SAMPLE + b"abc")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", MAGIC.replace(b"1", b"2"), pickle.dumps({"a": 1}), b"{}"])
def test_another_format_is_refused(data: bytes) -> None:
    with pytest.raises(BadState, match="thundercast-arrays/1"):
        unpack(data)


@pytest.mark.parametrize(
    "entry",
    [
        ["<f8", [2**40]], ["<f8", [2**62, 2**62]], ["<f8", [2**32, 2**32]], ["|u1", [10**30]], ["<f8", [0, 10**30]], ["<f8", [0, 2**62, 2**62]],
        ["<f8", [-1]], ["<f8", [1.0]], ["<f8", [True]], ["<f8", "1"], ["<f8", [1] * 70], ["|O", [1]], ["<V8", [1]], ["<f8,<f8", [1]], ["f8", [1]],
        [">f8", [1]], ["|S0", [1]], ["<M8[D]", [1]], ["<f7", [1]], ["", []], [None, []], ["<f8"], [], None, 5, "ab", ["<f8", [1], 3],
    ],
)  # fmt: skip
def test_arrays_that_cannot_be_are_refused_before_anything_is_allocated(entry: Any) -> None:
    with pytest.raises(BadState):
        unpack(headed({"arrays": {"x": entry}, "meta": {}}, b"\0" * 8))


@pytest.mark.parametrize(
    "header",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe", {"arrays": {}}, {"meta": {}}, {"arrays": [], "meta": {}}, {"arrays": {}, "meta": []},
        {"arrays": {}, "meta": [["a", 1]]}, {"arrays": {}, "meta": {}, "more": 1}, b'{"arrays": {}, "meta": {}}',
        b'{"arrays":{},"meta":{"x":NaN}}', b'{"arrays":{},"meta":{"x":' + b"9" * 5000 + b"}}", b"[" * 100_000,
        b'{"arrays":{},"meta":{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
    ],
    ids=str,
)  # fmt: skip
def test_a_header_that_was_not_written_so_is_refused(header: Any) -> None:
    with pytest.raises(BadState):
        unpack(headed(header))


@settings(max_examples=400)
@given(changes(len(SAMPLE)))
def test_whatever_happens_to_the_bytes_they_are_a_state_or_refused(found: Changes) -> None:
    data = damaged(SAMPLE, found)
    try:
        arrays, meta = unpack(data)
    except BadState:
        return
    assert pack(arrays, meta) == data


@given(st.binary(max_size=300))
def test_noise_behind_the_magic_is_refused(noise: bytes) -> None:
    with pytest.raises(BadState):
        unpack(MAGIC + noise)


paths = st.text("ab/", min_size=1, max_size=4)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), st.lists(paths, unique=True, min_size=1, max_size=3), max_size=4))
def test_a_part_is_what_was_nested(names: dict[str, list[str]]) -> None:
    parts = {name: {path: np.array(i) for i, path in enumerate(own)} for name, own in names.items()}
    whole = nest(parts)
    for name, arrays in parts.items():
        found = part(whole, name)
        assert found.keys() == arrays.keys()
        assert all(found[key] is arrays[key] for key in arrays)
    assert part(whole, "nothing") == {}
