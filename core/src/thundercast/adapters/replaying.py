"""What can be done about dead letters: whole batches are published again while their reader has not come to them yet; single rows
are corrected in a file that is laid over the source of a new run."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from thundercast.adapters.sources.columns import ALIASES, DIGITS
from thundercast.domain import schema
from thundercast.domain.batch import Attributes, Message, Unaddressed, Undecodable, decode

CLEANER: Final = "cleaner"
TRAINER: Final = "trainer"
_READERS: Final = {schema.RAW: CLEANER, schema.CLEAN: TRAINER}

ROWS: Final = schema.RAW_SCHEMA.names
"""Columns of the file of single rows."""

Progress = Callable[[str, int], Mapping[str, Any] | None]
"""The summary in HEAD of the component that handles a batch: (`CLEANER` or `TRAINER`, the batch's seq) → `run_id`, `watermark`; None
while it has no checkpoint."""


class NotAgain(Exception):
    """A dead letter cannot be published again; says why, and what can be done instead."""


@dataclass(frozen=True, slots=True)
class Again:
    """A message to be published again.

    Attributes:
        reader: who it is meant for, `CLEANER` or `TRAINER`.
    """

    reader: str
    attributes: Attributes
    message: Message


def again(row: Mapping[str, Any], progress: Progress) -> Again:
    """The message that a row of `dead_letters` was made of, if publishing it again has an effect on the run, and only the wanted one.

    Nothing is ever written into what a run has passed: that would need a new run with the corrected rows laid over its source.

    Args:
        row: with its payload.

    Raises:
        NotAgain: it cannot be, or would be put aside or dropped again.
        Unavailable: from ``progress``.
    """
    if row["station"] or not row["payload"]:
        kind = "is a single row of a batch" if row["station"] else "has no payload: the message was empty, or too large to be kept"
        raise NotAgain(f"it {kind}; what was wrong can only be put right in a new run")
    text = json.loads(row["original"])
    try:
        attributes = Attributes.from_text(text)
        message = Message(row["payload"], {name: value for name, value in text.items() if name in attributes.to_text()})
        decode(message, attributes)
    except (Unaddressed, Undecodable) as error:
        raise NotAgain(f"it would be put aside again: {error}") from error
    reader = _READERS[attributes.schema]
    summary = progress(reader, attributes.seq) or {}
    run_id, watermark = str(summary.get("run_id", "")), int(summary.get("watermark", 0))
    if run_id > attributes.run_id:
        raise NotAgain(f"the {reader} follows run {run_id}, which is newer")
    if run_id == attributes.run_id and attributes.seq < watermark:
        raise NotAgain(
            f"the {reader} has passed batch {attributes.seq} (its watermark is {watermark}); "
            "what it missed can only be put right in a new run"
        )
    return Again(reader, attributes, message)


def rows_as_csv(rows: Iterable[Mapping[str, Any]]) -> tuple[str, int]:
    """The single rows among rows of `dead_letters`, as they came, in a form that ``file:`` and ``overlay:`` read; and how many.

    What another format calls otherwise comes under the names of `gsod.raw/1`; nothing is mended.
    """
    text, count = io.StringIO(), 0
    writer = csv.DictWriter(text, ROWS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        own = {name.strip().lower(): value for name, value in json.loads(row["original"]).items()}
        named = {ALIASES.get(name, name): value for name, value in own.items()}
        if "temp" not in named:  # a whole message, or something that is no station-day at all
            continue
        named |= dict(zip(DIGITS, str(named.get("frshtt") or ""), strict=False))
        writer.writerow({name: _field(named.get(name)) for name in ROWS})
        count += 1
    return text.getvalue(), count


def _field(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return "" if value is None else str(value)
