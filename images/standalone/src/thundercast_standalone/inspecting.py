"""`thundercast inspect`: what a data file, a checkpoint or a store holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from thundercast.adapters.folder import FolderCheckpoints, read_body
from thundercast.adapters.sources import open_source
from thundercast.adapters.sources.base import SourceError
from thundercast.adapters.sqlite_reader import SqliteReader
from thundercast.domain.arrays import Arrays
from thundercast.stage.protocols import BadCheckpoint

_SQLITE = b"SQLite format 3\0"


def inspect(path: Path, cache: Path) -> dict[str, Any]:
    """Facts about a path, JSON-able.

    Raises:
        SourceError: it is nothing that Thundercast reads; says what was tried.
    """
    if not path.exists():
        raise SourceError(f"{path} is not there")
    if path.is_dir() and (path / "store.sqlite").is_file():
        found: dict[str, Any] = {"what": "the state folder of a run"}
        if (path / "checkpoints" / "HEAD").is_file():
            found["checkpoint"] = _checkpoints(path / "checkpoints")
        return found | {"store": _store(path / "store.sqlite")}
    if path.is_dir() and (path / "HEAD").is_file():
        return _checkpoints(path)
    if path.is_file():
        with path.open("rb") as file:
            start = file.read(16)
        if start == _SQLITE:
            return _store(path)
        if path.parent.name == "bodies" or (path.parent / "HEAD").is_file():
            try:
                checkpoint = read_body(path)
            except BadCheckpoint as error:
                raise SourceError(str(error)) from error
            return {"what": "a checkpoint's body", **_state(checkpoint.arrays, dict(checkpoint.meta))}
    info = open_source(f"file:{path}", cache=cache).open()
    return {
        "what": "station-days", "identity": info.identity, "rows": info.rows, "start": info.start.isoformat(), "end": info.end.isoformat(),
        "rights": info.rights,
    }  # fmt: skip


def _checkpoints(folder: Path) -> dict[str, Any]:
    store = FolderCheckpoints(folder)
    try:
        checkpoint = store.load()
    except BadCheckpoint as error:
        raise SourceError(str(error)) from error
    if checkpoint is None:
        return {"what": "a folder of checkpoints", "newest": None}
    return {"what": "a folder of checkpoints", "number": checkpoint.number, **_state(checkpoint.arrays, dict(checkpoint.meta))}


def _state(arrays: Arrays, meta: dict[str, Any]) -> dict[str, Any]:
    groups: dict[str, int] = {}
    for name, array in arrays.items():
        group = "/".join(name.split("/")[:4])
        groups[group] = groups.get(group, 0) + array.nbytes
    return {
        "meta": json.loads(json.dumps(meta, default=str)),
        "arrays": {name: f"{size:,} bytes" for name, size in sorted(groups.items(), key=lambda item: -item[1])[:40]},
    }


def _store(path: Path) -> dict[str, Any]:
    reader = SqliteReader(path)
    try:
        found: dict[str, Any] = {"what": "a store"}
        for run in reader.runs().to_pylist():
            run_id = run["run_id"]
            found[run_id] = {
                "source": run["source"], "dates": f"{run['start_date']} to {run['end_date']}", "state": run["state"],
                "synthetic": run["synthetic"],
                "metric rows": reader.metrics(run_id).num_rows, "latest date": reader.latest_date(run_id),
                "dead letters": {row["reason"]: row["count"] for row in reader.dead_letter_counts(run_id).to_pylist()},
            }  # fmt: skip
    finally:
        reader.close()
    return found
