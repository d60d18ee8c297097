"""Settings of the simulator."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from thundercast.adapters.settings import CloudSettings, Speed


class SimulatorSettings(CloudSettings):
    """What `thundercast-simulator` can be told."""

    source: str = Field("sample", description="where the rows come from; `thundercast sources` lists the forms")
    start: dt.date | None = Field(None, description="first date, YYYY-MM-DD; by default the source's")
    end: dt.date | None = Field(None, description="last date, YYYY-MM-DD; by default the source's")
    shards: int = Field(16, ge=1, le=4096, description="batches a date")
    rows_per_second: float = Field(5_000.0, gt=0.0, allow_inf_nan=False, description="the pace, unless `speed` is given")
    speed: Speed | None = Field(None, description="dates of the stream a second, or `max`; instead of `rows_per_second`")
    max_lead_dates: int = Field(30, ge=1, description="dates ahead of the trainer at most; beyond them it pauses")
    trainer_url: str = Field(
        "", description="address of the trainer, http://HOST:PORT, to read its watermark from; by default its newest checkpoint tells"
    )
    expected_subscription: str = Field("", description="the raw topic's subscription that must be there; by default `raw_subscription`")
    new_run: bool = Field(False, description="start anew although a run is under way")
    cache: Path = Field(Path(".thundercast/cache"), description="folder of sorted and fetched data")
    host: str = Field("127.0.0.1", description="address that health, readiness and `/metrics` listen on")
    port: int = Field(8080, ge=0, le=65535, description="port of the same; 0 takes a free one")
    progress_seconds: float = Field(2.0, gt=0.0, description="how far it has come is written this often")
    status_seconds: float = Field(10.0, gt=0.0, description="a row of `status` this often")
    publish_timeout: float = Field(20.0, gt=0.0, description="seconds after which a date that the topic has not confirmed ends it")
    log_format: Literal["auto", "json", "console"] = Field("auto", description="`auto`: colours in a terminal, JSON elsewhere")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.start is not None and self.end is not None and self.end < self.start:
            raise ValueError(f"the end {self.end} is before the start {self.start}")
        return self
