"""Effects of applied batches that are not confirmed yet. No checkpoint may be written over them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow as pa

from thundercast.domain.batch import Message
from thundercast.domain.deadletters import DeadLetter
from thundercast.domain.tables import DEAD_LETTERS, Table
from thundercast.stage import letters
from thundercast.stage.intake import Aside
from thundercast.stage.points import Gap
from thundercast.stage.protocols import Effects, Publisher, RowWriter

Attempt = Callable[[str, Callable[[], None]], bool]
"""Has an effect on the named dependency; False if that did not answer."""


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where effects go.

    Attributes:
        messages: the topic of the stage's output, if it has one.
        dead_letters: the topic of dead letters; without it they go to their table.
        store: takes rows.
    """

    messages: Publisher | None = None
    dead_letters: Publisher | None = None
    store: RowWriter | None = None

    def __post_init__(self) -> None:
        if self.dead_letters is None and self.store is None:
            raise ValueError("dead letters need a place: give a topic for them, or a store")


@dataclass(slots=True)
class Unconfirmed:
    """What waits to be confirmed.

    Attributes:
        batches: applied since everything was confirmed last.
        tokens: of messages set aside, to be acked when the dead letters are confirmed.
    """

    letters: list[DeadLetter] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    rows: list[tuple[Table, pa.Table]] = field(default_factory=list)
    batches: int = 0
    tokens: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.letters or self.messages or self.rows)

    def add(self, effects: Effects) -> None:
        """Takes effects; their outbox rows are not for here."""
        self.letters += effects.dead_letters
        self.messages += effects.messages
        self.rows += effects.rows

    def set_aside(self, aside: Aside) -> None:
        self.letters.append(aside.letter)
        self.tokens += aside.tokens

    def confirm(self, outlets: Outlets, attempt: Attempt, gap: Gap) -> list[str]:
        """Publishes and writes what is left; what is confirmed is not sent again.

        Returns:
            Tokens that may be acked now: those of messages whose dead letters are safe.

        Raises:
            ValueError: there are messages or rows, and no outlet for them.
        """
        if self.letters and self._confirm_letters(outlets, attempt):
            self.letters = []
            gap("letters_published")
        if self.messages:
            if outlets.messages is None:
                raise ValueError("the step made messages, but there is no topic for them")
            publisher = outlets.messages
            if attempt("the output topic", lambda: publisher.publish(self.messages)):
                self.messages = []
                gap("published")
        if self.rows:
            if outlets.store is None:
                raise ValueError("the step made rows, but there is no store for them")
            if self._confirm_rows(outlets.store, attempt):
                gap("rows_written")
        if not self:
            self.batches = 0
        if self.letters:
            return []
        tokens, self.tokens = self.tokens, []
        return tokens

    def _confirm_letters(self, outlets: Outlets, attempt: Attempt) -> bool:
        publisher, store = outlets.dead_letters, outlets.store
        if publisher is not None:
            return attempt("the topic of dead letters", lambda: publisher.publish(letters.to_messages(self.letters)))
        return store is not None and attempt("the store", lambda: store.write(DEAD_LETTERS, letters.to_rows(self.letters)))

    def _confirm_rows(self, store: RowWriter, attempt: Attempt) -> bool:
        def write(table: Table, rows: pa.Table) -> Callable[[], None]:
            return lambda: store.write(table, rows)

        for table in dict.fromkeys(table for table, _ in self.rows):
            together = pa.concat_tables([rows for other, rows in self.rows if other == table])
            if not attempt("the store", write(table, together)):
                return False
            self.rows = [(other, rows) for other, rows in self.rows if other != table]
        return True
