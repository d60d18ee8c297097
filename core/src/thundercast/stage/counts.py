"""What a loop counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Counts:
    """What was counted since the first batch of the first run; kept in the checkpoint, so that it outlives restarts.

    Attributes:
        duplicates: batches that had been applied before.
        gaps: batches that were given up.
        rows: rows that took effect.
        batches: by outcome.
        dead_letters: by reason.
    """

    duplicates: int = 0
    gaps: int = 0
    rows: int = 0
    batches: Counter[str] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        return {
            "duplicates": self.duplicates, "gaps": self.gaps, "rows": self.rows,
            "batches": dict(self.batches), "dead_letters": dict(self.dead_letters),
        }  # fmt: skip

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Counts:
        return cls(kept["duplicates"], kept["gaps"], kept["rows"], Counter(kept["batches"]), Counter(kept["dead_letters"]))
