"""The small web server of a part: health, readiness, `/metrics`, and what routes the part adds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

Readiness = Callable[[], Mapping[str, str]]
"""What stands in the way of being ready, by name, in words for a person; empty if ready. It must not block."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_STARTS_WITHIN: Final = 30.0  # s


class Taken(Exception):
    """The address cannot be listened on; the message names it and the way out."""


def routes(readiness: Readiness, exposed: CollectorRegistry) -> list[web.RouteDef]:
    """``GET /healthz`` (the process answers), ``GET /readyz`` (200, or 503 with the reasons), ``GET /metrics``."""

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        reasons = dict(readiness())
        return web.json_response({"ready": not reasons, "reasons": reasons}, status=503 if reasons else 200)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(exposed), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)]


@web.middleware
async def _in_words(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Paths and methods that are not there are answered as everything else: by a JSON problem object (RFC 9457)."""
    try:
        return await handler(request)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
        known = {resource.canonical for resource in request.app.router.resources()}
        allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        problem = {
            "type": "about:blank", "title": error.reason, "status": error.status, "what": f"there is no {request.method} {request.path}",
            "where": "the path" if error.status == HTTPStatus.NOT_FOUND else "the method",
            "way_out": f"ask for one of {', '.join(sorted(known))}" if not allowed else f"use {allowed['Allow']}",
        }  # fmt: skip
        return web.json_response(problem, status=error.status, headers=allowed, content_type="application/problem+json")


@contextmanager
def serving(
    *, host: str, port: int, readiness: Readiness, exposed: CollectorRegistry, more: Iterable[web.RouteDef] = (), limit: int = 1024**2
) -> Iterator[int]:
    """Serves from a thread of its own until the block ends; yields the port.

    Args:
        port: 0 takes a free one.
        more: further routes.
        limit: largest body of a request in bytes.

    Raises:
        Taken: the address cannot be listened on.
    """
    app = web.Application(client_max_size=limit, middlewares=[_in_words])
    app.add_routes([*routes(readiness, exposed), *more])
    started: threading.Event = threading.Event()
    outcome: dict[str, int | OSError] = {}
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    async def work() -> None:
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        try:
            site = web.TCPSite(runner, host, port)
            try:
                await site.start()
            except OSError as error:
                outcome["error"] = error
                return
            outcome["port"] = runner.addresses[0][1]
            started.set()
            await ended.wait()
        finally:
            await runner.cleanup()
            started.set()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(work())

    thread = threading.Thread(target=run, name="service", daemon=True)
    thread.start()
    started.wait(_STARTS_WITHIN)
    error, bound = outcome.get("error"), outcome.get("port")
    if isinstance(error, OSError) or not isinstance(bound, int):
        thread.join()
        reason = error.strerror if isinstance(error, OSError) else "the server did not start"
        raise Taken(f"cannot listen on {host}:{port} ({reason}): name another --port, 0 takes a free one")
    try:
        yield bound
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
