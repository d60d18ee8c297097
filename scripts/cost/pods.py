"""What the charts' values ask for: pods and jobs, by profile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, cast

import yaml

from chart_values.monitoring import Monitoring
from chart_values.parts import PARTS, Cleaner, Dashboard, Dataflow, Part, Simulator, Trainer
from chart_values.shared import Global

CHART: Final = Path(__file__).resolve().parents[2] / "charts" / "thundercast"
_UNITS: Final = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}
GIB: Final = 2.0**30
Name = Literal["simulator", "cleaner", "trainer", "dashboard", "launcher"]


@dataclass(frozen=True, slots=True)
class Pod:
    """Pods that are alike.

    Attributes:
        cpu, memory, disk: requested by one, in vCPU and GiB.
        cpu_limit, memory_limit: what it may take.
        count: how many.
        always: whether they run all the time; the others while a run is fed.
    """

    name: Name
    cpu: float
    memory: float
    disk: float
    cpu_limit: float
    memory_limit: float
    count: int
    always: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Of the parts' settings those that cost something; see docs/settings.md."""

    shards: int
    progress_seconds: float
    checkpoint_min: float
    status_seconds: float
    standby_seconds: float
    models: list[str]
    tasks: list[str]
    observations: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """What a profile asks for.

    Attributes:
        on_google: whether Google's services are used, or stand-ins of the cluster.
        dataflow: the job, if one cleans.
    """

    pods: tuple[Pod, ...]
    settings: Settings
    dashboard: Dashboard
    monitoring: Monitoring
    shared: Global
    dataflow: Dataflow | None
    on_google: bool

    def pod(self, name: Name) -> Pod:
        """The pods of a part.

        Raises:
            KeyError: the profile has none.
        """
        for pod in self.pods:
            if pod.name == name:
                return pod
        raise KeyError(f"the profile has no {name}")


def quantity(text: str | float) -> float:
    """A quantity in Kubernetes' notation.

    >>> quantity("250m"), quantity("1Gi"), quantity(2)
    (0.25, 1073741824.0, 2.0)
    """
    if isinstance(text, int | float):
        return float(text)
    number = text.rstrip("mkKMGTi")
    unit = text[len(number) :]
    return float(number) * (_UNITS[unit] if unit else 1.0)


def merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Values laid over each other as Helm does: mappings are merged, everything else is replaced."""
    found: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            kept = found.get(key)
            found[key] = merged(kept, value) if isinstance(kept, dict) and isinstance(value, Mapping) else value
    return found


def asked(*files: str, more: Mapping[str, Any] | None = None) -> Asked:
    """What the umbrella with these values files, and further values, asks for.

    Raises:
        pydantic.ValidationError: a value is none of the chart's.
    """
    layers = [yaml.safe_load((CHART / file).read_text()) or {} for file in files]
    values = merged(*layers, more or {})
    shared = Global.model_validate(values.get("global", {}))
    # Over the chart's own defaults, as Helm does it: of a mapping some keys may be given.
    parts = {name: kind.model_validate(merged(_defaults(kind), values.get(name, {}))) for name, kind in PARTS.items()}
    simulator, cleaner, trainer = cast(Simulator, parts["simulator"]), cast(Cleaner, parts["cleaner"]), cast(Trainer, parts["trainer"])
    dashboard, dataflow = cast(Dashboard, parts["dashboard"]), cast(Dataflow, parts["dataflow"])
    scaled = dashboard.autoscaling
    counts: dict[Name, int] = {
        "simulator": 1,
        "cleaner": cleaner.replicas * shared.groups if cleaner.runner == "worker" else 0,
        "trainer": trainer.replicas,
        "dashboard": dashboard.replicas if scaled.kind == "none" else scaled.min_replicas,
        "launcher": 1 if dataflow.enabled and dataflow.runner == "DirectRunner" else 0,
    }
    pods = tuple(
        _pod(name, parts["dataflow" if name == "launcher" else name].resources.model_dump(), count, always=name != "simulator")
        for name, count in counts.items()
        if count and (name == "launcher" or parts[name].enabled)
    )
    job = dataflow if dataflow.enabled and dataflow.runner == "DataflowRunner" else None
    monitoring = Monitoring.model_validate(values.get("monitoring", {}))
    kept = {**simulator.model_dump()["settings"], **trainer.model_dump()["settings"]}
    settings = Settings(**{field.name: kept[field.name] for field in fields(Settings)})
    return Asked(pods, settings, dashboard, monitoring, shared, job, on_google=not shared.emulators.enabled)


def _defaults(kind: type[Part]) -> dict[str, Any]:
    return kind().model_dump(mode="json", by_alias=True)


def _pod(name: Name, resources: Mapping[str, Mapping[str, str | float]], count: int, *, always: bool) -> Pod:
    requests, limits = resources["requests"], resources["limits"]
    return Pod(
        name, quantity(requests["cpu"]), quantity(requests["memory"]) / GIB, quantity(requests["ephemeral-storage"]) / GIB,
        quantity(limits["cpu"]), quantity(limits["memory"]) / GIB, count, always,
    )  # fmt: skip
