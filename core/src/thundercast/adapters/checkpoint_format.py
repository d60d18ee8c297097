"""What checkpoints look like, wherever they are kept: a body, and HEAD.

A body is a magic line, the SHA-256 of what follows, the length of the state, and the state (`arrays.pack`) in zstd. HEAD is
JSON: the newest checkpoint and the two before it by number, uuid and checksum, and a small summary.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import pyarrow as pa

from thundercast.domain import arrays
from thundercast.domain.arrays import Arrays

MAGIC: Final = b"thundercast-checkpoint/1\n"
KEPT: Final = 3
_HEADER: Final = len(MAGIC) + 32


@dataclass(frozen=True, slots=True)
class Entry:
    """A body as HEAD names it; ``sha256`` is the checksum in the body."""

    number: int
    uuid: str
    sha256: str

    @property
    def name(self) -> str:
        return f"{self.number}-{self.uuid}"


@dataclass(frozen=True, slots=True)
class Head:
    """HEAD: the newest first."""

    entries: tuple[Entry, ...] = ()
    summary: Mapping[str, Any] = field(default_factory=dict)

    @property
    def newest(self) -> str:
        """The uuid of the newest checkpoint; empty if there is none."""
        return self.entries[0].uuid if self.entries else ""

    @property
    def number(self) -> int:
        """The newest checkpoint's; 0 if there is none."""
        return self.entries[0].number if self.entries else 0

    def names(self, uuid: str) -> bool:
        """Whether one of its checkpoints has this uuid."""
        return any(entry.uuid == uuid for entry in self.entries)

    def to_json(self) -> bytes:
        return json.dumps({"checkpoints": [asdict(entry) for entry in self.entries], "summary": dict(self.summary)}, indent=1).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Head:
        """Raises `ValueError`, `KeyError` or `TypeError` if it is none."""
        kept = json.loads(text)
        entries = tuple(Entry(int(e["number"]), str(e["uuid"]), str(e["sha256"])) for e in kept["checkpoints"])
        return cls(entries, dict(kept["summary"]))


def number_of(name: str) -> int | None:
    """The number of the body with this name; None if it is not the name of a body."""
    number, _, rest = name.partition("-")
    return int(number) if number.isdigit() and rest else None


def compressed(state: Arrays, meta: Mapping[str, Any]) -> bytes:
    """A body: the canonical state with its length and checksum, in zstd."""
    plain = arrays.pack(state, meta)
    packed: bytes = pa.compress(plain, codec="zstd", asbytes=True)
    content = len(plain).to_bytes(8, "little") + packed
    return b"".join([MAGIC, hashlib.sha256(content).digest(), content])


def checksum(body: bytes) -> str:
    """The SHA-256 that a body says it has."""
    return body[len(MAGIC) : _HEADER].hex()


def decompressed(body: bytes) -> bytes:
    """The inverse of `compressed`: what `arrays.unpack` reads.

    Raises:
        arrays.BadState: the body is corrupt, cut off, or of another version.
    """
    if not body.startswith(MAGIC):
        raise arrays.BadState(f"it starts with {body[: len(MAGIC)]!r}, this version reads {MAGIC.decode().strip()}")
    content = memoryview(body)[_HEADER:]
    if hashlib.sha256(content).hexdigest() != checksum(body):
        raise arrays.BadState(f"it is corrupt or cut off: its {len(body):,} bytes do not have the checksum that it says")
    try:
        plain: bytes = pa.decompress(content[8:], decompressed_size=int.from_bytes(content[:8], "little"), codec="zstd", asbytes=True)
    except (pa.ArrowException, OSError) as error:
        raise arrays.BadState(f"it cannot be decompressed: {error}") from error
    return plain
