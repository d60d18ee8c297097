"""A stream, cleaned and trained by a step that serves, and what it is asked."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from thundercast.domain import schema, tables
from thundercast.domain.batch import Attributes, Message, encode
from thundercast.domain.models.base import Model
from thundercast.domain.models.logistic import Logistic
from thundercast.domain.models.river_logistic import RiverLogistic
from thundercast.domain.models.thunder import Thunder
from thundercast.domain.runs import Run
from thundercast.stage.protocols import Effects
from thundercast.stage.steps import CleanStep, TrainStep
from thundercast_trainer import asked, predicting
from thundercast_trainer.serving import ServedStep, Snapshot
from unit.domain.rawrows import DAY, Stream, make_stream, of_shard

SHARDS = 4


def run_of(dates: int, *, shards: int = SHARDS, started: str = "20240101T000000Z", start: dt.date = DAY) -> Run:
    return Run(started=started, source="test", start=start, end=start + dt.timedelta(days=dates - 1), shards=shards)


def make_models() -> list[Model]:
    return [RiverLogistic("nowcast"), Thunder("nowcast"), Thunder("dayahead"), Logistic("dayahead")]


def served(**settings: Any) -> ServedStep:
    return ServedStep(TrainStep(make_models, now=lambda: "2024-01-01T00:00:00.000+00:00"), **settings)


def raw_messages(stream: Stream, run: Run) -> list[tuple[Attributes, Message]]:
    found = []
    for seq in range(len(stream) * run.shards):
        attributes = Attributes.of(run, seq, schema.RAW)
        found.append((attributes, encode(of_shard(stream[seq // run.shards][1], attributes.shard, run.shards), attributes)))
    return found


def clean_messages(stream: Stream, run: Run) -> list[tuple[Attributes, Message]]:
    """The clean batches of a raw stream, as a trainer gets them."""
    cleaner = CleanStep()
    messages = [m for raw in raw_messages(stream, run) for m in cleaner.apply(*raw).messages]
    return [(Attributes.from_text(m.attributes), m) for m in messages]


class Trainer:
    """Cleaner and trainer over a stream, date by date."""

    def __init__(self, stream: Stream, *, shards: int = SHARDS, start: dt.date = DAY, **settings: Any) -> None:
        self.stream = stream
        self.step = served(**settings)
        self.messages = clean_messages(stream, run_of(len(stream), shards=shards, start=start))
        self.shards = shards
        self.done = 0

    def go_on(self, dates: int = 1) -> list[Effects]:
        """Trains some more dates."""
        until = self.done + dates
        effects = [self.step.apply(*m) for m in self.messages[self.done * self.shards : until * self.shards]]
        self.done = until
        return effects

    @property
    def next_date(self) -> pa.RecordBatch:
        """The raw rows of the next date."""
        return self.stream[self.done][1]


Said = dict[tuple[str, str, str], tuple[float, float]]


def said(effects: Iterable[Effects]) -> Said:
    """Probability and threshold that the stream gave, by station, task and model."""
    rows = [row for e in effects for table, part in e.rows if table is tables.PREDICTIONS for row in part.to_pylist()]
    return {(row["station"], row["task"], row["model_name"]): (row["probability"], row["threshold"]) for row in rows}


def answered(answers: Sequence[dict[str, Any]], task: str) -> Said:
    """The same of what was answered; rows with errors are left out."""
    return {
        (row["station"], p["task"], p["model"]): (p["probability"], p["threshold"])
        for row in answers
        for p in row.get("predictions", ())
        if p["task"] == task
    }


def question(row: dict[str, Any], *, without: Sequence[str] = ()) -> dict[str, Any]:
    """A raw row as it is asked for over HTTP."""
    observations = {k: v for k, v in row.items() if k not in ("station", "date", *without)}
    return {"station": row["station"], "date": row["date"].isoformat(), "observations": observations}


def questions(rows: pa.RecordBatch, **settings: Any) -> list[dict[str, Any]]:
    return [question(row, **settings) for row in rows.to_pylist()]


def ask(snapshot: Snapshot, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of the answer, through JSON both ways as over HTTP."""
    name, rows = asked.read(json.dumps(body).encode())
    answer: list[dict[str, Any]] = json.loads(json.dumps(predicting.predicted(snapshot, asked.asked(name, rows, snapshot.stations))))
    return answer


def of_task(found: Said, task: str) -> Said:
    return {key: value for key, value in found.items() if key[1] == task}


def stream(dates: int = 6, n: int = 60, **settings: Any) -> Stream:
    return make_stream(dates, n, absent=0.15, **settings)
