"""Pub/Sub's push as a subscription: what is posted is kept beside the checkpoints, answered, and given to the loop in its turn.

Pub/Sub sends few messages at once until the answers come soon, and not in their order. Were a request held until the loop has applied
its message, those whose turn has not come would keep away the one that the loop waits for.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import datetime as dt
import heapq
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import structlog
from aiohttp import web

from thundercast.domain.batch import Message
from thundercast.stage.protocols import Delivery, Unavailable
from thundercast_trainer.auth import Refused, Verifier
from thundercast_trainer.kept import Kept, Turn, turn_of
from thundercast_trainer.problems import BODY_LIMIT as BODY_LIMIT
from thundercast_trainer.problems import Problem, answered, body_of

PATH: Final = "/predict-and-train"
_LOOK_EVERY: Final = 5.0  # s
_log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Full(Exception):
    """So many messages wait that one whose turn is later than theirs is not taken."""


class PushSubscription:
    """Implements `thundercast.stage.protocols.Subscription` over messages that are handed in, from any thread.

    What is handed in is kept until the loop acks it, so there is no lease: what is given back waits here. It is pulled in the order of
    its turns.

    Args:
        kept: where; also what a process before this one has kept.
        capacity: messages that wait at most; beyond them only those are taken whose turn is before another's, for what the loop waits
            for must come through.
        ready_bytes: of waiting messages held in memory; others are read again.
    """

    def __init__(
        self, kept: Kept, *, capacity: int = 4096, ready_bytes: int = 32_000_000, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, not {capacity}")
        self._kept = kept
        self._capacity = capacity
        self._ready_bytes = ready_bytes
        self._monotonic = monotonic
        self._changed = threading.Condition()
        self._turns: list[tuple[Turn, str]] = []  # a heap
        self._waiting: dict[str, Turn] = {}
        self._leased: dict[str, Turn] = {}
        self._ready: dict[str, Delivery] = {}
        self._bytes = 0
        self._looked_at = float("-inf")
        self._closed = False

    # --- the side of the door ---------------------------------------------------------------------------------

    def offer(self, message: Message, *, published: float, attempt: int = 1) -> None:
        """Takes a message; on return it is durable. The same one again changes nothing.

        Raises:
            Full: too many wait.
            Unavailable: it cannot be kept now, or the subscription is closed.
        """
        turn = turn_of(message.attributes)
        with self._changed:
            self._require_open()
            if len(self._waiting) >= self._capacity and turn >= max(self._waiting.values()):
                raise Full
        name = self._kept.put(message, published=published)
        with self._changed:
            # Whoever comes after this process finds it.
            self._require_open()
            if self._add(name, turn) and self._bytes + message.size <= self._ready_bytes:
                self._ready[name] = Delivery(message, name, published, attempt)
                self._bytes += message.size

    def _add(self, name: str, turn: Turn) -> bool:
        """Holds the lock."""
        if name in self._waiting or name in self._leased:
            return False
        self._waiting[name] = turn
        heapq.heappush(self._turns, (turn, name))
        self._changed.notify_all()
        return True

    def _require_open(self) -> None:
        if self._closed:
            raise Unavailable("the push subscription is closed: this process ends")

    # --- the side of the loop ---------------------------------------------------------------------------------

    def pull(self, limit: int, timeout: float) -> list[Delivery]:
        """As the protocol says.

        Raises:
            Unavailable: the subscription is closed, or what is kept cannot be read now.
        """
        self._look()
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._waiting, timeout)
            self._require_open()
            names = [heapq.heappop(self._turns)[1] for _ in range(min(limit, len(self._turns)))]
            self._leased |= {name: self._waiting.pop(name) for name in names}
            found = {name: delivery for name in names if (delivery := self._ready.pop(name, None)) is not None}
            self._bytes -= sum(delivery.message.size for delivery in found.values())
        try:
            read = {name: found.get(name) or self._kept.get(name) for name in names}
        except Unavailable:
            self.nack(names)
            raise
        gone = [name for name, delivery in read.items() if delivery is None]
        with self._changed:
            for name in gone:
                del self._leased[name]
        return [delivery for delivery in read.values() if delivery is not None]

    def _look(self) -> None:
        """Takes in what another process has kept: the one before this one, as it ended."""
        with self._changed:
            if self._closed or (self._waiting and self._looked_at > float("-inf")) or self._monotonic() - self._looked_at < _LOOK_EVERY:
                return
        found = self._kept.turns()
        with self._changed:
            self._looked_at = self._monotonic()
            for name, turn in found.items():
                self._add(name, turn)

    def ack(self, tokens: Sequence[str]) -> None:
        self._kept.delete(tokens)
        with self._changed:
            for token in tokens:
                self._leased.pop(token, None)

    def nack(self, tokens: Sequence[str]) -> None:
        with self._changed:
            for token in tokens:
                if (turn := self._leased.pop(token, None)) is not None:
                    self._add(token, turn)

    def extend(self, tokens: Sequence[str]) -> None:
        """There is no lease."""

    def seek(self, time: float) -> None:
        since = dt.datetime.fromtimestamp(time, dt.UTC).isoformat(timespec="seconds")
        raise LookupError(
            f"push cannot be sought: this process only receives. Feed the trainer by pull to fall back (it seeks to {since}), "
            "or start again with another place for checkpoints"
        )

    def close(self) -> None:
        """Nothing is taken any more; what waits stays where it is kept."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def push_route(
    subscription: PushSubscription,
    verifier: Verifier,
    *,
    leads: Callable[[], bool],
    limit: int = BODY_LIMIT,
    wall: Callable[[], float] = time.time,
) -> web.RouteDef:
    """``POST /predict-and-train``, see ``/openapi.json``.

    Args:
        leads: whether the loop of this process leads now.
        limit: largest body in bytes.
        wall: UNIX seconds, for messages that do not say when they were published.
    """

    def later(what: str, status: HTTPStatus = HTTPStatus.SERVICE_UNAVAILABLE) -> Problem:
        return Problem(
            status, what, where="the trainer", way_out="deliver the message again, as Pub/Sub does by itself", headers={"Retry-After": "1"}
        )

    async def verify(request: web.Request) -> None:
        try:
            # It may have to fetch certificates.
            await asyncio.to_thread(verifier.verify, request.headers.get("Authorization"))
        except Refused as error:
            _log.warning("push refused", status=int(error.status), why=str(error), peer=request.remote)
            raise Problem(
                error.status, str(error), where="the header Authorization",
                way_out="have the push subscription send its service account's OIDC token, for the audience that the trainer is set to",
                headers={"WWW-Authenticate": "Bearer"} if error.status == HTTPStatus.UNAUTHORIZED else {},
            ) from error  # fmt: skip
        except Unavailable as error:
            raise later(str(error)) from error

    async def push(request: web.Request) -> web.Response:
        await verify(request)
        if not leads():
            raise later("this process does not lead")
        message, published, attempt = unwrapped(await body_of(request, limit), wall())
        try:
            await asyncio.to_thread(subscription.offer, message, published=published, attempt=attempt)
        except Full:
            raise later("too many messages wait", HTTPStatus.TOO_MANY_REQUESTS) from None
        except Unavailable as error:
            raise later(str(error)) from error
        return web.Response(status=HTTPStatus.NO_CONTENT)

    return web.post(PATH, answered(push))


