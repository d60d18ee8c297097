"""Damage to bytes, as hypothesis draws it."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Changes = list[tuple[str, int, Any]]


def changes(size: int) -> st.SearchStrategy[Changes]:
    """One to four changes to ``size`` bytes: some set, some cut out, some put in, or the end cut off."""
    at = st.integers(0, size - 1)
    return st.lists(
        st.one_of(
            st.tuples(st.just("set"), at, st.integers(0, 255)),
            st.tuples(st.just("set"), at, st.sampled_from([0, 127, 255])),
            st.tuples(st.just("delete"), at, st.integers(1, 9)),
            st.tuples(st.just("insert"), at, st.binary(max_size=9)),
            st.tuples(st.just("delete"), at, st.just(size)),
        ),
        min_size=1,
        max_size=4,
    )


def damaged(data: bytes, found: Changes) -> bytes:
    """The bytes with the changes made to them, one after the other."""
    out = bytearray(data)
    for kind, at, what in found:
        if kind == "set":
            out[at : at + 1] = bytes([what])
        elif kind == "delete":
            del out[at : at + what]
        else:
            out[at:at] = what
    return bytes(out)
