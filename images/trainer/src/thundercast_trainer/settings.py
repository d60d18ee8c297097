"""Settings of the trainer."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from thundercast.adapters.settings import PartSettings
from thundercast.domain.models.base import Task


class TrainerSettings(PartSettings):
    """What `thundercast-trainer` can be told."""

    models: list[str] = Field(["thunder", "river-logistic"], min_length=1, description="models that run side by side")
    tasks: list[Task] = Field(["nowcast", "dayahead"], min_length=1, description="nowcast: the same day's thunder; dayahead: tomorrow's")
    on_new_run: Literal["fresh", "continue"] = Field(
        "fresh", description="whether a new run starts with new models or goes on with the old"
    )
    observations: bool = Field(True, description="whether clean rows are kept in the store, for 90 days")
    mode: Literal["pull", "push"] = Field("pull", description="pull from the subscription, or take what Pub/Sub pushes (one replica)")
    push_auth: Literal["oidc", "none"] = Field(
        "oidc", description="who may push: `oidc` asks for Google's signed token; `none` lets everybody in"
    )
    push_audience: str = Field("", description="audience of the push subscription's token; needed with `oidc`")
    push_service_account: str = Field("", description="e-mail of the service account that pushes; needed with `oidc`")
    standby_seconds: float = Field(10.0, gt=0.0, description="a process that does not lead looks for a newer checkpoint this often")
    drain_dead_letters: bool = Field(True, description="move dead letters from their subscription to their table while leading")

    @model_validator(mode="after")
    def _known(self) -> Self:
        from thundercast.domain.models import registry

        for name in self.models:
            try:
                registry.make(name, self.tasks[0])
            except LookupError as error:
                raise ValueError(str(error)) from error
            if "." in name:
                raise ValueError(f"model {name!r} keeps its state as a pickle, which a live run does not take; `thundercast backtest` does")
        for several, kind in ((self.models, "model"), (self.tasks, "task")):
            if len(set(several)) != len(several):
                raise ValueError(f"a {kind} is named twice: {', '.join(several)}")
        if self.mode == "push" and self.push_auth == "oidc" and not (self.push_audience and self.push_service_account):
            raise ValueError(
                "pushing with `push_auth=oidc` needs push_audience and push_service_account, as the push subscription has them; "
                "`push_auth=none` lets everybody in"
            )
        return self
