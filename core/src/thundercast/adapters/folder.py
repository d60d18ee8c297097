"""Checkpoints in a folder.

::

    HEAD                  JSON: the newest checkpoint, and the two before it
    <number>-<uuid>       a body: magic line, SHA-256 of what follows, length of the state, the state (`arrays.pack`) in zstd
    manifests/<name>.json run manifests
    .commit               held only while HEAD is compared and replaced

A checkpoint counts once HEAD names it. HEAD is replaced by a rename, so a reader sees the old one or the new one, and a
body is on the disk before HEAD names it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from thundercast.domain import arrays
from thundercast.domain.arrays import Arrays
from thundercast.stage.points import Gap, go_on
from thundercast.stage.protocols import BadCheckpoint, Checkpoint, Commit, Fenced, Unavailable

MAGIC: Final = b"thundercast-checkpoint/1\n"
_HEADER: Final = len(MAGIC) + 32
KEPT: Final = 3
_NAME: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,200}$")
_WAY_OUT: Final = "Start with --fall-back to use the checkpoint before it, or with another folder to start afresh."


@dataclass(frozen=True, slots=True)
class _Entry:
    """A body as HEAD names it; ``sha256`` is the checksum in the body."""

    number: int
    uuid: str
    sha256: str

    @property
    def name(self) -> str:
        return f"{self.number}-{self.uuid}"


@dataclass(frozen=True, slots=True)
class _Head:
    """HEAD: the newest first."""

    entries: tuple[_Entry, ...] = ()
    summary: Mapping[str, Any] = field(default_factory=dict)

    @property
    def newest(self) -> str:
        return self.entries[0].uuid if self.entries else ""

    @property
    def number(self) -> int:
        return self.entries[0].number if self.entries else 0


class FolderCheckpoints:
    """Implements `thundercast.stage.protocols.CheckpointStore`.

    Args:
        path: the folder; made with the first commit.
        gap: called at ``body_written`` and ``head_written``.
    """

    def __init__(self, path: Path, *, gap: Gap = go_on) -> None:
        self._path = path
        self._gap = gap
        # The HEAD that our next commit must find, and which of its bodies we can vouch for.
        self._base = _Head()
        self._good: tuple[_Entry, ...] = ()
        self._older: list[_Entry] = []
        # Bodies that we tried to commit since: if HEAD names one, our commit came through and only the answer was lost.
        self._tried: dict[str, _Entry] = {}

    # --- reading ----------------------------------------------------------------------------------------------

    def load(self) -> Checkpoint | None:
        with self._answering("be read"):
            self._base = self._read_head()
            self._tried = {}
            self._good = self._base.entries
            self._older = list(self._base.entries[1:])
            return self._read_body(self._base.entries[0]) if self._base.entries else None

    def load_older(self) -> Checkpoint | None:
        with self._answering("be read"):
            if not self._older:
                return None
            entry = self._older.pop(0)
            self._good = (entry, *self._older)
            return self._read_body(entry)

    def summary(self) -> dict[str, Any] | None:
        with self._answering("be read"):
            head = self._read_head()
        return {"number": head.number, **head.summary} if head.entries else None

    def _read_head(self) -> _Head:
        path = self._path / "HEAD"
        try:
            kept = json.loads(path.read_bytes())
            return _Head(
                tuple(_Entry(int(e["number"]), str(e["uuid"]), str(e["sha256"])) for e in kept["checkpoints"]), dict(kept["summary"])
            )
        except FileNotFoundError:
            return _Head()
        except (ValueError, KeyError, TypeError) as error:
            raise BadCheckpoint(
                f"{path} cannot be read ({type(error).__name__}: {error}), so it is not known which checkpoint is the newest. "
                "Restore the file from a backup, or start afresh with another folder."
            ) from error

    def _read_body(self, entry: _Entry) -> Checkpoint:
        path = self._path / entry.name
        checkpoint, found = _read(path)
        if found != entry.sha256:
            raise BadCheckpoint(f"checkpoint {path} is not the body that HEAD names: the checksums differ. {_WAY_OUT}")
        return replace(checkpoint, number=entry.number)

    # --- committing -------------------------------------------------------------------------------------------

    def commit(self, arrays: Arrays, meta: Mapping[str, Any], summary: Mapping[str, Any]) -> Commit:
        body = compressed(arrays, meta)
        digest = checksum(body)
        with self._answering("be written"):
            self._path.mkdir(parents=True, exist_ok=True)
            self._adopt_lost_answer()
            if self._good and self._good[0].uuid in self._tried and self._good[0].sha256 == digest:
                self._settle()
                return Commit(self._base.number, len(body))
            entry = _Entry(self._base.number + 1, uuid.uuid4().hex, digest)
            self._tried[entry.uuid] = entry
            _write(self._path / entry.name, body)
            # HEAD must not reach the disk before the body that it names.
            _sync_folder(self._path)
        self._gap("body_written")
        with self._answering("be written"):
            new = _Head((entry, *self._good)[:KEPT], dict(summary))
            with self._locked():
                found = self._read_head()
                if found.newest != self._base.newest:
                    (self._path / entry.name).unlink(missing_ok=True)
                    raise Fenced(
                        f"another process has written checkpoint {found.number} to {self._path} since this one read {self._base.number}: "
                        "only one may write there"
                    )
                self._write_head(new)
        self._gap("head_written")
        self._base, self._good = new, new.entries
        self._settle()
        return Commit(entry.number, len(body))

    def _adopt_lost_answer(self) -> None:
        """If HEAD names a body of ours, that commit came through although it failed here. Bodies it does not name go."""
        if not self._tried:
            return
        found = self._read_head()
        if found.newest in self._tried:
            self._base, self._good = found, found.entries
        for lost in [number for number in self._tried if number != found.newest]:
            (self._path / self._tried.pop(lost).name).unlink(missing_ok=True)

    def _settle(self) -> None:
        """Forgets the attempts, and removes the bodies that HEAD does not name any more."""
        self._tried = {}
        named = {entry.name for entry in self._good}
        for path in self._path.iterdir():
            number, _, rest = path.name.partition("-")
            # A body with a number above ours is being written by somebody who is about to be fenced, or to fence us.
            if number.isdigit() and rest and path.name not in named and int(number) <= self._base.number:
                path.unlink(missing_ok=True)

    def _write_head(self, head: _Head) -> None:
        text = json.dumps({"checkpoints": [asdict(entry) for entry in head.entries], "summary": dict(head.summary)}, indent=1)
        _replace(self._path / "HEAD", text.encode())

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

    # --- manifests --------------------------------------------------------------------------------------------

    def read_manifest(self, name: str) -> dict[str, Any] | None:
        path = self._manifest(name)
        with self._answering("be read"):
            try:
                manifest: dict[str, Any] = json.loads(path.read_bytes())
            except FileNotFoundError:
                return None
            except ValueError as error:
                raise BadCheckpoint(f"the manifest {path} is not JSON ({error}): remove it and start a new run") from error
        return manifest

    def write_manifest(self, name: str, manifest: Mapping[str, Any]) -> None:
        path = self._manifest(name)
        with self._answering("be written"):
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, json.dumps(manifest, indent=1, sort_keys=True).encode())

    def _manifest(self, name: str) -> Path:
        if not _NAME.match(name):
            raise ValueError(f"{name!r} is not a name for a manifest: letters, digits, dot, dash and underscore only")
        return self._path / "manifests" / f"{name}.json"


def read_body(path: Path) -> Checkpoint:
    """The checkpoint in one body, whatever HEAD says.

    Raises:
        BadCheckpoint: it is missing, corrupt, cut off, or of another version.
        OSError: the file cannot be read.
    """
    return _read(path)[0]


def _read(path: Path) -> tuple[Checkpoint, str]:
    """A body's checkpoint and checksum."""
    try:
        data = path.read_bytes()
        state, meta = arrays.unpack(decompressed(data))
    except FileNotFoundError as error:
        raise BadCheckpoint(f"checkpoint {path} is missing. {_WAY_OUT}") from error
    except arrays.BadState as error:
        raise BadCheckpoint(f"checkpoint {path} cannot be used: {error}. {_WAY_OUT}") from error
    number = path.name.partition("-")[0]
    return Checkpoint(int(number) if number.isdigit() else 0, state, meta), checksum(data)


