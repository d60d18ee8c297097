"""Settings: one typed object for each program, from flags, environment and file alike.

Flags win over ``THUNDERCAST_*`` variables, which win over ``thundercast.toml`` in the working folder. A setting that several
programs share has one name and one default in all of them.
"""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from thundercast.adapters import locks, places
from thundercast.domain.models.base import Task
from thundercast.stage.settings import LoopSettings

FILE = "thundercast.toml"


Speed = Literal["max"] | Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Settings(BaseSettings):
    """What every program's settings have in common: where they come from."""

    model_config = SettingsConfigDict(env_prefix="THUNDERCAST_", toml_file=FILE, extra="forbid")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def _project() -> str:
    return os.environ.get("GOOGLE_CLOUD_PROJECT") or "demo-project"


class CloudSettings(Settings):
    """Where the parts of a distributed system meet: topics, store and checkpoints.

    Google's own variables are honoured by Google's clients: ``GOOGLE_APPLICATION_CREDENTIALS``, and for stand-ins
    ``PUBSUB_EMULATOR_HOST`` (HOST:PORT), ``BIGQUERY_EMULATOR_HOST`` (http://HOST:PORT), ``STORAGE_EMULATOR_HOST``
    (http://HOST:PORT); beside them ``BIGQUERY_STORAGE_EMULATOR_HOST`` (HOST:PORT) for the store's gRPC side.
    """

    model_config = SettingsConfigDict(extra="ignore")

    project: str = Field(
        min_length=1,
        default_factory=_project,
        description="Google Cloud project; by default what `GOOGLE_CLOUD_PROJECT` says, else `demo-project`",
    )
    location: str = Field("US", description="where the dataset and the bucket are made")
    raw_topic: str = Field("noaa-raw", description="topic of raw batches")
    raw_subscription: str = Field("noaa-raw-cleaner", description="the cleaner's subscription to it")
    clean_topic: str = Field("noaa-clean-for-ml", description="topic of clean batches")
    clean_subscription: str = Field("noaa-clean-for-ml-trainer", description="the trainer's subscription to it")
    dead_letter_topic: str = Field("noaa-dead-letter", description="topic of what could not be used")
    dead_letter_subscription: str = Field("noaa-dead-letter-drain", description="keeps dead letters until they are in their table")
    dataset: str = Field("weather_data", description="BigQuery dataset of the store's tables")
    checkpoints: str = Field(
        ".thundercast/checkpoints", min_length=1, description="place of checkpoints and run manifests: a folder, or gs://BUCKET/PREFIX"
    )

    @field_validator("checkpoints")
    @classmethod
    def _is_a_place(cls, place: str) -> str:
        places.parse(place)
        return place


class PartSettings(CloudSettings):
    """What every part that runs a stage loop can be told. Times are in seconds."""

    host: str = Field("127.0.0.1", description="address that health, readiness and `/metrics` listen on")
    port: int = Field(8080, ge=0, le=65535, description="port of the same; 0 takes a free one")
    lock: str = Field(
        "",
        description="who may work: `kubernetes:NAMESPACE/LEASE`, `gs://BUCKET/OBJECT` or `file:PATH`; by default beside the checkpoints",
    )
    window: int = Field(512, gt=0, description="batches held out of order at most")
    pull_limit: int = Field(128, gt=0, description="batches asked for at once")
    unacked: int = Field(2048, gt=0, description="batches applied and not durable at most")
    checkpoint_min: float = Field(2.0, ge=0.0, description="a checkpoint at most this often")
    checkpoint_seconds: float = Field(10.0, gt=0.0, description="a checkpoint at least this often")
    gap_timeout: float = Field(900.0, gt=0.0, description="patience with a missing batch while later ones are held")
    ack_deadline: int = Field(15, ge=10, le=600, description="the subscription's ack deadline")
    outbox: int = Field(100_000, gt=0, description="rows that wait for the store at most; beyond it nothing is pulled")
    fall_back: bool = Field(False, description="if the newest checkpoint is damaged, go on from an older one after seeking to its time")
    status_seconds: float = Field(10.0, gt=0.0, description="a row of `status` this often")
    log_format: Literal["auto", "json", "console"] = Field("auto", description="`auto`: colours in a terminal, JSON elsewhere")

    def loop(self) -> LoopSettings:
        """The loop's part. Raises ValueError where two of them contradict each other."""
        return LoopSettings(
            window=self.window, pull_limit=self.pull_limit, unacked=self.unacked, checkpoint_min=self.checkpoint_min,
            checkpoint_every=self.checkpoint_seconds, gap_timeout=self.gap_timeout, ack_deadline=self.ack_deadline,
            extend_every=self.ack_deadline / 3, outbox=self.outbox,
        )  # fmt: skip

    def lock_of(self, component: str) -> str:
        """Where the component's lock is: as set, else beside the checkpoints."""
        if self.lock:
            return self.lock
        place = f"{self.checkpoints.rstrip('/')}/{component}.lock"
        return place if place.startswith("gs://") else f"file:{place}"

    @field_validator("lock")
    @classmethod
    def _is_a_lock(cls, lock: str) -> str:
        if lock:
            locks.parse(lock)
        return lock

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self.loop()
        return self