def unwrapped(body: bytes, now: float) -> tuple[Message, float, int]:
    """The message in Pub/Sub's envelope, when it was published (UNIX seconds), and which attempt this is.

    What is no envelope is a message as well, as far as it can be read: the loop makes a dead letter of it, so it is kept.
    """
    try:
        envelope: Any = json.loads(body)
    except (ValueError, RecursionError):
        envelope = None
    inner = envelope.get("message") if isinstance(envelope, dict) else None
    if not isinstance(inner, dict):
        return Message(body, {}), now, 1
    given = inner.get("attributes")
    attributes = {k: v for k, v in given.items() if isinstance(v, str)} if isinstance(given, dict) else {}
    data = _data(inner.get("data", ""))
    attempt = envelope.get("deliveryAttempt")
    return (
        Message(body if data is None else data, _encodable(attributes)),
        _published(inner, now),
        attempt if isinstance(attempt, int) and attempt > 0 else 1,
    )


def _data(text: Any) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except (binascii.Error, ValueError):
        return None


def _encodable(attributes: Mapping[str, str]) -> dict[str, str]:
    """Without half characters, which JSON can spell and no message can have."""
    return {k.encode("utf-8", "replace").decode(): v.encode("utf-8", "replace").decode() for k, v in attributes.items()}


def _published(inner: Mapping[str, Any], now: float) -> float:
    text = inner.get("publishTime", inner.get("publish_time"))
    try:
        found = dt.datetime.fromisoformat(text) if isinstance(text, str) else None
        return found.timestamp() if found is not None and found.tzinfo is not None else now
    except (ValueError, OverflowError):
        return now
