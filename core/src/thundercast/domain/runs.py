"""Runs: one replay of a source, its fingerprint, and the numbering of its batches."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from thundercast.domain import schema

RunState = Literal["running", "completed", "superseded"]
"""What has become of a run: superseded means that a newer one began before its end."""

DEFAULT_SHARDS: Final = 16
_RUN_ID: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")
EPOCH: Final = dt.date(1970, 1, 1)


def ordinal(day: dt.date) -> int:
    """Days since 1970-01-01."""
    return (day - EPOCH).days


def day(number: int) -> dt.date:
    """The date of a number of days since 1970-01-01."""
    return EPOCH + dt.timedelta(days=number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One replay. Two runs over the same rows and settings have the same fingerprint.

    Attributes:
        started: UTC start, ``YYYYMMDDTHHMMSSZ``.
        source: the source as the user named it, with its content's identity (``sample``, ``file:…#<hash>``).
        start, end: first and last date, both included.
        filter: text of the row filter, empty for none.
        shards: number of shards.
        synthetic: the rows are generated, not observed.
        rights: the notice that goes with the data.
    """

    started: str
    source: str
    start: dt.date
    end: dt.date
    filter: str = ""
    shards: int = DEFAULT_SHARDS
    synthetic: bool = False
    rights: str = ""
    version: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.shards <= 4096:
            raise ValueError(f"shards must be 1 to 4096, not {self.shards}")
        if self.end < self.start:
            raise ValueError(f"the run's end {self.end} is before its start {self.start}")
        if not valid_run_id(self.run_id):
            raise ValueError(f"the run's start must be given as YYYYMMDDTHHMMSSZ, not {self.started!r}")

    @property
    def fingerprint(self) -> str:
        """64 hex over source, start, end, filter, shards and the two schemas."""
        parts = [self.source, self.start.isoformat(), self.end.isoformat(), self.filter, self.shards, schema.RAW, schema.CLEAN]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def run_id(self) -> str:
        return f"{self.started}-{self.fingerprint[:8]}"

    @property
    def dates(self) -> int:
        return (self.end - self.start).days + 1

    @property
    def batches(self) -> int:
        return self.dates * self.shards

    def seq(self, date: dt.date, shard: int) -> int:
        return (date - self.start).days * self.shards + shard

    def date_of(self, seq: int) -> dt.date:
        return self.start + dt.timedelta(days=seq // self.shards)

    def to_json(self) -> dict[str, Any]:
        """The manifest."""
        dates = {"start": self.start.isoformat(), "end": self.end.isoformat()}
        return asdict(self) | dates | {"run_id": self.run_id, "fingerprint": self.fingerprint}

    @classmethod
    def from_json(cls, manifest: dict[str, Any]) -> Run:
        """Reads a manifest.

        Raises:
            ValueError: a field is missing or not of its type, or run id and fingerprint do not belong to the other fields.
        """
        try:
            fields = {k: manifest[k] for k in ("started", "source", "filter", "shards", "synthetic", "rights", "version")}
            run = cls(start=dt.date.fromisoformat(manifest["start"]), end=dt.date.fromisoformat(manifest["end"]), **fields)
        except KeyError as error:
            raise ValueError(f"the run's manifest has no {error}") from error
        except TypeError as error:
            raise ValueError(f"the run's manifest is damaged: {error}") from error
        if (manifest.get("run_id"), manifest.get("fingerprint")) != (run.run_id, run.fingerprint):
            raise ValueError(f"the manifest of run {manifest.get('run_id')!r} was made with other settings or schemas; start a new run")
        return run


def valid_run_id(text: str) -> bool:
    """Whether a text has the form of a run id. Run ids sort by their start."""
    return bool(_RUN_ID.fullmatch(text))
