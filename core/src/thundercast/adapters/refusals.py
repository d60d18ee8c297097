"""Why a program ends without having done what was asked."""

from __future__ import annotations


class Usage(Exception):
    """What was asked for cannot be done as asked; the message says why and what to do. Exit code 2."""


class Failed(Exception):
    """It could not be done; the message says why and what to do. Exit code 1."""
