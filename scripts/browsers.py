"""The browser of this machine, for pictures and tests of pages."""

from __future__ import annotations

import shutil
from typing import Final

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")
NONE_HERE: Final = f"no Chromium is installed (looked for {', '.join(NAMES)}): on Debian and Ubuntu, apt install chromium"


def chromium() -> str | None:
    """The program's path; None where it is not installed (`NONE_HERE`)."""
    return next(filter(None, map(shutil.which, NAMES)), None)
