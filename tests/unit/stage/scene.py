"""A small stage on a stage: a run of tiny batches, a step that remembers what it did, and a world that can be broken."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from thundercast.adapters.folder import FolderCheckpoints
from thundercast.adapters.memory import MemoryTopic
from thundercast.domain import schema
from thundercast.domain.arrays import Arrays, pack
from thundercast.domain.batch import Attributes, Message
from thundercast.domain.deadletters import DeadLetter
from thundercast.domain.runs import Run, RunState
from thundercast.domain.tables import MODEL_METRICS, PREDICTIONS, Table
from thundercast.stage.loop import StageLoop
from thundercast.stage.outbox import Row
from thundercast.stage.points import Gap, go_on
from thundercast.stage.protocols import Delivery, Effects, Unavailable
from thundercast.stage.settings import Clock, LoopSettings
from thundercast.stage.stream import every_lane
from thundercast.stage.unconfirmed import Outlets

START = dt.date(2022, 1, 1)


def a_run(dates: int = 6, shards: int = 4, started: str = "20240101T000000Z") -> Run:
    return Run(started=started, source="test", start=START, end=START + dt.timedelta(days=dates - 1), shards=shards)


def message(run: Run, seq: int, data: bytes | None = None, **attributes: str) -> Message:
    """Batch ``seq`` of a run; attributes given replace its own, None as text removes one."""
    text = Attributes.of(run, seq, schema.RAW).to_text() | attributes
    return Message(f"rows of {seq}".encode() if data is None else data, {k: v for k, v in text.items() if v != "None"})


POISON = b"poison"


@dataclass
class CountingStep:
    """Its state depends on every batch and on their order within a lane, so nothing can be lost, doubled or swapped unseen."""

    per_shard: bool = False
    chain: dict[int, int] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)

    def lanes(self, attributes: Attributes) -> int:
        return attributes.shards if self.per_shard else 1

    def begin(self, attributes: Attributes) -> Effects:
        self.chain, self.log = {}, []
        self.begun.append(attributes.run_id)
        return Effects()

    def _note(self, attributes: Attributes, what: str) -> Effects:
        lane = attributes.seq % self.lanes(attributes)
        self.chain[lane] = (self.chain.get(lane, 7) * 1_000_003 + attributes.seq * 31 + len(what)) % 2**61
        self.log.append(f"{what}{attributes.seq}")
        out = Message(str(self.chain[lane]).encode(), {"message_id": attributes.message_id, "outcome": what, "last": str(attributes.last)})
        row = {
            "run_id": [attributes.run_id], "date": [attributes.date], "station": [f"{attributes.shard:011d}"], "model_name": ["counting"],
            "task": ["nowcast"], "probability": [self.chain[lane] / 2**61],
        }  # fmt: skip
        rows = pa.table({f.name: pa.array(row.get(f.name, [None]), f.type) for f in PREDICTIONS.arrow}, schema=PREDICTIONS.arrow)
        outbox = [(MODEL_METRICS.name, {
            "run_id": attributes.run_id, "batch_id": attributes.seq, "model_name": "counting", "task": "nowcast", "scope": "day",
            "gate": "all", "date": attributes.date.isoformat(), "rows": self.chain[lane] % 2**31,
        })]  # fmt: skip
        return Effects(messages=[out], rows=[(PREDICTIONS, rows)], outbox=list(outbox), row_count=1)

    def apply(self, attributes: Attributes, message: Message) -> Effects:
        if message.data.startswith(POISON):
            effects = self._note(attributes, "poisoned ")
            effects.outcome, effects.row_count = "undecodable", 0
            letter = DeadLetter("undecodable", "poison", "test", attributes.run_id, attributes.seq, payload=message.data)
            effects.dead_letters.append(letter)
            return effects
        return self._note(attributes, "")

    def skip(self, attributes: Attributes) -> Effects:
        return self._note(attributes, f"{attributes.outcome} ")

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        lanes = sorted(self.chain)
        return {"lane": np.array(lanes, np.int64), "chain": np.array([self.chain[lane] for lane in lanes], np.int64)}, {"log": self.log}

    def restore(self, arrays: Arrays, meta: Mapping[str, Any]) -> None:
        self.chain = dict(zip(arrays["lane"].tolist(), arrays["chain"].tolist(), strict=True))
        self.log = list(meta["log"])

    def canonical(self) -> bytes:
        """What must be equal: the state, and of the log what does not depend on how lanes took turns."""
        return pack(self.state()[0], {"log": sorted(self.log)})


class FakeTime:
    """A clock that goes on only when somebody waits; things can be planned for a time."""

    def __init__(self, limit: float = 10_000.0) -> None:
        self.now = 0.0
        self.limit = limit
        self._plans: list[tuple[float, Callable[[], None]]] = []

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, self.wall, self._wait)

    def wall(self) -> float:
        return 1_700_000_000.0 + self.now

    def at(self, time: float, what: Callable[[], None]) -> None:
        self._plans.append((time, what))

    def advance(self, seconds: float) -> None:
        self.now += seconds
        assert self.now < self.limit, "the loop waits for ever"
        for plan in [plan for plan in self._plans if plan[0] <= self.now]:
            self._plans.remove(plan)
            plan[1]()

    def _wait(self, event: threading.Event, seconds: float) -> bool:
        self.advance(seconds)
        return event.is_set()


class Topic(MemoryTopic):
    """A topic in memory on the fake clock: who waits for a message makes time pass."""

    def __init__(self, time: FakeTime, *, retain: float = 1e9) -> None:
        super().__init__(capacity=100_000, retain=retain, monotonic=lambda: time.now, wall=time.wall)
        self._time = time
        self.away = False
        self.acked: list[str] = []
        self.given_back = 0
        self.pulls: list[float] = []
        self.sought: list[float] = []
        self.tick = 0.0

    def pull(self, limit: int, timeout: float) -> list[Delivery]:
        self._answer()
        self.pulls.append(self._time.now)
        self._time.advance(self.tick)
        pulled = super().pull(limit, 0)
        if not pulled:
            self._time.advance(timeout)
        return pulled

    def ack(self, tokens: Sequence[str]) -> None:
        self._answer()
        self.acked += tokens
        super().ack(tokens)

    def nack(self, tokens: Sequence[str]) -> None:
        self.given_back += len(tokens)
        super().nack(tokens)

    def seek(self, time: float) -> None:
        self.sought.append(time)
        super().seek(time)

    def _answer(self) -> None:
        if self.away:
            raise Unavailable("nobody answers")


class Published:
    """A publisher that remembers what came, and can be away."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.away = False

    def publish(self, messages: Sequence[Message]) -> None:
        if self.away:
            raise Unavailable("the topic does not answer")
        self.messages += messages

    def by_id(self) -> dict[str, set[bytes]]:
        """All that was ever said under one id: more than one value would be two truths."""
        found: dict[str, set[bytes]] = {}
        for m in self.messages:
            found.setdefault(m.attributes["message_id"], set()).add(m.data)
        return found