def compressed(state: Arrays, meta: Mapping[str, Any]) -> bytes:
    """A body: the canonical state with its length and checksum, in zstd."""
    plain = arrays.pack(state, meta)
    packed: bytes = pa.compress(plain, codec="zstd", asbytes=True)
    content = len(plain).to_bytes(8, "little") + packed
    return b"".join([MAGIC, hashlib.sha256(content).digest(), content])


def checksum(body: bytes) -> str:
    """The SHA-256 that a body says it has."""
    return body[len(MAGIC) : _HEADER].hex()


def decompressed(body: bytes) -> bytes:
    """The inverse of `compressed`: what `arrays.unpack` reads.

    Raises:
        arrays.BadState: the body is corrupt, cut off, or of another version.
    """
    if not body.startswith(MAGIC):
        raise arrays.BadState(f"it starts with {body[: len(MAGIC)]!r}, this version reads {MAGIC.decode().strip()}")
    content = memoryview(body)[_HEADER:]
    if hashlib.sha256(content).hexdigest() != checksum(body):
        raise arrays.BadState(f"it is corrupt or cut off: its {len(body):,} bytes do not have the checksum that it says")
    try:
        plain: bytes = pa.decompress(content[8:], decompressed_size=int.from_bytes(content[:8], "little"), codec="zstd", asbytes=True)
    except (pa.ArrowException, OSError) as error:
        raise arrays.BadState(f"it cannot be decompressed: {error}") from error
    return plain


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
