"""What keeps a request from waiting for the interpreter while the same process learns."""

from __future__ import annotations

import gc
import sys
from typing import Final

_SWITCH: Final = 0.001  # s; five milliseconds, which is the default, are too long to be waited for several times in a request


def keep_pauses_short() -> None:
    """For the whole process; to be called once its modules are imported.

    Learning makes many small objects, so the garbage collector often looks through everything there is. A quarter of a million of those
    objects are what the libraries consist of and stay for ever: looking at them took up to 0.3 s, in which no thread went on. Frozen, they
    are passed over.
    """
    sys.setswitchinterval(_SWITCH)
    gc.collect()
    gc.freeze()