class RunSettings(Settings):
    """What `thundercast run` can be told."""

    source: str = Field("sample", description="where the rows come from; `thundercast sources` lists the forms")
    start: dt.date | None = Field(None, description="first date, YYYY-MM-DD; by default the source's")
    end: dt.date | None = Field(None, description="last date, YYYY-MM-DD; by default the source's")
    speed: Speed = Field(4.0, description="dates of the stream a second, or `max`")
    state: Path = Field(Path(".thundercast"), description="folder of checkpoints, store and caches")
    shards: int = Field(16, ge=1, le=4096, description="batches a date")
    models: list[str] = Field(["thunder", "river-logistic"], min_length=1, description="models that run side by side")
    tasks: list[Task] = Field(["nowcast", "dayahead"], min_length=1, description="nowcast: the same day's thunder; dayahead: tomorrow's")
    on_new_run: Literal["fresh", "continue"] = Field(
        "fresh", description="whether a new run starts with new models or goes on with the old"
    )
    checkpoint_seconds: float = Field(10.0, ge=2.0, description="a checkpoint at least this often")
    host: str = Field("127.0.0.1", description="address that the dashboard and the metrics listen on")
    port: int = Field(8501, ge=0, le=65535, description="port of the dashboard; 0 takes a free one")
    metrics_port: int = Field(9464, ge=0, le=65535, description="port of `/metrics`; 0 takes a free one")
    dashboard: bool = Field(True, description="serve the dashboard")
    log_format: Literal["auto", "json", "console"] = Field("auto", description="`auto`: colours in a terminal, JSON elsewhere")


def explain(error: ValidationError) -> str:
    """A settings error in words: each setting, what is wrong, and its variable."""
    lines = []
    for item in error.errors(include_url=False):
        if not item["loc"]:  # of several settings together; they are named in the message
            lines.append(str(item["msg"]).removeprefix("Value error, "))
            continue
        name = str(item["loc"][0])
        where = f"flag --{name.replace('_', '-')}, variable THUNDERCAST_{name.upper()}, or {FILE}"
        lines.append(f"{name}: {item['msg']}, not {item['input']!r} ({where})")
    return "\n".join(lines)


def rows(settings: type[Settings], *, without: type[Settings] | None = None) -> list[str]:
    """A program's settings as rows of a Markdown table: name, variable, default, what; without those of a base."""
    lines = []
    for name, field in settings.model_fields.items():
        if without is not None and name in without.model_fields:
            continue
        default = ""
        if field.default_factory is None and not field.is_required():
            value = str(field.default) if isinstance(field.default, Path) else field.default
            default = f"`{TypeAdapter(object).dump_json(value).decode()}`"
        lines.append(f"| `{name}` | `THUNDERCAST_{name.upper()}` | {default} | {field.description} |")
    return lines
