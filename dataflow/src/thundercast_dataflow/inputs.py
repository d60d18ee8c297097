"""What `batch` reads: a source by its name, or files by their path or pattern, which may lie in Cloud Storage."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

from apache_beam.io.filesystems import FileSystems

from thundercast.adapters.sources import Source, SourceError, catalogue, open_source


def open_input(text: str, *, cache: Path, project: str) -> Source:
    """The source that a text names.

    Args:
        text: a form of `thundercast sources`; or a file, a folder or a pattern, local or ``gs://``.
        cache: a folder of this machine, for what is fetched and sorted.
        project: pays for a source that is billed, unless the environment names another.

    Raises:
        SourceError: the text names nothing that can be read.
    """
    kind, colon, _ = text.partition(":")
    if kind in {entry.form.partition(":")[0] for entry in catalogue()} and (colon or not Path(text).exists()):
        # A worker of Dataflow has no project in its environment, which is where the source looks for it.
        os.environ.setdefault("GOOGLE_CLOUD_PROJECT", project)
        return open_source(text, cache=cache)
    if Path(text).exists():
        return open_source(f"file:{text}", cache=cache)
    return open_source(f"file:{_staged(text, cache)}", cache=cache)


def _staged(pattern: str, cache: Path) -> Path:
    """A folder with the files that a pattern names: copies from Cloud Storage, links to local ones."""
    found = _match(pattern)
    content = sorted((entry.path, entry.size_in_bytes, entry.last_updated_in_seconds) for entry in found)
    folder = cache / "inputs" / hashlib.sha256(repr(content).encode()).hexdigest()[:16]
    if folder.is_dir():
        return folder
    # Everything is made beside and named in one step, for another element may be staging the same.
    work = folder.with_name(f"{folder.name}.{uuid.uuid4().hex}.tmp")
    try:
        root = os.path.commonpath([str(Path(entry.path).parent) for entry in found])
        for entry in found:
            target = work / Path(entry.path).relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            if FileSystems.get_scheme(entry.path) is None:
                target.symlink_to(Path(entry.path).resolve())
            else:
                with FileSystems.open(entry.path, compression_type="uncompressed") as remote, target.open("wb") as local:
                    shutil.copyfileobj(remote, local, 1 << 20)
        try:
            work.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder


def _match(pattern: str) -> list[Any]:
    # An object store has no folders: what lies under a name is matched by the name and a star.
    for wanted in (pattern, f"{pattern.rstrip('/')}/**"):
        (result,) = FileSystems.match([wanted])
        if result.metadata_list:
            found: list[Any] = result.metadata_list
            return found
    raise SourceError(f"{pattern}: there is no such file or folder, and no file matches it; nor is it the name of a source")
