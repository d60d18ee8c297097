"""The steps that the loop drives: cleaning, training, and the two chained in one process."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa

from thundercast.domain import batch, runs, schema, tables
from thundercast.domain.arrays import Arrays, BadState, nest, part
from thundercast.domain.batch import Attributes, Message
from thundercast.domain.cleaning import Cleaned, Cleaner
from thundercast.domain.deadletters import DeadLetter
from thundercast.domain.learning import Closed, Learner, Predicted
from thundercast.domain.models.base import Model
from thundercast.domain.rows import UNKNOWN, CleanRows
from thundercast.domain.stations import shards_of, stations_of
from thundercast.stage.protocols import Effects

NowText = Callable[[], str]
Continue = Literal["fresh", "continue"]


def now_text() -> str:
    """The wall clock as ISO 8601 in UTC: what `timestamp` columns get."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")


def _undecodable(attributes: Attributes, message: Message, error: Exception, stage: str) -> DeadLetter:
    return DeadLetter(
        "undecodable", str(error), stage, attributes.run_id, attributes.seq, "", attributes.date.isoformat(),
        dict(message.attributes), message.data,
    )  # fmt: skip


def _clean_rows(table: pa.RecordBatch, attributes: Attributes) -> CleanRows:
    """The rows of a clean batch; `Undecodable` if the cleaner cannot have written them."""
    try:
        rows = CleanRows.from_arrow(table, runs.ordinal(attributes.date))
    except ValueError as error:
        raise batch.Undecodable(f"{attributes.message_id}: {error}") from error
    # A station of another shard could come twice in a date.
    if np.any(shards_of(rows.key, attributes.shards) != attributes.shard):
        raise batch.Undecodable(f"{attributes.message_id}: a station belongs to another shard than its batch")
    return rows


class CleanStep:
    """Raw batches in, clean batches out; one `Cleaner` per shard."""

    def __init__(self) -> None:
        self._cleaners: dict[int, Cleaner] = {}

    def lanes(self, attributes: Attributes) -> int:
        return attributes.shards

    def begin(self, attributes: Attributes) -> Effects:  # noqa: ARG002
        self._cleaners = {}
        return Effects()

    def clean(self, attributes: Attributes, message: Message) -> tuple[Attributes, CleanRows, list[DeadLetter]]:
        """One raw batch cleaned: its successor's attributes, its rows, its dead letters."""
        date = runs.ordinal(attributes.date)
        try:
            if attributes.schema != schema.RAW:
                raise batch.Undecodable(f"{attributes.message_id}: {attributes.schema!r} rows on a topic of {schema.RAW!r}")
            raw, letters = batch.decode(message, attributes, stage="cleaner")
        except batch.Undecodable as error:
            return attributes.cleaned("undecodable", {}), CleanRows.empty(date), [_undecodable(attributes, message, error, "cleaner")]
        cleaner = self._cleaners.setdefault(attributes.shard, Cleaner())
        done: Cleaned = cleaner.clean(
            raw, date, run_id=attributes.run_id, seq=attributes.seq, shard=attributes.shard, shards=attributes.shards
        )
        counts = dict(done.counts)
        outcome = done.outcome
        if letters:
            counts["rows_in"] = counts.get("rows_in", 0) + len(letters)
            counts["rejected_bad_value"] = counts.get("rejected_bad_value", 0) + len(letters)
            outcome = outcome if len(done.rows) else "rejected"
        return attributes.cleaned(outcome, counts), done.rows, letters + done.dead_letters

    def apply(self, attributes: Attributes, message: Message) -> Effects:
        out, rows, letters = self.clean(attributes, message)
        return Effects([batch.encode(rows.to_arrow(), out)], letters, outcome=out.outcome, row_count=len(rows))

    def skip(self, attributes: Attributes) -> Effects:
        empty = CleanRows.empty(runs.ordinal(attributes.date))
        out = attributes.cleaned(attributes.outcome or "skipped", {})
        return Effects([batch.encode(empty.to_arrow(), out)], outcome=out.outcome)

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        return nest({str(shard): cleaner.arrays() for shard, cleaner in self._cleaners.items()}), {"cleaners": sorted(self._cleaners)}

    def restore(self, arrays: Arrays, meta: Mapping[str, Any]) -> None:
        if "cleaners" not in meta:
            raise BadState("the checkpoint is of another stage: it has no state of cleaners")
        self._cleaners = {shard: Cleaner.from_arrays(part(arrays, str(shard))) for shard in meta["cleaners"]}


