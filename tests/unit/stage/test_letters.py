"""Dead letters keep everything that is needed to understand and to repeat."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thundercast.domain.batch import ARROW, MAX_BYTES, Message
from thundercast.domain.deadletters import REASONS, DeadLetter
from thundercast.domain.tables import DEAD_LETTERS
from thundercast.stage.letters import SCHEMA, from_message, to_messages, to_rows

LETTER = DeadLetter("min_above_max", "min 40.0 > max 30.0", "cleaner", "run", 7, "72503014732", "2022-01-01", {"min": 40.0, "name": "ü"})

letters = st.builds(
    DeadLetter, reason=st.sampled_from(sorted(REASONS)), detail=st.text(max_size=2000), stage=st.sampled_from(["cleaner", "trainer"]),
    run_id=st.sampled_from(["", "a", "b"]), seq=st.integers(-1, 3), station=st.text(max_size=11), date=st.text(max_size=10),
    original=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3), payload=st.binary(max_size=200),
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(letters, max_size=20))
def test_what_goes_through_the_topic_is_what_the_table_would_have(given_letters: list[DeadLetter]) -> None:
    messages = to_messages(given_letters)
    through = [row for m in messages for row in from_message(m).to_pylist()]
    direct = to_rows(given_letters).to_pylist()

    def key(row: dict[str, object]) -> str:
        return repr(sorted(row.items()))

    assert sorted(through, key=key) == sorted(direct, key=key)
    for m in messages:
        assert all(len(value.encode()) <= 1024 for value in m.attributes.values()), "Pub/Sub's limit"


def test_the_letters_of_one_batch_and_reason_share_a_message() -> None:
    messages = to_messages(
        [LETTER, LETTER, DeadLetter("bad_label", "", "cleaner", "run", 7), DeadLetter("bad_label", "", "cleaner", "run", 8)]
    )
    assert [(m.attributes["seq"], m.attributes["reason"], m.attributes["letters"]) for m in messages] == [
        ("7", "min_above_max", "2"),
        ("7", "bad_label", "1"),
        ("8", "bad_label", "1"),
    ]


def test_no_message_is_larger_than_the_topic_takes() -> None:
    import os

    big = [DeadLetter("undecodable", "", "cleaner", "run", 7, payload=os.urandom(4_000_000)) for _ in range(5)]
    messages = to_messages(big)
    assert all(m.size <= MAX_BYTES for m in messages)
    assert sum(from_message(m).num_rows for m in messages) == 5


def test_a_payload_that_does_not_fit_is_left_out_and_the_letter_says_so() -> None:
    import os

    huge = DeadLetter("undecodable", "not an Arrow stream", "cleaner", "run", 7, payload=os.urandom(MAX_BYTES - 1000))
    (m,) = to_messages([huge])
    (row,) = from_message(m).to_pylist()
    assert row["payload"] is None
    assert "payload of 9,999,000 bytes" in row["detail"]
    assert huge.payload_hash in row["detail"]


def test_rows_have_the_tables_schema_and_leave_the_time_to_the_store() -> None:
    rows = to_rows([LETTER])
    assert rows.schema == DEAD_LETTERS.arrow
    (row,) = rows.to_pylist()
    assert row["written_at"] is None
    assert row["payload"] is None
    assert row["original"] == '{"min": 40.0, "name": "\\u00fc"}'


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (Message(b"", {}), "schema None"),
        (Message(b"no arrow", {"schema": SCHEMA, "content_type": ARROW}), "cannot be read"),
    ],
)
def test_what_is_no_dead_letter_is_refused(message: Message, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        from_message(message)


def test_a_dead_letter_with_other_columns_is_refused() -> None:
    sink = pa.BufferOutputStream()
    table = pa.table({"a": [1]})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(ValueError, match="has columns"):
        from_message(Message(sink.getvalue().to_pybytes(), {"schema": SCHEMA}))
