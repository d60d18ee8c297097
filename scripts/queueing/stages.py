"""A stage loop: pull, put in order, apply, confirm, checkpoint, ack. The order of the real one, see `stage/loop.py`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import simpy

from queueing.observing import Level
from queueing.topics import Batch, Process, Subscription
from thundercast.stage.settings import LoopSettings

Effect = Callable[[list[Batch]], Process]


@dataclass(slots=True)
class Durable:
    """What a checkpoint keeps: the next number of each lane, and how many checkpoints there were."""

    heads: dict[int, int]
    number: int = 0

    @property
    def watermark(self) -> int:
        return min(self.heads.values())


@dataclass(slots=True)
class Told:
    """What a stage tells, over all its processes.

    Attributes:
        busy: 1 while a core works for it.
        window: batches that wait for their turn.
        applied: of each number how often: more than once if a process died before its checkpoint.
        order: the numbers as they were applied.
        duplicates: deliveries of what was applied before.
    """

    busy: Level = field(default_factory=Level)
    window: Level = field(default_factory=Level)
    applied: dict[int, int] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    duplicates: int = 0


class Stage:
    """One process of a stage.

    Args:
        durable: what the checkpoint holds; it goes on from there, and writes there.
        work: seconds of CPU that a batch takes.
        confirm: what is done with what was applied before the checkpoint that holds it.
        checkpoint: writes one; its seconds.
        lanes: batches are in order within each: number modulo lanes.
        machine: cores that it shares; without one it has its own.
        applied: called with each batch, when it was begun and when it ended.
    """

    def __init__(
        self,
        env: simpy.Environment,
        subscription: Subscription,
        durable: Durable,
        told: Told,
        *,
        work: Callable[[Batch], float],
        confirm: Effect,
        checkpoint: Callable[[], Process],
        lanes: int,
        settings: LoopSettings,
        machine: simpy.Resource | None = None,
        applied: Callable[[Batch, float, float], None] | None = None,
    ) -> None:
        self._env, self._subscription, self._durable, self._told = env, subscription, durable, told
        self._work, self._confirm, self._checkpoint, self._lanes = work, confirm, checkpoint, lanes
        self._settings, self._machine, self._applied = settings, machine, applied
        self._heads = dict(durable.heads)
        self._held: dict[int, tuple[Batch, list[int]]] = {}
        self._waiting: list[int] = []
        self._to_confirm: list[Batch] = []
        self._acks_due: list[int] = []
        self._duplicates: list[tuple[int, int]] = []
        self._dirty = False
        self._dry = False
        self._committed = self._extended = env.now

    @property
    def watermark(self) -> int:
        """As the process knows it; the durable one may be behind."""
        return min(self._heads.values())

    def run(self) -> Process:
        """Works until it is interrupted; then everything that is not durable is gone, and its leases run out."""
        try:
            while True:
                yield from self._turn()
        except simpy.Interrupt:
            self._told.window.set(0.0, self._env.now)
            if self._told.busy.value:
                self._told.busy.set(0.0, self._env.now)

    def _turn(self) -> Process:
        env, s = self._env, self._settings
        if env.now - self._extended >= s.extend_every:
            self._extended = env.now
            held = [token for _, tokens in self._held.values() for token in tokens]
            self._subscription.extend([*held, *self._waiting, *(token for _, token in self._duplicates)])
        self._dry = False
        may_pull = len(self._waiting) < s.unacked
        if may_pull:
            room = max(s.window - len(self._held), s.window // 8, 1)
            found = yield from self._subscription.pull(min(room, s.pull_limit), s.poll)
            self._dry = not found
            for delivery in found:
                self._take_in(delivery.token, delivery.batch)
        worked = yield from self._apply()
        if self._to_confirm:
            batches, self._to_confirm = self._to_confirm, []
            yield from self._confirm(batches)
        if self._due():
            yield from self._checkpoint()
            self._durable.heads = dict(self._heads)
            self._durable.number += 1
            self._acks_due += self._waiting
            self._waiting, self._dirty, self._committed = [], False, env.now
        self._acks_due += [token for seq, token in self._duplicates if seq < self._durable_head(seq)]
        self._duplicates = [(seq, token) for seq, token in self._duplicates if seq >= self._durable_head(seq)]
        self._subscription.ack(self._acks_due)
        self._acks_due = []
        back = self._give_back()
        if not worked and (back or not may_pull):
            # Nothing may be pulled, or only what cannot be held comes.
            yield env.timeout(min(s.retry_after, s.poll))

    def _durable_head(self, seq: int) -> int:
        return self._durable.heads[seq % self._lanes]

    def _take_in(self, token: int, batch: Batch) -> None:
        if batch.seq < self._heads[batch.seq % self._lanes]:
            self._told.duplicates += 1
            self._duplicates.append((batch.seq, token))
            return
        _, tokens = self._held.setdefault(batch.seq, (batch, []))
        tokens.append(token)
        self._told.window.set(len(self._held), self._env.now)

    def _apply(self) -> Process:
        done = 0
        for lane in sorted(self._heads):
            while (seq := self._heads[lane]) in self._held and done < self._settings.window:
                batch, tokens = self._held.pop(seq)
                self._told.window.set(len(self._held), self._env.now)
                begun = self._env.now
                yield from self.compute(self._work(batch))
                self._heads[lane] = seq + self._lanes
                self._waiting += tokens
                self._to_confirm.append(batch)
                self._dirty = True
                self._told.applied[seq] = self._told.applied.get(seq, 0) + 1
                self._told.order.append(seq)
                done += 1
                if self._applied is not None:
                    self._applied(batch, begun, self._env.now)
        return done

    def compute(self, seconds: float) -> Process:
        """Occupies a core."""
        if seconds <= 0.0:
            return
        yield from on_core(self._env, self._machine, seconds, self._told.busy)

    def _due(self) -> bool:
        s, since = self._settings, self._env.now - self._committed
        urgent = since >= s.checkpoint_every or self._dry or len(self._waiting) >= s.window / 2
        return self._dirty and since >= s.checkpoint_min and urgent

    def _give_back(self) -> bool:
        excess = len(self._held) - self._settings.window
        if excess <= 0:
            return False
        for seq in sorted(self._held)[-excess:]:
            _, tokens = self._held.pop(seq)
            self._subscription.nack(tokens)
        self._told.window.set(len(self._held), self._env.now)
        return True


def on_core(env: simpy.Environment, machine: simpy.Resource | None, seconds: float, busy: Level) -> Process:
    """Works on a core of the machine, waiting for one if others have them all."""
    request: Any = machine.request() if machine is not None else None
    try:
        if request is not None:
            yield request
        busy.set(1.0, env.now)
        yield env.timeout(seconds)
        busy.set(0.0, env.now)
    finally:
        if machine is not None:
            machine.release(request)
