"""Tokens of batches that were applied, until they may be acked."""

from __future__ import annotations

from thundercast.stage.window import TOKENS_KEPT


class Acks:
    """A batch is acked when a checkpoint holds it, with every delivery of it."""

    def __init__(self) -> None:
        self._applied: dict[int, list[str]] = {}
        self.due: list[str] = []
        """May be acked now."""

    def __len__(self) -> int:
        """How many batches are applied and not durable."""
        return len(self._applied)

    def applied(self, seq: int, tokens: list[str]) -> None:
        self._applied[seq] = tokens

    def duplicate(self, seq: int, token: str) -> None:
        """Another delivery of a batch that was applied.

        If a crash could still lose the batch this one must wait too: brokers take the ack of any delivery for the message's.
        """
        tokens = self._applied.get(seq)
        if tokens is None:
            self.due.append(token)
        else:
            tokens.append(token)
            del tokens[:-TOKENS_KEPT]

    def durable(self) -> None:
        """A checkpoint holds all that was applied."""
        self.due += self.waiting
        self._applied.clear()

    @property
    def waiting(self) -> list[str]:
        """The tokens of what is applied and not durable."""
        return [token for tokens in self._applied.values() for token in tokens]
