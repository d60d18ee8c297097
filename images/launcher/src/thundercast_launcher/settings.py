"""What `thundercast-launch` can be told. Settings that Beam has too are called as they are there."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import CliPositionalArg

from thundercast.adapters.places import Bucket, parse
from thundercast.adapters.settings import CloudSettings

Action = Literal["launch", "status", "drain", "cancel"]


class LauncherSettings(CloudSettings):
    """The job, its workers, and how long to wait. Times are in seconds."""

    action: CliPositionalArg[Action] = Field(
        "launch",
        description="`launch` creates or updates the job and waits until it runs; `status` tells how it is; `drain` and `cancel` end it",
    )
    dry_run: bool = Field(False, description="look up, print the request that would be made as JSON, and change nothing")
    mode: Literal["direct", "flex-template"] = Field("direct", description="who submits: this process, or a Flex Template")
    job_name: str = Field(
        "thundercast-cleaner", pattern=r"^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$", description="the job's name; one active job has it in a region"
    )
    region: str = Field("us-central1", pattern=r"^[a-z]+-[a-z]+[0-9]+$", description="region that the job runs in")
    temp_location: str = Field(
        "",
        pattern=r"^(gs://[^/]+(/.*)?)?$",
        description="where files for the job are put, gs://BUCKET/PREFIX; by default `dataflow` in the bucket of the checkpoints",
    )
    sdk_container_image: str = Field("", description="image of the workers, with registry and tag or digest; `launch` needs it")
    service_account_email: str = Field(
        "",
        pattern=r"^([^@\s]+@[^@\s]+)?$",
        description="service account of the workers; `launch` needs it, and never takes the project's default one",
    )
    machine_type: str = Field("n1-standard-2", min_length=1, description="machines of the workers")
    disk_size_gb: int = Field(30, ge=10, description="disk of a worker, GB")
    max_num_workers: int = Field(4, ge=1, le=4000, description="workers at most; a running job is told of a change and goes on")
    autoscaling_algorithm: Literal["THROUGHPUT_BASED", "NONE"] = Field(
        "THROUGHPUT_BASED", description="how the number of workers follows the work; `NONE` keeps it"
    )
    subnetwork: str = Field(
        "", description="the workers' subnetwork, regions/REGION/subnetworks/NAME, with Private Google Access; by default the project's"
    )
    use_public_ips: bool = Field(False, description="give workers public addresses")
    gap_timeout: float = Field(
        900.0, gt=0.0, description="the job's patience with a missing batch while later ones wait; the trainer's must be twice this"
    )
    idle_timeout: float = Field(
        86_400.0, gt=0.0, description="a shard to which nothing comes for so long leaves the job's state for the checkpoints"
    )
    snapshot_dates: int = Field(30, ge=1, description="each shard's state is written to the checkpoints every so many dates")
    beam_options: list[str] = Field(
        default_factory=list, description="more options of Beam and its runner, each as `--name=value`; they may also stand among the flags"
    )
    template: str = Field(
        "", pattern=r"^(gs://[^/]+/.+)?$", description="the Flex Template's file, gs://BUCKET/OBJECT; mode `flex-template` needs it"
    )
    transform_name_mapping: dict[str, str] = Field(
        default_factory=dict, description="for an update: transforms of the running job that are called otherwise now, old name to new name"
    )
    submit_seconds: float = Field(
        600.0, gt=0.0, description="the job is submitted within so long, attempts that somebody else overtook included"
    )
    running_seconds: float = Field(900.0, gt=0.0, description="the job runs within so long, or `launch` fails and says why")
    stop_seconds: float = Field(
        900.0, gt=0.0, description="a job that drains or is cancelled has ended within so long, or waiting for it fails"
    )
    cancel_after_drain: bool = Field(False, description="`drain` cancels a job that has not drained in time, and loses what it holds")
    lenient: bool = Field(
        False,
        description="`drain` and `cancel` say what they could not do, and end with 0: for a hook that must not stop an uninstallation",
    )
    poll_seconds: float = Field(10.0, gt=0.0, description="the job is looked at this often")
    request_seconds: float = Field(60.0, gt=0.0, description="a request to Dataflow, its repeats included, takes so long at most")
    dataflow_endpoint: str = Field(
        "", description="Dataflow's address, if not Google's; one that begins with http:// is a stand-in and takes no credentials"
    )
    log_format: Literal["auto", "json", "console"] = Field("auto", description="`auto`: colours in a terminal, JSON elsewhere")

    @property
    def is_stand_in(self) -> bool:
        """Whether Dataflow is one that takes no credentials."""
        return self.dataflow_endpoint.startswith("http://")

    @property
    def place(self) -> str:
        """Where files for the job are put; empty if that cannot be told."""
        if self.temp_location:
            return self.temp_location.rstrip("/")
        match parse(self.checkpoints):
            case Bucket(name, _):
                return f"gs://{name}/dataflow"
            case _:
                return ""
