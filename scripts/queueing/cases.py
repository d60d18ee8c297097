"""The cases that docs/scaling.md shows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from cost.estimate import stored_a_row
from cost.pods import Asked
from cost.profiles import profiles
from figures.kept import Figures
from queueing.plant import LOCAL, Plant, Rates
from queueing.sizing import GSOD

SOAKED: Final = 86_000.0
"""Rows a second that the soak of the processes learnt on two cores; see docs/scaling.md."""
EMULATOR: Final = 1 / 0.60e6 + 1 / 0.87e6
"""Seconds a row: Google's emulator alone took 0.60 M rows/s at publishing and gave 0.87 M rows/s at pulling, 500 rows a message."""
PACES: Final = (1_000.0, 2_000.0, 4_000.0, 5_000.0, 6_000.0, 7_000.0, 8_000.0, 10_000.0)


@dataclass(frozen=True, slots=True)
class Case:
    """A plant with a name."""

    name: str
    about: str
    plant: Plant


def chart(figures: Figures, asked: Asked, *, pace: float, models: list[str] | None = None) -> Plant:
    """The GKE profile at a pace; each part has a core of its own."""
    state = figures.state
    stored = stored_a_row(asked, figures)
    return Plant(
        stations=GSOD, shards=asked.settings.shards, pace=pace, rates=Rates.of(figures, models or asked.settings.models),
        groups=asked.shared.groups, checkpoint_bytes=(GSOD * state.cleaner_checkpoint, GSOD * state.trainer_checkpoint), stored=stored,
    )  # fmt: skip


def soak(figures: Figures) -> Plant:
    """`tests/benchmarks/soak.py`: synthetic rows, the model thunder, everything on two cores, the emulator too, rows to nowhere."""
    stations = 5000
    return Plant(
        stations=stations, shards=7, pace=100_000.0, rates=Rates.of(figures, ["thunder"], synthetic=True), services=LOCAL, lead=400.0,
        lead_from="status", cores=2, overhead=EMULATOR, until=240.0, warm_up=120.0,
        checkpoint_bytes=(stations * figures.state.cleaner_checkpoint, stations * figures.state.trainer_checkpoint),
    )  # fmt: skip


def cases(figures: Figures) -> list[Case]:
    """All of them."""
    asked = profiles()[1].asked
    usual = chart(figures, asked, pace=5_000.0)
    thunder = chart(figures, asked, pace=5_000.0, models=["thunder"])
    hourly = replace(thunder, pace=120_000.0, until=150.0)
    lean = replace(hourly, groups=2, stored=0.0)
    return [
        Case("GSOD", "the chart as it is, 5,000 rows/s", usual),
        Case("GSOD, promised store", "the same, and BigQuery takes the 1 MB/s that it promises", _store(usual, 1e6)),
        Case("GSOD, killed", "the same as the first, and the trainer is killed after 150 s", replace(usual, fail_at=150.0, until=360.0)),
        Case("thunder, killed", "only the model thunder, killed after 150 s", replace(thunder, fail_at=150.0, until=360.0)),
        Case("hourly", "120,000 rows/s asked, only the model thunder, one cleaner", hourly),
        Case("hourly, two groups", "the same with two cleaners and a store that takes everything", lean),
        Case("soak", "all parts on two cores", soak(figures)),
    ]


def _store(plant: Plant, rate: float) -> Plant:
    return replace(plant, services=replace(plant.services, store=rate))
