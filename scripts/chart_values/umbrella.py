"""The values of the umbrella chart."""

from __future__ import annotations

from pydantic import Field

from chart_values.base import Image, Object, Pod, Resources, Values, resources
from chart_values.monitoring import Monitoring
from chart_values.parts import Cleaner, Dashboard, Dataflow, Simulator, Trainer
from chart_values.shared import Global


class Emulator(Pod):
    """A stand-in for one of Google's services."""

    image: Image = Field(description="image")
    topology_spread: bool = Field(False, description="there is one pod")
    termination_grace_period_seconds: int = Field(5, ge=1, description="it has nothing to keep")


class EmulatorPods(Values):
    """The stand-ins, with `global.emulators.enabled`."""

    pubsub: Emulator = Field(
        Emulator(
            image=Image(repository="gcr.io/google.com/cloudsdktool/google-cloud-cli", tag="emulators"),
            resources=resources(cpu="250m", memory="512Mi", cpu_limit="2", memory_limit="2Gi", disk="1Gi"),
        ),
        description="Google's own emulator of Pub/Sub; it keeps every message that it ever had",
    )
    bigquery: Emulator = Field(
        Emulator(
            image=Image(repository="thundercast/bigquery-emulator"),
            resources=resources(cpu="250m", memory="512Mi", cpu_limit="2", memory_limit="2Gi", disk="1Gi"),
        ),
        description="bqemulator, its tables in memory",
    )
    storage: Emulator = Field(
        Emulator(
            image=Image(repository="docker.io/fsouza/fake-gcs-server", tag="latest"),
            resources=resources(cpu="50m", memory="128Mi", cpu_limit="1", memory_limit="512Mi", disk="1Gi"),
        ),
        description="fake-gcs-server, in memory",
    )


class Bootstrap(Pod):
    """The Job that makes topics, subscriptions, bucket, dataset and tables; again and again the same."""

    enabled: bool = Field(True, description="run it; without it they must be there")
    image: Image = Field(Image(repository="thundercast/standalone"), description="image")
    backoff_limit: int = Field(30, ge=0, description="failures after which it is given up")
    ttl_seconds_after_finished: int = Field(3600, ge=0, description="seconds that the finished Job stays")
    resources: Resources = Field(
        resources(cpu="100m", memory="256Mi", cpu_limit="1", memory_limit="512Mi"), description="compute resources"
    )
    topology_spread: bool = Field(False, description="there is one pod")
    termination_grace_period_seconds: int = Field(30, ge=1, description="to stop in order")


class Check(Pod):
    """`helm test`: waits for a new score of the current run, asks for predictions, publishes nothing."""

    enabled: bool = Field(True, description="have it")
    image: Image = Field(Image(repository="thundercast/standalone"), description="image")
    timeout_seconds: int = Field(180, ge=10, description="patience with the new score")
    resources: Resources = Field(
        resources(cpu="50m", memory="64Mi", cpu_limit="500m", memory_limit="256Mi"), description="compute resources"
    )
    topology_spread: bool = Field(False, description="there is one pod")
    termination_grace_period_seconds: int = Field(5, ge=1, description="it has nothing to keep")


class Thundercast(Values):
    """Values of charts/thundercast."""

    global_: Global = Field(default_factory=Global, alias="global", description="what all parts share")
    common: Object = Field({}, description="of the library chart; not used")
    simulator: Simulator = Field(default_factory=Simulator, description="replays the source into the stream")
    cleaner: Cleaner = Field(default_factory=Cleaner, description="cleans the stream")
    trainer: Trainer = Field(default_factory=Trainer, description="learns, predicts, scores, serves")
    dashboard: Dashboard = Field(default_factory=Dashboard, description="shows how well it does")
    dataflow: Dataflow = Field(default_factory=Dataflow, description="the Beam pipeline, instead of the cleaner's workers")
    emulators: EmulatorPods = Field(default_factory=EmulatorPods, description="the stand-ins' pods")
    bootstrap: Bootstrap = Field(default_factory=Bootstrap, description="makes what the parts meet at")
    monitoring: Monitoring = Field(default_factory=Monitoring, description="who scrapes the pods, and what is told when something is amiss")
    check: Check = Field(default_factory=Check, description="`helm test`")
    extra_objects: list[Object] = Field([], description="more objects; their texts are templates")
