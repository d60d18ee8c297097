"""A stage loop as a process: signals, web server, readiness, status rows and metrics around it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

from thundercast.adapters import allocation, rows, service
from thundercast.adapters.metrics import Metrics
from thundercast.adapters.reading import StoreMismatch
from thundercast.adapters.refusals import Failed, Usage
from thundercast.adapters.settings import PartSettings
from thundercast.adapters.signals import stopped_by_signals
from thundercast.stage.loop import Deposed, StageLoop
from thundercast.stage.protocols import BadCheckpoint, RowWriter, Unavailable
from thundercast.stage.status import outbox_full

Check = Callable[[], object]
"""Asks a dependency for a sign of life. Raises `Unavailable` with one line: what is wrong, and what mends it."""

_TICK: Final = 1.0  # s
_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Readiness:
    """Ready means: settings valid, dependencies reachable, checkpoint loaded. Never: is leader.

    Args:
        checks: by dependency; asked by `look`, one after another.
    """

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = dict(checks)
        self._failing: dict[str, str] = dict.fromkeys(checks, "not looked at yet")

    def look(self) -> None:
        """Asks every dependency; logs what has changed."""
        for name, check in self._checks.items():
            problem = ""
            try:
                check()
            except (Unavailable, StoreMismatch) as error:
                problem = str(error)
            before = self._failing.get(name, "")
            if problem and problem != before:
                _log.warning("dependency away", dependency=name, error=problem)
            elif before and not problem:
                _log.info("dependency answers", dependency=name)
            self._failing[name] = problem

    @property
    def answering(self) -> dict[str, bool]:
        """Whether each dependency answered when it was last asked."""
        return {name: not problem for name, problem in self._failing.items()}

    def __call__(self) -> dict[str, str]:
        return {name: problem for name, problem in self._failing.items() if problem}


class Host:
    """Runs a loop until a signal, and tells the world about it meanwhile.

    Args:
        store: takes rows of `status`.
        checks: for readiness.
        routes: more routes for the web server.
        body_limit: largest body of a request, in bytes.
        loaded: whether predictions can be served though this process does not lead; None where nothing is served.
    """

    def __init__(
        self,
        loop: StageLoop,
        settings: PartSettings,
        *,
        store: RowWriter,
        collected: Metrics,
        exposed: CollectorRegistry,
        checks: Mapping[str, Check],
        routes: Iterable[web.RouteDef] = (),
        body_limit: int = 1024**2,
        loaded: Callable[[], bool] | None = None,
    ) -> None:
        self._loop = loop
        self._settings = settings
        self._store = store
        self._collected = collected
        self._exposed = exposed
        self._readiness = Readiness(checks)
        self._routes = routes
        self._body_limit = body_limit
        self._loaded = loaded
        self._ended = threading.Event()
        self._rate = rows.Rate()
        self._instance = socket.gethostname()

    def ready(self) -> dict[str, str]:
        """What stands in the way, by name."""
        status, reasons = self._loop.status, self._readiness()
        reasons |= status.away
        if full := outbox_full(status.outbox, self._settings.outbox):
            reasons["the outbox"] = full
        loaded = self._loop.recovered.is_set() or (self._loaded is not None and self._loaded())
        waits_for_lock = status.state == "waiting" and not status.leader
        if not loaded and not (waits_for_lock and self._loaded is None):
            reasons.setdefault("checkpoint", status.detail or "not loaded yet")
        return reasons

    def run(self) -> int:
        """Returns the exit code.

        Raises:
            Usage: the address cannot be listened on.
            Failed: there is no checkpoint that can be used, or another process leads.
        """
        with stopped_by_signals(self._loop.stop):
            try:
                with service.serving(
                    host=self._settings.host, port=self._settings.port, readiness=self.ready, exposed=self._exposed, more=self._routes,
                    limit=self._body_limit,
                ) as port, self._reporting():  # fmt: skip
                    _log.info("serving", host=self._settings.host, port=port)
                    ending = self._loop.run(fall_back=self._settings.fall_back)
            except service.Taken as error:
                raise Usage(str(error)) from error
            except (BadCheckpoint, Deposed) as error:
                raise Failed(str(error)) from error
        _log.info("ended", why=ending.value, watermark=self._loop.status.watermark)
        return 0

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        threads = [threading.Thread(target=work, name=work.__name__.strip("_"), daemon=True) for work in (self._report, self._check)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()
            self._tell()

    def _check(self) -> None:
        while True:
            self._readiness.look()
            if self._ended.wait(self._settings.status_seconds):
                return

    def _report(self) -> None:
        left, kept = 0.0, 0.0
        while not self._ended.wait(_TICK):
            status = self._loop.status
            self._collected.loop(status)
            self._collected.dependencies(self._readiness.answering | dict.fromkeys(status.away, False))
            left -= _TICK
            if left <= 0.0:
                left = self._settings.status_seconds
                self._tell()
            kept += _TICK
            if kept >= allocation.TIDY_EVERY:
                kept = 0.0
                allocation.tidy()

    def _tell(self) -> None:
        status = self._loop.status
        # A status that could not be written is overtaken by the next one.
        try:
            rows.write_status(self._store, [rows.status_of(status, instance=self._instance, rate=self._rate(status.rows))])
        except Unavailable as error:
            _log.warning("status not written", error=str(error))
