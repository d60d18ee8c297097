"""One writer among processes on many machines: a lease in a record that can be compared and swapped.

Time is told by each process's own monotonic clock, and never compared between machines:

- the holder counts from the *start* of its last request that renewed the lease, and holds it no longer than the renew deadline;
- everybody else counts from when they *saw* the record change last, and takes it over no sooner than the lease's duration.

Seeing comes after writing and writing after starting to, and the deadline is less than the duration: so the old holder has
given up before a new one begins, with the difference to give back what it held. This supposes only that clocks run equally fast.
What a stopped process does when it wakes is refused by the checkpoint store anyway, if it is ever too late to ask `held`.
"""

from __future__ import annotations

import re
import socket
import threading
import time
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

import structlog

from thundercast.adapters import places
from thundercast.adapters.filelock import FileLock
from thundercast.adapters.places import Bucket
from thundercast.adapters.swapping import ABSENT, Changed
from thundercast.stage.protocols import Lock, Unavailable
from thundercast.stage.settings import Clock

_LEASE: Final = re.compile(r"(?P<namespace>[a-z0-9][a-z0-9-]*)/(?P<name>[a-z0-9][a-z0-9.-]*)")
_FORMS: Final = "file:PATH, kubernetes:NAMESPACE/LEASE or gs://BUCKET/OBJECT"

_log = structlog.get_logger(__name__)


def monotonic() -> float:
    """Seconds on a clock that nobody sets, and that goes on, where the system can tell, while the machine is asleep."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(frozen=True, slots=True)
class Timing:
    """How a lease is kept. Times are in seconds.

    Attributes:
        duration: others may take it over so long after they saw it change last.
        renew: the holder gives up so long after the start of its last request that renewed it.
        retry: from one request to the next, of the holder and of those who wait.
    """

    duration: float = 10.0
    renew: float = 6.0
    retry: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.retry < self.renew < self.duration:
            raise ValueError(f"retry {self.retry} must be less than renew {self.renew}, and that less than duration {self.duration}")

    @property
    def request(self) -> float:
        """A request is waited for so long: another one shall fit in before the holder gives up."""
        return self.retry


@dataclass(frozen=True, slots=True)
class Holding:
    """What the record says.

    Attributes:
        holder: identity; empty if it is free.
        transitions: how often it has gone to another holder.
        acquired: UNIX seconds by the holder's clock, for people.
        duration: seconds, as the holder wants it.
    """

    holder: str
    transitions: int
    acquired: float
    duration: float


class Record(Protocol):
    """Where a lease is kept. Each method takes `Timing.request` seconds or little more, and may raise `Unavailable`."""

    def read(self) -> tuple[Holding, str] | None:
        """What it says and its version; None if it is not there yet."""
        ...

    def write(self, holding: Holding, expected: str) -> str:
        """Replaces it if its version is the expected one (or it is `ABSENT`); returns the new version, which was never used before.

        Raises:
            Changed: the version is another one.
            Unavailable: it is not known whether it was replaced.
        """
        ...


def identity() -> str:
    """Who this process is, as nobody else ever was: the host's name, which is the pod's, and a uuid."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"


