"""The values of the parts' charts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from chart_values.base import (
    DisruptionBudget,
    Image,
    Labels,
    Network,
    Object,
    Pod,
    Probe,
    Probes,
    Quantity,
    Resources,
    Values,
    resources,
    settings_of,
)
from chart_values.shared import Global
from thundercast.adapters.settings import CloudSettings
from thundercast_cleaner.settings import CleanerSettings
from thundercast_simulator.settings import SimulatorSettings
from thundercast_trainer.settings import TrainerSettings

_SERVED = {"host", "port", "log_format"}
_LOOP = _SERVED | {"lock"}

SimulatorOwn = settings_of(SimulatorSettings, base=CloudSettings, without=_SERVED | {"cache"})
CleanerOwn = settings_of(CleanerSettings, base=CloudSettings, without=_LOOP | {"group", "groups"})
# Twice the cleaner's, else it would give up batches that the cleaner still waits for.
TrainerOwn = settings_of(
    TrainerSettings, base=CloudSettings, without=_LOOP | {"mode", "push_auth", "push_audience", "push_service_account"}, gap_timeout=1800.0
)


class Part(Pod):
    """What the chart of every part has."""

    global_: Global = Field(default_factory=Global, alias="global", description="what all parts share")
    common: Object = Field({}, description="of the library chart; not used")
    enabled: bool = Field(True, description="run it")


class Simulator(Part):
    """Values of charts/simulator."""

    image: Image = Field(Image(repository="thundercast/simulator"), description="image")
    workload: Literal["Job", "Deployment"] = Field(
        "Job", description="`Job` ends with the last date; a Deployment's pod is started again then, and finds nothing to do"
    )
    backoff_limit: int = Field(50, ge=0, description="failures after which the Job is given up; evictions do not count")
    settings: SimulatorOwn = Field(default_factory=SimulatorOwn, description="settings of `thundercast-simulator`")  # type: ignore[valid-type]
    cache_size: Quantity = Field("2Gi", description="size of the folder of sorted and fetched data")
    resources: Resources = Field(
        resources(cpu="250m", memory="384Mi", cpu_limit="1", memory_limit="1Gi", disk="3Gi"), description="compute resources"
    )
    probes: Probes = Field(default_factory=Probes, description="health")
    topology_spread: bool = Field(False, description="there is one pod")
    termination_grace_period_seconds: int = Field(60, ge=1, description="to publish what was begun and write how far it has come")


class Cleaner(Part):
    """Values of charts/cleaner."""

    image: Image = Field(Image(repository="thundercast/cleaner"), description="image")
    runner: Literal["worker", "dataflow", "beam-direct"] = Field(
        "worker",
        description="who cleans: `worker`, pods of this chart; `dataflow`, the Beam pipeline on Dataflow; `beam-direct`, the same "
        "pipeline in a pod, not durable. The last two need `dataflow.enabled`",
    )
    replicas: int = Field(1, ge=1, le=3, description="pods a group; one works, others stand by")
    settings: CleanerOwn = Field(default_factory=CleanerOwn, description="settings of `thundercast-cleaner`")  # type: ignore[valid-type]
    resources: Resources = Field(resources(cpu="250m", memory="384Mi", cpu_limit="1", memory_limit="1Gi"), description="compute resources")
    probes: Probes = Field(default_factory=Probes, description="health")
    pod_disruption_budget: DisruptionBudget = Field(default_factory=DisruptionBudget, description="protection from drains")
    termination_grace_period_seconds: int = Field(60, ge=1, description="to write the last checkpoint and give back what is held")


class Push(Values):
    """The door for Pub/Sub's pushes."""

    auth: Literal["oidc", "none"] = Field("oidc", description=str(TrainerSettings.model_fields["push_auth"].description))
    audience: str = Field("", description=str(TrainerSettings.model_fields["push_audience"].description))
    service_account: str = Field("", description=str(TrainerSettings.model_fields["push_service_account"].description))


class TrainerService(Values):
    """The Service of the API."""

    annotations: Labels = Field({}, description="annotations")


class TrainerNetwork(Network):
    """Additions to the trainer's NetworkPolicy."""

    api_from: list[Object] = Field([], description="peers that may use the API, beside the pods of this release")


class NoScaling(Values):
    """A trainer is not scaled."""

    enabled: bool = Field(False, description="refused: one trainer learns at a time, and others stand by")


class Trainer(Part):
    """Values of charts/trainer."""

    image: Image = Field(Image(repository="thundercast/trainer"), description="image")
    replicas: int = Field(2, ge=1, le=5, description="one leads and learns, the others stand by and serve predictions")
    mode: Literal["pull", "push"] = Field("pull", description=str(TrainerSettings.model_fields["mode"].description))
    push: Push = Field(default_factory=Push, description="in push mode")
    settings: TrainerOwn = Field(default_factory=TrainerOwn, description="settings of `thundercast-trainer`")  # type: ignore[valid-type]
    service: TrainerService = Field(default_factory=TrainerService, description="the Service of the API, within the cluster")
    resources: Resources = Field(resources(cpu="500m", memory="512Mi", cpu_limit="2", memory_limit="2Gi"), description="compute resources")
    probes: Probes = Field(default_factory=Probes, description="health")
    pod_disruption_budget: DisruptionBudget = Field(default_factory=DisruptionBudget, description="protection from drains")
    network_policy: TrainerNetwork = Field(default_factory=TrainerNetwork, description="additions to the NetworkPolicy")
    termination_grace_period_seconds: int = Field(60, ge=1, description="to write the last checkpoint; longer than one takes")
    autoscaling: NoScaling = Field(default_factory=NoScaling, description="a trainer is not scaled")


