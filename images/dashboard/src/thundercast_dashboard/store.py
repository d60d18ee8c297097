"""Which store the page shows: a SQLite file, or the BigQuery dataset of a distributed system."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from thundercast.adapters.reading import StoreReader
from thundercast.adapters.settings import CloudSettings
from thundercast.adapters.sqlite_reader import SqliteReader

BIGQUERY: Final = "bigquery"
"""The name of the store that is no file; a file of this name is written ``./bigquery``."""


@dataclass(frozen=True, slots=True)
class Store:
    """A store to be shown.

    Attributes:
        where: it is, for people.
        maker: the command that makes it.
        every: seconds between two readings at least.
        open: makes its reader; nothing is asked of the store yet.
    """

    kind: Literal["sqlite", "bigquery"]
    where: str
    maker: str
    every: float
    open: Callable[[], StoreReader]


def named(name: str) -> Store:
    """The store of a name: ``bigquery``, with project and dataset from the environment, or the path of a SQLite file.

    Raises:
        pydantic.ValidationError: what the environment says of the dataset cannot be.
    """
    if name != BIGQUERY:
        return Store("sqlite", name, "thundercast run", 1.0, lambda: SqliteReader(Path(name)))
    settings = CloudSettings()

    def open_reader() -> StoreReader:
        # Google's clients are an extra, and whoever shows a file has no use for them.
        from thundercast.adapters.google.bigquery_reader import BigQueryReader

        return BigQueryReader(settings)

    # A reading asks five tables over the network, and the parts tell of themselves every ten seconds.
    return Store("bigquery", f"BigQuery, {settings.project}.{settings.dataset}", "thundercast bootstrap", 5.0, open_reader)
