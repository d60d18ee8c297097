"""What values of several charts are made of."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.alias_generators import to_camel

from thundercast.adapters.settings import Settings

Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|[kKMGT]i?)?$")]
"""Kubernetes' notation: ``500m``, ``1Gi``."""
Labels = dict[str, str]
Object = dict[str, Any]
"""A piece of an object of Kubernetes, which the API server checks."""


class Values(BaseModel):
    """A mapping of values: camelCase keys, and no others."""

    model_config = ConfigDict(
        extra="forbid", alias_generator=to_camel, populate_by_name=True, validate_default=True, protected_namespaces=()
    )


class Image(Values):
    """An image of the project."""

    repository: str = Field("", description="name below `global.image.registry`; one that names a registry itself stays as it is")
    tag: str = Field("", pattern=r"^([A-Za-z0-9_][A-Za-z0-9._-]{0,127})?$", description="instead of `global.image.tag`")
    digest: str = Field("", pattern=r"^(sha256:[0-9a-f]{64})?$", description="pins the image, whatever the tag")


class ServiceAccount(Values):
    """The Kubernetes account of a part."""

    create: bool = Field(True, description="make it")
    name: str = Field("", description="instead of the part's own name")
    annotations: Labels = Field({}, description="annotations")
    google_service_account: str = Field(
        "",
        pattern=r"^([^@\s]+@[^@\s]+\.iam\.gserviceaccount\.com)?$",
        description="e-mail of the Google service account that it acts as (Workload Identity); empty where roles are granted to it directly",
    )


class Resources(Values):
    """Compute resources of a container."""

    requests: dict[str, Quantity | int | float] = Field({}, description="what the scheduler reserves")
    limits: dict[str, Quantity | int | float] = Field({}, description="what it may not exceed")


def resources(*, cpu: str, memory: str, cpu_limit: str, memory_limit: str, disk: str = "512Mi") -> Resources:
    """Requests and limits; disk is what /tmp and logs may take."""
    return Resources(
        requests={"cpu": cpu, "memory": memory, "ephemeral-storage": disk},
        limits={"cpu": cpu_limit, "memory": memory_limit, "ephemeral-storage": disk},
    )


class Probe(Values):
    """How often and how patiently a pod is asked."""

    period_seconds: int = Field(5, ge=1, description="seconds between questions")
    timeout_seconds: int = Field(5, ge=1, description="seconds to wait for the answer")
    failure_threshold: int = Field(3, ge=1, description="wrong answers in a row that count")


class Probes(Values):
    """The three questions."""

    startup: Probe = Field(Probe(period_seconds=2, failure_threshold=90), description="until it has started")
    readiness: Probe = Field(Probe(), description="whether it gets requests: settings valid, dependencies reachable, checkpoint loaded")
    liveness: Probe = Field(Probe(period_seconds=10, failure_threshold=6), description="whether it is restarted")


class Network(Values):
    """Additions to the part's NetworkPolicy."""

    extra_ingress: list[Object] = Field([], description="more rules for who may talk to it")
    extra_egress: list[Object] = Field([], description="more rules for whom it may talk to")


class DisruptionBudget(Values):
    """Protection from being drained all at once."""

    enabled: bool = Field(True, description="make a PodDisruptionBudget: one pod may be away at a time")


class Pod(Values):
    """What can be said of every pod."""

    service_account: ServiceAccount = Field(default_factory=ServiceAccount, description="the account it runs as")
    resources: Resources = Field(default_factory=Resources, description="compute resources")
    extra_env: list[Object] = Field([], description="more variables, as `name` and `value` or `valueFrom`; they win over the chart's")
    extra_init_containers: list[Object] = Field([], description="containers that run before the part's own")
    extra_volumes: list[Object] = Field([], description="more volumes of the pod")
    extra_volume_mounts: list[Object] = Field([], description="where they are mounted")
    pod_annotations: Labels = Field({}, description="annotations of the pod")
    pod_labels: Labels = Field({}, description="labels of the pod")
    node_selector: Labels = Field({}, description="labels that its node must have")
    tolerations: list[Object] = Field([], description="taints of nodes that it bears")
    affinity: Object = Field({}, description="affinity of the pod")
    topology_spread: bool = Field(True, description="spread the pods over zones and nodes where that can be done")
    priority_class_name: str = Field("", description="instead of `global.priorityClassName`")
    network_policy: Network = Field(default_factory=Network, description="additions to the NetworkPolicy")
    tmp_size: Quantity = Field("256Mi", description="size of /tmp, the only folder of the root file system that can be written to")


def settings_of(settings: type[Settings], *, without: set[str], base: type[Settings] | None = None, **other: Any) -> type[Values]:
    """The values `settings` of a part: the program's own, with its defaults, checks and descriptions.

    Args:
        without: settings that the chart itself gives.
        base: its settings are left out, too.
        other: defaults that are other in a cluster.
    """
    fields: dict[str, Any] = {}
    for name, field in settings.model_fields.items():
        if name in without or (base is not None and name in base.model_fields):
            continue
        default = other.get(name, field.default)
        # The checks go along as they are: `Annotated[float, Gt(0)]` may be answered with an equal `Annotated[float, Gt(0.0)]` that
        # somebody made before, and then the schema is written otherwise.
        own = Field(default, description=field.description)
        own.metadata = list(field.metadata)
        fields[name] = (field.annotation, own)
    return create_model(f"{settings.__name__}Values", __base__=Values, __doc__="The program's own settings (docs/settings.md).", **fields)


Lock = Literal["lease", "checkpoints"]
