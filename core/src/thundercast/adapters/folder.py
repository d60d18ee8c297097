"""Checkpoints in a folder (`checkpointing` says how it is laid out).

``.commit`` is held only while HEAD is compared and replaced. HEAD is replaced by a rename, so a reader sees the old one or
the new one; everything is on the disk before the next step is taken.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from thundercast.adapters.checkpoint_format import number_of
from thundercast.adapters.checkpointing import Checkpoints, unpacked
from thundercast.adapters.swapping import ABSENT, Changed
from thundercast.stage.points import Gap, go_on
from thundercast.stage.protocols import BadCheckpoint, Checkpoint, Unavailable


class FolderCheckpoints(Checkpoints):
    """Implements `thundercast.stage.protocols.CheckpointStore`.

    Args:
        path: the folder; made with the first commit.
        gap: called at ``body_written`` and ``head_written``.
    """

    def __init__(self, path: Path, *, gap: Gap = go_on) -> None:
        super().__init__(FolderObjects(path), gap=gap)


class FolderObjects:
    """Implements `thundercast.adapters.checkpointing.Objects`. The version of a file is the SHA-256 of its content."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def path(self, name: str) -> str:
        return str(self._path / name)

    def read(self, name: str) -> tuple[bytes, str] | None:
        with self._answering("be read"):
            try:
                data = (self._path / name).read_bytes()
            except FileNotFoundError:
                return None
        return data, hashlib.sha256(data).hexdigest()

    def write_new(self, name: str, data: bytes) -> None:
        with self._answering("be written"):
            self._path.mkdir(parents=True, exist_ok=True)
            _write(self._path / name, data)
            # HEAD must not reach the disk before the body that it names.
            _sync_folder(self._path)

    def replace(self, name: str, data: bytes) -> None:
        with self._answering("be written"):
            path = self._path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, data)

    def swap(self, name: str, data: bytes, expected: str) -> str:
        with self._answering("be written"), self._locked():
            found = self.read(name)
            if (found[1] if found is not None else ABSENT) != expected:
                raise Changed(self.path(name))
            _replace(self._path / name, data)
        return hashlib.sha256(data).hexdigest()

    def names(self) -> list[str]:
        with self._answering("be read"):
            # Before the first write there is no folder.
            return [path.name for path in self._path.iterdir()] if self._path.exists() else []

    def delete(self, name: str) -> None:
        with self._answering("be written"):
            (self._path / name).unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._path / ".commit").open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _answering(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Unavailable(f"the checkpoints in {self._path} cannot {doing} now: {error}") from error


def read_body(path: Path) -> Checkpoint:
    """The checkpoint in one body, whatever HEAD says.

    Raises:
        BadCheckpoint: it is missing, corrupt, cut off, or of another version.
        OSError: the file cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise BadCheckpoint(f"checkpoint {path} is missing") from error
    return unpacked(data, str(path), number_of(path.name) or 0)


def _write(path: Path, data: bytes) -> None:
    """Writes a file and waits until the disk has it."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _replace(path: Path, data: bytes) -> None:
    """Puts a whole new file in the place of an old one, or of none."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        _write(temporary, data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
