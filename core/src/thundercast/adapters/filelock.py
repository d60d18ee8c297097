"""One writer among the processes of one machine: a lock on a file."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

_POLL = 0.1


class FileLock:
    """Implements `thundercast.stage.protocols.Lock`. The kernel gives it up when the process ends, however it ends.

    Args:
        path: the file; made if it is not there, its folder too. It stays when the lock is released, since removing it would
            let two processes hold locks on two files of one name. It holds the process id of the last holder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def acquire(self, timeout: float) -> bool:
        """Tries for up to ``timeout`` seconds; True once held.

        Raises:
            OSError: the file cannot be opened.
        """
        if self.held():
            return True
        self.release()
        until = time.monotonic() + timeout
        self._path.parent.mkdir(parents=True, exist_ok=True)
        while not self._try():
            left = until - time.monotonic()
            if left <= 0:
                return False
            # flock has no timeout of its own.
            time.sleep(min(_POLL, left))
        return True

    def _try(self) -> bool:
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._fd = fd
        if not self.held():
            # Between open and flock somebody put another file in its place.
            self.release()
            return False
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return True

    def held(self) -> bool:
        """Whether we hold the lock, and on the file that has the name now."""
        if self._fd is None:
            return False
        try:
            ours, named = os.fstat(self._fd), os.stat(self._path)  # noqa: PTH116
        except FileNotFoundError:
            return False
        return (ours.st_dev, ours.st_ino) == (named.st_dev, named.st_ino)

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def holder(self) -> str:
        """``process 123``; empty if nobody has ever held it."""
        try:
            pid = self._path.read_text().strip()
        except FileNotFoundError:
            return ""
        return f"process {pid}" if pid else ""


class Locked(Exception):
    """Another process holds the lock; the message names it."""


def acquire_or_refuse(lock: FileLock, path: Path) -> None:
    """Takes the lock of a folder at once.

    Raises:
        Locked: another process holds it.
    """
    if not lock.acquire(0):
        raise Locked(f"{path} is in use by {lock.holder() or 'another process'}: stop it, or use another folder")
