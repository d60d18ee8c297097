"""Settings of the cleaner."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from thundercast.adapters.settings import PartSettings


class CleanerSettings(PartSettings):
    """What `thundercast-cleaner` can be told."""

    group: int = Field(0, ge=0, description="which group of shards this worker cleans, from 0")
    groups: int = Field(1, ge=1, le=256, description="number of groups; shard s belongs to group s modulo groups")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.group >= self.groups:
            raise ValueError(f"group {self.group} is not one of {self.groups} groups, which are numbered from 0")
        return self

    @property
    def component(self) -> str:
        """Its name in checkpoints, lock and status."""
        return "cleaner" if self.groups == 1 else f"cleaner-{self.group}-of-{self.groups}"

    def owns(self, lane: int) -> bool:
        """Whether a shard is of this group."""
        return lane % self.groups == self.group
