"""Snapshots and batch output in Cloud Storage, as a stand-in with its real wire protocol has it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.internal.gcp.auth import _Credentials
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

import emulators
from thundercast.adapters.feeding import messages_of
from thundercast.adapters.places import open_manifests
from thundercast.adapters.sources.base import SourceDate
from thundercast.domain import runs
from thundercast.stage.protocols import Delivery, Unavailable
from thundercast_dataflow.batch import clean_shard
from thundercast_dataflow.lane import Lane
from thundercast_dataflow.options import BatchSettings
from thundercast_dataflow.snapshots import MARGIN, Snapshot, Snapshots
from unit.dataflow.streams import NOW, ListBag, run_of
from unit.domain.rawrows import make_stream

RUN = run_of(3, 1)
KEY = (RUN.run_id, 0)


@pytest.fixture
def bucket(storage_emulator: emulators.Running, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    # Beam looks for credentials for half a minute before it goes without; Google's own client knows the stand-in.
    monkeypatch.setattr(_Credentials, "_credentials_init", True)
    name = f"dataflow-{uuid.uuid4().hex[:8]}"
    client = storage.Client(project="demo-project", credentials=AnonymousCredentials())
    client.create_bucket(name)
    FileSystems.set_options(PipelineOptions(["--project=demo-project"]))
    yield name
    client.close()


def objects(bucket: str) -> list[str]:
    client = storage.Client(project="demo-project", credentials=AnonymousCredentials())
    return sorted(blob.name for blob in client.list_blobs(bucket))


def snapshot(count: int) -> Snapshot:
    """A lane after so many batches and the one that follows a hole."""
    days = make_stream(RUN.dates, 8, start=RUN.start)
    messages = [m for day, rows in days for m in messages_of(SourceDate(runs.day(day), rows), RUN)[0]]
    lane, bag = Lane(KEY), ListBag()
    for message in [*messages[:count], *messages[count + 1 :]]:
        lane.receive(Delivery(message, "", NOW), NOW, bag, lambda _: RUN)
    return Snapshot.of(lane, bag.items)


def test_snapshots_are_written_promoted_loaded_and_listed(bucket: str) -> None:
    place, older, newer = Snapshots(f"gs://{bucket}/checkpoints"), snapshot(0), snapshot(1)
    assert place.load(KEY) is None
    assert place.seek_time() is None
    place.write(KEY, older)
    place.write_pending(KEY, 1, newer)
    assert place.load(KEY) == older
    place.promote(KEY, 1)
    place.promote(KEY, 1)
    assert place.load(KEY) == newer
    assert objects(bucket) == [f"checkpoints/cleaner/{RUN.run_id}/0"]
    for name in (RUN.run_id, "current"):
        open_manifests(f"gs://{bucket}/checkpoints").write_manifest(name, RUN.to_json())
    assert place.manifest(RUN.run_id) == RUN
    assert place.seek_time() == NOW - MARGIN


def test_batch_reads_and_writes_buckets(bucket: str, tmp_path: Path) -> None:
    table = pa.Table.from_batches([rows for _, rows in make_stream(4, 12)])
    pq.write_table(table, tmp_path / "rows.parquet")
    blob = storage.Client(project="demo-project", credentials=AnonymousCredentials()).bucket(bucket).blob("in/rows.parquet")
    blob.upload_from_filename(tmp_path / "rows.parquet")
    for text in (f"gs://{bucket}/in/*.parquet", f"gs://{bucket}/in"):
        settings = BatchSettings(
            input=text, output=f"gs://{bucket}/out", project="demo-project", start=None, end=None, shards=1, cache=tmp_path / "cache"
        )  # fmt: skip
        assert clean_shard(settings, 0)["rows_out"] == table.num_rows
    assert objects(bucket) == ["in/rows.parquet", "out/clean-00000-of-00001.parquet", "out/dead-letters-00000-of-00001.parquet"]
    with FileSystems.open(f"gs://{bucket}/out/clean-00000-of-00001.parquet") as file:
        assert pq.read_table(pa.BufferReader(file.read())).num_rows == table.num_rows


def test_a_bucket_that_is_not_there_is_named_with_what_makes_it(storage_emulator: emulators.Running) -> None:
    with pytest.raises(Unavailable, match="bucket gs://no-such-bucket does not exist: `thundercast bootstrap` makes it"):
        Snapshots("gs://no-such-bucket/checkpoints").write(KEY, snapshot(0))
