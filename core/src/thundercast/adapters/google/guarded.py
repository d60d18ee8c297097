"""Start order: nothing is published before the one who is to read it has a subscription."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from thundercast.domain.batch import Message
from thundercast.stage.protocols import Publisher


class GuardedPublisher:
    """Publishes once a check has passed: what a topic gets while it has no subscription is lost for ever.

    Args:
        publisher: does the work.
        check: raises `Unavailable` while something is missing; asked before each publishing until it has passed once.
    """

    def __init__(self, publisher: Publisher, check: Callable[[], None]) -> None:
        self._publisher = publisher
        self._check = check
        self._passed = False

    def publish(self, messages: Sequence[Message]) -> None:
        if not self._passed:
            self._check()
            self._passed = True
        self._publisher.publish(messages)
