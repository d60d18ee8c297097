"""Dead letters keep what came, as strict JSON."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thundercast.domain.cleaning.checks import CODES
from thundercast.domain.deadletters import REASONS, DeadLetter


def no_constants(text: str) -> Any:
    raise AssertionError(f"{text} is no JSON")


def letter(**original: Any) -> DeadLetter:
    return DeadLetter("bad_value", "temp='x' is not a double", "cleaner", "run", 3, "72509014739", "2022-01-01", original)


@given(st.dictionaries(st.text(), st.none() | st.floats() | st.integers() | st.text() | st.lists(st.floats()) | st.binary() | st.dates()))
def test_the_original_is_strict_json_whatever_was_in_it(original: dict[str, Any]) -> None:
    found = json.loads(letter(**{"temp": 1.5} | original).original_json, parse_constant=no_constants)
    assert found.keys() == {"temp"} | original.keys()


def test_numbers_that_json_has_not_are_kept_as_text() -> None:
    row = letter(a=float("nan"), b=float("inf"), c=[float("-inf"), 1.0], d={"e": float("nan")}, f=dt.date(2022, 1, 2), g=b"\xff", h=-9999.0)
    assert json.loads(row.original_json) == {
        "a": "nan", "b": "inf", "c": ["-inf", 1.0], "d": {"e": "nan"}, "f": "2022-01-02", "g": "b'\\xff'", "h": -9999.0,
    }  # fmt: skip


def test_the_hash_tells_originals_and_payloads_apart_and_not_the_order_of_fields() -> None:
    assert letter(a=1, b=2).payload_hash == letter(b=2, a=1).payload_hash
    payloads = [DeadLetter("undecodable", "", "trainer", original=o, payload=p).payload_hash for o in ({}, {"a": 1}) for p in (b"", b"x")]
    assert len(set(payloads)) == 4
    assert all(len(p) == 16 for p in payloads)


@pytest.mark.parametrize("reason", [code for code in CODES if code])
def test_every_reason_of_the_cleaner_is_explained(reason: str) -> None:
    assert REASONS[reason]
