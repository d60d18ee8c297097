"""`python -m thundercast.adapters.health [URL | PATH]`: the health command of an image, for which no shell or curl is needed.

It prints what is answered. Exit codes: 0 all is well, 1 it is not, or nobody answers. Without a URL it asks the path, ``/healthz`` if there
is none either, on ``THUNDERCAST_PORT`` of this machine.
"""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from typing import Final

PORT: Final = "8080"
_PATIENCE: Final = 4.0  # s
_WORDS: Final = 2000  # bytes


def answer(url: str) -> tuple[bool, str]:
    """Whether the address answers that all is well, and what it says."""
    # Never by way of a proxy: it is this machine that is asked.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_PATIENCE) as answered:
            return True, answered.read(_WORDS).decode(errors="replace").strip()
    except urllib.error.HTTPError as error:
        said = error.read(_WORDS).decode(errors="replace").strip()
        return False, f"{url} answers {error.code}" + (f": {said}" if said else "")
    except OSError as error:
        return False, f"{url} does not answer: {error}"


def main() -> int:
    """The entry point."""
    asked = sys.argv[1] if len(sys.argv) > 1 else "/healthz"
    url = f"http://127.0.0.1:{os.environ.get('THUNDERCAST_PORT', PORT)}{asked}" if asked.startswith("/") else asked
    well, said = answer(url)
    print(said, file=sys.stdout if well else sys.stderr)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
