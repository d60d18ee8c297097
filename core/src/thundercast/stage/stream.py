"""What a loop holds, has applied and not yet made durable: the part of it that needs no dependency but the step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from thundercast.domain.batch import Attributes, Undecodable
from thundercast.domain.runs import Run, RunState
from thundercast.domain.tables import GAPS
from thundercast.stage.acks import Acks
from thundercast.stage.intake import Aside, Following, Intake, message_letter
from thundercast.stage.outbox import Row
from thundercast.stage.points import Gap
from thundercast.stage.protocols import Delivery, Effects, Step
from thundercast.stage.recovery import Progress
from thundercast.stage.settings import LoopSettings
from thundercast.stage.unconfirmed import Unconfirmed
from thundercast.stage.window import Held, Hole, Place


def every_lane(lane: int) -> bool:  # noqa: ARG001
    """One process works on all lanes."""
    return True


class Stream:
    """Takes deliveries in and applies them in order.

    Args:
        component: the stage's name.
        may_go_on: asked before each batch; False leaves the rest for later, and it may raise.
        gap: called after each batch.
        observe: called with the seconds that each batch took.
        owns: whether this process works on a lane; batches of other lanes are acked at once.
        account: gives rows for the outbox that say what has become of a run (its id): ``running`` when it begins, then ``completed`` or
            ``superseded``. It may raise `Unavailable`.

    Attributes:
        listened: seconds in which something could have come. The patience with what is missing is measured by it, so it
            does not run out while nothing is pulled.
        successor: the newer run that begins as soon as the old one is durable.
        holes: what was missing when `give_up_holes` looked last.
        dirty: something was applied or begun that no checkpoint holds.
    """

    def __init__(
        self,
        component: str,
        step: Step,
        settings: LoopSettings,
        *,
        find_run: Callable[[str], Run | None],
        may_go_on: Callable[[], bool],
        gap: Gap,
        observe: Callable[[float], None] | None = None,
        owns: Callable[[int], bool] = every_lane,
        account: Callable[[str, RunState], Iterable[Row]] | None = None,
    ) -> None:
        self._component = component
        self._step = step
        self._settings = settings
        self._may_go_on = may_go_on
        self._gap = gap
        self._observe = observe
        self._account = account
        self._intake = Intake(component, step.lanes, find_run, owns)
        self.progress = Progress()
        self.unconfirmed = Unconfirmed()
        self.acks = Acks()
        self.listened = 0.0
        self.successor: str | None = None
        self.holes: list[Hole] = []
        self.dirty = False

    @property
    def following(self) -> Following | None:
        """The run that is followed."""
        return self.progress.following

    @property
    def held(self) -> int:
        """How many batches wait for their turn."""
        return len(self._intake)

    @property
    def leased(self) -> list[str]:
        """The tokens of everything that is neither acked nor about to be."""
        return [token for batch in self._intake.held for token in batch.tokens] + self.acks.waiting + self.unconfirmed.tokens

    @property
    def complete(self) -> bool:
        """The run's last batch was applied, and a checkpoint holds it."""
        return self.following is not None and self.following.complete and not self.dirty

    @property
    def rests(self) -> bool:
        """Nothing is left to do for what was applied."""
        return not (self.dirty or self.unconfirmed or len(self.acks) or self.acks.due or len(self.progress.outbox))

    @property
    def has_room(self) -> bool:
        """Whether what is not confirmed, not durable and not written is within its bounds."""
        s = self._settings
        return (
            len(self.acks) < s.unacked
            and self.unconfirmed.batches < s.window
            and len(self.unconfirmed.tokens) < s.window
            and len(self.progress.outbox) < s.outbox
        )

    def resume(self, progress: Progress) -> None:
        """Goes on from a checkpoint's progress."""
        self.progress = progress
        self._intake.following = progress.following

    def take_in(self, delivery: Delivery) -> None:
        """Puts a delivery where it belongs."""
        placed = self._intake.place(delivery, self.listened)
        if isinstance(placed, Aside):
            self._set_aside(placed)
        elif placed is Place.FOREIGN:
            self.acks.due.append(delivery.token)
        elif placed is not Place.HELD:
            self.progress.counts.duplicates += 1
        if placed is Place.DUPLICATE:
            self.acks.duplicate(int(delivery.message.attributes["seq"]), delivery.token)

    def give_back(self, capacity: int) -> list[str]:
        """Lets go of the highest batches beyond the capacity; returns their tokens."""
        return [token for batch in self._intake.give_back(capacity) for token in batch.tokens]

    def seek_time(self) -> float:
        """UNIX seconds since which everything was published that is not applied, and some more."""
        return self._intake.seek_time(self._settings.seek_margin)

    # --- applying ---------------------------------------------------------------------------------------------

    def apply(self) -> int:
        """Applies the batches whose turn it is, a window full of them at most; returns how many."""
        applied, following = 0, self.following
        while following is not None and self._may_apply() and applied < self._settings.window:
            batch = following.window.take()
            if batch is None:
                break
            started = time.perf_counter()
            effects, attributes = self._effects(following, batch)
            self.acks.applied(batch.seq, batch.tokens)
            following.applied(batch.seq, attributes.date, batch.delivery.published)
            self._add(effects)
            applied += 1
            if self._observe is not None:
                self._observe(time.perf_counter() - started)
            self._gap("applied")
        return applied

    def give_up_holes(self) -> int:
        """Skips what was waited for too long; returns how many seqs."""
        for aside in self._intake.hopeless(self.listened, self._settings.gap_timeout):
            self._set_aside(aside)
        following, given_up = self.following, 0
        self.holes = following.window.holes(following.end) if following is not None and self.successor is None else []
        if following is None:
            return 0
        for hole in self.holes:
            if self.listened - hole.since < self._settings.gap_timeout:
                continue
            for seq in hole.seqs[: self._settings.window]:
                if not self._may_apply():
                    break
                following.window.skip(seq)
                self._add(self._skipped(following, seq))
                given_up += 1
        return given_up

    def may_begin(self) -> bool:
        """Whether a newer run is ready, and the old one durable, which ends with a checkpoint of its own."""
        self.successor = self._intake.successor(self.listened, self._settings.gap_timeout)
        return self.successor is not None and not (self.unconfirmed or len(self.acks) or self.dirty)

    def begin(self) -> None:
        """Begins the newer run.

        Raises:
            Unavailable: its manifest cannot be read now, or no account be given of either; nothing has changed.
        """
        if self.successor is None:
            raise ValueError("no run can begin")
        told = self._told("running", self.successor)
        if (old := self.following) is not None and not old.concluded:
            told = self._told("completed" if old.complete else "superseded", old.run_id) + told
        following, asides, foreign = self._intake.begin(self.successor, self.listened)
        self.acks.due += foreign
        for aside in asides:
            self._set_aside(aside)
        effects = self._step.begin(following.attributes)
        self.unconfirmed.add(effects)
        self.progress.outbox.extend([*told, *effects.outbox])
        self.progress.following, self.successor, self.dirty = following, None, True
        self._gap("begun")

    def conclude(self) -> None:
        """Says that the run is completed, once, if it is; to be done before the checkpoint that makes it so.

        Raises:
            Unavailable: no account of it can be given now; nothing has changed.
        """
        following = self.following
        if following is not None and following.complete and not following.concluded:
            self.progress.outbox.extend(self._told("completed", following.run_id))
            following.concluded = True

    def _told(self, state: RunState, run_id: str) -> list[Row]:
        return list(self._account(run_id, state)) if self._account is not None else []

    def _may_apply(self) -> bool:
        return self.successor is None and self.has_room and self._may_go_on()

    def _effects(self, following: Following, batch: Held) -> tuple[Effects, Attributes]:
        if not isinstance(batch.attributes, Undecodable):
            return self._step.apply(batch.attributes, batch.delivery.message), batch.attributes
        # The number passes on, so that whoever comes next does not wait for it.
        attributes = following.attributes_of(batch.seq, "undecodable")
        effects = self._step.skip(attributes)
        effects.outcome = "undecodable"
        effects.dead_letters.append(message_letter(self._component, "undecodable", str(batch.attributes), batch.delivery))
        return effects, attributes

    def _skipped(self, following: Following, seq: int) -> Effects:
        attributes = following.attributes_of(seq, "skipped")
        effects = self._step.skip(attributes)
        effects.outcome = "skipped"
        row = {
            "run_id": attributes.run_id,
            "seq": seq,
            "component": self._component,
            "date": attributes.date.isoformat(),
            "shard": attributes.shard,
        }
        effects.outbox.append((GAPS.name, row))
        self.progress.counts.gaps += 1
        following.date = attributes.date
        return effects

    def _add(self, effects: Effects) -> None:
        counts = self.progress.counts
        counts.batches[effects.outcome] += 1
        counts.rows += effects.row_count
        for letter in effects.dead_letters:
            counts.dead_letters[letter.reason] += 1
        self.unconfirmed.add(effects)
        self.unconfirmed.batches += 1
        self.progress.outbox.extend(effects.outbox)
        self.dirty = True

    def _set_aside(self, aside: Aside) -> None:
        self.progress.counts.dead_letters[aside.letter.reason] += 1
        self.unconfirmed.set_aside(aside)
