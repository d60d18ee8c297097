"""Runs: numbering without gaps, the fingerprint, the manifest."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thundercast.domain import runs
from thundercast.domain.runs import Run, day, ordinal, valid_run_id

RUN = Run(
    started="20240101T000000Z", source="file:a.parquet#12ab", start=dt.date(2022, 2, 27), end=dt.date(2022, 3, 2), filter="country == 'US'",
    shards=16, synthetic=True, rights="US only", version="1.2.3",
)  # fmt: skip
dates = st.dates(dt.date(1929, 1, 1), dt.date(2100, 1, 1))


@given(dates, st.integers(0, 60), st.integers(1, 70))
def test_batches_are_numbered_without_gaps_in_order_of_date_then_shard(start: dt.date, days: int, shards: int) -> None:
    run = replace(RUN, start=start, end=start + dt.timedelta(days=days), shards=shards)
    numbers = [run.seq(start + dt.timedelta(days=d), shard) for d in range(run.dates) for shard in range(shards)]
    assert numbers == list(range(run.batches))
    assert [run.date_of(seq) for seq in numbers] == [start + dt.timedelta(days=seq // shards) for seq in numbers]


@given(dates)
def test_a_date_is_its_number_of_days(date: dt.date) -> None:
    assert day(ordinal(date)) == date
    assert ordinal(date + dt.timedelta(days=1)) == ordinal(date) + 1
    assert ordinal(dt.date(1970, 1, 1)) == 0


@pytest.mark.parametrize(
    "change",
    [{"source": "sample"}, {"start": dt.date(2022, 2, 26)}, {"end": dt.date(2022, 3, 3)}, {"filter": ""}, {"shards": 17}],
    ids=lambda change: next(iter(change)),
)
def test_other_rows_or_settings_have_another_fingerprint(change: dict[str, Any]) -> None:
    assert replace(RUN, **change).fingerprint != RUN.fingerprint


@pytest.mark.parametrize("name", ["RAW", "CLEAN"])
def test_another_schema_has_another_fingerprint(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = RUN.fingerprint
    monkeypatch.setattr(runs.schema, name, "gsod.other/2")
    assert RUN.fingerprint != before


@pytest.mark.parametrize("change", [{"started": "20250101T000000Z"}, {"version": "9"}, {"rights": ""}])
def test_when_and_by_what_code_a_run_starts_leaves_the_fingerprint(change: dict[str, Any]) -> None:
    assert replace(RUN, **change).fingerprint == RUN.fingerprint


def test_what_is_hashed_cannot_be_shifted_between_fields() -> None:
    assert replace(RUN, source="a", filter="b").fingerprint != replace(RUN, source="ab", filter="").fingerprint


def test_a_run_id_is_the_start_and_the_fingerprints_first_eight() -> None:
    assert RUN.run_id == f"20240101T000000Z-{RUN.fingerprint[:8]}"
    assert valid_run_id(RUN.run_id)
    assert len(RUN.fingerprint) == 64


def test_run_ids_sort_by_their_start() -> None:
    starts = ["20231231T235959Z", "20240101T000000Z", "20240101T000001Z"]
    assert sorted(replace(RUN, started=s).run_id for s in starts) == [replace(RUN, started=s).run_id for s in starts]


@pytest.mark.parametrize(
    "text", ["", "20240101T000000Z", "20240101T000000Z-0123456", "20240101T000000Z-0123456G", "20240101T000000Z-01234567\n", "2024O101T000000Z-01234567",
             "٢٠240101T000000Z-01234567", " 20240101T000000Z-01234567"]
)  # fmt: skip
def test_other_texts_are_no_run_ids(text: str) -> None:
    assert not valid_run_id(text)


def test_the_manifest_survives_json() -> None:
    assert Run.from_json(json.loads(json.dumps(RUN.to_json()))) == RUN


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("source", "sample"), ("start", "2022-02-26"), ("end", "2022-04-01"), ("filter", ""), ("shards", 8), ("started", "20240101T000001Z"),
        ("run_id", "20240101T000000Z-00000000"), ("fingerprint", "0" * 64),
    ],
)  # fmt: skip
def test_a_manifest_that_was_tampered_with_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match="start a new run"):
        Run.from_json(RUN.to_json() | {field: value})


@pytest.mark.parametrize(
    "field", ["started", "source", "start", "end", "filter", "shards", "synthetic", "rights", "version", "run_id", "fingerprint"]
)
def test_a_manifest_without_a_field_is_refused(field: str) -> None:
    manifest = RUN.to_json()
    del manifest[field]
    with pytest.raises(ValueError, match=f"{field}|start a new run"):
        Run.from_json(manifest)


@pytest.mark.parametrize(("field", "value"), [("start", 20220227), ("end", None), ("shards", "16"), ("start", "yesterday")])
def test_a_manifest_with_a_field_of_another_type_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match="manifest|isoformat"):
        Run.from_json(RUN.to_json() | {field: value})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"shards": 0}, "shards must be 1 to 4096, not 0"), ({"shards": 4097}, "4097"), ({"end": dt.date(2022, 2, 26)}, "before its start"),
        ({"started": "now"}, "YYYYMMDDTHHMMSSZ, not 'now'"),
    ],
)  # fmt: skip
def test_a_run_that_cannot_be_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(RUN, **change)
