"""Publishing to a Pub/Sub topic."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from functools import cached_property
from types import TracebackType
from typing import Final

from google.api_core import exceptions as api
from google.api_core.retry import Retry, if_exception_type
from google.cloud import pubsub_v1
from google.cloud.pubsub_v1 import types

from thundercast.adapters.google.errors import PUBSUB, answering
from thundercast.domain.batch import Message
from thundercast.stage.protocols import Unavailable

_BATCH: Final = types.BatchSettings(max_bytes=4_000_000, max_messages=500, max_latency=0.005)
"""Bytes, messages and seconds (a publisher waits for its confirmation, so patience is not worth much)."""
_GRACE: Final = 1.0
"""Seconds that a request may end after its timeout."""
_PASSES: Final = if_exception_type(
    api.Aborted, api.Cancelled, api.InternalServerError, api.ResourceExhausted, api.ServiceUnavailable, api.Unknown
)  # fmt: skip


class PubSubPublisher:
    """Implements `thundercast.stage.protocols.Publisher`; any number of threads may publish.

    A client that gives up may have been heard all the same: what is published again comes twice, under one ``message_id``.

    Args:
        project, topic: their ids.
        timeout: seconds that `publish` waits for confirmation of everything. In a stage loop it must stay well below the
            ack deadline, for nothing extends the leases meanwhile.
        limit_messages, limit_bytes: unconfirmed at most; beyond them a publisher waits for confirmations.
    """

    def __init__(
        self, project: str, topic: str, *, timeout: float = 5.0, limit_messages: int = 2_000, limit_bytes: int = 40_000_000
    ) -> None:
        if timeout <= 0:
            raise ValueError(f"timeout must be more than 0 s, not {timeout}")
        self.topic: Final = f"projects/{project}/topics/{topic}"
        self._timeout = timeout
        self._options = types.PublisherOptions(
            flow_control=types.PublishFlowControl(limit_messages, limit_bytes, types.LimitExceededBehavior.BLOCK)
        )

    @cached_property
    def _client(self) -> pubsub_v1.PublisherClient:
        # Made when it is needed: on a new pod the credentials may come later than the process.
        return pubsub_v1.PublisherClient(batch_settings=_BATCH, publisher_options=self._options)

    def publish(self, messages: Sequence[Message]) -> None:
        """As the protocol says. No attribute may be called ``data``, ``topic``, ``ordering_key``, ``retry`` or ``timeout``.

        Raises:
            Unavailable: not all were confirmed within the timeout.
            ValueError: a message is over Pub/Sub's limit.
        """
        if not messages:
            return
        until = time.monotonic() + self._timeout
        with answering(
            PUBSUB, f"topic {self.topic}", "be published to", role="roles/pubsub.publisher", mend="`thundercast bootstrap` makes it"
        ):
            futures: list[Future[str]] = []
            for message in messages:
                # What is left is also the time of the request that the message goes with: so everything under way has ended by
                # then, and with it this wait for room.
                left = until - time.monotonic()
                if left <= 0:
                    break
                retry = Retry(_PASSES, initial=0.1, maximum=1.0, multiplier=2.0, timeout=left)
                futures.append(self._client.publish(self.topic, message.data, retry=retry, timeout=left, **message.attributes))
            done, _ = wait(futures, max(0.0, until - time.monotonic()) + _GRACE, FIRST_EXCEPTION)
            for future in done:
                future.result()
            if len(done) < len(messages):
                raise Unavailable(
                    f"topic {self.topic} could not be published to: {PUBSUB.where} confirmed {len(done)} of {len(messages)} messages "
                    f"within {self._timeout:g} s"
                )

    def close(self) -> None:
        """Lets go of the connection. Nothing can be published any more."""
        if "_client" in self.__dict__:
            self._client.stop()
            self._client.transport.close()

    def __enter__(self) -> PubSubPublisher:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
