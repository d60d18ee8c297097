"""The batch pipeline: a source in, parquet out. One element is one shard; no state.

A shard's rows are read in order of date and go through the core cleaner as they come, so memory is that of a date and a row group.
Each element reads the whole source and takes the stations of its shard. More elements than cores would only read more often.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.metrics import Metrics

from thundercast.adapters.google.storage_clients import LARGE, answering, storage_client
from thundercast.adapters.places import parse
from thundercast.adapters.sources import SourceDate, SourceError
from thundercast.domain import runs
from thundercast.domain.cleaning import Cleaner
from thundercast.domain.deadletters import DeadLetter
from thundercast.domain.schema import CLEAN_SCHEMA
from thundercast.domain.stations import keys_of, shards_of
from thundercast.domain.tables import DEAD_LETTERS
from thundercast.stage.letters import to_rows
from thundercast_dataflow.inputs import open_input
from thundercast_dataflow.options import BatchSettings
from thundercast_dataflow.transforms import NAMESPACE

ROW_GROUP: Final = 65_536
_LETTERS: Final = 4_096


def build(pipeline: Any, settings: BatchSettings) -> Any:
    """Adds the transforms to a pipeline; returns the counts of each shard."""
    shards = pipeline | "Shards" >> beam.Create(list(range(settings.shards))) | "Spread" >> beam.Reshuffle()
    return shards | "CleanShard" >> beam.ParDo(CleanShard(settings))


class CleanShard(beam.DoFn):
    """A shard's number to its files; yields what was counted."""

    def __init__(self, settings: BatchSettings) -> None:
        self._settings = settings

    def process(self, shard: int) -> Iterator[dict[str, int]]:
        counts = clean_shard(self._settings, shard)
        for name, number in counts.items():
            Metrics.counter(NAMESPACE, name).inc(number)
        yield dict(counts)


def clean_shard(settings: BatchSettings, shard: int) -> Counter[str]:
    """Cleans the stations of a shard into ``clean-*.parquet`` and ``dead-letters-*.parquet``, which replace those of an earlier try.

    Returns:
        ``rows_in``, ``rows_out``, ``imputed``, ``rejected_<reason>`` of the cleaner, ``dead_letters_<reason>`` of source and cleaner.

    Raises:
        SourceError: the source cannot be read, or has no rows between the dates asked for.
        Unavailable: the files cannot be written to Cloud Storage; the message says why.
    """
    source = open_input(settings.input, cache=settings.cache, project=settings.project)
    info = source.open()
    first, last = max(settings.start or info.start, info.start), min(settings.end or info.end, info.end)
    if last < first:
        raise SourceError(f"{settings.input}: it has {info.start} to {info.end}: no date of those asked for")
    cleaner, counts = Cleaner(), Counter[str]()
    name = f"{shard:05d}-of-{settings.shards:05d}.parquet"
    with (
        _table(settings.output, f"clean-{name}", CLEAN_SCHEMA, ROW_GROUP) as rows,
        _table(settings.output, f"dead-letters-{name}", DEAD_LETTERS.arrow, _LETTERS) as letters,
    ):
        for day in source.dates(first, last):
            own = _of_shard(day, shard, settings.shards)
            done = cleaner.clean(own, runs.ordinal(day.date), shard=shard, shards=settings.shards)
            counts.update(done.counts)
            counts["rows_out"] += len(done.rows)
            if len(done.rows):
                rows.add(done.rows.to_arrow())
            # What the source could not read has no shard.
            aside: list[DeadLetter] = [*(day.rejected if shard == 0 else []), *done.dead_letters]
            if aside:
                counts.update(f"dead_letters_{letter.reason}" for letter in aside)
                letters.add(*to_rows(aside).to_batches())
    return counts


def _of_shard(day: SourceDate, shard: int, shards: int) -> pa.RecordBatch:
    """A date's rows of the stations of a shard; as in the stream, a row whose station cannot be read is of shard 0."""
    if shards == 1 or day.rows.num_rows == 0:
        return day.rows
    keys = keys_of(day.rows.column("station"))
    own = np.where(keys >= 0, shards_of(np.maximum(keys, 0), shards), 0) == shard
    return day.rows.filter(pa.array(own))


class _Table:
    """Rows on their way to a parquet file, some of them held for a row group."""

    def __init__(self, writer: pq.ParquetWriter, schema: pa.Schema, group: int) -> None:
        self._writer, self._schema, self._group = writer, schema, group
        self._held: list[pa.RecordBatch] = []
        self._rows = 0

    def add(self, *batches: pa.RecordBatch) -> None:
        self._held += batches
        self._rows += sum(batch.num_rows for batch in batches)
        if self._rows >= self._group:
            self.flush()

    def flush(self) -> None:
        if self._held:
            self._writer.write_table(pa.Table.from_batches(self._held, self._schema).combine_chunks())
        self._held, self._rows = [], 0


@contextmanager
def _table(output: str, name: str, schema: pa.Schema, group: int) -> Iterator[_Table]:
    """A parquet file that is there as a whole or not at all: it is written on this machine, and then put in its place."""
    place = parse(output)
    if isinstance(place, Path):
        place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".thundercast-", dir=place if isinstance(place, Path) else None) as folder:
        path = Path(folder, name)
        with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=["country"]) as writer:
            table = _Table(writer, schema, group)
            yield table
            table.flush()
        if isinstance(place, Path):
            path.rename(place / name)
        else:
            target = "/".join(part for part in (place.prefix, name) if part)
            with answering(place.name, target, "be written"):
                storage_client().bucket(place.name).blob(target).upload_from_filename(path, **LARGE)
