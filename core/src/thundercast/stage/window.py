"""The bounded window that puts batches back in order. A data structure only: no clock, no transport."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from thundercast.domain.batch import Attributes, Undecodable
from thundercast.stage.protocols import Delivery

TOKENS_KEPT = 4
"""Of a batch that is delivered over and over the newest tokens are kept; the older ones come back as duplicates."""


class Place(Enum):
    """What the window made of a batch."""

    HELD = "held"
    REPEATED = "repeated"
    """The same seq was held already: one of the two is kept, with the tokens of both."""
    DUPLICATE = "duplicate"
    """It was applied before."""
    LATE = "late"
    """Its seq was skipped before it came."""
    FOREIGN = "foreign"
    """Its lane is another process's."""


@dataclass(slots=True)
class Held:
    """A batch that waits for its turn.

    Attributes:
        attributes: its attributes, or why they cannot be read.
        since: when it came, by the clock that measures the patience with holes.
        tokens: of every delivery of it.
    """

    seq: int
    delivery: Delivery
    attributes: Attributes | Undecodable
    since: float = 0.0
    tokens: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.tokens:
            self.tokens = [self.delivery.token]

    def merge(self, other: Held) -> None:
        """Takes over another delivery of the same seq; of two the one that can be read is kept."""
        if isinstance(self.attributes, Undecodable) and not isinstance(other.attributes, Undecodable):
            self.delivery, self.attributes = other.delivery, other.attributes
        self.tokens = [*[t for t in self.tokens if t not in other.tokens], *other.tokens][-TOKENS_KEPT:]


class Hole(NamedTuple):
    """Seqs of one lane that are missing though a later one is there.

    Attributes:
        head: the first of them.
        until: the first that is not missing.
        lanes: the step from one to the next.
        since: when the first later batch was held.
    """

    head: int
    until: int
    lanes: int
    since: float

    @property
    def seqs(self) -> range:
        return range(self.head, self.until, self.lanes)


class End(NamedTuple):
    """The run's number of batches, known since batches of its last date came: all earlier ones have been published before them."""

    total: int
    since: float


class Window:
    """Batches by seq; order holds within each lane, seq % lanes.

    A lane's *head* is the seq that it waits for: all below it in the lane were applied or skipped.

    Args:
        lanes: 1 if all batches must be in one order.
        heads: the next seq of each lane; the lane's first, if not given.
        skipped: the seqs that were given up.
        owned: the lanes that this process works on; all, if not given.
    """

    def __init__(
        self, lanes: int, heads: Sequence[int] | None = None, skipped: Iterable[int] = (), owned: Iterable[int] | None = None
    ) -> None:
        self.lanes = lanes
        self.owned = tuple(range(lanes)) if owned is None else tuple(sorted(owned))
        if not self.owned or not set(self.owned) <= set(range(lanes)):
            raise ValueError(f"owned lanes {self.owned} are none or not among {lanes}")
        self.heads = list(range(lanes)) if heads is None else list(heads)
        if len(self.heads) != lanes or any(head % lanes != lane for lane, head in enumerate(self.heads)):
            raise ValueError(f"heads {self.heads} are not one of each of {lanes} lanes")
        self.skipped = set(skipped)
        self._held: dict[int, Held] = {}
        # Heads that are held, and some that were given back again: checked when they are taken.
        self._ready: list[int] = []

    def __len__(self) -> int:
        return len(self._held)

    @property
    def watermark(self) -> int:
        """Every seq below was applied or skipped, if its lane is owned."""
        return min(self.heads[lane] for lane in self.owned)

    @property
    def held(self) -> Iterable[Held]:
        return self._held.values()

    def owns(self, seq: int) -> bool:
        return seq % self.lanes in self.owned

    def place(self, batch: Held) -> Place:
        """Takes a batch in, or says why not."""
        seq, head = batch.seq, self.heads[batch.seq % self.lanes]
        if not self.owns(seq):
            return Place.FOREIGN
        if seq < head:
            return Place.LATE if seq in self.skipped else Place.DUPLICATE
        if seq in self._held:
            self._held[seq].merge(batch)
            return Place.REPEATED
        self._held[seq] = batch
        if seq == head:
            heapq.heappush(self._ready, seq)
        return Place.HELD

    def take(self) -> Held | None:
        """Removes and returns the lowest batch whose turn it is, and moves its lane on."""
        while self._ready:
            seq = heapq.heappop(self._ready)
            if seq in self._held and self.heads[seq % self.lanes] == seq:
                batch = self._held.pop(seq)
                self._move_on(seq)
                return batch
        return None

    def skip(self, seq: int) -> None:
        """Gives a lane's head up.

        Raises:
            ValueError: the seq is not the head of its lane, or it is held.
        """
        if self.heads[seq % self.lanes] != seq or seq in self._held:
            raise ValueError(f"seq {seq} cannot be skipped: its lane waits for {self.heads[seq % self.lanes]}")
        self.skipped.add(seq)
        self._move_on(seq)

    def _move_on(self, seq: int) -> None:
        self.heads[seq % self.lanes] = after = seq + self.lanes
        if after in self._held:
            heapq.heappush(self._ready, after)

    def overflow(self, capacity: int) -> list[Held]:
        """Removes and returns the highest batches beyond the capacity: the lowest are the ones needed first."""
        excess = len(self._held) - capacity
        return [self._held.pop(seq) for seq in heapq.nlargest(excess, self._held)] if excess > 0 else []

    def holes(self, end: End | None = None) -> list[Hole]:
        """What is missing in lanes where a later batch is there, one hole for each such lane, the lowest first."""
        lanes: dict[int, Hole] = {}
        for batch in self._held.values():
            lane = batch.seq % self.lanes
            known = lanes.get(lane)
            if known is None:
                lanes[lane] = Hole(self.heads[lane], batch.seq, self.lanes, batch.since)
            else:
                lanes[lane] = Hole(known.head, min(known.until, batch.seq), self.lanes, min(known.since, batch.since))
        if end is not None:
            for lane in self.owned:
                if lane not in lanes and self.heads[lane] < end.total:
                    lanes[lane] = Hole(self.heads[lane], end.total, self.lanes, end.since)
        return sorted(hole for hole in lanes.values() if hole.head < hole.until)
