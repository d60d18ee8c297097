"""Where checkpoints and run manifests are kept: a folder, or ``gs://BUCKET/PREFIX``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from thundercast.adapters.checkpointing import Objects
from thundercast.adapters.folder import FolderCheckpoints, FolderObjects
from thundercast.stage.points import Gap, go_on
from thundercast.stage.protocols import CheckpointStore

_SCHEME: Final = "gs://"
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_COMPONENT: Final = re.compile(r"[a-z0-9][a-z0-9-]*")
_FORMS: Final = "a folder, or gs://BUCKET or gs://BUCKET/PREFIX"


class BadPlace(ValueError):
    """A text is no place; says why."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A place in Cloud Storage; ``prefix`` has no slash at its ends, and may be empty."""

    name: str
    prefix: str = ""


def parse(place: str) -> Path | Bucket:
    """The folder or bucket that a place names.

    Raises:
        BadPlace: it names neither.
    """
    if not place.startswith(_SCHEME):
        if not place.strip() or re.match(r"[a-z][a-z0-9+.-]*:/", place, re.IGNORECASE):
            raise BadPlace(f"{place!r} is not a place for checkpoints: {_FORMS}")
        return Path(place)
    name, _, prefix = place.removeprefix(_SCHEME).partition("/")
    prefix = prefix.rstrip("/")
    if not _BUCKET.fullmatch(name):
        raise BadPlace(f"{place!r} is not a place for checkpoints: {name!r} is not the name of a bucket. It may be {_FORMS}")
    if prefix and any(part in ("", ".", "..") for part in prefix.split("/")):
        raise BadPlace(f"{place!r} is not a place for checkpoints: its prefix has an empty part, '.' or '..'")
    return Bucket(name, prefix)


def open_checkpoints(place: str, component: str, *, gap: Gap = go_on) -> CheckpointStore:
    """The checkpoints of one component, at ``<place>/<component>``.

    Args:
        gap: called at ``body_written`` and ``head_written``.

    Raises:
        BadPlace: it is no place.
    """
    if not _COMPONENT.fullmatch(component):
        raise BadPlace(f"{component!r} is not the name of a component: lower-case letters, digits and dashes")
    return _open(place, component, gap)


def open_manifests(place: str) -> CheckpointStore:
    """The run manifests, which all components read: at the root of the place.

    Raises:
        BadPlace: it is no place.
    """
    return _open(place, "", go_on)


def open_objects(place: str, below: str) -> Objects:
    """Objects at ``<place>/<below>``.

    Raises:
        BadPlace: it is no place.
    """
    match parse(place):
        case Path() as folder:
            return FolderObjects(folder / below)
        case Bucket(name, prefix):
            from thundercast.adapters.google.storage_checkpoints import StorageObjects

            return StorageObjects(name, _joined(prefix, below))


def _open(place: str, below: str, gap: Gap) -> CheckpointStore:
    match parse(place):
        case Path() as folder:
            return FolderCheckpoints(folder / below, gap=gap)
        case Bucket(name, prefix):
            # Google's clients are there only where the extra `cloud` is installed.
            from thundercast.adapters.google.storage_checkpoints import StorageCheckpoints

            return StorageCheckpoints(name, _joined(prefix, below), gap=gap)


def _joined(*parts: str) -> str:
    return "/".join(part for part in parts if part)
