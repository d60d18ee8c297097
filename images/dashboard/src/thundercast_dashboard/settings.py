"""Settings of the dashboard."""

from __future__ import annotations

from pydantic import Field

from thundercast.adapters.settings import CloudSettings


class DashboardSettings(CloudSettings):
    """What `thundercast_dashboard` can be told. Of the places where the parts meet it uses `project` and `dataset`."""

    store: str = Field(min_length=1, description="what it shows: the path of a SQLite file, or `bigquery` for the dataset")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8501, ge=1, le=65535, description="port to listen on")
