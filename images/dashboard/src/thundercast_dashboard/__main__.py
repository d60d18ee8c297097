"""`python -m thundercast_dashboard --store store.db --port 8501`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from thundercast_dashboard.serve import command


def main() -> None:
    """Replaces this process by the dashboard's server."""
    parser = argparse.ArgumentParser(prog="thundercast_dashboard", description="Serves the dashboard of a Thundercast store.")
    store = os.environ.get("THUNDERCAST_STORE")
    parser.add_argument(
        "--store", type=Path, default=store, required=store is None, help="the SQLite store (or the variable THUNDERCAST_STORE)"
    )
    parser.add_argument("--port", type=int, default=8501, help="port to listen on (8501)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    given = parser.parse_args()
    arguments = command(Path(given.store), given.port, given.host)
    os.execv(arguments[0], arguments)  # noqa: S606


if __name__ == "__main__":
    main()
