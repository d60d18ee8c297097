"""A topic with one subscription, inside the process."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from thundercast.domain.batch import Message
from thundercast.stage.protocols import Delivery, Unavailable

_CLOSED: Final = "the topic in memory is closed"


@dataclass(slots=True)
class _Kept:
    """A message of the topic; ``token`` is of its newest delivery, empty while it is not leased."""

    number: int
    message: Message
    published: float
    attempts: int = 0
    token: str = ""
    until: float = 0.0


class MemoryTopic:
    """Implements `Publisher` and `Subscription` of `thundercast.stage.protocols`, for any number of threads.

    Like its big sisters it delivers at least once: a message whose lease runs out, or that is given back, comes again.

    Args:
        capacity: messages that wait to be pulled at most; a publisher waits for room. What is leased does not count: it is
            the subscriber who bounds it, and counting it could keep the very message away that the subscriber waits for.
        ack_deadline: seconds of a lease.
        retain: seconds for which acked messages are kept, so that `seek` can bring them back.
        monotonic, wall: clocks; wall is in UNIX seconds.
    """

    def __init__(
        self,
        *,
        capacity: int = 1024,
        ack_deadline: float = 15.0,
        retain: float = 0.0,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, not {capacity}")
        self._capacity = capacity
        self._ack_deadline = ack_deadline
        self._retain = retain
        self._monotonic = monotonic
        self._wall = wall
        self._changed = threading.Condition()
        self._waiting: deque[_Kept] = deque()
        self._leased: dict[str, _Kept] = {}
        self._acked: deque[_Kept] = deque()
        # No lease runs out before; so most pulls need not look at every lease.
        self._first_end = float("inf")
        self._dropped = float("-inf")
        self._published = self._delivered = 0
        self._closed = False

    def __len__(self) -> int:
        """Messages that wait to be pulled."""
        with self._changed:
            return len(self._waiting)

    @property
    def unacked(self) -> int:
        """Messages that wait or are leased."""
        with self._changed:
            return len(self._waiting) + len(self._leased)

    def publish(self, messages: Sequence[Message]) -> None:
        """Waits for room.

        Raises:
            Unavailable: the topic was closed before all messages were taken.
        """
        for message in messages:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or len(self._waiting) < self._capacity)
                if self._closed:
                    raise Unavailable(_CLOSED)
                self._published += 1
                self._waiting.append(_Kept(self._published, message, self._wall()))
                self._changed.notify_all()

    def pull(self, limit: int, timeout: float) -> list[Delivery]:
        """As the protocol says.

        Raises:
            Unavailable: the topic is closed.
        """
        with self._changed:
            self._expire()
            self._changed.wait_for(lambda: self._closed or self._waiting, timeout)
            self._expire()
            if self._closed:
                raise Unavailable(_CLOSED)
            pulled = [self._lease(self._waiting.popleft()) for _ in range(min(limit, len(self._waiting)))]
            if pulled:
                self._changed.notify_all()
            return pulled

    def _lease(self, kept: _Kept) -> Delivery:
        self._delivered += 1
        kept.attempts += 1
        kept.token = str(self._delivered)
        kept.until = self._monotonic() + self._ack_deadline
        self._leased[kept.token] = kept
        self._first_end = min(self._first_end, kept.until)
        return Delivery(kept.message, kept.token, kept.published, kept.attempts)

    def _expire(self) -> None:
        """Leases that ran out end; acked messages that were kept long enough go."""
        now = self._monotonic()
        if now >= self._first_end:
            for token in [token for token, kept in self._leased.items() if kept.until <= now]:
                self._return(token)
            self._first_end = min((kept.until for kept in self._leased.values()), default=float("inf"))
        oldest = self._wall() - self._retain
        while self._acked and self._acked[0].published < oldest:
            self._dropped = max(self._dropped, self._acked.popleft().published)

    def _return(self, token: str) -> None:
        kept = self._leased.pop(token, None)
        if kept is not None:
            kept.token = ""
            # To the end: others may be what the subscriber has to see first.
            self._waiting.append(kept)

    def ack(self, tokens: Sequence[str]) -> None:
        """Tokens of leases that ran out have no effect: their messages come again."""
        with self._changed:
            for token in tokens:
                kept = self._leased.pop(token, None)
                if kept is None:
                    continue
                if self._retain:
                    self._acked.append(kept)
                else:
                    self._dropped = max(self._dropped, kept.published)

    def nack(self, tokens: Sequence[str]) -> None:
        with self._changed:
            for token in tokens:
                self._return(token)
            self._changed.notify_all()

    def extend(self, tokens: Sequence[str]) -> None:
        with self._changed:
            until = self._monotonic() + self._ack_deadline
            for token in tokens:
                if token in self._leased:
                    self._leased[token].until = until

    def seek(self, time: float) -> None:
        """Brings back what was published since ``time`` and acked. What this topic has never held it cannot miss.

        Raises:
            LookupError: some of it is not kept any more.
        """
        with self._changed:
            self._expire()
            if self._dropped >= time:
                raise LookupError(
                    f"the topic in memory keeps acked messages for {self._retain:g} s, and some published since then are gone"
                )
            back = [kept for kept in self._acked if kept.published >= time]
            self._acked = deque(kept for kept in self._acked if kept.published < time)
            self._waiting.extend(back)
            self._changed.notify_all()

    def close(self) -> None:
        """Wakes everybody who waits. Nothing can be published or pulled any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
