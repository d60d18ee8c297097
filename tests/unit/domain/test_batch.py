"""The codec: what goes over the wire comes back, and damage is named."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thundercast.domain import batch, schema
from thundercast.domain.batch import ARROW, JSON, MAX_BYTES, OUTCOMES, Attributes, Message, Unaddressed, Undecodable, decode, encode
from thundercast.domain.cleaning import Cleaner
from thundercast.domain.rows import UNKNOWN, CleanRows
from thundercast.domain.runs import Run, ordinal
from unit.domain.damage import Changes, changes, damaged
from unit.domain.rawrows import DAY, A, B, C, Row, Stream, assert_same_rows, batch_of, clean_stream, of_shard, raw, stations

RUN = Run(started="20240101T000000Z", source="sample", start=DAY, end=DAY + dt.timedelta(days=3), shards=4, synthetic=True)
RAW_BATCH = Attributes.of(RUN, 6, schema.RAW)
CLEAN_BATCH = RAW_BATCH.cleaned("ok", {"rows_in": 3, "imputed": 1})


def as_json(rows: list[Any], attributes: Attributes = RAW_BATCH) -> tuple[Message, Attributes]:
    attributes = replace(attributes, content_type=JSON)
    return Message(json.dumps(rows, default=str).encode(), attributes.to_text()), attributes


def decoded_json(*rows: Any, attributes: Attributes = RAW_BATCH) -> tuple[pa.RecordBatch, list[Any]]:
    return decode(*as_json(list(rows), attributes))


# --- attributes


def test_a_batch_of_a_run_knows_its_date_shard_and_whether_it_is_the_last() -> None:
    assert (RAW_BATCH.date, RAW_BATCH.shard, RAW_BATCH.shards, RAW_BATCH.last) == (DAY + dt.timedelta(days=1), 2, 4, False)
    assert RAW_BATCH.message_id == f"{RUN.run_id}/6"
    assert [Attributes.of(RUN, seq, schema.RAW).last for seq in range(RUN.batches)] == [False] * 15 + [True]


@given(
    st.integers(0, RUN.batches - 1), st.text(max_size=20), st.sampled_from(["", *OUTCOMES]), st.booleans(),
    st.dictionaries(st.sampled_from(["rows_in", "imputed", "rejected_duplicate"]), st.integers(0, 10**6)),
)  # fmt: skip
def test_attributes_survive_the_round_trip_through_text(
    seq: int, published: str, outcome: str, synthetic: bool, counts: dict[str, int]
) -> None:
    attributes = replace(
        Attributes.of(replace(RUN, synthetic=synthetic), seq, schema.CLEAN),
        published_at=published,
        outcome=outcome,
        counts=counts if outcome else {},
    )
    text = attributes.to_text()
    assert all(isinstance(value, str) for value in text.values())
    assert text["message_id"] == f"{RUN.run_id}/{seq}"
    assert Attributes.from_text(text) == attributes


def test_a_cleaned_batch_keeps_its_number_and_says_what_came_of_it() -> None:
    out = replace(RAW_BATCH, published_at="2024-01-01T00:00:00Z").cleaned("rejected", {"rows_in": 2, "rejected_duplicate": 2})
    assert (out.seq, out.date, out.message_id, out.schema) == (6, RAW_BATCH.date, RAW_BATCH.message_id, schema.CLEAN)
    assert (out.outcome, out.counts, out.published_at) == ("rejected", {"rows_in": 2, "rejected_duplicate": 2}, "")


@pytest.mark.parametrize(
    "change",
    [
        {"run_id": None}, {"run_id": ""}, {"run_id": "nightly"}, {"run_id": RUN.run_id + "\n"}, {"seq": None}, {"seq": ""}, {"seq": "-1"}, {"seq": "6.0"},
        {"seq": "٦"}, {"seq": " 6"}, {"seq": "9" * 19}, {"seq": "9" * 9999},
    ],
    ids=str,
)  # fmt: skip
def test_without_readable_run_id_and_seq_a_message_has_no_successor(change: dict[str, str | None]) -> None:
    text = {k: v for k, v in (RAW_BATCH.to_text() | change).items() if v is not None}
    with pytest.raises(Unaddressed, match="no readable run_id and seq"):
        Attributes.from_text(text)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        *[({name: None}, f"no attribute '{name}'") for name in ("fingerprint", "date", "shard", "shards", "start_date", "source", "synthetic", "schema")],
        ({"date": "15 July"}, "15 July"), ({"start_date": "2022-02-30"}, "day is out of range"), ({"date": "2022-07-15"}, "date 2022-07-15 contradicts"),
        ({"shard": "two"}, "'two'"), ({"shard": "3"}, "shard 3 of 4 contradicts"), ({"shard": "-2"}, "shard -2"), ({"shards": "0"}, "of 0 contradicts"),
        ({"shards": "5"}, "contradicts"), ({"synthetic": "maybe"}, "'maybe'"), ({"synthetic": "True"}, "'True'"), ({"last": "yes"}, "'yes'"),
        ({"counts": "{"}, "cannot be read"), ({"counts": "[]"}, "cannot be read"), ({"counts": '{"a": Infinity}'}, "cannot be read"),
        ({"counts": '{"a": null}'}, "cannot be read"), ({"counts": "[" * 9999}, "cannot be read"), ({"outcome": "fine"}, "outcome 'fine'"),
    ],
    ids=str,
)  # fmt: skip
def test_any_other_damage_to_the_attributes_is_named_with_the_batch(change: dict[str, str | None], said: str) -> None:
    text = {k: v for k, v in (RAW_BATCH.to_text() | change).items() if v is not None}
    with pytest.raises(Undecodable, match=said) as error:
        Attributes.from_text(text)
    assert RAW_BATCH.message_id in str(error.value)


@given(st.dictionaries(st.sampled_from(list(CLEAN_BATCH.to_text())), st.text(max_size=30)))
def test_no_text_in_the_attributes_is_another_error(changes: dict[str, str]) -> None:
    with contextlib.suppress(Unaddressed, Undecodable):
        Attributes.from_text(CLEAN_BATCH.to_text() | changes)


# --- Arrow

finite = st.none() | st.floats(allow_nan=False)
raw_rows = st.builds(
    raw, st.none() | st.text(max_size=12), st.none() | st.dates(),
    temp=finite, prcp=finite, lat=finite, count_slp=st.none() | st.integers(-(2**15), 2**15 - 1), flag_prcp=st.none() | st.text(max_size=3),
    thunder=st.none() | st.integers(-128, 127), country=st.none() | st.text(max_size=3),
)  # fmt: skip


@given(st.lists(raw_rows, max_size=8))
def test_raw_rows_survive_the_round_trip_through_arrow(rows: list[Row]) -> None:
    found, bad = decode(encode(batch_of(*rows), RAW_BATCH), RAW_BATCH)
    assert bad == []
    assert found.schema.equals(schema.RAW_SCHEMA, check_metadata=True)
    assert found.to_pylist() == batch_of(*rows).to_pylist()


@pytest.mark.parametrize("n", [0, 1, 63, 64, 700])
def test_clean_rows_survive_the_round_trip_through_arrow(n: int) -> None:
    rows = clean_stream(3, n, absent=0.0)[2]
    rows.label[::5] = UNKNOWN
    found, bad = decode(encode(rows.to_arrow(), CLEAN_BATCH), CLEAN_BATCH)
    assert bad == []
    assert_same_rows(CleanRows.from_arrow(found, rows.date), rows)


def test_a_message_may_carry_its_rows_in_several_pieces() -> None:
    rows = batch_of(raw(A), raw(B), raw(C))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema.RAW_SCHEMA.remove_metadata()) as writer:
        for piece in (rows.slice(0, 1), rows.slice(1, 0), rows.slice(1)):
            writer.write_batch(piece)
    found, _ = decode(Message(sink.getvalue().to_pybytes(), {}), RAW_BATCH)
    assert found.to_pylist() == rows.to_pylist()


def stream_of(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


MANY = batch_of(*[raw(s) for s in stations(100)])
FRAME = encode(MANY, RAW_BATCH)
GOOD = stream_of(pa.Table.from_batches([MANY]), compression="zstd")
SMALL = encode(batch_of(raw(A), raw(B)), RAW_BATCH).data
WHOLE = {"one frame": FRAME, "compressed buffers": Message(GOOD, {}), "plain": Message(SMALL, {})}
TABLE = pa.Table.from_batches([batch_of(raw(A), raw(B))])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not an Arrow stream"), (b"PK\x03\x04 no stream", "not an Arrow stream"), (GOOD[: len(GOOD) // 2], "not an Arrow stream"),
        (json.dumps([raw()], default=str).encode(), "not an Arrow stream"), (stream_of(TABLE.drop_columns(["temp"])), "columns are not those of gsod.raw/1"),
        (stream_of(TABLE.append_column("more", pa.array([1, 2]))), "columns"), (stream_of(TABLE.set_column(4, "temp", pa.array(["a", "b"]))), "columns"),
        (stream_of(TABLE.select(TABLE.column_names[::-1])), "columns"),
        (stream_of(TABLE.set_column(0, "station", TABLE["station"].dictionary_encode())), "columns"),
        (encode(clean_stream(1)[0].to_arrow(), CLEAN_BATCH).data, "columns"),
    ],
)  # fmt: skip
def test_data_that_is_not_what_the_attributes_say_is_undecodable(data: bytes, said: str) -> None:
    with pytest.raises(Undecodable, match=said) as error:
        decode(Message(data, {}), RAW_BATCH)
    assert RAW_BATCH.message_id in str(error.value)


def test_a_stream_in_one_frame_with_compressed_buffers_or_plain_is_the_same_rows() -> None:
    for message in (FRAME, Message(GOOD, {}), Message(stream_of(pa.Table.from_batches([MANY])), {})):
        assert decode(message, RAW_BATCH)[0].equals(MANY)
    assert FRAME.attributes["content_encoding"] == "zstd"
    assert len(FRAME.data) < len(GOOD)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"content_encoding": "gzip"}, "content_encoding 'gzip'"), ({"content_encoding": ""}, "not an Arrow stream"),
        ({"content_size": ""}, "content_size ''"), ({"content_size": "-1"}, "content_size '-1'"), ({"content_size": "٣"}, "content_size"),
        ({"content_size": "0"}, "content_size"), ({"content_size": "999999999"}, "up to 200,000,000"), ({"content_size": "1000"}, "not a zstd frame"),
        ({"content_size": "199999999"}, "not a zstd frame"),
    ],
)  # fmt: skip
def test_a_frame_that_is_not_what_the_attributes_say_is_undecodable(change: dict[str, str], said: str) -> None:
    with pytest.raises(Undecodable, match=said):
        decode(Message(FRAME.data, {**FRAME.attributes, **change}), RAW_BATCH)


@pytest.mark.parametrize("ends", [[0, 11, 2**30], [0, 2**30, 22], [11, 0, 22], [0, -11, 22]], ids=str)
def test_an_offset_that_leads_out_of_its_buffer_is_undecodable_and_not_followed(ends: list[int]) -> None:
    honest, lying = (np.array(found, "<i4").tobytes() for found in ([0, 11, 22], ends))
    assert SMALL.count(honest) == 1
    with pytest.raises(Undecodable, match="not an Arrow stream"):
        decode(Message(SMALL.replace(honest, lying), {}), RAW_BATCH)


def test_a_name_that_is_no_text_is_undecodable() -> None:
    name = b"\7\0\0\0station\0"
    assert SMALL.count(name) == 1
    with pytest.raises(Undecodable, match="not an Arrow stream"):
        decode(Message(SMALL.replace(name, name.replace(b"s", b"\xff")), {}), RAW_BATCH)


@pytest.mark.parametrize(
    ("change", "said"), [({"schema": "gsod.raw/9"}, "schema 'gsod.raw/9' is none of"), ({"content_type": "text/csv"}, "text/csv")]
)
def test_a_schema_or_content_type_that_is_not_known_is_undecodable(change: dict[str, str], said: str) -> None:
    with pytest.raises(Undecodable, match=said):
        decode(Message(GOOD, {}), replace(RAW_BATCH, **change))


@settings(max_examples=300)
@given(st.sampled_from(sorted(WHOLE)).flatmap(lambda name: st.tuples(st.just(name), changes(len(WHOLE[name].data)))))
def test_whatever_happens_to_the_bytes_they_are_rows_or_undecodable(found: tuple[str, Changes]) -> None:
    name, made = found
    try:
        rows, bad = decode(Message(damaged(WHOLE[name].data, made), WHOLE[name].attributes), RAW_BATCH)
    except Undecodable:
        return
    assert bad == []
    assert rows.schema.equals(schema.RAW_SCHEMA)
    # What can be decoded can be cleaned: each row is clean or a dead letter.
    cleaned = Cleaner().clean(rows, ordinal(DAY))
    assert len(cleaned.rows) + len(cleaned.dead_letters) == rows.num_rows
    assert all(letter.original_json for letter in cleaned.dead_letters)


def test_a_date_of_no_calendar_is_a_dead_letter_like_any_other() -> None:
    rows = batch_of(raw(A), raw(B))
    far = rows.set_column(3, schema.RAW_SCHEMA.field("date"), pa.array([ordinal(DAY), 2**31 - 1], pa.int32()).cast(pa.date32()))
    cleaned = Cleaner().clean(far, ordinal(DAY))
    assert [letter.reason for letter in cleaned.dead_letters] == ["wrong_date"]
    assert "2147483647" in cleaned.dead_letters[0].original_json


def test_a_message_too_large_for_pubsub_says_to_raise_the_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_BYTES == 10_000_000
    rng = np.random.default_rng(0)
    n = 200_000
    noise = {f.name: pa.array(rng.random(n)) if f.type == pa.float64() else pa.nulls(n, f.type) for f in schema.RAW_SCHEMA}
    huge = pa.RecordBatch.from_pydict(noise, schema=schema.RAW_SCHEMA)
    with pytest.raises(ValueError, match=r"has [\d,]+ bytes, more than Pub/Sub's 10,000,000: raise the number of shards \(now 4\)"):
        encode(huge, RAW_BATCH)


def test_a_messages_size_counts_data_and_attributes() -> None:
    assert Message(b"123", {"a": "é", "bc": ""}).size == 3 + 1 + 2 + 2


@pytest.mark.parametrize("rows", [batch_of(raw()).select(["station", "temp"]), clean_stream(1)[0].to_arrow()])
def test_rows_of_another_schema_are_not_encoded(rows: pa.RecordBatch) -> None:
    with pytest.raises(ValueError, match=r"are not gsod\.raw/1"):
        encode(rows, RAW_BATCH)


# --- JSON


def test_raw_rows_survive_the_round_trip_through_json() -> None:
    rows = [raw(A, temp=None, flag_prcp=None), raw(B, temp=9999.9, date=None), raw(C, country=None)]
    found, bad = decoded_json(*reversed(rows))
    assert bad == []
    assert found.to_pylist() == batch_of(*rows).to_pylist()  # sorted by station


def test_clean_rows_survive_the_round_trip_through_json() -> None:
    rows = clean_stream(4, 40)[3]
    found, bad = decoded_json(*rows.to_arrow().to_pylist(), attributes=CLEAN_BATCH)
    assert bad == []
    assert_same_rows(CleanRows.from_arrow(found, rows.date), rows)


def test_rows_as_bigquery_gives_them_are_read() -> None:
    row = {
        "stn": "725090", "wban": "14739", "date": "2022-07-15", "year": "2022", "temp": 70.3, "dewp": 60.1, "wdsp": "7.3", "count_wdsp": "24",
        "mxpsd": "15.0", "thunder": "1", "fog": "0", "rain_drizzle": "0", "snow_ice_pellets": "0", "hail": "0", "tornado_funnel_cloud": "0",
    }  # fmt: skip
    found, bad = decoded_json(row)
    assert bad == []
    kept = {k: v for k, v in found.to_pylist()[0].items() if v is not None}
    digits = {"thunder": 1, "fog": 0, "rain_drizzle": 0, "snow_ice_pellets": 0, "hail": 0, "tornado_funnel_cloud": 0}
    assert kept == {
        "station": A, "stn": "725090", "wban": "14739", "date": dt.date(2022, 7, 15), "temp": 70.3, "dewp": 60.1, "wdsp": 7.3, "count_wdsp": 24,
        "mxpsd": 15.0, **digits,
    }  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"temp": "warm"}, {"temp": True}, {"temp": [1]}, {"temp": {}}, {"temp": "nan"}, {"temp": "-inf"}, {"temp": "1_000"}, {"temp": 10**400},
        {"thunder": "yes"}, {"thunder": 0.9}, {"thunder": True}, {"thunder": 300}, {"count_slp": 40_000}, {"count_slp": 2.5},
        {"date": "15/07/2022"}, {"date": "2022-02-30"}, {"date": True}, {"country": ["US"]}, {"country": "\ud800"}, {"station": {}},
    ],
    ids=str,
)  # fmt: skip
def test_a_json_value_of_another_type_costs_its_row_only(change: Row) -> None:
    found, bad = decoded_json(raw(A) | change, raw(B), "no row", [raw(C)])
    assert found.column("station").to_pylist() == [B]
    assert [letter.reason for letter in bad] == ["bad_value"] * 3
    field = next(iter(change))
    assert bad[0].detail.startswith(f"{field}=")
    assert (bad[0].run_id, bad[0].seq, bad[0].date, bad[0].stage) == (RUN.run_id, 6, "2022-07-16", "cleaner")
    assert json.loads(bad[0].original_json)["temp"] == json.loads(json.dumps(change.get("temp", 70.3)))
    assert json.loads(bad[1].original_json) == {"value": "no row"}
    for letter in bad:
        letter.station.encode()


def test_numbers_that_json_has_not_are_refused() -> None:
    found, bad = decode(
        Message(b'[{"station": "72509014739", "temp": NaN}, {"temp": Infinity}]', {}), replace(RAW_BATCH, content_type=JSON)
    )
    assert (found.num_rows, len(bad)) == (0, 2)


@pytest.mark.parametrize("name", ["fog", "reports_thunder", "temp_imputed"])
@pytest.mark.parametrize("gone", [None, "", "missing"])
def test_a_clean_row_without_a_flag_is_a_dead_letter_and_not_false(name: str, gone: str | None) -> None:
    rows = clean_stream(1, 3, absent=0)[0].to_arrow().to_pylist()
    if gone == "missing":
        del rows[1][name]
    else:
        rows[1][name] = gone
    found, bad = decoded_json(*rows, attributes=CLEAN_BATCH)
    assert (found.num_rows, [letter.detail for letter in bad]) == (2, [f"{name} is missing"])


def test_a_clean_value_beyond_float32_is_a_dead_letter_and_not_infinite() -> None:
    rows = clean_stream(1, 3, absent=0)[0].to_arrow().to_pylist()
    rows[0]["temp"], rows[1]["temp"] = 3.5e38, -3.4e38
    found, bad = decoded_json(*rows, attributes=CLEAN_BATCH)
    assert (found.num_rows, len(bad)) == (2, 1)


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"", "not JSON"), (b"[", "not JSON"), (b"\xff\xff", "not JSON"), (b"{}", "not a list"), (b"null", "not a list"), (b"[" * 100_000, "not JSON")],
    ids=["empty", "open", "latin", "object", "null", "deep"],
)  # fmt: skip
def test_what_is_no_list_of_rows_is_undecodable(data: bytes, said: str) -> None:
    with pytest.raises(Undecodable, match=said):
        decode(Message(data, {}), replace(RAW_BATCH, content_type=JSON))


@settings(max_examples=60)
@given(
    st.lists(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*schema.RAW_SCHEMA.names, "x"]), inner, max_size=6)
            ),
            max_leaves=12,
        ),
        max_size=4,
    ),
    st.sampled_from([RAW_BATCH, CLEAN_BATCH]),
)
def test_no_json_is_lost_or_an_error(items: list[Any], attributes: Attributes) -> None:
    rows, bad = decoded_json(*items, attributes=attributes)
    assert rows.num_rows + len(bad) == len(items)


# --- clean rows that the cleaner cannot have written


def broken(name: str) -> CleanRows:
    rows = clean_stream(2, 5, absent=0)[1]
    if name == "unsorted":
        return rows.take(np.array([1, 0, 2, 3, 4]))
    if name == "twice":
        return rows.take(np.array([0, 1, 1, 2, 3]))
    if name == "infinite":
        rows.values[2, 3] = np.inf
    if name == "tomorrow":
        rows.date += 1
    return rows


@pytest.mark.parametrize(
    ("name", "said"), [("unsorted", "sorted"), ("twice", "twice"), ("infinite", "infinite"), ("tomorrow", "another date")]
)
def test_rows_that_cannot_be_the_cleaners_are_refused(name: str, said: str) -> None:
    rows = broken(name)
    date = rows.date - (name == "tomorrow")
    with pytest.raises(ValueError, match=said):
        CleanRows.from_arrow(rows.to_arrow(), date)


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("station", "cannot be read"),
        ("date", "another date"),
        ("fog", "fog is null"),
        ("reports_thunder", "reports_thunder is null"),
        ("slp_imputed", "slp_imputed is null"),
    ],
)
def test_clean_rows_with_a_null_where_none_can_be_are_refused(column: str, said: str) -> None:
    rows = broken("")
    whole = rows.to_arrow()
    i = whole.schema.get_field_index(column)
    field = whole.schema.field(i)
    nulls = pa.array([None, *whole.column(i).to_pylist()[1:]], field.type)
    with pytest.raises(ValueError, match=said):
        CleanRows.from_arrow(whole.set_column(i, field, nulls), rows.date)


def test_columns_of_another_schema_are_refused() -> None:
    with pytest.raises(ValueError, match="thunder_rate"):
        CleanRows.from_arrow(broken("").to_arrow().drop_columns(["thunder_rate"]), 0)


def test_clean_rows_survive_the_round_trip_through_a_state() -> None:
    rows = clean_stream(2, 20)[1]
    rows.country = pa.array(["A very long country name", *[None] * (len(rows) - 2), "ÅL"])
    assert_same_rows(CleanRows.from_arrays(rows.arrays()), rows)
    assert_same_rows(CleanRows.from_arrays(CleanRows.empty(7).arrays()), CleanRows.empty(7))


@given(st.integers(1, 6), st.integers(0, 99))
def test_joining_the_parts_of_a_date_gives_the_date_back(parts: int, seed: int) -> None:
    rows = clean_stream(1, 30, seed=seed % 3)[0]
    share = np.random.default_rng(seed).integers(0, parts, len(rows))
    assert_same_rows(CleanRows.joined([rows.take(np.flatnonzero(share == i)) for i in range(parts)]), rows)


# --- real rows


@pytest.mark.real_data
def test_the_wire_carries_real_rows_in_few_bytes(real_month: Stream) -> None:
    shards = 7  # about 730 rows a batch, as a shard of sixteen has of the whole world
    run = replace(RUN, start=dt.date(2023, 7, 1), end=dt.date(2023, 7, 31), shards=shards)
    cleaner = Cleaner()
    size, rows = np.zeros(2), 0
    for date, whole in real_month:
        part = of_shard(whole, 3, shards)
        attributes = Attributes.of(run, (date - ordinal(run.start)) * shards + 3, schema.RAW)
        cleaned = cleaner.clean(part, date)
        sent = [encode(part, attributes), encode(cleaned.rows.to_arrow(), attributes.cleaned(cleaned.outcome, cleaned.counts))]
        size += [message.size for message in sent]
        rows += part.num_rows
    assert 650 < rows / len(real_month) < 800
    raw_bytes, clean_bytes = size / rows
    assert raw_bytes <= 75
    assert clean_bytes <= 130


def test_the_content_types_are_those_that_are_registered() -> None:
    assert (ARROW, JSON) == ("application/vnd.apache.arrow.stream", "application/json")
    assert batch.OUTCOMES == ("ok", "empty", "rejected", "undecodable", "skipped")
