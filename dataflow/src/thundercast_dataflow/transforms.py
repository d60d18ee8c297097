"""The streaming transforms: raw messages in; clean messages and dead letters out.

The names of transforms, state and timers, and the coders of keys and state, are what an updated job finds its state by: they never
change. The state's own version is inside its bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import apache_beam as beam
from apache_beam.coders import BytesCoder
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.metrics import Metrics
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, ReadModifyWriteStateSpec, TimerSpec, on_timer

from thundercast.domain.batch import Message
from thundercast.domain.deadletters import DeadLetter
from thundercast.stage.intake import message_letter
from thundercast.stage.letters import to_messages
from thundercast.stage.protocols import Delivery
from thundercast_dataflow import envelopes
from thundercast_dataflow.addressing import Homeless, Key, Unaddressed, key_of
from thundercast_dataflow.lane import STAGE, Lane, Outcome, counted
from thundercast_dataflow.snapshots import SETTLED, Snapshot, Snapshots

CLEAN: Final = "clean"
DEAD_LETTERS: Final = "dead_letters"
NAMESPACE: Final = "thundercast"
_CUT: Final = 0.002  # s


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """When a lane does what no batch tells it to do. Times are in seconds.

    Attributes:
        gap_timeout: patience with a missing batch while later ones wait.
        idle_timeout: a lane to which nothing comes for so long goes to the checkpoint place, and is fetched when a batch comes.
        snapshot_dates: a snapshot every so many dates.
        settled: see `snapshots`.
        now: UNIX seconds.
    """

    gap_timeout: float = 900.0
    idle_timeout: float = 86_400.0
    snapshot_dates: int = 30
    settled: float = SETTLED
    now: Callable[[], float] = time.time


class CleanStream(beam.PTransform):
    """`PubsubMessage` of raw batches to those of clean batches (tag `CLEAN`) and dead letters (tag `DEAD_LETTERS`).

    Args:
        checkpoints: the checkpoint place, for snapshots and run manifests.
    """

    def __init__(self, checkpoints: str, pace: Pace) -> None:
        super().__init__()
        self._checkpoints, self._pace = checkpoints, pace

    def expand(self, raw: Any) -> dict[str, Any]:
        addressed = raw | "Address" >> beam.ParDo(Address(self._checkpoints)).with_outputs(DEAD_LETTERS, main="addressed")
        keyed = addressed["addressed"] | "Key" >> beam.Map(_pair).with_output_types(tuple[tuple[str, int], bytes])
        cleaned = keyed | "InOrder" >> beam.ParDo(CleanInOrder(self._checkpoints, self._pace)).with_outputs(DEAD_LETTERS, main=CLEAN)
        letters = (addressed[DEAD_LETTERS], cleaned[DEAD_LETTERS]) | "DeadLetters" >> beam.Flatten()
        return {CLEAN: cleaned[CLEAN], DEAD_LETTERS: letters}


def _pair(element: tuple[Key, bytes]) -> tuple[Key, bytes]:
    """States the type: the key's coder must be deterministic, and that of two outputs is not known."""
    return element


class Address(beam.DoFn):
    """Finds the run and shard of each message; what has none is a dead letter."""

    def __init__(self, checkpoints: str) -> None:
        self._snapshots = Snapshots(checkpoints)

    def process(self, message: PubsubMessage, timestamp: Any = beam.DoFn.TimestampParam) -> Iterator[Any]:
        # The element's timestamp is the time at which Pub/Sub took it.
        delivery = Delivery(Message(message.data, dict(message.attributes or {})), "", float(timestamp))
        try:
            key = key_of(delivery.message.attributes, self._snapshots.manifest)
        except (Unaddressed, Homeless) as error:
            reason = "unaddressed" if isinstance(error, Unaddressed) else "undecodable"
            yield from _letters([message_letter(STAGE, reason, str(error), delivery)])
            _count(f"dead_letters_{reason}", 1)
            return
        yield key, envelopes.to_bytes(delivery)


