"""Checkpoints in Cloud Storage (`checkpointing` says how they are laid out).

HEAD is written only if it still has the generation that was read, so of two writers one is refused, whatever they believe
of each other. Requests that are conditional, or that write what nobody else writes, may be repeated by Google's client.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any

from google.api_core import exceptions
from google.cloud import storage

from thundercast.adapters.checkpointing import Checkpoints
from thundercast.adapters.google.storage_clients import LARGE, SMALL, answering, storage_client
from thundercast.adapters.swapping import ABSENT, Changed
from thundercast.stage.points import Gap, go_on
from thundercast.stage.protocols import Unavailable


class StorageCheckpoints(Checkpoints):
    """Implements `thundercast.stage.protocols.CheckpointStore`.

    Times are `storage_clients.SMALL` for each small request and `LARGE` for a body: a commit may take half a minute if the network
    is slow, and fails within about ten seconds if nothing answers.

    Args:
        bucket, prefix: where; the prefix may be empty.
        gap: called at ``body_written`` and ``head_written``.
        client: instead of one with the environment's credentials.
    """

    def __init__(self, bucket: str, prefix: str, *, gap: Gap = go_on, client: storage.Client | None = None) -> None:
        super().__init__(StorageObjects(bucket, prefix, client=client), gap=gap)


class StorageObjects:
    """Implements `thundercast.adapters.checkpointing.Objects`. The version of an object is its generation.

    Args:
        small, large: timeouts and retries of requests for little, and for what may be large.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str,
        *,
        client: storage.Client | None = None,
        small: Mapping[str, Any] = SMALL,
        large: Mapping[str, Any] = LARGE,
    ) -> None:
        self._small, self._large = small, large
        self._name = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._given = client

    @cached_property
    def _bucket(self) -> storage.Bucket:
        # Only when it is first needed, so that missing credentials are told like everything else that is missing.
        return (self._given or storage_client()).bucket(self._name)

    def _blob(self, name: str) -> storage.Blob:
        return self._bucket.blob(self._prefix + name)

    def path(self, name: str) -> str:
        return f"gs://{self._name}/{self._prefix}{name}".rstrip("/")

    def read(self, name: str) -> tuple[bytes, str] | None:
        with self._answering(name, "be read"):
            blob = self._blob(name)
            try:
                data: bytes = blob.download_as_bytes(**self._small)
            except exceptions.NotFound:
                self._require_bucket()
                return None
            return data, str(blob.generation)

    def write_new(self, name: str, data: bytes) -> None:
        with self._answering(name, "be written"):
            try:
                # Nobody else writes this name, and we write nothing else to it: doing it twice is as good as once.
                self._blob(name).upload_from_string(data, content_type="application/octet-stream", **self._large)
            except exceptions.NotFound as error:
                self._require_bucket()
                raise Unavailable(f"the upload of {self.path(name)} was given up by Cloud Storage: it must begin anew") from error

    def replace(self, name: str, data: bytes) -> None:
        with self._answering(name, "be written"):
            self._json(name).upload_from_string(data, content_type="application/json", **self._small)

    def swap(self, name: str, data: bytes, expected: str) -> str:
        with self._answering(name, "be written"):
            blob = self._json(name)
            try:
                generation = 0 if expected == ABSENT else int(expected)
                blob.upload_from_string(data, content_type="application/json", if_generation_match=generation, **self._small)
            except exceptions.PreconditionFailed as error:
                raise Changed(self.path(name)) from error
            return str(blob.generation)

    def names(self) -> list[str]:
        with self._answering("", "be listed"):
            found = self._bucket.client.list_blobs(self._bucket, prefix=self._prefix, delimiter="/", **self._small)
            return [blob.name.removeprefix(self._prefix) for blob in found]

    def delete(self, name: str) -> None:
        with self._answering(name, "be deleted"):
            try:
                self._blob(name).delete(**self._small)
            except exceptions.NotFound:
                self._require_bucket()

    def _answering(self, name: str, doing: str) -> AbstractContextManager[None]:
        return answering(self._name, self._prefix + name if name else "", doing)

    def _json(self, name: str) -> storage.Blob:
        blob = self._blob(name)
        blob.cache_control = "no-store"
        return blob

    def _require_bucket(self) -> None:
        """Raises `exceptions.NotFound` if it is not just an object that is missing. To list objects needs no right beside theirs."""
        next(iter(self._bucket.client.list_blobs(self._bucket, max_results=1, **self._small)), None)