class Store:
    """Rows by key, and can be away."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {}
        self.away: set[str] = set()
        self.writes = 0

    def write(self, table: Table, rows: pa.Table) -> None:
        assert rows.schema == table.arrow
        if table.name in self.away or "*" in self.away:
            raise Unavailable("the store does not answer")
        self.writes += 1
        for row in rows.to_pylist():
            self.rows.setdefault(table.name, {})[tuple(row[k] for k in table.key)] = row

    def __getitem__(self, table: str) -> dict[tuple[Any, ...], dict[str, Any]]:
        return self.rows.get(table, {})

    def reasons(self) -> list[str]:
        return sorted(row["reason"] for row in self["dead_letters"].values())


class AnyLock:
    """A lock that is ours until somebody takes it away."""

    def __init__(self) -> None:
        self.ours = True
        self.released = False

    def acquire(self, timeout: float) -> bool:
        return self.ours

    def held(self) -> bool:
        return self.ours

    def release(self) -> None:
        self.released = True

    def holder(self) -> str:
        return "" if self.ours else "somebody else"


SETTINGS = LoopSettings(window=16, pull_limit=5, checkpoint_min=0.0, checkpoint_every=10.0, unacked=16, gap_timeout=900.0)


class Killed(BaseException):
    """The process dies here."""


def killing(point: str, nth: int) -> Gap:
    """A hook that dies when a point is reached for the nth time."""
    hits = 0

    def gap(name: str) -> None:
        nonlocal hits
        hits += name == point
        if name == point and hits == nth:
            raise Killed(f"{name} {nth}")

    return gap


class World:
    """All that outlives a process: the topic, the checkpoints, what was published and written."""

    def __init__(self, folder: Path, run: Run | None = None, *, per_shard: bool = False) -> None:
        self.folder = folder
        self.run = run or a_run()
        self.per_shard = per_shard
        self.time = FakeTime()
        self.topic = Topic(self.time)
        self.published = Published()
        self.store = Store()
        self.lock = AnyLock()
        self.step = CountingStep(per_shard)
        self.turns: list[Callable[[StageLoop], None]] = []

    def publish(self, seqs: Sequence[int], data: Mapping[int, bytes] | None = None) -> None:
        self.topic.publish([message(self.run, seq, (data or {}).get(seq)) for seq in seqs])

    def loop(
        self, *, gap: Gap = go_on, settings: LoopSettings = SETTINGS, manifest: bool = True, owns: Callable[[int], bool] = every_lane,
        account: Callable[[str, RunState], list[Row]] | None = None,
    ) -> StageLoop:  # fmt: skip
        """A new process."""
        self.step = CountingStep(self.per_shard)
        checkpoints = FolderCheckpoints(self.folder, gap=gap)
        if manifest:
            checkpoints.write_manifest(self.run.run_id, self.run.to_json())
        return StageLoop(
            "test", self.step, subscription=self.topic, checkpoints=checkpoints, lock=self.lock,
            outlets=Outlets(messages=self.published, store=self.store), settings=settings, clock=self.time.clock, gap=gap,
            owns=owns, account=account,
        )  # fmt: skip

    def finish(self, **kwargs: Any) -> StageLoop:
        loop = self.loop(**kwargs)
        loop.run(until_complete=self.run.run_id)
        return loop

    def drained(self) -> World:
        """After a process has looked for a minute at what is still delivered: nothing of it may count."""
        loop = self.loop()
        self.time.at(self.time.now + 60.0, loop.stop)
        loop.run()
        return self

    def result(self) -> tuple[bytes, dict[str, set[bytes]], dict[str, Any]]:
        """All that must be equal whatever happened on the way."""
        return self.step.canonical(), self.published.by_id(), self.store.rows
