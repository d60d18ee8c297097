"""The ways to run it that are reckoned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cost.pods import Asked, asked

_DATAFLOW: Final = {"cleaner": {"runner": "dataflow"}, "dataflow": {"enabled": True}}


@dataclass(frozen=True, slots=True)
class Profile:
    """A way to run it.

    Attributes:
        host: see `estimate.estimate`.
    """

    name: str
    about: str
    host: str
    asked: Asked


def profiles() -> tuple[Profile, ...]:
    """All of them, from the charts' values as they are now."""
    return (
        Profile("local", "`values-local.yaml`: a cluster of your own with stand-ins", "own", asked("values-local.yaml")),
        Profile("GKE, worker", "`values-gke.yaml` on Autopilot", "gke", asked("values-gke.yaml")),
        Profile("GKE, Dataflow", "the same with `cleaner.runner: dataflow`", "gke", asked("values-gke.yaml", more=_DATAFLOW)),
        Profile("Cloud Run", "`values-cloudrun.yaml`: one instance of each part", "run", asked("values-cloudrun.yaml")),
    )
