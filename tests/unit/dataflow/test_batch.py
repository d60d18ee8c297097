"""Batch mode: the rows of the stream, in parquet, with what was set aside."""

from __future__ import annotations

import csv
import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam import Pipeline
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from thundercast.adapters.feeding import messages_of
from thundercast.adapters.sources import SourceError, open_source
from thundercast.domain import runs
from thundercast.domain.runs import Run
from thundercast.domain.schema import CLEAN_SCHEMA
from thundercast.domain.tables import DEAD_LETTERS
from thundercast_dataflow import batch
from thundercast_dataflow.batch import clean_shard
from thundercast_dataflow.options import BatchSettings
from unit.dataflow.streams import cleaned, rows_of
from unit.domain.rawrows import DAY, make_stream, raw


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve dates in a parquet file that is in no order, with faults planted."""
    days = make_stream(12, 30, seed=3)
    table = pa.Table.from_batches([rows for _, rows in days])
    temp = table["temp"].to_numpy().copy()
    temp[7], temp[40] = 900.0, -300.0
    table = table.set_column(table.schema.get_field_index("temp"), table.schema.field("temp"), pa.array(temp))
    table = pa.concat_tables([table, table.slice(3, 2)])
    path = tmp_path_factory.mktemp("batch") / "rows.parquet"
    pq.write_table(table.take(pa.array(np.random.default_rng(1).permutation(table.num_rows))), path)
    return path


def settings_of(input: str | Path, tmp_path: Path, shards: int = 1, **changes: Any) -> BatchSettings:
    settings = BatchSettings(
        project="demo-project", input=str(input), output=str(tmp_path / "out"), start=None, end=None, shards=shards, cache=tmp_path / "cache"
    )  # fmt: skip
    return replace(settings, **changes)


def read(settings: BatchSettings, kind: str) -> pa.Table:
    """All files of a kind, in order of date and station."""
    paths = sorted(Path(settings.output).glob(f"{kind}-*.parquet"))
    assert [path.name for path in paths] == [f"{kind}-{s:05d}-of-{settings.shards:05d}.parquet" for s in range(settings.shards)]
    return pa.concat_tables([pq.read_table(path) for path in paths]).sort_by([("date", "ascending"), ("station", "ascending")])


def streamed(source: Path, tmp_path: Path) -> pa.Table:
    """The rows of the stream: every batch of a run with five shards through the core's step."""
    opened = open_source(f"file:{source}", cache=tmp_path / "cache")
    info = opened.open()
    run = Run(started="20260101T000000Z", source="test", start=info.start, end=info.end, shards=5)
    messages = [m for day in opened.dates(run.start, run.end) for m in messages_of(day, run)[0]]
    return pa.Table.from_batches([rows_of(m) for m in cleaned(messages)]).sort_by([("date", "ascending"), ("station", "ascending")])


@pytest.mark.parametrize("shards", [1, 3])
def test_the_rows_are_those_of_the_stream(source: Path, tmp_path: Path, shards: int) -> None:
    settings = settings_of(source, tmp_path, shards)
    for shard in range(shards):
        clean_shard(settings, shard)
    found = read(settings, "clean")
    assert found.schema.equals(CLEAN_SCHEMA, check_metadata=True)
    assert found.equals(streamed(source, tmp_path))


def test_what_is_set_aside_is_kept_with_its_reason_once(source: Path, tmp_path: Path) -> None:
    settings = settings_of(source, tmp_path, 3)
    counts = sum((clean_shard(settings, shard) for shard in range(3)), start=batch.Counter())
    letters = read(settings, "dead-letters")
    assert letters.schema.names == DEAD_LETTERS.arrow.names
    reasons = sorted(letters["reason"].to_pylist())
    assert reasons == ["duplicate", "duplicate", "temperature_out_of_range", "temperature_out_of_range"]
    assert counts["dead_letters_duplicate"] == 2
    assert counts["rows_in"] == counts["rows_out"] + len(reasons)


def test_what_the_source_cannot_read_is_set_aside_once_however_many_shards(tmp_path: Path) -> None:
    rows = [raw(), raw() | {"date": "July"}]
    with (tmp_path / "rows.csv").open("w") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    settings = settings_of(tmp_path / "rows.csv", tmp_path, 3)
    for shard in range(3):
        clean_shard(settings, shard)
    assert read(settings, "dead-letters")["reason"].to_pylist() == ["bad_date"]
    assert read(settings, "clean").num_rows == 1


def test_only_the_dates_asked_for(source: Path, tmp_path: Path) -> None:
    first, last = DAY + dt.timedelta(days=2), DAY + dt.timedelta(days=4)
    settings = settings_of(source, tmp_path, start=first, end=last)
    clean_shard(settings, 0)
    assert set(read(settings, "clean")["date"].to_pylist()) == {runs.day(runs.ordinal(first) + i) for i in range(3)}
    with pytest.raises(SourceError, match="no date of those asked for"):
        clean_shard(settings_of(source, tmp_path, start=DAY + dt.timedelta(days=99)), 0)


def test_the_pipeline_writes_every_shard(source: Path, tmp_path: Path) -> None:
    settings = settings_of(source, tmp_path, 2)
    with Pipeline(runner=FnApiRunner(), options=PipelineOptions([])) as pipeline:
        batch.build(pipeline, settings)
    assert read(settings, "clean").equals(streamed(source, tmp_path))


def test_an_element_that_is_tried_again_leaves_no_trace_of_the_first_try(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(source, tmp_path)

    def fail(*_: object) -> None:
        raise RuntimeError("the worker is gone")

    with monkeypatch.context() as patch:
        patch.setattr(batch, "_of_shard", fail)
        with pytest.raises(RuntimeError, match="gone"):
            clean_shard(settings, 0)
    assert list(Path(settings.output).iterdir()) == []
    clean_shard(settings, 0)
    assert len(list(Path(settings.output).iterdir())) == 2


def test_a_pattern_names_files_wherever_they_are(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in" / "2022"
    folder.mkdir(parents=True)
    table = pq.read_table(source)
    pq.write_table(table.slice(0, 100), folder / "a.parquet")
    pq.write_table(table.slice(100), folder / "b.parquet")
    (tmp_path / "in" / "notes.weird").write_text("not matched")
    settings = settings_of(f"{tmp_path}/in/*/*.parquet", tmp_path)
    clean_shard(settings, 0)
    assert read(settings, "clean").num_rows == streamed(source, tmp_path).num_rows
