"""The named points between two steps of the loop, where a test kills it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

KILL_POINTS: Final = (
    "pulled",
    "begun",
    "applied",
    "letters_published",
    "published",
    "rows_written",
    "body_written",
    "head_written",
    "acked",
    "outbox_written",
)
"""In the order of the loop. ``body_written`` and ``head_written`` lie inside the checkpoint store's commit."""

Gap = Callable[[str], None]
"""Called with the name of a point when it is reached."""


def go_on(point: str) -> None:
    """Nothing happens between two steps."""
