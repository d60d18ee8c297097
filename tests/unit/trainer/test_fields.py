"""What a request's check lets in is what the document says, value by value."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from thundercast.domain.schema import CLEAN_SCHEMA, RAW_SCHEMA
from thundercast_trainer.fields import CLEAN, DATE, OBSERVATIONS, STATION, Field, checked, to_openapi
from thundercast_trainer.problems import Problem

FIELDS = {f"{where}.{name}": f for where, fields in (("raw", OBSERVATIONS), ("clean", CLEAN)) for name, f in fields.items()} | {
    "station": STATION,
    "date": DATE,
}
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=12), st.dates().map(str),
    st.integers(-3, 3), st.floats(-3, 3), st.lists(st.integers(), max_size=1), st.just({}),
)  # fmt: skip


def valid(schema: dict[str, Any], value: Any) -> bool:
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).is_valid(value)


def lets_in(field: Field, value: Any) -> bool:
    try:
        field.check(value)
    except ValueError:
        return False
    return True


@settings(max_examples=300)
@given(st.sampled_from(sorted(FIELDS)), VALUES)
@example("raw.hail", 1.0)
@example("raw.hail", 0.5)
@example("raw.hail", True)
@example("raw.hail", 128)
@example("raw.temp", 10**400)
@example("raw.temp", 1e308)
@example("raw.temp", True)
@example("clean.fog", 1)
@example("clean.thunder", None)
@example("clean.lat", 90.0)
@example("clean.lat", 90.1)
@example("date", "2024-02-30")
@example("date", "20240229")
@example("date", "2024-02-29T00:00:00")
def test_a_value_is_let_in_exactly_if_the_document_allows_it(name: str, value: Any) -> None:
    # A number that no float can hold is one for JSON Schema.
    expected = valid(FIELDS[name].to_openapi(), value) and not (isinstance(value, int) and abs(value) > 1e308)
    assert lets_in(FIELDS[name], value) == expected


def test_every_column_of_the_rows_can_be_given() -> None:
    assert [*OBSERVATIONS, "station", "date"] == [name for name in RAW_SCHEMA.names if name not in ("station", "date")] + [
        "station",
        "date",
    ]
    assert list(CLEAN) == CLEAN_SCHEMA.names


def test_units_are_in_the_document() -> None:
    properties = to_openapi(OBSERVATIONS)["properties"]
    assert properties["temp"]["description"] == "degF"
    assert to_openapi(CLEAN)["properties"]["temp"]["description"] == "degC"
    assert "0 means no" in properties["fog"]["description"]


@pytest.mark.parametrize(
    ("given_", "where", "what"),
    [
        (7, "here", "not an object"),
        ({"colour": 1}, "here", "colour"),
        ({"station": 5}, "here.station", "a text"),
        ({}, "here", "'station' is missing"),
    ],
)
def test_a_refusal_names_the_place_and_what_is_wrong(given_: Any, where: str, what: str) -> None:
    with pytest.raises(Problem) as problem:
        checked(given_, {"station": STATION}, "here")
    assert problem.value.where == where
    assert what in problem.value.what
    assert problem.value.status == 400
