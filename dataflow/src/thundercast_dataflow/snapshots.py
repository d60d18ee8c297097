"""Lanes in the checkpoint place, for a job that starts without the state of the one before it.

::

    cleaner/<run_id>/<shard>                  the snapshot that a new job loads
    cleaner/<run_id>/<shard>.<head>.pending   the next one

A bundle that has written a file may still fail, and what it has put out may still be on its way when a job is cancelled. So a snapshot
that is written in passing stays pending, and is promoted by a later bundle once `SETTLED` seconds have passed: by then what it says is
done has been published. What is written at a drain, or after long rest, counts at once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from thundercast.adapters.checkpoint_format import compressed, decompressed
from thundercast.adapters.checkpointing import Objects
from thundercast.adapters.folder import FolderObjects
from thundercast.adapters.google.storage_checkpoints import StorageObjects
from thundercast.adapters.manifests import CURRENT
from thundercast.adapters.places import Bucket, open_manifests, parse
from thundercast.domain.arrays import BadState, unpack
from thundercast.domain.runs import Run
from thundercast_dataflow.addressing import Key
from thundercast_dataflow.lane import Lane

VERSION: Final = 1
SETTLED: Final = 120.0
"""Seconds after which what a bundle has put out is published."""
MARGIN: Final = 300.0
"""Seconds by which a publisher may overtake itself; as the stage loop's `seek_margin`."""
_FOLDER: Final = "cleaner"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A lane and the batches that wait in it.

    Attributes:
        state: `Lane.to_bytes`.
        waiting: `envelopes.to_bytes` of each batch.
        published: `Lane.published`.
        complete: `Lane.complete`.
    """

    state: bytes
    waiting: tuple[bytes, ...]
    published: float
    complete: bool

    @classmethod
    def of(cls, lane: Lane, waiting: Iterable[bytes]) -> Snapshot:
        return cls(lane.to_bytes(), tuple(waiting), lane.published, lane.complete)

    def lane(self, key: Key, now: float) -> Lane:
        """The lane, whose patience with holes begins anew: while nobody listened nothing could come.

        Raises:
            BadState: it cannot be used; the message says why.
        """
        lane = Lane.from_bytes(self.state, key)
        lane.held = dict.fromkeys(lane.held, now)
        lane.saved = None
        return lane

    def to_bytes(self) -> bytes:
        arrays = {f"waiting/{number:06d}": np.frombuffer(one, np.uint8) for number, one in enumerate(self.waiting)}
        arrays["state"] = np.frombuffer(self.state, np.uint8)
        return compressed(arrays, {"version": VERSION, "published": self.published, "complete": self.complete})

    @classmethod
    def from_bytes(cls, data: bytes) -> Snapshot:
        """The inverse of `to_bytes`.

        Raises:
            BadState: it is damaged, or of a version that cannot be read.
        """
        arrays, meta = unpack(decompressed(data))
        if meta.get("version") != VERSION:
            raise BadState(f"it has version {meta.get('version')!r}, this program reads {VERSION}")
        state = arrays.pop("state")
        return cls(
            state.tobytes(), tuple(arrays[name].tobytes() for name in sorted(arrays)), float(meta["published"]), bool(meta["complete"])
        )


class Snapshots:
    """Snapshots and run manifests in the checkpoint place.

    Everything here raises `Unavailable`, with one line that says why, if the place cannot be reached: a bundle is then tried again.

    Args:
        place: a folder, or ``gs://BUCKET/PREFIX``.
    """

    def __init__(self, place: str) -> None:
        self._place = place

    def load(self, key: Key) -> Snapshot | None:
        """The snapshot that a new job goes on from; None if there is none.

        Raises:
            BadState: it cannot be used; the message names it.
        """
        objects = self._of(key)
        found = objects.read(_name(key))
        if found is None:
            return None
        try:
            return Snapshot.from_bytes(found[0])
        except (BadState, KeyError, TypeError, ValueError) as error:
            way_out = "remove it, and start a new run: the state of its stations is lost"
            raise BadState(f"the snapshot {objects.path(_name(key))} cannot be used: {error}; {way_out}") from error

    def write(self, key: Key, snapshot: Snapshot) -> None:
        """Replaces the snapshot at once: nothing of what it says is done is still on its way."""
        self._of(key).replace(_name(key), snapshot.to_bytes())

    def write_pending(self, key: Key, head: int, snapshot: Snapshot) -> None:
        """Writes a snapshot that does not count yet."""
        self._of(key).replace(_pending(key, head), snapshot.to_bytes())

    def promote(self, key: Key, head: int) -> None:
        """Makes a pending snapshot count."""
        objects = self._of(key)
        found = objects.read(_pending(key, head))
        # It is not there if a bundle that failed afterwards has promoted it.
        if found is not None:
            objects.replace(_name(key), found[0])
            objects.delete(_pending(key, head))

    def discard(self, key: Key, head: int) -> None:
        """Removes a pending snapshot, if it is there."""
        self._of(key).delete(_pending(key, head))

    def manifest(self, name: str) -> Run | None:
        """A run's manifest, as the simulator writes it; that of the run under way is called `CURRENT` too. None if there is none.

        Raises:
            BadCheckpoint, ValueError: it is damaged; the message says how.
        """
        manifest = open_manifests(self._place).read_manifest(name)
        return Run.from_json(manifest) if manifest is not None else None

    def seek_time(self) -> float | None:
        """UNIX seconds to which the raw subscription is sought before a job starts without state.

        What the snapshots of the run under way have not seen was published since then. None if there is no run, or nothing of it is left.

        Raises:
            BadState: a snapshot cannot be used; the message names it.
            BadCheckpoint, ValueError: the run's manifest is damaged.
        """
        run = self.manifest(CURRENT)
        if run is None:
            return None
        snapshots = [self.load((run.run_id, shard)) for shard in range(run.shards)]
        # A shard without a snapshot needs all of its batches.
        started = dt.datetime.strptime(run.started, "%Y%m%dT%H%M%S%z").timestamp()
        times = [started if snapshot is None else snapshot.published for snapshot in snapshots if snapshot is None or not snapshot.complete]
        return min(times) - MARGIN if times else None

    def _of(self, key: Key) -> Objects:
        return _objects(self._place, f"{_FOLDER}/{key[0]}")


def _name(key: Key) -> str:
    return str(key[1])


def _pending(key: Key, head: int) -> str:
    return f"{key[1]}.{head}.pending"


# A runner may make a new copy of a function for every bundle; a client and its connections are kept.
@lru_cache(maxsize=64)
def _objects(place: str, below: str) -> Objects:
    """The objects in a folder of the place.

    Raises:
        BadPlace: it is none.
    """
    match parse(place):
        case Path() as folder:
            return FolderObjects(folder / below)
        case Bucket(name, prefix):
            return StorageObjects(name, f"{prefix}/{below}".lstrip("/"))
