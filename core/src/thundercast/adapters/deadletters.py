"""Dead letters from their topic into their table."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pyarrow as pa
import structlog

from thundercast.domain.batch import Message
from thundercast.domain.deadletters import DeadLetter
from thundercast.domain.tables import DEAD_LETTERS
from thundercast.stage.intake import message_letter
from thundercast.stage.letters import from_message, to_rows
from thundercast.stage.protocols import Delivery, RowWriter, Subscription, Unavailable

_log = structlog.get_logger(__name__)

STAGE: Final = "dead letters"
"""The stage of letters that nobody wrote: what Pub/Sub gave up, and what is no dead letter at all."""
_BROKER: Final = "CloudPubSubDeadLetterSource"
"""How the attributes begin that Pub/Sub adds to what it gives up after too many deliveries."""


def rows_of(delivery: Delivery) -> pa.Table:
    """What a message of the dead-letter topic is in the table `dead_letters`. Whatever it is, it is something there.

    - a dead letter: its rows, as they were set aside;
    - a message that Pub/Sub gave up: one row, reason ``undelivered``, with what is needed to publish it again;
    - anything else: one row, reason ``unaddressed``, with all of it.
    """
    try:
        return from_message(delivery.message)
    except ValueError as error:
        attributes = delivery.message.attributes
        if not any(name.startswith(_BROKER) for name in attributes):
            return to_rows([_whole("unaddressed", str(error), delivery)])
    # What Pub/Sub has added differs from time to time; without it the row has the same key each time.
    original = {name: value for name, value in attributes.items() if not name.startswith(_BROKER)}
    detail = (
        f"given up by subscription {attributes.get(f'{_BROKER}Subscription', '(unknown)')} "
        f"after {attributes.get(f'{_BROKER}DeliveryCount', 'too many')} deliveries"
    )
    return to_rows([_whole("undelivered", detail, replace(delivery, message=Message(delivery.message.data, original)))])


def _whole(reason: str, detail: str, delivery: Delivery) -> DeadLetter:
    return message_letter(STAGE, reason, detail, delivery)


class Drain:
    """Moves dead letters into their table: at least once, and the table's key makes it once.

    Args:
        subscription: to the topic of dead letters; nobody else may close it.
        store: takes rows of `dead_letters`.
        limit: messages of one turn; they may have 10 MB each.
        poll: seconds to wait for the first of them.
        retry_after: seconds before a dependency that did not answer is asked again.
    """

    def __init__(
        self, subscription: Subscription, store: RowWriter, *, limit: int = 16, poll: float = 0.5, retry_after: float = 5.0
    ) -> None:
        self._subscription = subscription
        self._store = store
        self._limit = limit
        self._poll = poll
        self._retry_after = retry_after
        self.last_error = ""
        """The newest failure of a dependency; empty once a turn has passed. From any thread."""
        self.letters = 0
        """Rows written so far. From any thread."""

    def turn(self) -> int:
        """Moves what is there, some messages at most; returns how many.

        Raises:
            Unavailable: the subscription or the store did not answer; what was pulled is given back.
        """
        deliveries = self._subscription.pull(self._limit, self._poll)
        if not deliveries:
            return 0
        rows = pa.concat_tables([rows_of(delivery) for delivery in deliveries])
        tokens = [delivery.token for delivery in deliveries]
        try:
            self._store.write(DEAD_LETTERS, rows)
        except Unavailable as error:
            self._give_back(tokens, error)
            raise
        # If the process ends here they come again, and are written over themselves.
        self._subscription.ack(tokens)
        self.letters += rows.num_rows
        return len(deliveries)

    def _give_back(self, tokens: list[str], error: Unavailable) -> None:
        try:
            self._subscription.nack(tokens)
        except Unavailable as unavailable:
            error.add_note(f"What was pulled could not be given back, its leases will run out: {unavailable}")

    def run(self, stop: threading.Event, *, may: Callable[[], bool] = lambda: True) -> None:
        """Turns until stopped; then gives back what it holds.

        Args:
            may: whether this process is the one that drains, asked before each turn. Two that do are no harm.
        """
        try:
            while not stop.is_set():
                if not may():
                    stop.wait(self._retry_after)
                    continue
                try:
                    self.turn()
                except Unavailable as error:
                    if str(error) != self.last_error:
                        _log.warning("dead letters wait", error=str(error))
                    self.last_error = str(error)
                    stop.wait(self._retry_after)
                else:
                    self.last_error = ""
        finally:
            self._subscription.close()


def drain(subscription: Subscription, store: RowWriter, *, poll: float = 2.0) -> int:
    """Moves everything that is there now; returns the number of messages.

    Args:
        poll: seconds without a message after which there is none any more.

    Raises:
        Unavailable: as `Drain.turn`.
    """
    one, moved = Drain(subscription, store, poll=poll), 0
    while count := one.turn():
        moved += count
    return moved
