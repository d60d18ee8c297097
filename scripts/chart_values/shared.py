"""`global`: what all charts share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from chart_values.base import Labels, Lock, Object, Quantity, Values
from thundercast.adapters.settings import CloudSettings


def _default(name: str) -> str:
    return str(CloudSettings.model_fields[name].default)


def _about(name: str) -> str:
    return str(CloudSettings.model_fields[name].description)


_NAME = r"^[A-Za-z][A-Za-z0-9._~+%-]{2,254}$"


class Images(Values):
    """Where all images come from."""

    registry: str = Field("", description="registry and folder that the images were pushed to, as REGION-docker.pkg.dev/PROJECT/REPOSITORY")
    tag: str = Field(
        "", pattern=r"^([A-Za-z0-9_][A-Za-z0-9._-]{0,127})?$", description="tag of all images; by default the chart's appVersion"
    )
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field("Always", description="when an image is fetched anew")
    pull_secrets: list[str] = Field([], description="names of Secrets for a private registry")


class PubSub(Values):
    """Names of topics and subscriptions."""

    raw_topic: str = Field(_default("raw_topic"), pattern=_NAME, description=_about("raw_topic"))
    raw_subscription: str = Field(_default("raw_subscription"), pattern=_NAME, description=_about("raw_subscription"))
    clean_topic: str = Field(_default("clean_topic"), pattern=_NAME, description=_about("clean_topic"))
    clean_subscription: str = Field(_default("clean_subscription"), pattern=_NAME, description=_about("clean_subscription"))
    dead_letter_topic: str = Field(_default("dead_letter_topic"), pattern=_NAME, description=_about("dead_letter_topic"))
    dead_letter_subscription: str = Field(
        _default("dead_letter_subscription"), pattern=_NAME, description=_about("dead_letter_subscription")
    )


class Volume(Values):
    """Checkpoints on a volume instead of in Cloud Storage."""

    enabled: bool = Field(False, description="keep checkpoints on a volume")
    existing_claim: str = Field("", description="a claim that is there, instead of one that is made")
    storage_class: str = Field("", description="storage class of the claim; by default the cluster's")
    size: Quantity = Field("10Gi", description="size of the claim")
    access_modes: list[Literal["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]] = Field(
        ["ReadWriteOnce"],
        min_length=1,
        description="with ReadWriteOnce all parts that share it run on the trainer's node, and there is one trainer",
    )
    keep: bool = Field(True, description="leave the claim behind when the release is uninstalled")


class Checkpoints(Values):
    """Where checkpoints and run manifests are kept."""

    place: str = Field(
        "",
        pattern=r"^(gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/[^/\s]+)*)?$",
        description="`gs://BUCKET/PREFIX`; must be given unless a volume is enabled",
    )
    volume: Volume = Field(default_factory=Volume, description="a volume instead")


class Emulators(Values):
    """Stand-ins for Google's services."""

    enabled: bool = Field(
        False, description="use stand-ins for Pub/Sub, BigQuery and Cloud Storage in the cluster; they forget when they end"
    )
    release: str = Field(
        "",
        pattern=r"^([a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?)?$",
        description="use those of another release in this namespace, which outlive this one; by default this release runs its own",
    )


class Rules(Values):
    """The rules of the NetworkPolicies by name; a part has those that it needs."""

    dns: bool = Field(True, description="to port 53, anywhere: node-local caches have addresses of their own")
    metadata_server: bool = Field(True, description="to 169.254.169.254:80 and 169.254.169.252:988, which Workload Identity needs")
    google_apis: bool = Field(True, description="to `googleApisCidr` on 443")
    kubernetes_api: bool = Field(True, description="to 443 and 6443, only of parts that keep a Lease")
    emulators: bool = Field(True, description="to the stand-ins of this release, where they are enabled")
    scrape: bool = Field(True, description="from `scrapeFrom` to the port of /metrics")


class NetworkPolicies(Values):
    """Who may talk to whom."""

    enabled: bool = Field(True, description="make a NetworkPolicy for each part: what no rule allows is refused")
    rules: Rules = Field(default_factory=Rules, description="rules in force")
    google_apis_cidr: Annotated[str, Field(pattern=r"^[0-9.]+/[0-9]+$")] = Field(
        "0.0.0.0/0", description="where Google's APIs are; 199.36.153.8/30 with private.googleapis.com"
    )
    scrape_from: list[Object] = Field(
        [{"namespaceSelector": {}}], min_length=1, description="peers that may read /metrics; by default every pod of the cluster"
    )


class CloudRun(Values):
    """With `platform: cloudrun`."""

    annotations: Labels = Field(
        {},
        description="annotations of every revision and execution, as `run.googleapis.com/vpc-access-egress`; Cloud Run takes its own list only",
    )
    task_timeout_seconds: int = Field(
        604_800, ge=60, le=604_800, description="a Job's task ends after so long, and goes on where it was if it is tried again"
    )
    retries: int = Field(3, ge=0, le=10, description="a Job's task that fails is tried again so often")


class Global(Values):
    """What all parts share."""

    platform: Literal["kubernetes", "cloudrun"] = Field(
        "kubernetes",
        description="where the parts run; `cloudrun` renders Cloud Run's Services, Jobs and WorkerPools instead (docs/deploy-cloud-run.md)",
    )
    cloud_run: CloudRun = Field(default_factory=CloudRun, description="with platform `cloudrun`")

    image: Images = Field(default_factory=Images, description="where images come from")
    project: str = Field("", pattern=r"^([a-z][-a-z0-9:.]{4,61}[a-z0-9])?$", description="id of the Google Cloud project; must be given")
    location: str = Field(_default("location"), min_length=1, description=_about("location"))
    pubsub: PubSub = Field(default_factory=PubSub, description="topics and subscriptions")
    dataset: str = Field(_default("dataset"), pattern=r"^[A-Za-z0-9_]+$", description=_about("dataset"))
    checkpoints: Checkpoints = Field(default_factory=Checkpoints, description="where checkpoints are kept")
    groups: int = Field(
        1,
        ge=1,
        le=64,
        description="groups of shards that are cleaned apart, each by a worker with a subscription of its own; change it between runs only",
    )
    lock: Lock = Field(
        "lease", description="who may work: `lease`, a Lease of Kubernetes; `checkpoints`, an object or file beside the checkpoints"
    )
    emulators: Emulators = Field(default_factory=Emulators, description="stand-ins for Google's services")
    log_format: Literal["json", "console"] = Field("json", description="how logs are written")
    network_policy: NetworkPolicies = Field(default_factory=NetworkPolicies, description="who may talk to whom")
    labels: Labels = Field({}, description="labels of all objects and pods")
    extra_env: list[Object] = Field([], description="variables of all parts, as `name` and `value` or `valueFrom`")
    node_selector: Labels = Field({}, description="labels that the node of every pod must have")
    tolerations: list[Object] = Field([], description="taints of nodes that every pod bears")
    priority_class_name: str = Field("", description="priority class of every pod")
