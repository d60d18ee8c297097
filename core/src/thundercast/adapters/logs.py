"""Structured logs: one event per thing that happened; JSON in a container, colours in a terminal."""

from __future__ import annotations

import logging
import sys
from typing import Final, Literal, TextIO

import structlog

# Without local variables: they may hold whole batches, or secrets.
_TRACEBACKS: Final = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))


def configure(form: Literal["auto", "json", "console"] = "auto", *, stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Sets structlog up for a process. Logs go to standard error unless ``stream`` says otherwise."""
    out = sys.stderr if stream is None else stream
    console = form == "console" or (form == "auto" and out.isatty())
    renderer: structlog.typing.Processor = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
            *([] if console else [_TRACEBACKS]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
