"""What is simulated: rows, rates, settings. Times are in seconds."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final, Literal

from figures.kept import Figures, Work
from thundercast.adapters.locks import Timing
from thundercast.stage.settings import LoopSettings
from thundercast_simulator.settings import SimulatorSettings

SIMULATOR: Final = SimulatorSettings.model_fields


def default(name: str) -> float:
    """A setting of the simulator as the program has it."""
    return float(SIMULATOR[name].default)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """CPU time of one core.

    Attributes:
        make, encode, clean, take, close: of a row: making it, putting it into a batch, cleaning, taking a clean batch in, closing its date.
        snapshot: bytes of checkpoint that a core compresses in a second (assumed: 50 MB, seen on the machine of the figures).
    """

    make: Work
    encode: Work
    clean: Work
    take: Work
    close: Work
    snapshot: float = 50e6

    @classmethod
    def of(cls, figures: Figures, models: list[str], *, synthetic: bool = False) -> Rates:
        """The measured ones."""
        nothing = Work(seconds=0.0, variation=0.0)
        make = figures.synthetic if synthetic else nothing
        return cls(make=make, encode=figures.encode, clean=figures.clean, take=figures.take, close=figures.close_of(models))


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Google's services. All of these are assumptions: they were never measured against Google.

    Attributes:
        delivery, spread: from publishing to being there to be pulled: mean, and standard deviation by mean (a gamma distribution).
        publish: until a topic confirms.
        upload: bytes a second into Cloud Storage; ``commit`` for the rest of a checkpoint.
        store: bytes a second that BigQuery takes of one connection. Google promises 1 MB/s.
        append: until an append is confirmed, beside that.
    """

    delivery: float = 0.05
    spread: float = 1.0
    publish: float = 0.03
    upload: float = 50e6
    commit: float = 0.1
    store: float = 10e6
    append: float = 0.05


LOCAL: Final = Services(delivery=0.002, publish=0.002, upload=500e6, commit=0.01, store=float("inf"), append=0.0)
"""Stand-ins on the same machine, and a store that forgets: a soak's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """A system and what is asked of it.

    Attributes:
        stations, shards: rows and batches of a date.
        pace: rows a second; infinite for as fast as it goes.
        lead: dates ahead of the trainer at most.
        lead_from: what tells where the trainer is: its newest checkpoint, or itself.
        groups: cleaners.
        loop: of the stages.
        checkpoint_bytes: the cleaners' together, and the trainer's.
        stored: bytes that the store gets for a row.
        cores: of one machine that all parts share; None if each has a core of its own.
        overhead: CPU time that a stand-in for Pub/Sub on that machine takes for a row each time that it is published, pulling included.
        dates: that there are; None for as many as fit into the time.
        until: simulated seconds; ``warm_up`` of them do not count.
        fail_at: when the trainer's process is killed; None for never.
        restore: seconds in which the next one reads the checkpoint.
        seed: of all randomness.
    """

    stations: int
    shards: int
    pace: float
    rates: Rates
    services: Services = field(default_factory=Services)
    loop: LoopSettings = field(default_factory=LoopSettings)
    lead: float = default("max_lead_dates")
    lead_from: Literal["checkpoint", "status"] = "checkpoint"
    groups: int = 1
    checkpoint_bytes: tuple[float, float] = (0.0, 0.0)
    stored: float = 0.0
    cores: int | None = None
    overhead: float = 0.0
    dates: int | None = None
    until: float = 300.0
    warm_up: float = 60.0
    fail_at: float | None = None
    lease: Timing = field(default_factory=Timing)
    restore: float = 2.0
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("stations", "shards", "pace", "groups", "lead"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be more than 0, not {getattr(self, name)}")
        if not 0 <= self.warm_up < self.until:
            raise ValueError(f"warm_up {self.warm_up} must be less than until {self.until}")
        if self.groups > self.shards:
            raise ValueError(f"groups {self.groups} must not be more than shards {self.shards}: some would have nothing to clean")

    def rows_of(self, shard: int) -> int:
        """Rows of a shard's batch; they are alike, as far as that goes."""
        return self.stations // self.shards + (shard < self.stations % self.shards)


def drawn(rng: random.Random, mean: float, variation: float) -> float:
    """A time from a gamma distribution; the mean itself if nothing varies."""
    if mean <= 0.0 or variation <= 0.0:
        return max(mean, 0.0)
    shape = variation**-2
    return rng.gammavariate(shape, mean / shape)
