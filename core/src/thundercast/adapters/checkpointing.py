"""Checkpoints over anything that can replace one small object only if it is still the one that was read.

::

    HEAD                  the newest checkpoint, and the two before it
    <number>-<uuid>       a body
    manifests/<name>.json run manifests

A checkpoint counts once HEAD names it, and a body is durable before HEAD names it.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog

from thundercast.adapters.checkpoint_format import KEPT, Entry, Head, checksum, compressed, decompressed, number_of
from thundercast.adapters.swapping import ABSENT, Changed
from thundercast.domain import arrays as canonical
from thundercast.domain.arrays import Arrays
from thundercast.stage.points import Gap, go_on
from thundercast.stage.protocols import BadCheckpoint, Checkpoint, Commit, Fenced, Unavailable

HEAD: Final = "HEAD"
_NAME: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,200}$")
_WAY_OUT: Final = "Start with --fall-back to use the checkpoint before it, or keep the checkpoints elsewhere to start afresh."
# A reader that is slower than the writer finds that the body it wants is gone, and looks again at HEAD.
_LOOKS: Final = 3

_log = structlog.get_logger(__name__)


class Objects(Protocol):
    """Named objects in one place. Each method may raise `Unavailable`; what was asked may then be asked again."""

    def path(self, name: str) -> str:
        """Where the object is, for people; of the place itself if the name is empty."""
        ...

    def read(self, name: str) -> tuple[bytes, str] | None:
        """An object and its version; None if it is not there."""
        ...

    def write_new(self, name: str, data: bytes) -> None:
        """Makes a large object whose name was never used for other data; it is durable on return."""
        ...

    def replace(self, name: str, data: bytes) -> None:
        """Makes a small object, whatever was there: readers see the old one or the new one."""
        ...

    def swap(self, name: str, data: bytes, expected: str) -> str:
        """As `replace`, if the object's version is the expected one (or it is `ABSENT`); returns the new version.

        Raises:
            Changed: the version is another one.
            Unavailable: it is not known whether it was replaced, and it may still be, later.
        """
        ...

    def names(self) -> Iterable[str]:
        """Of the objects at the top of the place."""
        ...

    def delete(self, name: str) -> None:
        """It may be gone already."""
        ...


@dataclass(slots=True)
class _Attempt:
    """A checkpoint that was to be committed, and of which no answer has come yet.

    Attributes:
        body_written: its body is durable.
        head_sent: HEAD may name it, now or later.
    """

    entry: Entry
    body_written: bool = False
    head_sent: bool = False


class Checkpoints:
    """Implements `thundercast.stage.protocols.CheckpointStore`.

    Args:
        objects: the place.
        gap: called at ``body_written`` and ``head_written``.
    """

    def __init__(self, objects: Objects, *, gap: Gap = go_on) -> None:
        self._objects = objects
        self._gap = gap
        # The HEAD that our next commit must find, its version, and which of its bodies we can vouch for.
        self._base, self._version = Head(), ABSENT
        self._good: tuple[Entry, ...] = ()
        self._older: list[Entry] = []
        self._attempts: list[_Attempt] = []

    # --- reading ----------------------------------------------------------------------------------------------

    def load(self) -> Checkpoint | None:
        for look in range(1, _LOOKS + 1):
            self._base, self._version = self._read_head()
            self._attempts = []
            self._good = self._base.entries
            self._older = list(self._base.entries[1:])
            if not self._base.entries:
                return None
            try:
                return self._read_body(self._base.entries[0])
            except BadCheckpoint:
                if look == _LOOKS or self._read_head()[1] == self._version:
                    raise
        raise AssertionError("unreachable")

    def load_older(self) -> Checkpoint | None:
        if not self._older:
            return None
        entry = self._older.pop(0)
        self._good = (entry, *self._older)
        return self._read_body(entry)

    def summary(self) -> dict[str, Any] | None:
        head, _ = self._read_head()
        return {"number": head.number, **head.summary} if head.entries else None

    def _read_head(self) -> tuple[Head, str]:
        found = self._objects.read(HEAD)
        if found is None:
            return Head(), ABSENT
        try:
            return Head.from_json(found[0]), found[1]
        except (ValueError, KeyError, TypeError) as error:
            raise BadCheckpoint(
                f"{self._objects.path(HEAD)} cannot be read ({type(error).__name__}: {error}), so it is not known which checkpoint is "
                "the newest. Restore it from a backup, or keep the checkpoints elsewhere to start afresh."
            ) from error

    def _read_body(self, entry: Entry) -> Checkpoint:
        path = self._objects.path(entry.name)
        found = self._objects.read(entry.name)
        if found is None:
            raise BadCheckpoint(f"checkpoint {path} is missing. {_WAY_OUT}")
        checkpoint = unpacked(found[0], path, entry.number)
        if checksum(found[0]) != entry.sha256:
            raise BadCheckpoint(f"checkpoint {path} is not the body that HEAD names: the checksums differ. {_WAY_OUT}")
        return checkpoint

    # --- committing -------------------------------------------------------------------------------------------

    def commit(self, arrays: Arrays, meta: Mapping[str, Any], summary: Mapping[str, Any]) -> Commit:
        body = compressed(arrays, meta)
        digest = checksum(body)
        if self._came_through(digest):
            self._settle()
            return Commit(self._base.number, len(body))
        attempt = self._attempt(digest)
        if not attempt.body_written:
            self._objects.write_new(attempt.entry.name, body)
            attempt.body_written = True
        self._gap("body_written")
        new = Head((attempt.entry, *self._good)[:KEPT], dict(summary))
        attempt.head_sent = True
        try:
            version = self._objects.swap(HEAD, new.to_json(), self._version)
        except Changed:
            version = self._require_ours(attempt)
        self._gap("head_written")
        self._adopt(new, version)
        self._settle()
        return Commit(attempt.entry.number, len(body))

    def _came_through(self, digest: str) -> bool:
        """Looks whether HEAD names an attempt of ours: then it came through, and only its answer was lost.

        Returns:
            Whether that attempt is what is to be committed now.
        """
        if not any(attempt.head_sent for attempt in self._attempts):
            return False
        found, version = self._read_head()
        if all(attempt.entry.uuid != found.newest for attempt in self._attempts):
            return False
        self._adopt(found, version)
        return found.entries[0].sha256 == digest

    def _attempt(self, digest: str) -> _Attempt:
        """The attempt to go on with if the state is the same, else a new one."""
        number = self._base.number + 1
        for attempt in self._attempts:
            if (attempt.entry.number, attempt.entry.sha256) == (number, digest):
                return attempt
        # A body that HEAD was never asked to name is of no use. The others stay until a commit has succeeded: a HEAD whose
        # answer did not come may still be on its way, and must not name what is not there.
        for attempt in self._attempts:
            if not attempt.head_sent:
                self._objects.delete(attempt.entry.name)
        self._attempts = [attempt for attempt in self._attempts if attempt.head_sent]
        self._attempts.append(_Attempt(Entry(number, uuid.uuid4().hex, digest)))
        return self._attempts[-1]

    def _require_ours(self, attempt: _Attempt) -> str:
        """The version of a HEAD that is not the one which was read, if it is the one that the attempt has written.

        Raises:
            Fenced: it is another process's.
            Unavailable: it is an earlier one of ours, that came late.
        """
        found, version = self._read_head()
        if found.newest == attempt.entry.uuid:
            return version
        if any(other.entry.uuid == found.newest for other in self._attempts):
            raise Unavailable(
                f"{self._objects.path(HEAD)} names checkpoint {found.number} of this process, which came through late: "
                "what was to be committed now goes on top of it with the next try"
            )
        if not found.names(attempt.entry.uuid):
            self._remove([attempt.entry.name])
        raise Fenced(
            f"another process has written checkpoint {found.number} to {self._objects.path('')} since this one read {self._base.number}: "
            "only one may write there"
        )

    def _adopt(self, head: Head, version: str) -> None:
        self._base, self._version, self._good = head, version, head.entries
        # HEADs that were sent before, and are still on their way, will not find the version that they expect.
        self._attempts = []

    def _settle(self) -> None:
        """Removes the bodies that HEAD does not name any more.

        The checkpoint counts already: if this fails, the next one does it.
        """
        named = {entry.name for entry in self._good}
        try:
            # A body with a number above ours is being written by somebody who is about to be fenced, or to fence us.
            old = [
                name
                for name in self._objects.names()
                if (number := number_of(name)) is not None and name not in named and number <= self._base.number
            ]
        except Unavailable as error:
            _log.warning("old checkpoints not removed", where=self._objects.path(""), error=str(error))
            return
        self._remove(old)

    def _remove(self, names: Iterable[str]) -> None:
        for name in names:
            try:
                self._objects.delete(name)
            except Unavailable as error:
                _log.warning("old checkpoint not removed", checkpoint=self._objects.path(name), error=str(error))
                return

    # --- manifests --------------------------------------------------------------------------------------------

    def read_manifest(self, name: str) -> dict[str, Any] | None:
        manifest = _manifest(name)
        found = self._objects.read(manifest)
        if found is None:
            return None
        try:
            content: dict[str, Any] = json.loads(found[0])
        except ValueError as error:
            path = self._objects.path(manifest)
            raise BadCheckpoint(f"the manifest {path} is not JSON ({error}): remove it and start a new run") from error
        return content

    def write_manifest(self, name: str, manifest: Mapping[str, Any]) -> None:
        self._objects.replace(_manifest(name), json.dumps(manifest, indent=1, sort_keys=True).encode())


def _manifest(name: str) -> str:
    if not _NAME.match(name):
        raise ValueError(f"{name!r} is not a name for a manifest: letters, digits, dot, dash and underscore only")
    return f"manifests/{name}.json"


def unpacked(body: bytes, path: str, number: int) -> Checkpoint:
    """The checkpoint in a body.

    Raises:
        BadCheckpoint: it is corrupt, cut off, or of another version; names ``path``.
    """
    try:
        state, meta = canonical.unpack(decompressed(body))
    except canonical.BadState as error:
        raise BadCheckpoint(f"checkpoint {path} cannot be used: {error}. {_WAY_OUT}") from error
    return Checkpoint(number, state, meta)
