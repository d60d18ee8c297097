"""A whole replay, and what it must come to: the same rows through the core's steps in this process, in order, once."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from pathlib import Path

from integration.distributed import scene
from thundercast.adapters.feeding import messages_of, run_of
from thundercast.adapters.sources import open_source
from thundercast.domain import tables
from thundercast.domain.models import registry
from thundercast.stage.outbox import to_arrow
from thundercast.stage.protocols import Effects
from thundercast.stage.steps import ChainedStep, CleanStep, TrainStep

SHARDS = 16


@dataclasses.dataclass(frozen=True)
class Data:
    """What is replayed."""

    source: str
    start: dt.date
    end: dt.date
    cache: Path
    models: tuple[str, ...] = ("thunder", "river-logistic")

    @property
    def dates(self) -> list[dt.date]:
        """Of labels: a day-ahead prediction is for the date after."""
        return [self.start + dt.timedelta(days=i) for i in range((self.end - self.start).days + 2)]

    @property
    def env(self) -> dict[str, str]:
        return {
            "THUNDERCAST_SOURCE": self.source, "THUNDERCAST_START": self.start.isoformat(), "THUNDERCAST_END": self.end.isoformat(),
            "THUNDERCAST_CACHE": str(self.cache), "THUNDERCAST_SPEED": "max", "THUNDERCAST_SHARDS": str(SHARDS),
            "THUNDERCAST_MODELS": json.dumps(self.models),
        }  # fmt: skip


@dataclasses.dataclass
class Reference:
    """The same rows through the core's steps in this process, in order, once."""

    rows: dict[str, list[str]]
    models: str


def reference(data: Data) -> Reference:
    source = open_source(data.source, cache=data.cache)
    run = run_of(
        source.open(), started=dt.datetime(2024, 1, 1, tzinfo=dt.UTC), shards=SHARDS, version="test", start=data.start, end=data.end
    )
    train = TrainStep(lambda: [registry.make(name, task) for task in scene.TASKS for name in data.models])
    step, total = ChainedStep(CleanStep(), train), Effects()
    for day in source.dates(run.start, run.end):
        for message in messages_of(day, run)[0]:
            attributes = scene.Attributes.from_text(message.attributes)
            if attributes.seq == 0:
                total.add(step.begin(attributes))
            total.add(step.apply(attributes, message))
    rows: dict[str, list[str]] = {"model_metrics": [], "predictions": [], "observations": []}
    for name, row in total.outbox:
        rows[name] += scene.plain(to_arrow(tables.MODEL_METRICS, [row]))
    for table, part in total.rows:
        rows[table.name] += scene.plain(part)
    return Reference({name: sorted(found) for name, found in rows.items()}, scene.models_digest(train.state()[0]))