class TrainStep:
    """Clean batches in; predictions, observations and scores out when a date closes.

    Args:
        make_models: new models, for a run that starts.
        on_new_run: whether a newer run starts with fresh models or goes on with those of the run before.
        observations: whether clean rows are written to the store.

    Attributes:
        closed: what came of the date that the batch applied last has closed; None if it closed none.
    """

    def __init__(
        self,
        make_models: Callable[[], Sequence[Model]],
        *,
        on_new_run: Continue = "fresh",
        observations: bool = True,
        now: NowText = now_text,
    ) -> None:
        self._make_models = make_models
        self._on_new_run: Final = on_new_run
        self._observations = observations
        self._now = now
        self.learner = Learner(make_models())
        self.closed: Closed | None = None
        self._missing = 0
        self._fresh = True

    def lanes(self, attributes: Attributes) -> int:  # noqa: ARG002
        return 1

    def models(self) -> list[Model]:
        """Copies of the models as they stand, climatologies included: for whoever asks them while these learn."""
        copies = Learner(self._make_models()).models
        for copy, model in zip(copies, self.learner.models, strict=True):
            copy.from_bytes(model.to_bytes())
        return copies

    def drifts(self) -> dict[str, int]:
        """How often each model has drifted in the run; nothing while no row of it was had."""
        return {} if self._fresh else self.learner.drifts()

    def begin(self, attributes: Attributes) -> Effects:
        fresh, events = Learner(self._make_models()), []
        if self._on_new_run == "continue" and not self._fresh:
            # What was learnt goes on; scores, and rows that wait for their labels, belong to the run that ended.
            events = fresh.follow(self.learner, runs.ordinal(attributes.date))
        self.learner, self.closed, self._missing, self._fresh = fresh, None, 0, False
        return Effects(outbox=[(tables.MODEL_EVENTS.name, {"run_id": attributes.run_id, **event}) for event in events])

    def apply(self, attributes: Attributes, message: Message) -> Effects:
        date = runs.ordinal(attributes.date)
        letters: list[DeadLetter] = []
        try:
            if attributes.schema != schema.CLEAN:
                raise batch.Undecodable(f"{attributes.message_id}: {attributes.schema!r} rows on a topic of {schema.CLEAN!r}")
            table, letters = batch.decode(message, attributes, stage="trainer")
            rows = _clean_rows(table, attributes)
        except batch.Undecodable as error:
            letters = [_undecodable(attributes, message, error, "trainer")]
            rows = CleanRows.empty(date)
            attributes = replace(attributes, outcome="undecodable")
        effects = self.train(attributes, rows)
        effects.dead_letters += letters
        return effects

    def train(self, attributes: Attributes, rows: CleanRows) -> Effects:
        """Takes the rows; if they are the last batch of their date, predicts, scores and learns the date."""
        self._fresh = False
        if attributes.outcome in ("undecodable", "skipped"):
            self._missing += 1
        if len(rows):
            self.learner.take(rows)
        effects = self._close(attributes)
        effects.outcome, effects.row_count = attributes.outcome or "ok", len(rows)
        return effects

    def skip(self, attributes: Attributes) -> Effects:
        self._missing += 1
        effects = self._close(attributes)
        effects.outcome = attributes.outcome or "skipped"
        return effects

    def _close(self, attributes: Attributes) -> Effects:
        self.closed = None
        if attributes.shard != attributes.shards - 1:
            return Effects()
        self.closed = closed = self.learner.close(
            date=runs.ordinal(attributes.date),
            batch_id=attributes.seq // attributes.shards,
            timestamp=self._now(),
            shards_missing=self._missing,
        )
        self._missing = 0
        kept = [(tables.MODEL_METRICS.name, row) for row in closed.metrics] + [(tables.MODEL_EVENTS.name, row) for row in closed.events]
        effects = Effects(outbox=[(name, {"run_id": attributes.run_id, **row}) for name, row in kept])
        if len(closed.rows):
            effects.rows = [(tables.PREDICTIONS, prediction_rows(attributes.run_id, p)) for p in closed.predicted if len(p.rows)]
            if self._observations:
                effects.rows.append((tables.OBSERVATIONS, observation_rows(attributes.run_id, closed.rows)))
        return effects

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        return self.learner.state(), {"shards_missing": self._missing}

    def restore(self, arrays: Arrays, meta: Mapping[str, Any]) -> None:
        learner = Learner(self._make_models())
        learner.restore(arrays)
        # Whole at once: another thread may ask for the drifts meanwhile, and a count of 0 would look like a restart to Prometheus.
        self.learner, self.closed = learner, None
        self._missing = int(meta["shards_missing"])
        self._fresh = False


