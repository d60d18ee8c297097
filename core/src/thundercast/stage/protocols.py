"""The seams of the stage loop: what it needs of a transport, a store, a checkpoint store and a lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from thundercast.domain.arrays import Arrays
from thundercast.domain.batch import Attributes, Message
from thundercast.domain.deadletters import DeadLetter
from thundercast.domain.tables import Table


class Unavailable(Exception):
    """A dependency does not answer now; what was asked may be tried again."""


class Fenced(Exception):
    """Another writer has committed since this one read: this process must stop applying."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message held under a lease until it is acked or nacked.

    Attributes:
        token: what to ack, nack or extend.
        published: UNIX seconds at which the broker took the message.
        attempt: 1 at the first delivery.
    """

    message: Message
    token: str
    published: float
    attempt: int = 1


class Subscription(Protocol):
    """The pulling side of a topic. Each method may raise `Unavailable`; what was asked may then be asked again."""

    def pull(self, limit: int, timeout: float) -> list[Delivery]:
        """Up to ``limit`` deliveries; waits up to ``timeout`` seconds for the first one."""
        ...

    def ack(self, tokens: Sequence[str]) -> None: ...

    def nack(self, tokens: Sequence[str]) -> None: ...

    def extend(self, tokens: Sequence[str]) -> None:
        """Keeps the leases for another ack deadline."""
        ...

    def seek(self, time: float) -> None:
        """Makes everything published since ``time`` (UNIX seconds) be delivered again, acked or not.

        Raises:
            LookupError: the subscription does not retain acked messages that far back; names the command that mends it.
        """
        ...

    def close(self) -> None: ...


class Publisher(Protocol):
    """The publishing side of a topic."""

    def publish(self, messages: Sequence[Message]) -> None:
        """Returns when the broker has confirmed all of them.

        Raises:
            Unavailable: not all were confirmed; publishing all again is safe (at least once).
        """
        ...


class RowWriter(Protocol):
    """The writing side of a store."""

    def write(self, table: Table, rows: pa.Table) -> None:
        """Adds rows in the table's schema, or replaces those with equal keys. ``written_at`` is set by the store.

        Raises:
            Unavailable: the store did not take them; writing all again is safe.
        """
        ...


class Lock(Protocol):
    """One writer. Ready never depends on it."""

    def acquire(self, timeout: float) -> bool:
        """Tries for up to ``timeout`` seconds; True once held.

        Raises:
            Unavailable: who keeps the lock does not answer, or refuses; the message names it and the way out.
        """
        ...

    def held(self) -> bool:
        """Whether the lock is still ours, judged by the monotonic clock; cheap enough to ask before every effect."""
        ...

    def release(self) -> None: ...

    def holder(self) -> str:
        """Who holds it, for people; empty if nobody, or if it cannot be known."""
        ...


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All of a stage at one moment.

    Attributes:
        number: 1, 2, 3, …; each commit is one higher.
        arrays, meta: the state (`arrays.pack`); ``meta`` is JSON.
    """

    number: int
    arrays: Arrays
    meta: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Commit:
    """What became of a commit.

    Attributes:
        number: of the new checkpoint.
        size: bytes of its body.
    """

    number: int
    size: int


class CheckpointStore(Protocol):
    """Bodies and a HEAD. Committing is writing HEAD, conditional on the HEAD that was read.

    The store numbers the checkpoints, because only it knows HEAD: one that follows a fall-back to an older body must
    still be higher than the body that was given up.
    """

    def load(self) -> Checkpoint | None:
        """The newest checkpoint and remember its HEAD; None if there is none yet.

        Raises:
            BadCheckpoint: the newest body is missing, corrupt or of an unknown version.
        """
        ...

    def load_older(self) -> Checkpoint | None:
        """The next older checkpoint that HEAD names (call again for the one before it), None if there is none left.

        Raises:
            BadCheckpoint: its body cannot be used either; call again for the one before it.
        """
        ...

    def commit(self, arrays: Arrays, meta: Mapping[str, Any], summary: Mapping[str, Any]) -> Commit:
        """Makes a new checkpoint the newest.

        Args:
            arrays, meta: the state, as `load` gives it back.
            summary: a few JSON values that HEAD carries, so that others can read them without the body.

        Raises:
            Fenced: another HEAD was written since ours was read.
            Unavailable: it is not known whether anything was committed; committing again is safe.
        """
        ...

    def summary(self) -> dict[str, Any] | None:
        """The newest checkpoint's number and summary, from HEAD alone; None if there is none yet."""
        ...

    def read_manifest(self, name: str) -> dict[str, Any] | None: ...

    def write_manifest(self, name: str, manifest: Mapping[str, Any]) -> None: ...


class BadCheckpoint(Exception):
    """A checkpoint that must not be used; says which, why and what to do."""


@dataclass(slots=True)
class Effects:
    """What came of applying one batch.

    Attributes:
        outcome: one of `batch.OUTCOMES`, for the count of batches.
        row_count: rows of the batch that took effect.
        messages: to be published and confirmed before the checkpoint.
        dead_letters: likewise.
        rows: written to the store before the checkpoint (at least once, keyed): predictions, observations.
        outbox: written to the store after the checkpoint, kept in it until they are: scores, gaps, events.
            (table name, row) with JSON values; dates and times as ISO 8601 text.
    """

    messages: list[Message] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    rows: list[tuple[Table, pa.Table]] = field(default_factory=list)
    outbox: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    outcome: str = "ok"
    row_count: int = 0

    def add(self, other: Effects) -> None:
        """Appends the other's effects and rows counted; the outcome stays."""
        self.messages += other.messages
        self.dead_letters += other.dead_letters
        self.rows += other.rows
        self.outbox += other.outbox
        self.row_count += other.row_count


class Step(Protocol):
    """What a stage does with each batch: clean it, or predict, score and learn it. Pure but for its own state."""

    def lanes(self, attributes: Attributes) -> int:
        """In how many independent lanes (seq % lanes) order must hold: 1 for a trainer, ``shards`` for a cleaner."""
        ...

    def begin(self, attributes: Attributes) -> Effects:
        """A new run starts: these are the attributes of one of its batches.

        State of the old run is dropped, or goes on, as configured.
        """
        ...

    def apply(self, attributes: Attributes, message: Message) -> Effects:
        """Applies one batch. Rows or batches that cannot be used come back as dead letters, never as exceptions."""
        ...

    def skip(self, attributes: Attributes) -> Effects:
        """The batch with these attributes is given up, but its number passes on.

        ``attributes.outcome`` says why: ``skipped`` (it never came) or ``undecodable`` (its attributes contradict
        themselves; the loop has made these from the run's, and written the dead letter).
        """
        ...

    def state(self) -> tuple[Arrays, dict[str, Any]]: ...

    def restore(self, arrays: Arrays, meta: Mapping[str, Any]) -> None:
        """Raises `arrays.BadState` if the state is of another version or configuration."""
        ...