class LoadBalancer(Values):
    """With `exposure: loadBalancer`."""

    internal: bool = Field(False, description="an internal one, for the VPC network only")
    source_ranges: list[str] = Field([], description="networks that may look, as 192.0.2.0/24")
    public: bool = Field(False, description="yes, the whole internet may look")


class Ingress(Values):
    """With `exposure: ingress`."""

    class_name: str = Field("", description="class; empty for GKE's own")
    annotations: Labels = Field({}, description="annotations")
    managed_certificate: bool = Field(False, description="let Google make a certificate for the host (GKE)")
    tls_secret: str = Field("", description="a Secret with a certificate")


class Gateway(Values):
    """With `exposure: gateway`."""

    name: str = Field("", description="the Gateway that the HTTPRoute belongs to")
    namespace: str = Field("", description="its namespace; by default the release's")
    section_name: str = Field("", description="its listener")


class Iap(Values):
    """Google's Identity-Aware Proxy in front of it."""

    enabled: bool = Field(False, description="only who is let in by IAP sees it; needs exposure `ingress` or `gateway` on GKE")
    client_id: str = Field("", description="OAuth client of your own (gateway); empty for Google's")
    secret_name: str = Field("", description="Secret of the OAuth client of your own; empty for Google's")


class CookieSecret(Values):
    """What cookies are signed with; all replicas need the same."""

    create: bool = Field(True, description="make one, and keep it over upgrades")
    existing_secret: str = Field("", description="a Secret of yours instead")
    key: str = Field("secret", min_length=1, description="key in the Secret")


class DashboardService(Values):
    """The Service."""

    port: int = Field(80, ge=1, le=65535, description="its port")
    node_port: int | None = Field(None, ge=30000, le=32767, description="with exposure `nodePort`; by default the cluster chooses")
    annotations: Labels = Field({}, description="annotations")


class Autoscaling(Values):
    """Replicas by need."""

    kind: Literal["none", "hpa", "keda"] = Field("none", description="`hpa`: by CPU; `keda`: by triggers")
    min_replicas: int = Field(2, ge=1, description="at least")
    max_replicas: int = Field(6, ge=1, description="at most")
    cpu_percent: int = Field(70, ge=1, le=100, description="of the request, for `hpa`")
    triggers: list[Object] = Field([], description="triggers of KEDA; a Prometheus trigger outlives changes of Google's metrics")


class DashboardNetwork(Network):
    """Additions to the dashboard's NetworkPolicy."""

    from_: list[Object] = Field(
        [],
        alias="from",
        description="peers that may look; by default the namespace's pods, and with exposure `ingress`, `gateway`, `loadBalancer` or "
        "`nodePort` everybody whom the load balancer lets in",
    )


class DashboardCloudRun(Values):
    """With `global.platform: cloudrun`, instead of `exposure`."""

    access: Literal["iap", "invokers", "public"] = Field(
        "iap",
        description="who sees it: whom Google's Identity-Aware Proxy lets in; who has `roles/run.invoker` (`gcloud run services proxy`); or the whole internet",
    )
    ingress: Literal["all", "internal", "internal-and-cloud-load-balancing"] = Field(
        "all", description="networks that it can be reached from"
    )
    min_instances: int = Field(0, ge=0, description="instances that are kept, and paid for, while nobody looks")
    max_instances: int = Field(1, ge=1, description="instances at most; more than one need `cookieSecret.existingSecret`")
    concurrency: int = Field(80, ge=1, le=1000, description="pages that one instance serves at a time")
    timeout_seconds: int = Field(3600, ge=60, le=3600, description="a page's connection may live so long")


