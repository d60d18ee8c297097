"""Settings of the standalone system: one typed object, from flags, environment and file alike.

Flags win over ``THUNDERCAST_*`` variables, which win over ``thundercast.toml`` in the working folder.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from thundercast.domain.models.base import Task

FILE = "thundercast.toml"


Speed = Literal["max"] | Annotated[float, Field(gt=0, allow_inf_nan=False)]


class RunSettings(BaseSettings):
    """What `thundercast run` can be told."""

    model_config = SettingsConfigDict(env_prefix="THUNDERCAST_", toml_file=FILE, extra="forbid")

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


def explain(error: ValidationError) -> str:
    """A settings error in words: each setting, what is wrong, and its variable."""
    lines = []
    for item in error.errors(include_url=False):
        name = str(item["loc"][0]) if item["loc"] else "settings"
        where = f"flag --{name.replace('_', '-')}, variable THUNDERCAST_{name.upper()}, or {FILE}"
        lines.append(f"{name}: {item['msg']}, not {item['input']!r} ({where})")
    return "\n".join(lines)


def table() -> str:
    """The settings as a Markdown table, for the documentation."""
    lines = ["| setting | variable | default | what |", "| --- | --- | --- | --- |"]
    for name, field in RunSettings.model_fields.items():
        default = TypeAdapter(object).dump_json(str(field.default) if isinstance(field.default, Path) else field.default).decode()
        lines.append(f"| `{name}` | `THUNDERCAST_{name.upper()}` | `{default}` | {field.description} |")
    return "\n".join(lines)
