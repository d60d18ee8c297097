"""One shard of a run: its batches put in order and cleaned. No Beam: what a key's state is, and what a message does to it.

Order, duplicates, gaps and contradictions are judged by the stage loop's own parts (`Intake`, `Window`), and batches are cleaned by its
`CleanStep`, so that the pipeline does what the pull worker does. What differs is where things are kept: a batch that waits for its turn
is in a bag of Beam's state, of which this keeps a list, for a bag is read only as a whole.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

from thundercast.adapters.checkpoint_format import compressed, decompressed
from thundercast.domain.arrays import BadState, unpack
from thundercast.domain.batch import Attributes, Message, Undecodable
from thundercast.domain.deadletters import DeadLetter
from thundercast.domain.runs import Run
from thundercast.domain.schema import RAW
from thundercast.stage.intake import Aside, Following, Intake, message_letter
from thundercast.stage.protocols import Delivery, Effects
from thundercast.stage.steps import CleanStep
from thundercast.stage.window import Held, Place, Window
from thundercast_dataflow import envelopes
from thundercast_dataflow.addressing import Key

VERSION: Final = 1
STAGE: Final = "cleaner"
MOST_GIVEN_UP: Final = 512
"""Numbers given up in one go: a hole may be any size, a bundle may not."""

FindRun = Callable[[str], Run | None]


class Bag(Protocol):
    """Batches that wait, in no order: Beam's bag state."""

    def read(self) -> Iterable[bytes]: ...

    def add(self, value: bytes) -> None: ...

    def clear(self) -> None: ...


@dataclass(slots=True)
class Outcome:
    """What came of a message, or of patience that ran out.

    Attributes:
        outcomes: of each batch that left, in order.
        rows: that took effect.
    """

    messages: list[Message] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    rows: int = 0
    duplicates: int = 0
    gaps: int = 0

    def add(self, effects: Effects) -> None:
        self.messages += effects.messages
        self.letters += effects.dead_letters
        self.outcomes.append(effects.outcome)
        self.rows += effects.row_count