class Dashboard(Part):
    """Values of charts/dashboard."""

    image: Image = Field(Image(repository="thundercast/dashboard"), description="image")
    replicas: int = Field(2, ge=1, description="pods, unless something scales it")
    cloud_run: DashboardCloudRun = Field(default_factory=DashboardCloudRun, description="with `global.platform: cloudrun`")
    exposure: Literal["none", "clusterIP", "nodePort", "loadBalancer", "ingress", "gateway"] = Field(
        "clusterIP", description="how it is reached: not at all but by port-forward, within the cluster, or from outside"
    )
    host: str = Field("", description="name that people type, for `ingress` and `gateway`")
    base_url_path: str = Field(
        "", pattern=r"^([A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*)?$", description="path under which it is served, without slashes at its ends"
    )
    gke: bool = Field(True, description="with `ingress` and `gateway`, make GKE's own objects, too: time-outs, affinity, health check, IAP")
    timeout_seconds: int = Field(86400, ge=60, description="a page's connection may live so long (GKE)")
    security_policy: str = Field("", description="Cloud Armor policy (GKE)")
    service: DashboardService = Field(default_factory=DashboardService, description="the Service")
    load_balancer: LoadBalancer = Field(default_factory=LoadBalancer, description="with exposure `loadBalancer`")
    ingress: Ingress = Field(default_factory=Ingress, description="with exposure `ingress`")
    gateway: Gateway = Field(default_factory=Gateway, description="with exposure `gateway`")
    iap: Iap = Field(default_factory=Iap, description="Identity-Aware Proxy")
    cookie_secret: CookieSecret = Field(default_factory=CookieSecret, description="what cookies are signed with")
    autoscaling: Autoscaling = Field(default_factory=Autoscaling, description="replicas by need")
    resources: Resources = Field(resources(cpu="250m", memory="384Mi", cpu_limit="1", memory_limit="1Gi"), description="compute resources")
    probes: Probes = Field(Probes(readiness=Probe(timeout_seconds=10)), description="health")
    pod_disruption_budget: DisruptionBudget = Field(default_factory=DisruptionBudget, description="protection from drains")
    network_policy: DashboardNetwork = Field(default_factory=DashboardNetwork, description="additions to the NetworkPolicy")
    termination_grace_period_seconds: int = Field(30, ge=1, description="for pages to be answered")


class Launch(Values):
    """The job on Dataflow."""

    mode: Literal["direct", "flex-template"] = Field("direct", description="how it is submitted")
    template: str = Field(
        "", pattern=r"^(gs://[^/]+/.+)?$", description="file of the Flex Template, gs://BUCKET/OBJECT; mode `flex-template` needs it"
    )
    job_name: str = Field("", pattern=r"^([a-z]([-a-z0-9]{0,38}[a-z0-9])?)?$", description="fixed name; by default RELEASE-dataflow")
    region: str = Field("us-central1", min_length=1, description="region")
    temp_location: str = Field("", pattern=r"^(gs://\S+)?$", description="place for temporary files, gs://BUCKET/PREFIX")
    machine_type: str = Field("n1-standard-2", min_length=1, description="machines of the workers")
    max_workers: int = Field(4, ge=1, description="workers at most")
    disk_size_gb: int = Field(30, ge=10, description="disk of a worker")
    private_workers: bool = Field(True, description="workers without public addresses; their network needs Private Google Access")
    subnetwork: str = Field("", description="regions/REGION/subnetworks/NAME; by default the project's")
    worker_service_account: str = Field(
        "", pattern=r"^([^@\s]+@[^@\s]+)?$", description="Google service account of the workers; never the project's default one"
    )
    on_uninstall: Literal["drain", "cancel", "leave"] = Field(
        "drain", description="what becomes of the job when the release is uninstalled; a drain keeps all that it has read"
    )
    stop_seconds: int = Field(
        150, ge=1, le=3600, description="an uninstallation waits so long for the job's end, and then lets it end by itself"
    )
    cancel_after_drain: bool = Field(
        False, description="cancel a job that has not drained within `stopSeconds`, and wait for as long again; it loses what it holds"
    )


class Pipeline(Values):
    """Options of the pipeline (`dataflow/`)."""

    gap_timeout: float = Field(900.0, gt=0, description="patience with a missing batch, in seconds; the trainer's must be twice this")
    idle_timeout: float = Field(3600.0, gt=0, description="a shard to which nothing comes for so many seconds leaves the job's state")
    snapshot_dates: int = Field(30, ge=1, description="each shard's state is written to the checkpoints every so many dates")
    extra_args: list[str] = Field([], description="more arguments")


class Dataflow(Part):
    """Values of charts/dataflow."""

    enabled: bool = Field(False, description="run it; then `cleaner.runner` must not be `worker`")
    image: Image = Field(Image(repository="thundercast/launcher"), description="image that submits the job")
    direct_image: Image = Field(Image(repository="thundercast/dataflow"), description="image of the workers, and of the DirectRunner")
    runner: Literal["DataflowRunner", "DirectRunner"] = Field(
        "DataflowRunner", description="`DirectRunner` runs the pipeline in the pod; it is not durable"
    )
    launch: Launch = Field(default_factory=Launch, description="with runner `DataflowRunner`")
    pipeline: Pipeline = Field(default_factory=Pipeline, description="options of the pipeline")
    backoff_limit: int = Field(20, ge=0, description="failures after which the Job is given up")
    ttl_seconds_after_finished: int = Field(86400, ge=0, description="seconds that the launcher's finished Job stays")
    resources: Resources = Field(resources(cpu="500m", memory="1Gi", cpu_limit="2", memory_limit="2Gi"), description="compute resources")
    topology_spread: bool = Field(False, description="there is one pod")
    termination_grace_period_seconds: int = Field(60, ge=1, description="to stop in order")


PARTS: dict[str, type[Part]] = {
    "simulator": Simulator, "cleaner": Cleaner, "trainer": Trainer, "dashboard": Dashboard, "dataflow": Dataflow,
}  # fmt: skip
"""By the name of the chart."""
