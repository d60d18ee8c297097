"""The dashboard's process beside a run: `python -m thundercast_standalone.viewer run APP …`, as `streamlit` takes it.

It ends when its standard input closes, which happens when the run ends, however it ends: a killed run leaves no dashboard
behind that would hold the port.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading


def _end_with_input() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    """Serves until ended."""
    threading.Thread(target=_end_with_input, name="parent", daemon=True).start()
    sys.argv = ["streamlit", *sys.argv[1:]]
    runpy.run_module("streamlit", run_name="__main__")


if __name__ == "__main__":
    main()
