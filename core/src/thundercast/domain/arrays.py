"""Named arrays to bytes and back: the one format of every state that is kept.

The bytes are canonical: equal arrays and metadata give equal bytes on every machine. Layout: the magic line,
the length of the header (8 bytes, little endian), the header (JSON with sorted keys), then each array's
bytes in the order of their names, little endian, C order. No pickle anywhere.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

MAGIC: Final = b"thundercast-arrays/1\n"
_KINDS: Final = "biufS"
_DTYPE: Final = re.compile(rf"[<|][{_KINDS}][1-9][0-9]*")

Arrays = dict[str, npt.NDArray[Any]]


class BadState(ValueError):
    """The bytes are not a state that this version can read; the message says which and why."""


def pack(arrays: Mapping[str, npt.NDArray[Any]], meta: Mapping[str, Any] | None = None) -> bytes:
    """The canonical bytes of named arrays (bool, int, float or bytes dtypes) and JSON metadata."""
    entries, chunks = {}, []
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        if array.dtype.kind not in _KINDS:
            raise TypeError(f"array {name!r} has dtype {array.dtype}, which has no canonical bytes")
        array = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).reshape(array.shape)
        entries[name] = [array.dtype.str, list(array.shape)]
        chunks.append(array.tobytes())
    header = _header(entries, dict(meta or {}))
    return b"".join([MAGIC, len(header).to_bytes(8, "little"), header, *chunks])


def unpack(data: bytes | memoryview) -> tuple[Arrays, dict[str, Any]]:
    """The arrays (writable copies) and metadata of `pack`.

    Raises:
        BadState: the bytes are truncated, too long, in another format, or not what `pack` would have written. No memory is
            taken for an array before its bytes are known to be there.
    """
    view = memoryview(data)
    if bytes(view[: len(MAGIC)]) != MAGIC:
        raise BadState(f"not a {MAGIC.decode().strip()} state: it starts with {bytes(view[:20])!r}")
    at = len(MAGIC) + 8
    size = int.from_bytes(view[len(MAGIC) : at], "little")
    written = bytes(view[at : at + size])
    try:
        header = json.loads(written)
        meta = dict(header["meta"])
        entries = {name: _entry(*entry) for name, entry in sorted(header["arrays"].items())}
        canonical = _header(header["arrays"], meta) == written
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadState(f"the header of the state cannot be read: {error}") from error
    if not canonical:
        raise BadState("the header of the state is not as it was written")
    at += size
    arrays: Arrays = {}
    for name, (kind, shape) in entries.items():
        length = kind.itemsize * math.prod(shape)
        if at + length > len(view):
            raise BadState(f"the state is cut off in array {name!r}: {len(view)} bytes, {at + length} needed")
        try:
            arrays[name] = np.frombuffer(view[at : at + length], kind).reshape(shape).copy()
        except (ValueError, OverflowError) as error:
            raise BadState(f"array {name!r} of the state cannot have shape {shape}: {error}") from error
        at += length
    if at != len(view):
        raise BadState(f"the state has {len(view) - at} bytes too many")
    return arrays, meta


def _header(entries: Mapping[str, Any], meta: Mapping[str, Any]) -> bytes:
    return json.dumps({"arrays": entries, "meta": meta}, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _entry(kind: str, shape: list[int]) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Type and shape of an array, as `pack` writes them and in no other spelling: equal states have equal bytes."""
    dtype = np.dtype(kind) if _DTYPE.fullmatch(kind) else None
    if dtype is None or dtype.str != kind or any(type(length) is not int or length < 0 for length in shape):
        raise ValueError(f"no array has type {kind!r} and shape {shape!r}")
    return dtype, tuple(shape)


def nest(parts: Mapping[str, Arrays]) -> Arrays:
    """``{"a": {"x": …}}`` as ``{"a/x": …}``."""
    return {f"{part}/{name}": array for part, arrays in parts.items() for name, array in arrays.items()}


def part(arrays: Mapping[str, npt.NDArray[Any]], name: str) -> Arrays:
    """The arrays under ``name/``, their prefix removed: the inverse of `nest`."""
    prefix = name + "/"
    return {key[len(prefix) :]: array for key, array in arrays.items() if key.startswith(prefix)}
