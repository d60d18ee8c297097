"""The whole: simulator, raw topic, cleaners, clean topic, trainer, and a standby that takes over."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import simpy

from queueing.observing import Journey, Level, quantile
from queueing.plant import Plant, drawn
from queueing.stages import Durable, Stage, Told, on_core
from queueing.topics import Batch, Process, Subscription


@dataclass(slots=True)
class Report:
    """What came of it. Times are in seconds; means are over the time after the warm-up.

    Attributes:
        rows_per_second: learnt.
        published, learnt: batches.
        busy: share of a core, by part; the cleaners one by one.
        lag, lag_most: dates that are published and not learnt.
        delay, delay_p99: from a batch's publishing to its date's being learnt.
        window, window_most: batches that wait in the trainer.
        redelivered: leases that ran out, or batches that were given back, by subscription.
        duplicates: deliveries of what was applied before, by stage.
        checkpoints_per_second: of the trainer.
        paused: share of the time that the simulator waited for the trainer.
        writing: share of the time that the trainer waited for the store.
        out: seconds from the kill to the next process's first batch; None without a kill.
        catch_up: seconds from the kill until the lag was no more than it had been; None without a kill, or if it never was.
        journeys: every batch's times in the trainer.
        lag_course: (time, dates).
        order: numbers as the trainer applied them.
        applied: of each number how often.
        unfinished: batches that were neither learnt nor lost at the end.
    """

    rows_per_second: float
    published: int
    learnt: int
    busy: dict[str, float]
    lag: float
    lag_most: float
    delay: float
    delay_p99: float
    window: float
    window_most: float
    redelivered: dict[str, int]
    duplicates: dict[str, int]
    checkpoints_per_second: float
    paused: float
    writing: float
    out: float | None
    catch_up: float | None
    journeys: list[Journey] = field(repr=False)
    lag_course: list[tuple[float, float]] = field(repr=False)
    order: list[int] = field(repr=False)
    applied: dict[int, int] = field(repr=False)
    unfinished: int = 0


class System:
    """A plant at work; runs once."""

    def __init__(self, plant: Plant) -> None:
        self.plant = p = plant
        self.env = env = simpy.Environment()
        self._rng = random.Random(p.seed)  # noqa: S311 (nothing is secret)
        self._machine = simpy.Resource(env, capacity=p.cores) if p.cores is not None else None
        deadline = p.loop.ack_deadline
        self.raw = [Subscription(env, self._delay, ack_deadline=deadline) for _ in range(p.groups)]
        self.clean = Subscription(env, self._delay, ack_deadline=deadline)
        self._cleaners = [Durable({lane: lane for lane in range(p.shards) if lane % p.groups == group}) for group in range(p.groups)]
        self._trainer = Durable({0: 0})
        self.told = {**{f"cleaner {group}": Told() for group in range(p.groups)}, "trainer": Told()}
        self._simulating, self._paused, self._writing, self.lag = Level(), Level(), Level(), Level()
        own = [level for told in self.told.values() for level in (told.busy, told.window)]
        for level in (self._simulating, self._paused, self._writing, self.lag, *own):
            level.since = p.warm_up
        self._posted = simpy.Store(env)
        self._carrying = Level(since=p.warm_up)
        self._published = 0
        self._published_dates = 0.0
        self._journeys: dict[int, Journey] = {}
        self._leader: Stage | None = None
        self._back_at: float | None = None

    def run(self) -> Report:
        """Simulates all of it."""
        p, env = self.plant, self.env
        env.process(self._simulate())
        env.process(self._carry())
        for group, durable in enumerate(self._cleaners):
            stage = self._cleaner(group, durable)
            env.process(stage.run())
        env.process(self._lead())
        env.run(until=p.until)
        return self._report()

    # --- parts ------------------------------------------------------------------------------------------------

    def _delay(self) -> float:
        return drawn(self._rng, self.plant.services.delivery, self.plant.services.spread)

    def _post(self, subscription: Subscription, batches: list[Batch]) -> None:
        if self.plant.overhead:
            self._posted.put((subscription, batches))
        else:
            subscription.publish(batches)

    def _carry(self) -> Process:
        """The stand-in for Pub/Sub takes its share of the machine."""
        while True:
            subscription, batches = yield self._posted.get()
            yield from on_core(self.env, self._machine, self.plant.overhead * sum(batch.rows for batch in batches), self._carrying)
            subscription.publish(batches)

    def _simulate(self) -> Process:
        """Publishes date after date at the pace, and waits while the trainer is too far behind: see the simulator and its feeder."""
        p, env = self.plant, self.env
        due, date = env.now, 0
        while p.dates is None or date < p.dates:
            work = (p.rates.encode.seconds + p.rates.make.seconds) * p.stations
            yield from on_core(env, self._machine, drawn(self._rng, work, p.rates.encode.variation), self._simulating)
            yield env.timeout(max(0.0, due - env.now))
            yield env.timeout(p.services.publish)
            batches = [Batch(date * p.shards + shard, p.rows_of(shard), env.now) for shard in range(p.shards)]
            for group, subscription in enumerate(self.raw):
                self._post(subscription, [batch for batch in batches if batch.seq % p.shards % p.groups == group])
            self._published += len(batches)
            date += 1
            self._published_dates = date
            self._note_lag()
            due = max(due + p.stations / p.pace, env.now)
            while date - self._known_watermark() // p.shards > p.lead:
                self._paused.set(1.0, env.now)
                yield env.timeout(1.0)
            self._paused.set(0.0, env.now)

    def _known_watermark(self) -> int:
        if self.plant.lead_from == "status" and self._leader is not None:
            return self._leader.watermark
        return self._trainer.watermark

    def _note_lag(self) -> None:
        done = self._leader.watermark if self._leader is not None else self._trainer.watermark
        self.lag.set(self._published_dates - done // self.plant.shards, self.env.now)

    def _cleaner(self, group: int, durable: Durable) -> Stage:
        p = self.plant
        told = self.told[f"cleaner {group}"]

        def confirm(batches: list[Batch]) -> Process:
            yield self.env.timeout(p.services.publish)
            self._post(self.clean, batches)

        def work(batch: Batch) -> float:
            return drawn(self._rng, p.rates.clean.seconds * batch.rows, p.rates.clean.variation)

        return Stage(
            self.env, self.raw[group], durable, told, work=work, confirm=confirm,
            checkpoint=lambda: self._checkpoint(p.checkpoint_bytes[0] / p.groups, told), lanes=p.shards, settings=p.loop,
            machine=self._machine,
        )  # fmt: skip

    def _train(self) -> Stage:
        p, told = self.plant, self.told["trainer"]

        def work(batch: Batch) -> float:
            seconds = drawn(self._rng, p.rates.take.seconds * batch.rows, p.rates.take.variation)
            if batch.seq % p.shards == p.shards - 1:
                seconds += drawn(self._rng, p.rates.close.seconds * p.stations, p.rates.close.variation)
            return seconds

        def confirm(batches: list[Batch]) -> Process:
            closed = sum(batch.seq % p.shards == p.shards - 1 for batch in batches)
            if closed and p.stored:
                self._writing.set(1.0, self.env.now)
                try:
                    yield self.env.timeout(closed * (p.services.append + p.stored * p.stations / p.services.store))
                finally:
                    self._writing.set(0.0, self.env.now)

        def applied(batch: Batch, begun: float, ended: float) -> None:
            if batch.seq not in self._journeys:
                self._journeys[batch.seq] = Journey(batch.seq, batch.published, begun, ended)
            if self._back_at is None and p.fail_at is not None and begun > p.fail_at:
                self._back_at = begun
            self._note_lag()

        return Stage(
            self.env, self.clean, self._trainer, told, work=work, confirm=confirm,
            checkpoint=lambda: self._checkpoint(p.checkpoint_bytes[1], told), lanes=1, settings=p.loop, machine=self._machine,
            applied=applied,
        )  # fmt: skip

    def _lead(self) -> Process:
        """A trainer works; when it is killed another takes over once the lease has run out and the checkpoint is read."""
        p, env = self.plant, self.env
        self._leader = self._train()
        process = env.process(self._leader.run())
        if p.fail_at is None:
            return
        yield env.timeout(p.fail_at)
        process.interrupt("killed")
        self._leader = None
        self._note_lag()
        renewed, looks = self._rng.uniform(0.0, p.lease.retry), self._rng.uniform(0.0, p.lease.retry)
        yield env.timeout(max(0.0, p.lease.duration - renewed) + looks + p.restore)
        self._leader = self._train()
        yield env.process(self._leader.run())

    def _checkpoint(self, size: float, told: Told) -> Process:
        p = self.plant
        if size:
            yield from on_core(self.env, self._machine, size / p.rates.snapshot, told.busy)
            yield self.env.timeout(size / p.services.upload)
        yield self.env.timeout(p.services.commit)

    # --- the end ----------------------------------------------------------------------------------------------

    def _report(self) -> Report:
        p, now = self.plant, self.env.now
        settled = [journey for journey in self._journeys.values() if journey.ended >= p.warm_up]
        rows = sum(p.rows_of(journey.seq % p.shards) for journey in settled)
        ends = [journey for journey in settled if journey.seq % p.shards == p.shards - 1]
        closed = {journey.seq // p.shards: journey.ended for journey in ends}
        delays = [closed[j.seq // p.shards] - j.published for j in settled if j.seq // p.shards in closed]
        trainer = self.told["trainer"]
        return Report(
            rows_per_second=rows / (now - p.warm_up), published=self._published, learnt=len(self._journeys),
            busy={"simulator": self._simulating.mean(now), **{name: told.busy.mean(now) for name, told in self.told.items()}},
            lag=self.lag.mean(now), lag_most=self.lag.most, delay=sum(delays) / len(delays) if delays else float("nan"),
            delay_p99=quantile(delays, 0.99), window=trainer.window.mean(now), window_most=trainer.window.most,
            redelivered={"raw": sum(one.redelivered for one in self.raw), "clean": self.clean.redelivered},
            duplicates={name: told.duplicates for name, told in self.told.items()},
            checkpoints_per_second=self._trainer.number / now, paused=self._paused.mean(now), writing=self._writing.mean(now),
            out=None if p.fail_at is None or self._back_at is None else self._back_at - p.fail_at, catch_up=self._catch_up(),
            journeys=sorted(self._journeys.values(), key=lambda journey: journey.seq), lag_course=self.lag.course,
            order=trainer.order, applied=trainer.applied, unfinished=self._published - len(self._journeys),
        )  # fmt: skip

    def _catch_up(self) -> float | None:
        fail_at = self.plant.fail_at
        if fail_at is None:
            return None
        usual = max((lag for at, lag in self.lag.course if self.plant.warm_up <= at < fail_at), default=0.0)
        behind = [at for at, lag in self.lag.course if at > fail_at and lag > usual]
        later = [at for at, lag in self.lag.course if behind and at > behind[-1] and lag <= usual]
        if not behind:
            return 0.0
        return later[0] - fail_at if later else None
