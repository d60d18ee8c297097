"""The chart's values under `monitoring`: who scrapes, which alerts at which thresholds, and Grafana's dashboards."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Duration = Annotated[str, Field(pattern=r"^([0-9]+(ms|[smhdwy]))+$")]
"""Prometheus' notation: ``30s``, ``1h30m``."""
LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]


class _Values(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True, validate_default=True)


class Thresholds(_Values):
    """When the alerts fire."""

    stalled_for: Duration = Field("10m", description="time without a row after which the stream counts as stalled")
    behind_seconds: float = Field(600, gt=0, description="seconds that the trainer would need for what is published already")
    checkpoint_seconds: float = Field(120, gt=0, description="age of the newest checkpoint while there is something to keep")
    dead_letters: int = Field(0, ge=0, description="dead letters of one reason in 15 minutes that are no alert yet")
    outbox_rows: int = Field(50_000, gt=0, description="rows that wait for the store; at the trainer's `outbox` nothing is pulled any more")
    restarts: int = Field(2, ge=0, description="restarts of a container in 30 minutes that are no alert yet")
    skill: float = Field(0.0, lt=1, description="Brier skill against climatology, over 30 days of the stream, that the champion must reach")
    bias: float = Field(3.0, gt=1, description="warnings for each thunder, over 30 days of the stream, at most; and its inverse at least")


class Alerts(_Values):
    """Alerting rules."""

    enabled: bool = Field(True, description="make the rules, of the kind that `monitoring.kind` names")
    champion: str = Field("thunder", pattern=r"^[a-zA-Z0-9_.:-]+$", description="the model whose skill is watched")
    runbooks: str = Field(
        "docs/runbooks",
        pattern=r"\S*[^/\s]$",
        description="folder with a page for each alert: its address, or its path in the repository",
    )
    disabled: list[Annotated[str, Field(pattern=r"^Thundercast[A-Za-z]+$")]] = Field([], description="names of alerts to leave out")
    labels: dict[LabelName, str] = Field({}, description="labels that each alert gets, for your routing")
    thresholds: Thresholds = Field(default_factory=Thresholds, description="when they fire")


class Dashboards(_Values):
    """Grafana's dashboards as ConfigMaps, which its sidecar picks up."""

    enabled: bool = Field(False, description="make the ConfigMaps")
    labels: dict[str, str] = Field({"grafana_dashboard": "1"}, description="labels that Grafana's sidecar looks for")
    annotations: dict[str, str] = Field({}, description="annotations, such as `grafana_folder`")


class Monitoring(_Values):
    """Who scrapes the pods, and what is told when something is amiss."""

    kind: Literal["none", "operator", "managed"] = Field(
        "none",
        description="`operator`: PodMonitor and PrometheusRule of the Prometheus operator; `managed`: PodMonitoring and Rules "
        "of Google Cloud's Managed Service for Prometheus; `none`: neither",
    )
    interval: Duration = Field("15s", description="how often the pods are scraped")
    labels: dict[str, str] = Field({}, description="labels of these objects that your Prometheus selects by, such as `release`")
    alerts: Alerts = Field(default_factory=Alerts, description="alerting rules")
    dashboards: Dashboards = Field(default_factory=Dashboards, description="dashboards for Grafana")
