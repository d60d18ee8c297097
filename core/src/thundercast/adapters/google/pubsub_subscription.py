"""Pulling from a Pub/Sub subscription.

A thread asks for messages ahead of the loop and keeps a few ready; beside that nothing happens by itself. Leases are
extended only when the loop says so, and nothing is fetched unless it asks: a loop that hangs, or whose process is stopped, has
lost everything after one ack deadline, the messages that were kept ready for it included.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Any, Final

import structlog
from google.api_core import exceptions as api
from google.api_core.retry import Retry, if_exception_type
from google.cloud import pubsub_v1

from thundercast.adapters.google.errors import PUBSUB, answering
from thundercast.domain.batch import Message
from thundercast.stage.protocols import Delivery, Unavailable

_log = structlog.get_logger(__name__)

_IDS: Final = 1_000
"""Ack ids in one request, as many as Google's own client sends: their sum must stay below 512 KiB."""
_ANSWER: Final = 3_500_000
"""Bytes of one answer at most, as far as can be foreseen: the emulator breaks over 4 MiB."""
_FIRST: Final = 4
"""Messages asked for before the size of any is known."""
_MOST: Final = 1_000
"""Messages that Pub/Sub gives in one answer at most."""
_LONG_POLL: Final = 30.0
"""Seconds that a request waits for messages."""
_SHORT_POLL: Final = 3.0
"""The same at first and after an error, so that its end is soon known."""
_PAUSE: Final = 1.0
"""Seconds between an error and the next request."""
_WANTED_FOR: Final = 5.0
"""Seconds after the loop's last `pull` for which messages are still fetched ahead."""
_GRACE: Final = 0.5
"""Seconds that `close` leaves a request to end by itself: what it brings can then be given back at once."""


@dataclass(slots=True)
class _Ready:
    """A delivery that waits for the loop; ``until`` is when its lease ends, by the monotonic clock."""

    delivery: Delivery
    until: float


