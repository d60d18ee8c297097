"""Where each delivery belongs: in the run's window, in wait for a newer run, or aside."""

from __future__ import annotations

import datetime as dt
import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from thundercast.domain.batch import ARROW, Attributes, Unaddressed, Undecodable
from thundercast.domain.deadletters import DeadLetter
from thundercast.domain.runs import Run
from thundercast.stage.protocols import Delivery
from thundercast.stage.window import End, Held, Place, Window


@dataclass(slots=True)
class Following:
    """The run that is followed, and how far it has come.

    Attributes:
        attributes: of one of its batches: what all of them have in common is read from it.
        total: number of its batches; None until the manifest or the last batch tells.
        end: set once the last batch has come.
        published: by lane, when the batch applied last was published (UNIX seconds); at first, when the run was.
        date: of the batch applied last.
        concluded: it was said of the run that it is completed.
    """

    attributes: Attributes
    window: Window
    published: list[float]
    total: int | None = None
    end: End | None = None
    date: dt.date | None = None
    concluded: bool = False

    @property
    def run_id(self) -> str:
        return self.attributes.run_id

    @property
    def complete(self) -> bool:
        """Every batch up to the last was applied or given up."""
        return self.total is not None and self.window.watermark >= self.total

    def attributes_of(self, seq: int, outcome: str) -> Attributes:
        """The attributes of a batch that brought none that can be used."""
        a = self.attributes
        return replace(
            a, seq=seq, date=a.start_date + dt.timedelta(days=seq // a.shards), shard=seq % a.shards, last=seq + 1 == self.total,
            content_type=ARROW, published_at="", outcome=outcome, counts={},
        )  # fmt: skip

    def beyond(self, seq: int) -> bool:
        """Whether the run cannot have a batch of this number."""
        if self.total is not None:
            return seq >= self.total
        return seq // self.attributes.shards > (dt.date.max - self.attributes.start_date).days

    def contradiction(self, other: Attributes) -> str:
        """What of another batch's attributes cannot be of this run; empty if nothing."""
        for name in ("fingerprint", "shards", "start_date", "synthetic"):
            ours, theirs = getattr(self.attributes, name), getattr(other, name)
            if ours != theirs:
                return f"{other.message_id}: {name} {theirs!s} contradicts the run's {ours!s}"
        return ""

    def note(self, seq: int, attributes: Attributes | Undecodable, now: float) -> None:
        """Learns from the last batch that it has come, and the number of batches if there is no manifest."""
        if self.total is None and isinstance(attributes, Attributes) and attributes.last:
            self.total = seq + 1
        # The end of each lane tells, for a process that owns some of them may never see the run's last batch.
        if self.end is None and self.total is not None and seq >= self.total - self.window.lanes:
            self.end = End(self.total, now)

    def applied(self, seq: int, date: dt.date, published: float) -> None:
        self.date = date
        lane = seq % self.window.lanes
        self.published[lane] = max(published, self.published[lane])

    def to_json(self) -> dict[str, Any]:
        return {
            "attributes": self.attributes.to_text(), "lanes": self.window.lanes, "owned": self.window.owned, "heads": self.window.heads,
            "skipped": sorted(self.window.skipped), "total": self.total, "ended": self.end is not None,
            "published": self.published, "date": self.date and self.date.isoformat(),
            "concluded": self.concluded,
        }  # fmt: skip

    @classmethod
    def from_json(cls, kept: Mapping[str, Any], now: float) -> Following:
        """Raises ValueError, KeyError or TypeError if it was not made by `to_json`."""
        return cls(
            Attributes.from_text(kept["attributes"]),
            Window(kept["lanes"], kept["heads"], kept["skipped"], kept["owned"]),
            [float(time) for time in kept["published"]],
            kept["total"],
            End(kept["total"], now) if kept["ended"] else None,
            dt.date.fromisoformat(kept["date"]) if kept["date"] else None,
            bool(kept.get("concluded")),
        )


@dataclass(frozen=True, slots=True)
class Aside:
    """A message that goes to the dead letters, and is acked when they are confirmed."""

    letter: DeadLetter
    tokens: list[str]


@dataclass(slots=True)
class _Pen:
    """Batches of a run that has not begun.

    Attributes:
        since: when the first of them came.
        attributes: of the lowest that can be read.
    """

    since: float
    held: dict[int, Held] = field(default_factory=dict)

    @property
    def attributes(self) -> Attributes | None:
        readable = [seq for seq, batch in self.held.items() if isinstance(batch.attributes, Attributes)]
        found = self.held[min(readable)].attributes if readable else None
        return found if isinstance(found, Attributes) else None


class Intake:
    """Sorts what is delivered.

    Args:
        component: the stage's name, for dead letters.
        lanes: the step's answer to how many lanes a run has.
        find_run: a run's manifest, if there is one.
        owns: whether this process works on a lane.
    """

    def __init__(
        self, component: str, lanes: Callable[[Attributes], int], find_run: Callable[[str], Run | None], owns: Callable[[int], bool]
    ) -> None:
        self._component = component
        self._lanes = lanes
        self._owns = owns
        self._find_run = find_run
        self._pens: dict[str, _Pen] = {}
        self.following: Following | None = None

    def place(self, delivery: Delivery, now: float) -> Place | Aside:
        """Takes a delivery in, or says what it is instead."""
        text = delivery.message.attributes
        attributes: Attributes | Undecodable
        run_id, seq = text.get("run_id", ""), _number(text.get("seq", ""))
        try:
            if seq < 0:
                raise Unaddressed(f"the message has no readable seq: {text.get('seq', '')[:40]!r}")
            attributes = Attributes.from_text(text)
            if attributes.fingerprint[:8] != run_id[-8:]:
                attributes = Undecodable(f"{run_id}/{seq}: fingerprint {attributes.fingerprint!r} is not the run's")
        except Undecodable as error:
            attributes = error
        except Unaddressed as error:
            return Aside(message_letter(self._component, "unaddressed", str(error), delivery), [delivery.token])
        if isinstance(attributes, Attributes) and not self._owns(seq % self._lanes(attributes)):
            self._note_foreign(attributes, now)
            return Place.FOREIGN
        following = self.following
        batch = Held(seq, delivery, attributes, now)
        if following is None or run_id > following.run_id:
            return self._wait(run_id, batch, now)
        if run_id < following.run_id:
            return self._aside("stale_run", f"run {run_id} is older than {following.run_id}", batch)
        return self._enter(following, batch, now)

    def _note_foreign(self, attributes: Attributes, now: float) -> None:
        """Another process's batch still tells how far the run has come."""
        if self.following is not None and attributes.run_id == self.following.run_id and not self.following.contradiction(attributes):
            self.following.note(attributes.seq, attributes, now)

    def _enter(self, following: Following, batch: Held, now: float) -> Place | Aside:
        if isinstance(batch.attributes, Attributes) and (contradiction := following.contradiction(batch.attributes)):
            batch.attributes = Undecodable(contradiction)
        if following.beyond(batch.seq):
            return self._aside("undecodable", f"{following.run_id}/{batch.seq} is beyond the end of the run", batch)
        place = following.window.place(batch)
        if place is Place.LATE:
            return self._aside("late_after_skip", f"{following.run_id}/{batch.seq} was given up before it came", batch)
        if place is not Place.FOREIGN:
            following.note(batch.seq, batch.attributes, now)
        return place

    def _wait(self, run_id: str, batch: Held, now: float) -> Place:
        pen = self._pens.setdefault(run_id, _Pen(now))
        if batch.seq in pen.held:
            pen.held[batch.seq].merge(batch)
            return Place.REPEATED
        pen.held[batch.seq] = batch
        return Place.HELD

    def successor(self, now: float, patience: float) -> str | None:
        """The newest run that can begin: the first batch of a lane is held, or was waited for long enough."""
        for run_id in sorted(self._pens, reverse=True):
            pen = self._pens[run_id]
            attributes = pen.attributes
            if attributes is not None and (min(pen.held) < self._lanes(attributes) or now - pen.since >= patience):
                return run_id
        return None

    def hopeless(self, now: float, patience: float) -> list[Aside]:
        """Removes the batches of runs of which nothing readable came for long enough."""
        gone = [run_id for run_id, pen in self._pens.items() if now - pen.since >= patience and pen.attributes is None]
        return [
            self._aside("undecodable", str(batch.attributes), batch) for run_id in gone for batch in self._pens.pop(run_id).held.values()
        ]

    def begin(self, run_id: str, now: float) -> tuple[Following, list[Aside], list[str]]:
        """Follows a newer run from its first batch; returns it, what was held of older ones, and tokens of other processes' batches.

        Raises:
            Unavailable: the manifest cannot be read now; nothing has changed.
        """
        pen = self._pens[run_id]
        attributes = pen.attributes
        if attributes is None:
            raise ValueError(f"run {run_id} cannot begin: no batch of it can be read")
        run = self._find_run(run_id)
        if run is not None:
            # A batch that says something else of the run must not make all the others wrong.
            attributes = replace(
                attributes, fingerprint=run.fingerprint, shards=run.shards, start_date=run.start, source=run.source, synthetic=run.synthetic
            )
        asides: list[Aside] = []
        if self.following is not None:
            detail = f"run {self.following.run_id} was superseded by {run_id}"
            asides += [self._aside("superseded", detail, batch) for batch in self.following.window.held]
        for older in sorted(other for other in self._pens if other < run_id):
            held = self._pens.pop(older).held.values()
            asides += [self._aside("stale_run", f"run {older} is older than {run_id}", batch) for batch in held]
        del self._pens[run_id]
        lanes, published = self._lanes(attributes), min(batch.delivery.published for batch in pen.held.values())
        window = Window(lanes, owned=[lane for lane in range(lanes) if self._owns(lane)])
        self.following = Following(attributes, window, [published] * lanes, run.batches if run else None)
        foreign: list[str] = []
        for batch in pen.held.values():
            placed = self._enter(self.following, batch, now)
            if isinstance(placed, Aside):
                asides.append(placed)
            elif placed is Place.FOREIGN:
                foreign += batch.tokens
        return self.following, asides, foreign

    def give_back(self, capacity: int) -> list[Held]:
        """Removes the highest batches beyond the capacity, of the window and of the runs to come alike."""
        back = self.following.window.overflow(capacity) if self.following else []
        excess = sum(len(pen.held) for pen in self._pens.values()) - capacity
        if excess > 0:
            waiting = ((seq, run_id) for run_id, pen in self._pens.items() for seq in pen.held)
            back += [self._pens[run_id].held.pop(seq) for seq, run_id in heapq.nlargest(excess, waiting)]
            self._pens = {run_id: pen for run_id, pen in self._pens.items() if pen.held}
        return back

    @property
    def held(self) -> Iterable[Held]:
        """Everything that waits."""
        if self.following is not None:
            yield from self.following.window.held
        for pen in self._pens.values():
            yield from pen.held.values()

    def seek_time(self, margin: float) -> float:
        """UNIX seconds since which everything that is not applied was published.

        What is held tells its own time. What was not even delivered has a higher seq than the batch applied last in its
        lane, so it was published after that one; ``margin`` seconds cover publishers that overtake themselves.
        """
        following = self.following
        applied = [following.published[lane] for lane in following.window.owned] if following else []
        return min([*applied, *(batch.delivery.published for batch in self.held)], default=margin) - margin

    def __len__(self) -> int:
        return (len(self.following.window) if self.following else 0) + sum(len(pen.held) for pen in self._pens.values())

    def _aside(self, reason: str, detail: str, batch: Held) -> Aside:
        return Aside(message_letter(self._component, reason, detail, batch.delivery), batch.tokens)


def message_letter(component: str, reason: str, detail: str, delivery: Delivery) -> DeadLetter:
    """The dead letter of a whole message, with everything that is needed to publish it again."""
    text = delivery.message.attributes
    return DeadLetter(
        reason, detail, component, text.get("run_id", ""), _number(text.get("seq", "")), "", text.get("date", ""),
        dict(text), delivery.message.data,
    )  # fmt: skip


def _number(text: str) -> int:
    """A seq as the store can keep it; -1 if it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else -1
