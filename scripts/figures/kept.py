"""The kept figures, typed."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

FILE: Final = Path(__file__).with_name("figures.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """Bytes on the wire.

    Attributes:
        raw, clean: of a row, its share of the message's data alone.
        raw_attributes, clean_attributes: of a message.
        json: of a row in a list of row objects, without compression.
    """

    raw: float
    clean: float
    raw_attributes: float
    clean_attributes: float
    json: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Bytes of a row of a table, by BigQuery's sizes of types; and rows of `model_metrics` a date for each model and task."""

    prediction: float
    observation: float
    metric: float
    metrics_a_date: float


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Bytes of state a station: in memory as arrays, and as a compressed checkpoint."""

    cleaner: float
    cleaner_checkpoint: float
    trainer: float
    trainer_checkpoint: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """CPU time of one thread, and how much it varies.

    Attributes:
        seconds: a row.
        variation: standard deviation by mean, over batches, or dates.
    """

    seconds: float
    variation: float

    @property
    def rows_per_second(self) -> float:
        """Of one core that does nothing else."""
        return 1.0 / self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """All of them.

    Attributes:
        machine, date, source, rows_a_batch, stations: what they were measured on.
        synthetic: making synthetic rows; reading a sorted file takes next to nothing.
        encode: a date into raw batches.
        clean: a raw batch into a clean one, decoding and encoding included.
        take: a clean batch into the trainer.
        close: a date's predictions, scores and learning, by the names of the models, both tasks.
    """

    machine: str
    date: str
    source: str
    stations: int
    rows_a_batch: float
    wire: Wire
    stored: Stored
    state: State
    synthetic: Work
    encode: Work
    clean: Work
    take: Work
    close: dict[str, Work]

    def close_of(self, models: list[str]) -> Work:
        """What closing a date takes with these models.

        Raises:
            LookupError: it was not measured.
        """
        name = "+".join(models)
        try:
            return self.close[name]
        except KeyError:
            known = ", ".join(sorted(self.close))
            raise LookupError(f"closing a date was not measured with the models {name}, only with {known}: `python -m figures`") from None


def least(one: Figures, other: Figures) -> Figures:
    """Of two measurements alike the times of the one that was disturbed less; the rest is the first one's.

    Raises:
        ValueError: they are of different machines, sources or models.
    """
    for name in ("machine", "source", "stations"):
        if getattr(one, name) != getattr(other, name):
            raise ValueError(f"the figures are of two kinds of {name}: {getattr(one, name)} and {getattr(other, name)}")
    if one.close.keys() != other.close.keys():
        raise ValueError("the figures are of different models")
    lesser = {name: min(getattr(one, name), getattr(other, name), key=_seconds) for name in ("synthetic", "encode", "clean", "take")}
    close = {models: min(work, other.close[models], key=_seconds) for models, work in one.close.items()}
    return replace(one, **lesser, close=close)


def _seconds(work: Work) -> float:
    return work.seconds


def read(path: Path = FILE) -> Figures:
    """The kept figures."""
    return parsed(path.read_text())


def parsed(text: str) -> Figures:
    """Figures from the text of a file.

    Raises:
        KeyError, TypeError: a figure is missing.
    """
    kept: dict[str, Any] = tomllib.loads(text)
    close = {name: Work(**figures) for name, figures in kept["work"].pop("close").items()}
    work = {name: Work(**figures) for name, figures in kept["work"].items()}
    return Figures(
        machine=kept["machine"], date=kept["date"], source=kept["source"], stations=kept["stations"], rows_a_batch=kept["rows_a_batch"],
        wire=Wire(**kept["wire"]), stored=Stored(**kept["stored"]), state=State(**kept["state"]),
        synthetic=work["synthetic"], encode=work["encode"], clean=work["clean"], take=work["take"], close=close,
    )  # fmt: skip
