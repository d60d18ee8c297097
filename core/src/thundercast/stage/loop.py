"""The stage loop: pull, put in order, step, confirm, checkpoint, ack, outbox.

Delivery is at least once and out of order; the effect is as if each batch had come once, in order. What each step of a
turn relies on is that the one before it is done:

1. effects (dead letters, messages, rows) are confirmed before the checkpoint that holds their cause;
2. a batch is acked after the checkpoint that holds it;
3. a row of the outbox is written after the checkpoint that holds it, and left out of the next one.

A crash between any two of them repeats work and loses none: `points.KILL_POINTS` names the places.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from enum import Enum

from thundercast.domain.runs import Run, RunState
from thundercast.stage import recovery
from thundercast.stage.dependencies import Dependencies
from thundercast.stage.outbox import Row
from thundercast.stage.points import Gap, go_on
from thundercast.stage.protocols import CheckpointStore, Delivery, Fenced, Lock, Step, Subscription, Unavailable
from thundercast.stage.settings import Clock, LoopSettings
from thundercast.stage.status import LoopStatus, State, standing
from thundercast.stage.stream import Stream, every_lane
from thundercast.stage.unconfirmed import Outlets

SUBSCRIPTION, CHECKPOINTS, STORE = "the subscription", "the checkpoint store", "the store"


class Deposed(Exception):
    """Another process leads now; this one has stopped applying and given back what it held. It must exit."""


class Ending(Enum):
    """Why `StageLoop.run` returned."""

    COMPLETED = "completed"
    STOPPED = "stopped"


class StageLoop:
    """Drives a step over a subscription, with exactly-once effect. It runs once.

    Args:
        component: the stage's name in dead letters, status and checkpoint.
        settings, clock: its pace.
        gap: called at each of `points.KILL_POINTS`.
        observe: called with the seconds that each batch took to apply.
        find_run: a run's manifest by run id; read from the checkpoint store if not given.
        owns: whether this process works on a lane. Another process must have a subscription of its own to the same topic, for batches
            of other lanes are acked at once.
        account: rows for the outbox that say what has become of a run (its id): that it is running, completed or superseded.
    """

    def __init__(
        self,
        component: str,
        step: Step,
        *,
        subscription: Subscription,
        checkpoints: CheckpointStore,
        lock: Lock,
        outlets: Outlets,
        settings: LoopSettings | None = None,
        clock: Clock | None = None,
        gap: Gap = go_on,
        observe: Callable[[float], None] | None = None,
        find_run: Callable[[str], Run | None] | None = None,
        owns: Callable[[int], bool] = every_lane,
        account: Callable[[str, RunState], Iterable[Row]] | None = None,
    ) -> None:
        self._component = component
        self._subscription = subscription
        self._checkpoints = checkpoints
        self._lock = lock
        self._outlets = outlets
        self._settings = settings or LoopSettings()
        self._clock = clock or Clock()
        self._gap = gap
        self._step = step
        self._stream = Stream(
            component, step, self._settings, find_run=find_run or self._manifest, may_go_on=self._may_go_on, gap=gap, observe=observe,
            owns=owns, account=account,
        )  # fmt: skip
        self._dependencies = Dependencies(self._clock.monotonic, self._settings.retry_after, self._require_leadership)
        self._dry = False
        self._pulled_at: float | None = None
        self._committed_at = self._extended_at = self._looked_at = 0.0
        # The number that HEAD has, if nobody else writes; None while it is not known, after falling back.
        self._newest: int | None = None
        self._stopping = threading.Event()
        self.recovered = threading.Event()
        """Set once the checkpoint is read: from then on `status` tells where the run goes on."""
        self._status = LoopStatus(component=component)

    # --- from outside -----------------------------------------------------------------------------------------

    @property
    def status(self) -> LoopStatus:
        """The loop as it was at the end of the last turn; from any thread."""
        return self._status

    def stop(self) -> None:
        """Has `run` finish the batch in hand, make durable what was applied, and return. From any thread or signal handler."""
        self._stopping.set()

    def run(self, *, until_complete: str | None = None, fall_back: bool = False) -> Ending:
        """Leads and works until stopped.

        Args:
            until_complete: return also when this run (its id) is complete and all of its rows are in the store.
            fall_back: use an older checkpoint if the newest is bad, see `recovery.recover`.

        Raises:
            Deposed: another process leads.
            BadCheckpoint: there is no checkpoint that can be used; the message says what to do.
        """
        try:
            if self._lead() and self._recover(fall_back):
                while not self._stopping.is_set():
                    if self._is_done(until_complete):
                        self._give_back(0)
                        self._report("completed")
                        return Ending.COMPLETED
                    self._turn()
                self._finish()
            lost = len(self._stream.acks)
            self._report("stopped", f"{lost} batches were applied but could not be made durable: they will be done again" if lost else "")
            return Ending.STOPPED
        except (Deposed, Fenced) as error:
            self._retire(error)
            raise Deposed(str(error)) from error
        except Exception as error:
            self._report("failed", str(error))
            raise
        finally:
            self._lock.release()
            self._status = replace(self._status, leader=False)

    # --- start and end ----------------------------------------------------------------------------------------

    def _lead(self) -> bool:
        while not self._stopping.is_set():
            try:
                if self._lock.acquire(self._settings.poll):
                    return True
                holder = self._lock.holder()
                self._report("waiting", f"for the lock{f', held by {holder}' if holder else ''}")
            except Unavailable as error:
                self._report("waiting", f"for the lock: {error}")
                self._clock.wait(self._stopping, self._settings.retry_after)
        return False

    def _recover(self, fall_back: bool) -> bool:
        """False if it was stopped before the checkpoint store answered."""

        def recover() -> None:
            progress, number = recovery.recover(
                self._component, self._step, self._checkpoints, seek=self._subscription.seek, fall_back=fall_back, now=self._stream.listened
            )
            self._stream.resume(progress)
            self._newest = None if fall_back else number
            self._status = replace(self._status, checkpoint_number=number)

        while not self._attempt(CHECKPOINTS, recover):
            self._report()
            if self._clock.wait(self._stopping, self._settings.retry_after):
                return False
        self._committed_at = self._extended_at = self._looked_at = self._clock.monotonic()
        self._report()
        self.recovered.set()
        return True

    def _is_done(self, run_id: str | None) -> bool:
        following = self._stream.following
        return run_id is not None and following is not None and following.run_id == run_id and self._stream.complete and self._stream.rests

    def _finish(self) -> None:
        """Makes durable what was applied, if every dependency answers at once: what is not durable is simply done again."""
        self._dependencies.forgive()
        if self._confirm() and self._stream.dirty:
            self._checkpoint()
        self._ack()
        self._write_outbox()
        self._give_back(0)

    def _retire(self, error: Exception) -> None:
        """Gives everything back, also what was applied: the next leader goes on from the checkpoint."""
        try:
            self._subscription.nack(self._stream.leased)
        except Unavailable as unavailable:
            error.add_note(f"What was held could not be given back, its leases will run out: {unavailable}")
        self._subscription.close()
        self._report("stopped", str(error))

    # --- one turn ---------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        """One round through the steps, in the order that the promises need."""
        self._extend_leases()
        deliveries = self._pull()
        for delivery in deliveries or []:
            self._stream.take_in(delivery)
        if not self._stream.dirty:
            self._look_for_another_writer()
        worked = self._stream.give_up_holes() + self._stream.apply()
        if self._confirm() and self._checkpoint_due():
            self._checkpoint()
        self._ack()
        self._write_outbox()
        back = self._give_back(self._settings.window)
        began = self._stream.may_begin() and self._attempt(CHECKPOINTS, self._stream.begin)
        self._report()
        if not worked and not began and (deliveries is None or back):
            # Nothing may be pulled, or only what cannot be held comes: without a pause both would spin.
            self._clock.wait(self._stopping, min(self._settings.retry_after, self._settings.poll))

    def _pull(self) -> list[Delivery] | None:
        """None if there is no room, or the subscription does not answer."""
        now, stream = self._clock.monotonic(), self._stream
        since, self._pulled_at, self._dry = self._pulled_at, None, False
        if not stream.has_room or stream.successor is not None:
            return None
        room = max(self._settings.window - stream.held, self._settings.window // 8, 1)
        deliveries: list[Delivery] = []

        def pull() -> None:
            deliveries.extend(self._subscription.pull(min(room, self._settings.pull_limit), self._settings.poll))

        if not self._attempt(SUBSCRIPTION, pull):
            return None
        if since is not None:
            # A turn that took long (a stopped process, a slow dependency) says little about what the queue had to offer.
            stream.listened += min(now - since, self._settings.ack_deadline)
        self._pulled_at, self._dry = now, not deliveries
        if deliveries:
            self._gap("pulled")
        return deliveries

    def _confirm(self) -> bool:
        """Whether everything is confirmed."""
        self._stream.acks.due += self._stream.unconfirmed.confirm(self._outlets, self._attempt, self._gap)
        return not self._stream.unconfirmed

    def _checkpoint_due(self) -> bool:
        stream, s = self._stream, self._settings
        if not stream.dirty or stream.following is None:
            return False
        if stream.following.complete or stream.successor is not None:
            return True
        since = self._clock.monotonic() - self._committed_at
        return since >= s.checkpoint_min and (since >= s.checkpoint_every or self._dry or len(stream.acks) >= s.window / 2)

    def _checkpoint(self) -> None:
        stream = self._stream
        stream.progress.seek_time = stream.seek_time()

        def commit() -> None:
            stream.conclude()
            done = self._checkpoints.commit(*recovery.to_checkpoint(self._component, self._step, stream.progress))
            self._newest = done.number
            self._status = replace(
                self._status, checkpoint_number=done.number, checkpoint_bytes=done.size, checkpoint_at=self._clock.wall()
            )

        if self._attempt(CHECKPOINTS, commit):
            stream.progress.outbox.committed()
            stream.acks.durable()
            stream.dirty = False
            self._committed_at = self._clock.monotonic()

    def _look_for_another_writer(self) -> None:
        """Looks at HEAD now and then while there is nothing to commit, for a commit is refused anyway.

        Of two that both believe to lead, each extends the leases of what the other waits for. The one that has not committed gives
        way, rather than that both wait until they give batches up.

        Raises:
            Fenced: another process has written a checkpoint.
        """
        now = self._clock.monotonic()
        if self._newest is None or now - self._looked_at < self._settings.ack_deadline:
            return
        self._looked_at, newest = now, self._newest

        def look() -> None:
            summary = self._checkpoints.summary()
            if summary is not None and int(summary["number"]) > newest:
                raise Fenced(
                    f"another process has written checkpoint {summary['number']} of {self._component} since this one read or wrote "
                    f"{newest}: only one may write there"
                )

        self._attempt(CHECKPOINTS, look)

    def _ack(self) -> None:
        acks = self._stream.acks
        if acks.due and self._attempt(SUBSCRIPTION, lambda: self._subscription.ack(acks.due)):
            acks.due = []
            self._gap("acked")

    def _write_outbox(self) -> None:
        store, outbox = self._outlets.store, self._stream.progress.outbox
        if not outbox.durable:
            return
        if store is None:
            raise ValueError("the step made rows, but there is no store for them")
        if self._attempt(STORE, lambda: outbox.write(store.write)):
            self._gap("outbox_written")

    def _give_back(self, capacity: int) -> bool:
        back = self._stream.give_back(capacity)
        if back:
            # If this fails their leases run out, which comes to the same.
            self._attempt(SUBSCRIPTION, lambda: self._subscription.nack(back))
        return bool(back)

    # --- small parts ------------------------------------------------------------------------------------------

    def _extend_leases(self) -> None:
        now = self._clock.monotonic()
        if now - self._extended_at < self._settings.extend_every:
            return
        self._extended_at = now
        if leased := self._stream.leased:
            # If this fails the batches come again, as duplicates.
            self._attempt(SUBSCRIPTION, lambda: self._subscription.extend(leased))

    def _attempt(self, dependency: str, effect: Callable[[], None]) -> bool:
        return self._dependencies.attempt(dependency, effect)

    def _may_go_on(self) -> bool:
        self._require_leadership()
        return not self._stopping.is_set()

    def _require_leadership(self) -> None:
        if not self._lock.held():
            raise Deposed(f"this {self._component} does not hold the lock any more")

    def _manifest(self, run_id: str) -> Run | None:
        manifest = self._checkpoints.read_manifest(run_id)
        return Run.from_json(manifest) if manifest is not None else None

    def _report(self, state: State | None = None, detail: str = "") -> None:
        """Renews the status; without a state it is told from where the stream stands."""
        if state is None:
            state, detail = standing(self._stream, self._dependencies.in_words, self._settings)
        self._status = self._status.renewed(self._stream, state, detail, leader=self._lock.held(), dependencies=self._dependencies)
