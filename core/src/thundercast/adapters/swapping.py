"""Compare and swap: to replace something only if it is still what was read. Every version of it is told by a text."""

from __future__ import annotations

from typing import Final

ABSENT: Final = ""
"""The version of what is not there."""


class Changed(Exception):
    """It is not what was read any more."""
