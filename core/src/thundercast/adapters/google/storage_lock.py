"""One writer by an object in Cloud Storage, where there is no Kubernetes."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from google.cloud import storage

from thundercast.adapters.google.storage_checkpoints import StorageObjects
from thundercast.adapters.locks import Elector, Holding, Timing, identity
from thundercast.stage.protocols import Unavailable
from thundercast.stage.settings import Clock


class StorageLock(Elector):
    """Implements `thundercast.stage.protocols.Lock`. The object is JSON, one written every two seconds; its generation is its version.

    Args:
        bucket, name: the object; made when the lock is first taken, and it stays.
        client: instead of one with the environment's credentials.
    """

    def __init__(
        self, bucket: str, name: str, *, client: storage.Client | None = None, timing: Timing | None = None, clock: Clock | None = None
    ) -> None:
        timing = timing or Timing()
        super().__init__(StorageRecord(bucket, name, timing, client=client), identity(), kind="instance", timing=timing, clock=clock)


class StorageRecord:
    """Implements `thundercast.adapters.locks.Record`."""

    def __init__(self, bucket: str, name: str, timing: Timing, *, client: storage.Client | None = None) -> None:
        # Whoever holds the lock asks again anyway, and by its own clock.
        once: dict[str, Any] = {"timeout": (timing.request / 2, timing.request), "retry": None}
        self._objects = StorageObjects(bucket, "", client=client, small=once, large=once)
        self._name = name
        self._renewals = 0

    def read(self) -> tuple[Holding, str] | None:
        found = self._objects.read(self._name)
        if found is None:
            return None
        try:
            kept = json.loads(found[0])
            holding = Holding(str(kept["holder"]), int(kept["transitions"]), float(kept["acquired"]), float(kept["duration"]))
        except (ValueError, KeyError, TypeError) as error:
            path = self._objects.path(self._name)
            raise Unavailable(f"{path} is not a lock ({type(error).__name__}: {error}): remove it, or set another place") from error
        return holding, found[1]

    def write(self, holding: Holding, expected: str) -> str:
        self._renewals += 1
        data = json.dumps(asdict(holding) | {"renewals": self._renewals}).encode()
        return self._objects.swap(self._name, data, expected)
