"""Messages that were pushed and that no checkpoint holds yet: one object for each, beside the checkpoints."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

import structlog

from thundercast.adapters.checkpointing import Objects
from thundercast.domain.batch import Message
from thundercast.domain.runs import valid_run_id
from thundercast.stage.protocols import Delivery

Turn = tuple[str, int]
"""A message's place in the stream: its run and its number there. What has none comes first: nothing has to come before it."""

_NO_RUN = "none"
_log: structlog.stdlib.BoundLogger = structlog.get_logger()


def turn_of(attributes: Mapping[str, str]) -> Turn:
    """When a message's turn is, as far as that can be read."""
    run_id, seq = attributes.get("run_id", ""), attributes.get("seq", "")
    return (run_id, int(seq)) if valid_run_id(run_id) and seq.isascii() and seq.isdigit() and len(seq) <= 18 else ("", -1)


class Kept:
    """The messages in one place. Each method may raise `thundercast.stage.protocols.Unavailable`.

    The name of an object tells the turn and the content, so the same message twice is one object.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def put(self, message: Message, *, published: float) -> str:
        """Keeps a message; it is durable on return. Returns its name.

        Args:
            published: UNIX seconds.
        """
        attributes = json.dumps(dict(message.attributes), sort_keys=True).encode()
        (run_id, seq), content = turn_of(message.attributes), attributes + b"\n" + message.data
        name = f"{run_id or _NO_RUN}.{seq}.{_digest(content)}"
        # Never half of it, also if it was there.
        self._objects.replace(name, b"%r\n%s" % (published, content))
        return name

    def get(self, name: str) -> Delivery | None:
        """A message; None if it is gone."""
        found = self._objects.read(name)
        if found is None:
            return None
        published, _, content = found[0].partition(b"\n")
        if _digest(content) != name.rpartition(".")[2]:
            _log.error("a pushed message is damaged", where=self._objects.path(name))
            return None
        attributes, _, data = content.partition(b"\n")
        return Delivery(Message(data, json.loads(attributes)), name, float(published))

    def turns(self) -> dict[str, Turn]:
        """The turns of all that are kept, by name."""
        parts = {name: name.split(".") for name in self._objects.names()}
        return {name: ("", -1) if split[0] == _NO_RUN else (split[0], int(split[1])) for name, split in parts.items() if len(split) == 3}

    def delete(self, names: Iterable[str]) -> None:
        """They may be gone already."""
        for name in names:
            self._objects.delete(name)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:40]
