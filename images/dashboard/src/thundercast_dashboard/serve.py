"""How the dashboard is started: the command line of its server."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Final

from thundercast_dashboard.palette import DARK, LIGHT

APP: Final = Path(__file__).with_name("app.py")

_OPTIONS: Final = {
    "server.headless": "true",
    "server.fileWatcherType": "none",
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "viewer",
    "client.showErrorDetails": "none",
    # A text that stands alone in a module is no part of the page.
    "runner.magicEnabled": "false",
    "logger.hideWelcomeMessage": "true",
    "logger.level": "warning",
    "theme.baseRadius": "medium",
}


def _variable(option: str) -> str:
    """The environment variable of an option of Streamlit: ``server.fileWatcherType`` is ``STREAMLIT_SERVER_FILE_WATCHER_TYPE``."""
    return "STREAMLIT_" + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", option).replace(".", "_").upper()


def command(store: Path | str, port: int, host: str = "127.0.0.1") -> list[str]:
    """The command line that serves the dashboard until it is ended with SIGTERM or SIGINT.

    What is set by a variable of Streamlit's own (``STREAMLIT_SERVER_FILE_WATCHER_TYPE=poll``, say) is left to it.

    Args:
        store: the SQLite store, or the name of another one (`store.named`); it need not be there yet.
        port: a free port.
        host: the address to listen on.

    >>> command(Path("store.db"), 8501)[1:4]
    ['-m', 'streamlit', 'run']
    >>> command(Path("store.db"), 8501)[-3:]
    ['--', '--store', 'store.db']
    """
    options = _OPTIONS | {"server.address": host, "server.port": str(port)}
    for theme in (LIGHT, DARK):
        options |= {f"theme.{theme.name}.{key}": value for key, value in theme.streamlit.items()}
    flags = [f"--{name}={value}" for name, value in options.items() if _variable(name) not in os.environ]
    return [sys.executable, "-m", "streamlit", "run", str(APP), *flags, "--", "--store", str(store)]