class ChainedStep:
    """Cleaning and training as one step with one checkpoint: a whole system in one process."""

    def __init__(self, clean: CleanStep, train: TrainStep) -> None:
        self._clean = clean
        self.train = train

    def lanes(self, attributes: Attributes) -> int:
        return self.train.lanes(attributes)

    def begin(self, attributes: Attributes) -> Effects:
        effects = self._clean.begin(attributes)
        effects.add(self.train.begin(attributes))
        return effects

    def apply(self, attributes: Attributes, message: Message) -> Effects:
        out, rows, letters = self._clean.clean(attributes, message)
        effects = self.train.train(out, rows)
        effects.dead_letters += letters
        return effects

    def skip(self, attributes: Attributes) -> Effects:
        return self.train.skip(attributes)

    def state(self) -> tuple[Arrays, dict[str, Any]]:
        parts, metas = {}, {}
        for name, step in (("clean", self._clean), ("train", self.train)):
            parts[name], metas[name] = step.state()
        return nest(parts), metas

    def restore(self, arrays: Arrays, meta: Mapping[str, Any]) -> None:
        for name, step in (("clean", self._clean), ("train", self.train)):
            if name not in meta:
                raise BadState(f"the checkpoint is of another stage: it has no state of {name!r}")
            step.restore(part(arrays, name), meta[name])


def prediction_rows(run_id: str, said: Predicted) -> pa.Table:
    """Rows of `predictions`; ``written_at`` is the store's."""
    n = len(said.rows)
    known = said.rows.label if said.date == said.rows.date else np.full(n, UNKNOWN, np.int8)
    columns = {
        "run_id": _constant(run_id, n, pa.string()),
        "date": _constant(runs.day(said.date), n, pa.date32()),
        "station": stations_of(said.rows.key),
        "model_name": _constant(said.model, n, pa.string()),
        "task": _constant(said.task, n, pa.string()),
        "probability": pa.array(said.probability),
        "threshold": _constant(said.threshold, n, pa.float64()),
        "label": pa.array(known.astype(np.int64), mask=known == UNKNOWN),
        "made_from": _constant(runs.day(said.rows.date), n, pa.date32()),
        "written_at": pa.nulls(n, pa.timestamp("us", "UTC")),
    }
    return pa.table(columns, schema=tables.PREDICTIONS.arrow)


def observation_rows(run_id: str, rows: CleanRows) -> pa.Table:
    """Rows of `observations`: the clean rows as they are."""
    clean = rows.to_arrow()
    wanted = tables.OBSERVATIONS.arrow
    columns = [
        _constant(run_id, len(rows), pa.string()),
        *[c.cast(wanted.field(f.name).type) for c, f in zip(clean.columns, clean.schema, strict=True)],
    ]
    columns.append(pa.nulls(len(rows), pa.timestamp("us", "UTC")))
    return pa.table(columns, schema=wanted)


def _constant(value: Any, n: int, kind: pa.DataType) -> pa.Array:
    return pa.repeat(pa.scalar(value, kind), n)