class CleanInOrder(beam.DoFn):
    """Cleans the batches of each run and shard in order, each once; see `lane.Lane`.

    State: the lane, one value; and the batches that wait for their turn. Timers: ``gap`` (processing time) gives up what was waited for
    too long. ``rest`` (watermark) fires when the watermark reaches the end of the window, which is a drain, or has passed a lane to which
    nothing has come for long: either way the lane goes to the checkpoint place and leaves the job's memory.
    """

    LANE: Final = ReadModifyWriteStateSpec("lane", BytesCoder())
    WAITING: Final = BagStateSpec("waiting", BytesCoder())
    GAP: Final = TimerSpec("gap", TimeDomain.REAL_TIME)
    REST: Final = TimerSpec("rest", TimeDomain.WATERMARK)

    def __init__(self, checkpoints: str, pace: Pace) -> None:
        self._snapshots = Snapshots(checkpoints)
        self._pace = pace

    def process(
        self,
        element: tuple[Key, bytes],
        state: Any = beam.DoFn.StateParam(LANE),
        waiting: Any = beam.DoFn.StateParam(WAITING),
        gap: Any = beam.DoFn.TimerParam(GAP),
        rest: Any = beam.DoFn.TimerParam(REST),
    ) -> Iterator[Any]:
        (run_id, shard), data = element
        key, now = (run_id, shard), self._pace.now()
        delivery = envelopes.from_bytes(data)
        lane = self._lane(key, state.read(), waiting, now)
        before = lane.dates
        outcome = lane.receive(delivery, now, waiting, self._snapshots.manifest)
        self._save(key, lane, before, waiting, now)
        state.write(lane.to_bytes())
        self._wake(lane, gap)
        # Of a message that was published long ago the watermark knows nothing: it may be far beyond.
        rest.set(max(now, delivery.published) + self._pace.idle_timeout)
        yield from _effects(outcome, lane)

    @on_timer(GAP)
    def give_up(
        self,
        key: Any = beam.DoFn.KeyParam,
        fired: Any = beam.DoFn.TimestampParam,
        state: Any = beam.DoFn.StateParam(LANE),
        waiting: Any = beam.DoFn.StateParam(WAITING),
        gap: Any = beam.DoFn.TimerParam(GAP),
    ) -> Iterator[Any]:
        """Processing time has reached the end of the patience."""
        data = state.read()
        if data is None:
            return
        run_id, shard = key
        lane = Lane.from_bytes(data, (run_id, shard))
        # The runner's clock has set the timer off; a worker's may be behind it, and timers are cut to milliseconds.
        now = max(self._pace.now(), float(fired)) + _CUT
        outcome = lane.give_up(now, self._pace.gap_timeout, waiting)
        state.write(lane.to_bytes())
        self._wake(lane, gap)
        yield from _effects(outcome, lane)

    @on_timer(REST)
    def put_away(
        self,
        key: Any = beam.DoFn.KeyParam,
        state: Any = beam.DoFn.StateParam(LANE),
        waiting: Any = beam.DoFn.StateParam(WAITING),
        gap: Any = beam.DoFn.TimerParam(GAP),
    ) -> None:
        """The watermark has reached the end of the window, or of a long rest."""
        data = state.read()
        if data is None:
            return
        run_id, shard = key
        lane = Lane.from_bytes(data, (run_id, shard))
        self._snapshots.write((run_id, shard), Snapshot.of(lane, waiting.read()))
        if lane.saved is not None:
            self._snapshots.discard((run_id, shard), lane.saved[0])
        state.clear()
        waiting.clear()
        gap.clear()
        _count("snapshots", 1)

    def _lane(self, key: Key, data: bytes | None, waiting: Any, now: float) -> Lane:
        if data is not None:
            return Lane.from_bytes(data, key)
        snapshot = self._snapshots.load(key)
        if snapshot is None:
            return Lane(key)
        for one in snapshot.waiting:
            waiting.add(one)
        return snapshot.lane(key, now)

    def _save(self, key: Key, lane: Lane, before: int, waiting: Any, now: float) -> None:
        """Every so many dates, promotes the snapshot before and writes another."""
        every = self._pace.snapshot_dates
        if lane.dates // every == before // every:
            return
        if lane.saved is not None:
            head, at = lane.saved
            if now - at < self._pace.settled:
                return
            self._snapshots.promote(key, head)
        lane.saved = (lane.head, now)
        self._snapshots.write_pending(key, lane.head, Snapshot.of(lane, waiting.read()))
        _count("snapshots", 1)

    def _wake(self, lane: Lane, gap: Any) -> None:
        since = lane.waits_since
        if since is None:
            gap.clear()
        else:
            gap.set(since + self._pace.gap_timeout)


def _effects(outcome: Outcome, lane: Lane) -> Iterator[Any]:
    for name, number in counted(outcome).items():
        _count(name, number)
    Metrics.distribution(NAMESPACE, "waiting_batches").update(len(lane.held))
    for message in outcome.messages:
        yield PubsubMessage(message.data, dict(message.attributes))
    yield from _letters(outcome.letters)


def _letters(letters: Iterable[DeadLetter]) -> Iterator[Any]:
    for message in to_messages(list(letters)):
        yield beam.pvalue.TaggedOutput(DEAD_LETTERS, PubsubMessage(message.data, dict(message.attributes)))


def _count(name: str, number: int) -> None:
    Metrics.counter(NAMESPACE, name).inc(number)