class PubSubSubscription:
    """Implements `thundercast.stage.protocols.Subscription`.

    Args:
        project, subscription: their ids.
        ack_deadline: seconds of a lease; the subscription's, and what `extend` sets.
        timeout: seconds that a request other than for messages may take, repeats included.
        ready_messages, ready_bytes: kept ready at most; one answer may exceed them.
    """

    def __init__(
        self,
        project: str,
        subscription: str,
        *,
        ack_deadline: int = 15,
        timeout: float = 5.0,
        ready_messages: int = 256,
        ready_bytes: int = 32_000_000,
    ) -> None:
        if not 10 <= ack_deadline <= 600:
            raise ValueError(f"ack_deadline must be 10 to 600 s, as Pub/Sub has it, not {ack_deadline}")
        self.name: Final = f"projects/{project}/subscriptions/{subscription}"
        self._ack_deadline = ack_deadline
        self._timeout = timeout
        self._ready_messages, self._ready_bytes = ready_messages, ready_bytes
        self._changed = threading.Condition()
        self._ready: deque[_Ready] = deque()
        self._bytes = 0
        self._wanted_until = float("-inf")
        self._error: Exception | None = None
        self._closed = False
        self._fetcher: threading.Thread | None = None
        self._batch = Batching()

    @cached_property
    def _client(self) -> pubsub_v1.SubscriberClient:
        # Made when it is needed: on a new pod the credentials may come later than the process.
        return pubsub_v1.SubscriberClient()

    # --- the loop's side --------------------------------------------------------------------------------------

    def pull(self, limit: int, timeout: float) -> list[Delivery]:
        """As the protocol says.

        Raises:
            Unavailable: the last request for messages failed; the next one is made after a short pause.
        """
        until = time.monotonic() + timeout
        with self._changed:
            self._want()
            while True:
                if self._closed:
                    raise Unavailable(f"subscription {self.name} is closed here")
                self._drop_expired()
                if self._ready:
                    taken = [self._ready.popleft() for _ in range(min(limit, len(self._ready)))]
                    self._bytes -= sum(ready.delivery.message.size for ready in taken)
                    self._changed.notify_all()
                    return [ready.delivery for ready in taken]
                if isinstance(self._error, Unavailable):
                    raise Unavailable(str(self._error)) from self._error
                if self._error is not None:
                    raise self._error
                if not self._changed.wait(until - time.monotonic()):
                    return []

    def ack(self, tokens: Sequence[str]) -> None:
        for ids in _chunks(tokens):
            with self._asking("be acknowledged"):
                self._client.acknowledge(subscription=self.name, ack_ids=ids, retry=self._retry, timeout=self._timeout)

    def nack(self, tokens: Sequence[str]) -> None:
        self._set_deadline(tokens, 0)

    def extend(self, tokens: Sequence[str]) -> None:
        """Keeps these leases, and those of what is kept ready, for another ack deadline."""
        with self._changed:
            self._drop_expired()
            ready = list(self._ready)
        until = time.monotonic() + self._ack_deadline
        self._set_deadline([*tokens, *(kept.delivery.token for kept in ready)], self._ack_deadline)
        with self._changed:
            for kept in ready:
                kept.until = until

    def seek(self, time: float) -> None:
        at = dt.datetime.fromtimestamp(time, dt.UTC)
        with self._asking("be looked up", role="roles/pubsub.viewer"):
            found = self._client.get_subscription(subscription=self.name, retry=self._retry, timeout=self._timeout)
        own = found.message_retention_duration if found.retain_acked_messages else dt.timedelta()
        kept = max(own, found.topic_message_retention_duration)
        if at < dt.datetime.now(dt.UTC) - kept:
            has = f"keeps acked messages for {kept}" if kept else "does not keep acked messages"
            raise LookupError(
                f"subscription {self.name} {has}, and those since {at:%Y-%m-%d %H:%M:%S} UTC are needed. `thundercast bootstrap` has it "
                "keep them for 7 days from then on; what is gone already can only be published again, as a new run."
            )
        with self._asking("be sought in"):
            self._client.seek(request={"subscription": self.name, "time": at}, retry=self._retry, timeout=self._timeout)
        with self._changed:
            # All of it comes again, or was published before that time.
            self._ready.clear()
            self._bytes = 0
            self._changed.notify_all()

    def close(self) -> None:
        """Gives back what was kept ready, and lets go of the connection. A second time has no effect."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        if self._fetcher is not None:
            self._fetcher.join(_GRACE)
        with self._changed:
            tokens = [ready.delivery.token for ready in self._ready]
            self._ready.clear()
            self._bytes = 0
        try:
            self.nack(tokens)
        except Unavailable as error:
            _log.warning("messages could not be given back, their leases will run out", messages=len(tokens), error=str(error))
        if "_client" in self.__dict__:
            self._client.close()
        if self._fetcher is not None:
            # Closing the connection has ended its request.
            self._fetcher.join()

    def __enter__(self) -> PubSubSubscription:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # --- the fetcher's side -----------------------------------------------------------------------------------

    def _want(self) -> None:
        """Has messages fetched for a while. Holds the lock."""
        self._wanted_until = time.monotonic() + _WANTED_FOR
        if self._fetcher is None and not self._closed:
            self._fetcher = threading.Thread(target=self._fetch_all, name=f"fetch {self.name}", daemon=True)
            self._fetcher.start()
        self._changed.notify_all()

    def _fetch_all(self) -> None:
        poll = _SHORT_POLL
        while self._wait_until_wanted():
            try:
                with self._asking("be pulled from"):
                    received = self._fetch(poll)
            except Exception as error:  # whatever it is, the loop hears of it
                with self._changed:
                    if not self._closed:
                        self._error = error
                        self._changed.notify_all()
                        self._changed.wait_for(lambda: self._closed, _PAUSE)
                poll = _SHORT_POLL
            else:
                self._keep(received)
                poll = _LONG_POLL

    def _wait_until_wanted(self) -> bool:
        """Waits until the loop has asked and there is room; False once it is closed."""
        with self._changed:
            while not self._closed:
                self._drop_expired()
                room = len(self._ready) < self._ready_messages and self._bytes < self._ready_bytes
                if room and time.monotonic() < self._wanted_until:
                    return True
                self._changed.wait(_PAUSE)
            return False

    def _fetch(self, poll: float) -> list[Any]:
        """One request; waits up to ``poll`` seconds for the first message. Returns received messages in protobuf's own form."""
        try:
            answer = self._client.pull(subscription=self.name, max_messages=self._batch.size, retry=None, timeout=poll)
        except api.DeadlineExceeded:
            self._ask_for_a_sign()
            return []
        except api.ResourceExhausted as error:
            if self._batch.size == 1:
                raise
            self._batch.too_large()
            _log.warning("an answer was too large", subscription=self.name, next_asks_for=self._batch.size, error=str(error))
            return []
        # The wrapper around each message costs more than the message.
        received: list[Any] = list(type(answer).pb(answer).received_messages)
        self._batch.saw([item.message.ByteSize() for item in received])
        return received

    def _ask_for_a_sign(self) -> None:
        """There was no message, or nobody there to say so. A question that needs no permission tells which."""
        wanted = {"resource": self.name, "permissions": ["pubsub.subscriptions.consume"]}
        try:
            self._client.test_iam_permissions(request=wanted, retry=None, timeout=_SHORT_POLL)
        except (api.ServiceUnavailable, api.GatewayTimeout):
            raise
        except api.GoogleAPICallError:
            return  # any other answer is one; the emulator's is that it has no permissions

    def _keep(self, received: Sequence[Any]) -> None:
        until = time.monotonic() + self._ack_deadline
        deliveries = [
            Delivery(
                Message(item.message.data, dict(item.message.attributes)),
                item.ack_id,
                item.message.publish_time.seconds + item.message.publish_time.nanos / 1e9,
                item.delivery_attempt or 1,  # 0 where there is no dead-letter policy, for then nobody counts
            )
            for item in received
        ]
        with self._changed:
            self._error = None
            self._ready.extend(_Ready(delivery, until) for delivery in deliveries)
            self._bytes += sum(delivery.message.size for delivery in deliveries)
            self._changed.notify_all()

    def _drop_expired(self) -> None:
        """Forgets what comes again because its lease has run out. Holds the lock."""
        now = time.monotonic()
        if any(ready.until <= now for ready in self._ready):
            self._ready = deque(ready for ready in self._ready if ready.until > now)
            self._bytes = sum(ready.delivery.message.size for ready in self._ready)

    # --- small parts ------------------------------------------------------------------------------------------

    def _set_deadline(self, tokens: Sequence[str], seconds: int) -> None:
        for ids in _chunks(tokens):
            with self._asking("have its leases changed"):
                self._client.modify_ack_deadline(
                    subscription=self.name, ack_ids=ids, ack_deadline_seconds=seconds, retry=self._retry, timeout=self._timeout
                )

    @property
    def _retry(self) -> Retry:
        passes = if_exception_type(api.Aborted, api.InternalServerError, api.ServiceUnavailable, api.Unknown)
        return Retry(passes, initial=0.1, maximum=1.0, multiplier=2.0, timeout=self._timeout)

    @contextmanager
    def _asking(self, doing: str, *, role: str = "roles/pubsub.subscriber") -> Iterator[None]:
        with answering(PUBSUB, f"subscription {self.name}", doing, role=role, mend="`thundercast bootstrap` makes it"):
            yield


class Batching:
    """How many messages to ask for, so that an answer stays below `_ANSWER` bytes.

    >>> batching = Batching()
    >>> batching.saw([100_000] * 4)
    >>> batching.size
    8
    >>> batching.saw([1_000_000] * 8)
    >>> batching.size
    3
    """

    def __init__(self) -> None:
        self.size = _FIRST
        self._largest = 0.0

    def saw(self, sizes: Sequence[int]) -> None:
        """Learns from the bytes of each message of an answer. Grows to the double at most, for the next ones may be larger."""
        if sizes:
            self._largest = max(*sizes, 0.9 * self._largest, 1.0)
            self.size = max(1, min(int(_ANSWER / self._largest), 2 * self.size, _MOST))

    def too_large(self) -> None:
        """An answer was refused for its size. What was in it comes again when its leases have run out."""
        self.size = max(1, self.size // 4)
        self._largest = _ANSWER / self.size


def _chunks(tokens: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(tokens), _IDS):
        yield list(tokens[start : start + _IDS])
