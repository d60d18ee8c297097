"""Which shard of which run a message belongs to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from thundercast.domain.batch import Attributes, Unaddressed, Undecodable
from thundercast.domain.runs import Run

Key = tuple[str, int]
"""Run id and shard: what Beam keeps state by."""

MOST_SHARDS = 4096


class Homeless(ValueError):
    """A message whose run and number can be read, but not its shard: nobody can tell which batches it belongs between."""


def key_of(text: Mapping[str, str], find_run: Callable[[str], Run | None]) -> Key:
    """Where a message belongs.

    Attributes that cannot be read as a whole do not make a message homeless: the run's manifest, or what is left of them, tells
    the number of shards, and the message's number does the rest. Its shard then lets the number pass on.

    Raises:
        Unaddressed: run_id or seq is missing or not readable.
        Homeless: the number of shards can be had from nowhere.
    """
    try:
        attributes = Attributes.from_text(text)
    except Undecodable as error:
        run_id, seq = text["run_id"], int(text["seq"])
        run = find_run(run_id)
        shards = run.shards if run else _shards(text.get("shards", ""))
        if shards is None:
            raise Homeless(f"{error}; and its shard is not known: there is no manifest of the run beside the checkpoints") from error
        return run_id, seq % shards
    if attributes.shards > MOST_SHARDS:
        raise Homeless(f"{attributes.message_id}: {attributes.shards} shards, there are {MOST_SHARDS} at most")
    return attributes.run_id, attributes.shard


def _shards(text: str) -> int | None:
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(MOST_SHARDS)) else 0
    return number if 1 <= number <= MOST_SHARDS else None


__all__ = ["MOST_SHARDS", "Homeless", "Key", "Unaddressed", "key_of"]
