"""What `file:PATH` may name: a file, a folder or an archive; its members and its content's identity."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Literal

from thundercast.adapters.sources import station_list
from thundercast.adapters.sources.base import SourceError

Kind = Literal["parquet", "csv", "op", "archive"]

SUFFIXES: Final[dict[str, Kind]] = {
    ".parquet": "parquet", ".csv": "csv", ".csv.gz": "csv", ".op": "op", ".op.gz": "op",
    ".tar": "archive", ".tar.gz": "archive", ".tgz": "archive",
}  # fmt: skip
_DOCUMENTS: Final = (".md", ".txt", ".json", ".html", ".htm", ".pdf", ".doc", ".xsd", ".yaml", ".yml", ".log", ".py", ".sh")
_WHOLE: Final = 256 << 20
_SAMPLES: Final = 64
_SAMPLE: Final = 256 << 10
_DAMAGED: Final = (EOFError, zlib.error, tarfile.TarError, gzip.BadGzipFile)
_BLOCK: Final = 512  # of a tar archive

Consumed = Callable[[float], None]
"""Called with the number of bytes of the path's files that were read since the last call. Who reads a parquet member calls it himself."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file with station-days; parquet is read from ``path``, all else from ``stream``.

    ``name`` is for messages: the file's name, its path within the folder, or ``archive!member``.
    """

    name: str
    kind: Kind
    path: Path
    stream: IO[bytes] = field(default_factory=io.BytesIO)


def kind_of(name: str) -> Kind | None:
    """The kind of file that a name's suffix says; None for a suffix that is none of `SUFFIXES`."""
    lower = name.lower()
    return next((kind for suffix, kind in sorted(SUFFIXES.items(), key=lambda item: -len(item[0])) if lower.endswith(suffix)), None)


def files_of(path: Path) -> list[tuple[str, Path]]:
    """The data files under a path with their names for messages, in a fixed order.

    Raises:
        SourceError: there is no such file or folder, no data in it, or something in it that cannot be read.
    """
    known = ", ".join(SUFFIXES)
    if path.is_file():
        if path.name == station_list.NAME:
            raise SourceError(f"{path} is NOAA's station list, which has no station-days; name the file or folder that has them")
        if kind_of(path.name) is None:
            raise SourceError(f"{path}: a file must end in one of {known}")
        return [(path.name, path)]
    if not path.exists():
        raise SourceError(f"{path}: there is no such file or folder")
    if not path.is_dir():
        raise SourceError(f"{path} is neither a file nor a folder")
    found = []
    for folder, folders, names in os.walk(path, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            file = Path(folder, name)
            relative = file.relative_to(path).as_posix()
            if name.startswith(".") or name == station_list.NAME or name.lower().endswith(_DOCUMENTS):
                continue
            if kind_of(name) is None:
                raise SourceError(f"{path}: {relative} cannot be read (known: {known}); move it away, lest its rows are missed")
            found.append((relative, file))
    if not found:
        raise SourceError(f"{path}: the folder has no file that ends in one of {known}")
    return sorted(found)


def station_list_of(path: Path) -> Path | None:
    """The station list in the folder, or beside the file."""
    folders = [path] if path.is_dir() else [path.parent]
    return next((folder / station_list.NAME for folder in folders if (folder / station_list.NAME).is_file()), None)


def members_of(files: list[tuple[str, Path]], consumed: Consumed) -> Iterator[Member]:
    """Opens one file after another. A member is valid until the next one is asked for.

    Raises:
        SourceError: a file is damaged or cut off; it is named.
    """
    for name, path in files:
        kind = kind_of(name)
        if kind == "parquet":
            yield Member(name, kind, path)
        elif kind == "archive":
            yield from _archived(name, path, consumed)
        elif kind is not None:
            with damage_named(name), path.open("rb") as file:
                yield Member(name, kind, path, gzip.GzipFile(fileobj=file) if name.lower().endswith(".gz") else file)  # type: ignore[arg-type]
            consumed(path.stat().st_size)


@contextmanager
def damage_named(name: str) -> Iterator[None]:
    """Makes what a damaged file raises a `SourceError` that names it. To be put around the reading of each member."""
    try:
        yield
    except _DAMAGED as error:
        raise SourceError(f"{name}: the file is damaged or cut off ({error}); fetch it again") from error
    except OSError as error:
        raise SourceError(f"{name}: cannot be read: {error}") from error


def _archived(name: str, path: Path, consumed: Consumed) -> Iterator[Member]:
    with damage_named(name), path.open("rb") as file:
        if not path.stat().st_size:
            raise SourceError(f"{name}: the file is empty")
        plain: IO[bytes] = file if name.lower().endswith(".tar") else gzip.GzipFile(fileobj=file)  # type: ignore[assignment]
        members = 0
        before = 0
        with tarfile.open(fileobj=plain, mode="r:") as archive:
            for entry in archive:
                base = entry.name.rpartition("/")[2]
                if entry.isdir() or base.startswith(".") or base == station_list.NAME or base.lower().endswith(_DOCUMENTS):
                    continue
                kind = kind_of(base)
                if kind not in ("csv", "op") or not entry.isfile():
                    raise SourceError(f"{name}!{entry.name} cannot be read from within an archive; unpack the archive")
                stream = archive.extractfile(entry)
                if stream is None:
                    raise SourceError(f"{name}!{entry.name}: cannot be read from within the archive; unpack it")
                members += 1
                opened = gzip.GzipFile(fileobj=stream) if base.lower().endswith(".gz") else stream
                yield Member(f"{name}!{entry.name}", kind, path, opened)  # type: ignore[arg-type]
                consumed(file.tell() - before)
                before = file.tell()
            # tarfile takes the end of the file for the end of the archive; a whole archive ends in zeros.
            plain.seek(archive.offset)
            if plain.read(_BLOCK) != bytes(_BLOCK):
                raise SourceError(f"{name}: the archive is cut off; fetch it again")
            while plain.read(1 << 20):  # a gzip stream's checksum comes last
                pass
        if not members:
            raise SourceError(f"{name}: the archive has no file that ends in one of .csv, .csv.gz, .op, .op.gz")


def identity_of(files: list[tuple[str, Path]], also: Path | None, consumed: Consumed) -> str:
    """32 hex over the content of the files and of the station list, and over the names within the folder; equal wherever they lie."""
    whole = hashlib.sha256()
    for name, path in [*files, *([(station_list.NAME, also)] if also else [])]:
        inside = name if len(files) > 1 or path == also else ""
        try:
            whole.update(f"{inside}\0{path.stat().st_size}\0".encode())
            whole.update(_digest(path))
        except OSError as error:
            raise SourceError(f"{name}: cannot be read: {error}") from error
        consumed(path.stat().st_size)
    return whole.hexdigest()[:32]


def _digest(path: Path) -> bytes:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= _WHOLE:
            return hashlib.file_digest(file, "sha256").digest()
        # Reading a large file whole would take longer than using its sorted form.
        digest = hashlib.sha256()
        for i in range(_SAMPLES):
            file.seek((size - _SAMPLE) * i // (_SAMPLES - 1))
            digest.update(file.read(_SAMPLE))
        return digest.digest()


def _refuse(error: OSError) -> None:
    raise SourceError(f"{error.filename}: the folder cannot be read: {error.strerror}") from error
