"""Compiled kernels that an image brings along, found where its root file system is read-only.

numba looks for compiled kernels only in folders that it may write to, since it keeps new ones there too. An image has them in a folder
that is read-only at run time. So the folder that is written, `NUMBA_CACHE_DIR`, begins as links to what the image has: what is there is
loaded, what is not is compiled and kept until the container ends.

An image sets ``NUMBA_CACHE_LOCATOR_CLASSES=thundercast.adapters.kernels.FromImage``, ``NUMBA_CACHE_DIR`` and ``THUNDERCAST_KERNELS``.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from numba.core.caching import UserProvidedCacheLocator

VARIABLE: Final = "THUNDERCAST_KERNELS"
"""Names the folder of kernels that were compiled when the image was built."""


class FromImage(UserProvidedCacheLocator):
    """Finds the kernels of a source folder under `NUMBA_CACHE_DIR`, which begins as links to those of the image."""

    def ensure_cache_path(self) -> None:
        super().ensure_cache_path()
        built = os.environ.get(VARIABLE)
        if built:
            link(Path(built) / Path(self.get_cache_path()).name, Path(self.get_cache_path()))


def link(built: Path, used: Path) -> None:
    """Links every file of one folder into another that lacks it. Several processes may do so at once."""
    if not built.is_dir():
        return
    there = {entry.name for entry in os.scandir(used)}
    for name in sorted({entry.name for entry in os.scandir(built)} - there):
        # Another process was faster, or has a kernel of its own there.
        with contextlib.suppress(FileExistsError):
            (used / name).symlink_to(built / name)
