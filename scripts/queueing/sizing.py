"""What fits into which limit: arithmetic over the measured figures, no simulation."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cost.estimate import stored_a_row
from cost.pods import Asked
from figures.kept import Figures

FILE: Final = Path(__file__).with_name("limits.toml")
ROWS_A_BATCH: Final = 700
"""What a batch should have at least: smaller ones compress worse, and each takes its fixed time."""
WINDOW: Final = 512
"""Batches that a stage holds: a date must fit, else its last batches are given back again and again."""
FULL: Final = 0.7
"""Share of a core beyond which queues grow long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What Google allows."""

    value: float
    unit: str
    page: str
    seen: str
    kind: str


def limits(path: Path = FILE) -> Mapping[str, Limit]:
    """The kept limits by name."""
    return {name: Limit(**kept) for name, kept in tomllib.loads(path.read_text()).items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A stream to be carried.

    Attributes:
        stations: rows of a step; a step is what is a date for GSOD.
        pace: rows a second.
    """

    name: str
    stations: int
    pace: float


GSOD: Final = 11_000
_PACE: Final = 5_000.0
STREAMS: Final = (
    Stream(name="GSOD, live", stations=GSOD, pace=GSOD / 86_400),
    Stream(name="GSOD, replayed", stations=GSOD, pace=_PACE),
    Stream(name="hourly, live", stations=GSOD, pace=24 * GSOD / 86_400),
    Stream(name="hourly, replayed", stations=GSOD, pace=24 * _PACE),
    Stream(name="1,000 × hourly, live", stations=1000 * GSOD, pace=24_000 * GSOD / 86_400),
    Stream(name="1,000 × hourly, replayed", stations=1000 * GSOD, pace=24_000 * _PACE),
)
"""Live: steps as the world makes them. Replayed: eleven years in 2.4 hours, what GSOD takes at the chart's pace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What a stream needs.

    Attributes:
        shards: so that a batch has about 700 rows, but a step fits into a window.
        message: bytes of the largest, a clean one.
        published, pulled: bytes a second, raw and clean.
        cleaners: groups, each a worker with a core, of which no more than 70 % is used.
        trainer: share of one core, by models; it cannot have a second one.
        written: bytes a second into the store.
        state: bytes of memory of all cleaners, and of the trainer.
        checkpoint: bytes of the trainer's.
    """

    shards: int
    messages: float
    message: float
    published: float
    pulled: float
    cleaners: int
    trainer: dict[str, float]
    written: float
    state: tuple[float, float]
    checkpoint: float

    def broken(self, known: Mapping[str, Limit], *, memory: float, models: str) -> list[str]:
        """The limits that are passed, in words.

        Args:
            memory: bytes that the trainer may have.
            models: those that it runs.
        """
        found = []
        if self.message > known["message"].value:
            found.append("messages are too large")
        if self.published > known["publish"].value or self.pulled > known["pull"].value:
            found.append("Pub/Sub's quotas")
        if self.trainer[models] > 1.0:
            found.append("the one trainer")
        if self.written > known["write"].value:
            found.append("BigQuery's quota")
        elif self.written > known["connection"].value:
            found.append("what one connection to BigQuery takes for certain")
        if self.state[1] > memory:
            found.append("the trainer's memory")
        return found


def size(stream: Stream, figures: Figures, asked: Asked) -> Size:
    """What a stream needs with the settings of a profile."""
    shards = max(asked.settings.shards, min(WINDOW, math.ceil(stream.stations / ROWS_A_BATCH)))
    rows = stream.stations / shards
    messages = stream.pace / rows
    wire = figures.wire
    published = stream.pace * (wire.raw + wire.clean) + messages * (wire.raw_attributes + wire.clean_attributes)
    return Size(
        shards=shards, messages=2 * messages, message=rows * wire.clean + wire.clean_attributes, published=published, pulled=published,
        cleaners=max(1, math.ceil(stream.pace * figures.clean.seconds / FULL)),
        trainer={models: stream.pace * (figures.take.seconds + close.seconds) for models, close in figures.close.items()},
        written=stream.pace * stored_a_row(asked, figures),
        state=(stream.stations * figures.state.cleaner, stream.stations * figures.state.trainer),
        checkpoint=stream.stations * figures.state.trainer_checkpoint,
    )  # fmt: skip
