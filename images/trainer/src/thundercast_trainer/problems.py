"""Errors for whoever asked: JSON problem objects (RFC 9457) that say what, where and the way out."""

from __future__ import annotations

import functools
import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

CONTENT_TYPE: Final = "application/problem+json"
BODY_LIMIT: Final = 16 * 1024**2
"""Largest body of a request in bytes: `thundercast.adapters.service.serving` is to be given it as ``limit``."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Problem(Exception):
    """An answer that is an error.

    Args:
        what: is wrong.
        where: the part of the request, or of the system.
        way_out: what to do.
        headers: of the answer.
    """

    def __init__(self, status: int, what: str, *, where: str, way_out: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(what)
        self.status = status
        self.what = what
        self.where = where
        self.way_out = way_out
        self.headers = dict(headers or {})

    def to_json(self) -> dict[str, Any]:
        title = HTTPStatus(self.status).phrase
        return {
            "type": "about:blank", "title": title, "status": self.status, "what": self.what, "where": self.where, "way_out": self.way_out,
        }  # fmt: skip

    def response(self) -> web.Response:
        return web.Response(body=json.dumps(self.to_json()).encode(), status=self.status, content_type=CONTENT_TYPE, headers=self.headers)


def answered(handler: Handler) -> Handler:
    """The handler, whose problems are answers."""

    @functools.wraps(handler)
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except Problem as problem:
            return problem.response()

    return answer


async def body_of(request: web.Request, limit: int) -> bytes:
    """The request's body.

    Raises:
        Problem: it is larger than ``limit`` bytes (413), or not as its headers say (400).
    """
    too_large = Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {limit:,} bytes", where="body", way_out="send less at once"
    )
    if request.content_length is not None and request.content_length > limit:
        raise too_large
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise too_large from error
    except web.RequestPayloadError as error:
        raise Problem(
            HTTPStatus.BAD_REQUEST, f"the body cannot be read: {error}", where="body", way_out="send it as its headers say"
        ) from error
    if len(body) > limit:
        raise too_large
    return body
