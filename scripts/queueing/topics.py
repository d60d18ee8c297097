"""A subscription as Pub/Sub has it: at least once, in any order, with leases."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any

import simpy

Process = Generator[simpy.Event, Any, Any]


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch: its number, its rows, when the simulator published it."""

    seq: int
    rows: int
    published: float


@dataclass(frozen=True, slots=True)
class Delivery:
    """A batch with the token of its lease."""

    token: int
    batch: Batch


class Subscription:
    """Holds what was published until it is acked.

    Args:
        delay: how long the next message takes until it can be pulled.
        ack_deadline: seconds of a lease; what is not acked by then comes again.
        backoff: seconds until what was given back comes again.

    Attributes:
        published, delivered, acked, redelivered: how many.
    """

    def __init__(self, env: simpy.Environment, delay: Callable[[], float], *, ack_deadline: float, backoff: float = 1.0) -> None:
        self._env, self._delay = env, delay
        self._ack_deadline, self._backoff = ack_deadline, backoff
        self._numbers = itertools.count()
        self._ready: list[tuple[float, int, Batch]] = []
        self._leases: dict[int, tuple[float, Batch]] = {}
        self._ends: list[tuple[float, int]] = []
        self._changed = env.event()
        self.published = self.delivered = self.acked = self.redelivered = 0

    def __len__(self) -> int:
        """What is not acked yet."""
        return len(self._ready) + len(self._leases)

    def publish(self, batches: Iterable[Batch]) -> None:
        for batch in batches:
            self.published += 1
            self._push(batch, self._delay())
        self._changed.succeed()
        self._changed = self._env.event()

    def _push(self, batch: Batch, after: float) -> None:
        heapq.heappush(self._ready, (self._env.now + after, next(self._numbers), batch))

    def _expire(self) -> None:
        while self._ends and self._ends[0][0] <= self._env.now:
            _, token = heapq.heappop(self._ends)
            lease = self._leases.get(token)
            if lease is None:
                continue
            until, batch = lease
            if until > self._env.now:
                heapq.heappush(self._ends, (until, token))
            else:
                del self._leases[token]
                self.redelivered += 1
                self._push(batch, 0.0)

    def pull(self, limit: int, wait: float) -> Process:
        """Up to ``limit`` deliveries, as soon as there is one; none after ``wait`` seconds."""
        until = self._env.now + wait
        while True:
            self._expire()
            found: list[Delivery] = []
            while self._ready and self._ready[0][0] <= self._env.now and len(found) < limit:
                _, _, batch = heapq.heappop(self._ready)
                token = next(self._numbers)
                ends = self._env.now + self._ack_deadline
                self._leases[token] = (ends, batch)
                heapq.heappush(self._ends, (ends, token))
                found.append(Delivery(token, batch))
            self.delivered += len(found)
            if found or self._env.now >= until:
                return found
            next_at = min([until, *(entries[0][0] for entries in (self._ready, self._ends) if entries)])
            yield self._changed | self._env.timeout(max(next_at - self._env.now, 0.0))

    def ack(self, tokens: Iterable[int]) -> None:
        """What is acked while its lease lasts never comes again."""
        self._expire()
        for token in tokens:
            self.acked += self._leases.pop(token, None) is not None

    def extend(self, tokens: Iterable[int]) -> None:
        self._expire()
        for token in tokens:
            if token in self._leases:
                self._leases[token] = (self._env.now + self._ack_deadline, self._leases[token][1])

    def nack(self, tokens: Iterable[int]) -> None:
        for token in tokens:
            lease = self._leases.pop(token, None)
            if lease is not None:
                self.redelivered += 1
                self._push(lease[1], self._backoff)
