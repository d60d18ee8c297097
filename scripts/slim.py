"""Takes out of installed packages what no program here uses at run time, says how much, and compiles the rest to bytecode.

    python slim.py SITE_PACKAGES [--at PLACE]

PLACE is where the folder will be, if not where it is. Runs while an image is built. What goes is named here with its reason; that nothing
else is missing is shown by the unit tests, which run inside the images (`tests/images`).
"""

from __future__ import annotations

import argparse
import compileall
import os
import py_compile
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

FOLDERS: Final = {"__pycache__": "bytecode of another run", "tests": "tests"}
"""Names of folders that go wherever they are."""

KEPT: Final = ("numpy/_core/tests/_natype.py",)  # numpy.testing imports it, and others that
"""Files that stay although their folder goes."""

SUFFIXES: Final = {
    ".a": "static libraries", ".h": "headers", ".hpp": "headers", ".pxd": "sources of extensions", ".pxi": "sources of extensions",
    ".pyx": "sources of extensions", ".c": "sources of extensions", ".cc": "sources of extensions", ".cpp": "sources of extensions",
    ".pyi": "type stubs", ".map": "source maps",
}  # fmt: skip
"""Endings of files that go wherever they are."""

UNUSED: Final = {
    "pyarrow/_flight.*": "Arrow Flight",
    "pyarrow/libarrow_flight.so*": "Arrow Flight",
    "pyarrow/libarrow_python_flight.so*": "Arrow Flight",
    "pyarrow/_pyarrow_cpp_tests.*": "tests",
    "pyarrow/_s3fs.*": "pyarrow's S3",  # pyarrow.fs goes without it, and without the other two
    "pyarrow/_azurefs.*": "pyarrow's Azure",
    "pyarrow/_hdfs.*": "pyarrow's HDFS",
    "pyarrow/libarrow_python.so": "copies",  # of what has the name that is loaded, .so.2500: wheels have no links
    "pyarrow/libarrow_python.so.*.*": "copies",
    "pyarrow/libarrow_python_parquet_encryption.so": "copies",
    "pyarrow/libarrow_python_parquet_encryption.so.*.*": "copies",
    "kubernetes/aio": "the asynchronous Kubernetes client",
    "pydeck/nbextension": "pydeck's notebook",
    "../../../share/jupyter": "pydeck's notebook",
    "../../../etc/jupyter": "pydeck's notebook",
    "zstandard/_cffi.*": "zstandard for PyPy",
    **dict.fromkeys(("google/cloud/aiplatform*", "vertexai", "agentplatform"), "Vertex AI"),
    **dict.fromkeys(
        [
            "google/genai",
            *(
                f"google/cloud/{name}*"
                for name in (
                    "bigtable", "datastore", "devtools", "dlp", "kms", "language", "monitoring", "recommendationengine", "resourcemanager",
                    "secretmanager", "spanner", "sql", "videointelligence", "vision",
                )
            ),
        ],
        "services that Beam imports in pipelines that use them",
    ),
}  # fmt: skip
"""Parts of packages that nothing here imports; a path from the folder of packages."""


def slim(site: Path) -> Counter[str]:
    """Removes; returns bytes by reason."""
    freed: Counter[str] = Counter()
    kept = {site / name for name in KEPT}
    for pattern, reason in UNUSED.items():
        for path in sorted(site.glob(pattern)):
            freed[reason] += _remove(path, kept)
    for folder, folders, files in os.walk(site):
        here = Path(folder)
        for name in [name for name in folders if name in FOLDERS]:
            freed[FOLDERS[name]] += _remove(here / name, kept)
            folders.remove(name)
        for name in files:
            if (ending := Path(name).suffix) in SUFFIXES:
                freed[SUFFIXES[ending]] += _remove(here / name, kept)
    return freed


def _remove(path: Path, kept: set[Path]) -> int:
    freed = size(path)
    staying = [file for file in kept if file.is_relative_to(path) and file.is_file()]
    if staying:
        for file in _files(path):
            if file not in staying:
                file.unlink()
        return freed - sum(file.stat().st_size for file in staying)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
    return freed


def _files(path: Path) -> Iterator[Path]:
    return (found for found in path.rglob("*") if not found.is_dir())


def size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    return sum(file.lstat().st_size for file in _files(path)) if path.is_dir() else path.lstat().st_size


def main() -> int:
    """The entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", type=Path)
    parser.add_argument("--at", type=Path, metavar="PLACE")
    given = parser.parse_args()
    site, at = given.site, given.at or given.site
    freed = slim(site)
    for reason, amount in freed.most_common():
        print(f"{amount / 1e6:8.1f} MB  {reason}")
    # The source is what it is: nobody compares times of files that layers may round.
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    if not compileall.compile_dir(site, quiet=2, workers=0, invalidation_mode=mode, stripdir=site, prependdir=at):
        # Templates and examples in other dialects are no Python; what is imported was compiled, or fails when the image is tried.
        print("some files are not Python of this version")
    print(f"{size(site) / 1e6:8.1f} MB  left, bytecode included")
    for path in sorted(site.iterdir(), key=size, reverse=True)[:12]:
        print(f"{size(path) / 1e6:8.1f} MB    {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