class Elector:
    """Implements `thundercast.stage.protocols.Lock` over a record. A thread renews the lease while it is held.

    Args:
        record: the lease.
        name: of this process; nobody else may have it.
        kind: what its holders are, for people.
        clock: whose ``monotonic`` and ``wait`` must belong together.
    """

    def __init__(self, record: Record, name: str, *, kind: str, timing: Timing | None = None, clock: Clock | None = None) -> None:
        self._record = record
        self._name = name
        self._kind = kind
        self._timing = timing or Timing()
        self._clock = clock or Clock(monotonic=monotonic)
        # Start of the request that got or renewed the lease last; None if we do not hold it.
        self._since: float | None = None
        # The record as we wrote it, if it may still say that we hold it.
        self._ours: Holding | None = None
        self._version = ABSENT
        # The record as we saw it, and when we first saw it so.
        self._seen: tuple[Holding, str] | None = None
        self._seen_at = 0.0
        self._next = 0.0
        self._problem: Unavailable | None = None
        self._ending = threading.Event()
        self._renewing: threading.Thread | None = None

    # --- the lock ---------------------------------------------------------------------------------------------

    def held(self) -> bool:
        since = self._since
        return since is not None and self._clock.monotonic() - since < self._timing.renew

    def acquire(self, timeout: float) -> bool:
        """Tries for up to ``timeout`` seconds, and the time of one request; True once held.

        Raises:
            Unavailable: the record could not be asked, at the last try.
        """
        if self.held():
            return True
        self._stop_renewing()
        until = self._clock.monotonic() + timeout
        while True:
            # However often we are called, the record is asked at the pace of the lease.
            self._pause(min(self._next, until))
            if self._clock.monotonic() >= self._next and self._begin():
                self._start_renewing()
                return True
            if self._clock.monotonic() >= until:
                if self._problem is not None:
                    raise self._problem
                return False

    def release(self) -> None:
        """Gives the lease back, so that another one may take it at once. If that cannot be told now, it runs out."""
        self._stop_renewing()
        self._since = None
        if self._ours is None:
            return
        free = replace(self._ours, holder="")
        self._ours = self._seen = None
        try:
            try:
                self._record.write(free, self._version)
            except Changed:
                found = self._record.read()
                if found is not None and found[0].holder == self._name:
                    # The answer to our last request was lost.
                    self._record.write(free, found[1])
        except Changed:
            _log.info("lock was taken over before it was released")
        except Unavailable as error:
            _log.warning("lock not released, it runs out by itself", error=str(error), seconds=self._timing.duration)

    def holder(self) -> str:
        """Who held it when we looked last, as "pod trainer-0"; empty if nobody did."""
        holder = self._seen[0].holder if self._seen is not None else ""
        return f"{self._kind} {holder.rpartition('_')[0] or holder}" if holder else ""

    # --- one request after the other ------------------------------------------------------------------------------

    def _begin(self) -> bool:
        # What was held before and ran out must be taken, not renewed.
        self._since = None
        return self.attempt() and self.held()

    def attempt(self) -> bool:
        """Tries once to take the lease, or to renew it if it was taken. False if somebody else has it, or it cannot be known."""
        self._next = self._clock.monotonic() + self._timing.retry
        self._problem = None
        try:
            return self._take() if self._since is None else self._renew()
        except Changed:
            # Somebody was quicker; the next attempt looks who.
            return False
        except Unavailable as error:
            self._problem = error
            return False

    def _renew(self) -> bool:
        if self._ours is None or not self.held():
            # Too late to renew. It may be had anew, by who asks for it.
            self._since = None
            return False
        try:
            self._write(self._ours, self._version)
        except Changed:
            found = self._look()
            if found is None or found[0].holder != self._name:
                self._since = self._ours = None
                return False
            # It is our own, of which the answer was lost.
            self._write(self._ours, found[1])
        return True

    def _take(self) -> bool:
        found = self._look()
        # The first holder of all is no transition.
        holding, version = found or (Holding("", -1, 0.0, 0.0), ABSENT)
        if holding.holder not in ("", self._name) and not self._run_out(holding):
            return False
        transitions = holding.transitions + (holding.holder != self._name)
        # From here on the record may say that we hold it, answer or not.
        self._ours = Holding(self._name, transitions, self._clock.wall(), self._timing.duration)
        self._write(self._ours, version)
        return True

    def _look(self) -> tuple[Holding, str] | None:
        found = self._record.read()
        if found is None or self._seen is None or found[1] != self._seen[1]:
            # Only after the answer: the holder's request had started before it.
            self._seen, self._seen_at = found, self._clock.monotonic()
        return found

    def _run_out(self, holding: Holding) -> bool:
        return self._clock.monotonic() - self._seen_at > max(holding.duration, self._timing.duration)

    def _write(self, holding: Holding, expected: str) -> None:
        started = self._clock.monotonic()
        version = self._record.write(holding, expected)
        self._ours, self._version, self._since = holding, version, started
        self._seen, self._seen_at = (holding, version), self._clock.monotonic()

    # --- renewing -------------------------------------------------------------------------------------------------

    def _start_renewing(self) -> None:
        self._renewing = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._renewing.start()

    def _stop_renewing(self) -> None:
        self._ending.set()
        if self._renewing is not None:
            self._renewing.join()
            self._renewing = None
        self._ending.clear()

    def _keep(self) -> None:
        while not self._pause(self._next) and self._since is not None:
            if not self.attempt() and self._problem is not None:
                _log.warning("lock not renewed", error=str(self._problem), held=self.held())

    def _pause(self, until: float) -> bool:
        """Waits; True if we are to end."""
        seconds = until - self._clock.monotonic()
        return self._clock.wait(self._ending, seconds) if seconds > 0 else self._ending.is_set()


class BadLock(ValueError):
    """A text names no lock; says why."""


@dataclass(frozen=True, slots=True)
class LeaseName:
    """A Lease of Kubernetes."""

    namespace: str
    name: str


def parse(uri: str) -> Path | LeaseName | Bucket:
    """The lock that is meant by ``file:PATH``, ``kubernetes:NAMESPACE/LEASE`` or ``gs://BUCKET/OBJECT``.

    Raises:
        BadLock: it is none of these.
        BadPlace: there can be no such bucket.
    """
    kind, _, rest = uri.partition(":")
    rest = rest.removeprefix("//")
    if kind == "file" and rest.strip():
        return Path(rest)
    if kind == "kubernetes" and (parts := _LEASE.fullmatch(rest)):
        return LeaseName(parts["namespace"], parts["name"])
    if kind == "gs" and isinstance(place := places.parse(uri), Bucket) and place.prefix:
        return place
    raise BadLock(f"{uri!r} names no lock: {_FORMS}")


def open_lock(uri: str) -> Lock:
    """Opens what `parse` finds, and raises what it raises."""
    # Google's and Kubernetes's clients are there only where their extras are installed.
    match parse(uri):
        case Path() as path:
            return FileLock(path)
        case LeaseName(namespace, name):
            from thundercast.adapters.kubernetes.lease import KubernetesLease

            return KubernetesLease(namespace, name)
        case Bucket(bucket, name):
            from thundercast.adapters.google.storage_lock import StorageLock

            return StorageLock(bucket, name)
