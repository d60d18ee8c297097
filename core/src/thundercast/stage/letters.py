"""Dead letters on their way: as messages of a topic, and as rows of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import pyarrow as pa

from thundercast.domain.batch import ARROW, Message
from thundercast.domain.deadletters import DeadLetter
from thundercast.domain.tables import DEAD_LETTERS

SCHEMA: Final = "thundercast.dead_letter/1"
LARGEST: Final = 8_500_000
"""Bytes of payload and original in one message: it and a row of the table may have 10 MB, with everything around them."""
_TEXT: Final = 240
"""Longest detail in an attribute; Pub/Sub allows 1,024 bytes. The whole text is in the data."""


def to_rows(letters: Sequence[DeadLetter]) -> pa.Table:
    """Rows of `dead_letters`; ``written_at`` is the store's."""
    columns = {
        "run_id": [letter.run_id for letter in letters],
        "seq": [letter.seq for letter in letters],
        "station": [letter.station for letter in letters],
        "date": [letter.date for letter in letters],
        "stage": [letter.stage for letter in letters],
        "reason": [letter.reason for letter in letters],
        "detail": [letter.detail for letter in letters],
        "payload_hash": [letter.payload_hash for letter in letters],
        "original": [letter.original_json for letter in letters],
        "payload": [letter.payload or None for letter in letters],
        "written_at": [None] * len(letters),
    }
    return pa.table(columns, schema=DEAD_LETTERS.arrow)


def to_messages(letters: Sequence[DeadLetter]) -> list[Message]:
    """One message for the letters of one batch with one reason: rows of the table as an Arrow stream.

    A payload so large that it does not fit with its envelope is left out; the detail says so.
    """
    groups: dict[tuple[str, int, str, str], list[list[DeadLetter]]] = {}
    for letter in letters:
        size = len(letter.payload) + len(letter.original_json)
        if size > LARGEST:
            note = f"{letter.detail} (payload of {len(letter.payload):,} bytes, hash {letter.payload_hash}, left out: too large)"
            letter = replace(letter, payload=b"", detail=note)
        chunks = groups.setdefault((letter.run_id, letter.seq, letter.stage, letter.reason), [[]])
        if sum(len(other.payload) + len(other.original_json) + 500 for other in chunks[-1]) + size > LARGEST:
            chunks.append([])
        chunks[-1].append(letter)
    return [_message(chunk) for chunks in groups.values() for chunk in chunks if chunk]


def _message(letters: Sequence[DeadLetter]) -> Message:
    first, rows = letters[0], to_rows(letters)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(rows)
    attributes = {
        "schema": SCHEMA, "content_type": ARROW, "reason": first.reason, "detail": first.detail[:_TEXT], "stage": first.stage,
        "run_id": first.run_id, "seq": str(first.seq), "letters": str(len(letters)),
    }  # fmt: skip
    return Message(sink.getvalue().to_pybytes(), attributes)


def from_message(message: Message) -> pa.Table:
    """The rows of a dead letter's message.

    Raises:
        ValueError: it is none.
    """
    if message.attributes.get("schema") != SCHEMA:
        raise ValueError(f"not a dead letter: schema {message.attributes.get('schema')!r} is not {SCHEMA!r}")
    try:
        with pa.ipc.open_stream(message.data) as reader:
            rows = reader.read_all()
        rows.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise ValueError(f"the dead letter cannot be read: {error}") from error
    if rows.schema.names != DEAD_LETTERS.arrow.names or rows.schema.types != DEAD_LETTERS.arrow.types:
        raise ValueError(f"the dead letter has columns {rows.schema.names}, not those of {DEAD_LETTERS.name}")
    return rows