class Lane:
    """A key's state, between its bytes.

    Attributes:
        held: when each batch that is in the bag came (UNIX seconds), by its number.
        saved: head and UNIX seconds of the snapshot that was written last and is not promoted yet.
    """

    def __init__(self, key: Key) -> None:
        self.run_id, self.shard = key
        self.held: dict[int, float] = {}
        self.saved: tuple[int, float] | None = None
        self._following: Following | None = None
        self._step = CleanStep()

    # --- messages -------------------------------------------------------------------------------------------------

    def receive(self, delivery: Delivery, now: float, bag: Bag, find_run: FindRun) -> Outcome:
        """Takes a message in and cleans every batch whose turn it then is.

        Args:
            now: UNIX seconds; the patience with holes is measured by it.
            find_run: a run's manifest, if there is one; asked before the first batch.
        """
        out = Outcome()
        if self._following is None and not self._begin(delivery, find_run, out):
            return out
        following, intake = self._intake()
        seq = int(delivery.message.attributes["seq"])
        # The bag matters only if this batch is the one that others wait for, or is there already.
        whole = bool(self.held) and (seq == self.head or seq in self.held)
        if whole:
            self._take_back(intake, bag, out)
        self._place(intake, delivery, now, out)
        self._apply(following, out)
        self._put_back(following, bag, whole=whole)
        return out

    def give_up(self, now: float, patience: float, bag: Bag) -> Outcome:
        """Skips what was waited for too long, and cleans what waited for it."""
        out = Outcome()
        if self._following is None or not self.held:
            return out
        following, intake = self._intake()
        self._take_back(intake, bag, out)
        while out.gaps < MOST_GIVEN_UP:
            lost = [hole for hole in following.window.holes() if now - hole.since >= patience]
            if not lost:
                break
            for seq in lost[0].seqs[: MOST_GIVEN_UP - out.gaps]:
                following.window.skip(seq)
                effects = self._step.skip(following.attributes_of(seq, "skipped"))
                effects.outcome = "skipped"
                out.add(effects)
                out.gaps += 1
            self._apply(following, out)
        self._put_back(following, bag, whole=True)
        return out

    # --- what others ask ------------------------------------------------------------------------------------------

    @property
    def head(self) -> int:
        """The number that is waited for; the shard's first, before any batch."""
        return self._following.window.watermark if self._following else self.shard

    @property
    def dates(self) -> int:
        """How many of the run's dates are behind."""
        return self.head // self._following.window.lanes if self._following else 0

    @property
    def complete(self) -> bool:
        """The shard's last batch was cleaned or given up."""
        return self._following is not None and self._following.complete

    @property
    def waits_since(self) -> float | None:
        """When the first batch came that waits for another; None if there is no hole."""
        return min(self.held.values(), default=None)

    @property
    def published(self) -> float:
        """When the batch cleaned last was published (UNIX seconds): what this state has not seen came later, or shortly before."""
        return self._following.published[self.shard] if self._following else 0.0

    # --- bytes ----------------------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """The value of Beam's state; the version is inside."""
        arrays, step = self._step.state()
        following = self._following.to_json() if self._following else None
        meta = {
            "version": VERSION, "run_id": self.run_id, "shard": self.shard, "following": following, "step": step,
            "held": {str(seq): since for seq, since in self.held.items()}, "saved": self.saved and list(self.saved),
        }  # fmt: skip
        return compressed(arrays, meta)

    @classmethod
    def from_bytes(cls, data: bytes, key: Key) -> Lane:
        """The inverse of `to_bytes`.

        Raises:
            BadState: the bytes are damaged, of a version that cannot be read, or of another key.
        """
        arrays, meta = unpack(decompressed(data))
        if meta.get("version") != VERSION:
            raise BadState(
                f"the state of {key} has version {meta.get('version')!r}; this program reads {VERSION}: drain the job with the old"
            )
        lane = cls(key)
        try:
            if (meta["run_id"], meta["shard"]) != key:
                raise ValueError(f"it belongs to {meta['run_id']}, shard {meta['shard']}")
            lane.held = {int(seq): float(since) for seq, since in meta["held"].items()}
            lane.saved = (int(meta["saved"][0]), float(meta["saved"][1])) if meta["saved"] else None
            lane._following = Following.from_json(meta["following"], 0.0) if meta["following"] else None
            lane._step.restore(arrays, meta["step"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadState(f"the state of {key} is damaged: {type(error).__name__}: {error}") from error
        return lane

    # --- parts ----------------------------------------------------------------------------------------------------

    def _begin(self, delivery: Delivery, find_run: FindRun, out: Outcome) -> bool:
        """Follows the run from its manifest or, if there is none, from the first batch that can be read."""
        run = find_run(self.run_id)
        problem = ""
        try:
            attributes = Attributes.of(run, self.shard, RAW) if run else Attributes.from_text(delivery.message.attributes)
            if attributes.fingerprint[:8] != self.run_id[-8:]:
                problem = f"{self.run_id}: fingerprint {attributes.fingerprint!r} is not the run's"
            elif self.shard >= attributes.shards:
                problem = f"the run has {attributes.shards} shards, the message is of shard {self.shard}"
        except Undecodable as error:
            problem = str(error)
        if problem:
            # Without one readable batch nobody knows the run's dates: this number is given up when a later batch has waited for it.
            out.letters.append(message_letter(STAGE, "undecodable", problem, delivery))
            return False
        window = Window(attributes.shards, owned=[self.shard])
        self._following = Following(attributes, window, [delivery.published] * attributes.shards, run.batches if run else None)
        return True

    def _intake(self) -> tuple[Following, Intake]:
        if self._following is None:
            raise ValueError("no run is followed yet")
        intake = Intake(STAGE, self._step.lanes, lambda _: None, lambda lane: lane == self.shard)
        intake.following = self._following
        return self._following, intake

    def _take_back(self, intake: Intake, bag: Bag, out: Outcome) -> None:
        for waiting in map(envelopes.from_bytes, bag.read()):
            self._place(intake, waiting, self.held[int(waiting.message.attributes["seq"])], out)

    def _place(self, intake: Intake, delivery: Delivery, since: float, out: Outcome) -> None:
        placed = intake.place(delivery, since)
        if isinstance(placed, Aside):
            out.letters.append(placed.letter)
        elif placed is Place.FOREIGN:
            # By what its attributes say the batch is of another shard than by what the run's say.
            detail = f"its shard contradicts the run's number of shards, {intake.following and intake.following.attributes.shards}"
            out.letters.append(message_letter(STAGE, "undecodable", detail, delivery))
        elif placed is not Place.HELD:
            out.duplicates += 1

    def _apply(self, following: Following, out: Outcome) -> None:
        while (batch := following.window.take()) is not None:
            effects, attributes = self._effects(following, batch)
            following.applied(batch.seq, attributes.date, batch.delivery.published)
            out.add(effects)
        if following.complete:
            self._step = CleanStep()  # the stations' history has served; the watermark stays, for duplicates

    def _effects(self, following: Following, batch: Held) -> tuple[Effects, Attributes]:
        if not isinstance(batch.attributes, Undecodable):
            return self._step.apply(batch.attributes, batch.delivery.message), batch.attributes
        # The number passes on, so that whoever comes next does not wait for it.
        attributes = following.attributes_of(batch.seq, "undecodable")
        effects = self._step.skip(attributes)
        effects.dead_letters.append(message_letter(STAGE, "undecodable", str(batch.attributes), batch.delivery))
        return effects, attributes

    def _put_back(self, following: Following, bag: Bag, *, whole: bool) -> None:
        if whole:
            bag.clear()
            self.held = {}
        for batch in sorted(following.window.held, key=lambda batch: batch.seq):
            bag.add(envelopes.to_bytes(batch.delivery))
            self.held[batch.seq] = batch.since


def counted(outcome: Outcome) -> Counter[str]:
    """What an outcome adds to the counters, by name; ``rows_in``, ``imputed`` and ``rejected_<reason>`` are the cleaner's own."""
    counts: Counter[str] = Counter(f"batches_{name}" for name in outcome.outcomes)
    for message in outcome.messages:
        counts.update(json.loads(message.attributes["counts"]))
    counts.update(f"dead_letters_{letter.reason}" for letter in outcome.letters)
    counts.update({"rows_out": outcome.rows, "duplicates": outcome.duplicates, "gaps": outcome.gaps})
    return +counts
