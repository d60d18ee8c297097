"""Runs a built image as a cluster would: its user, a read-only root, its program as process 1, and nothing to write to but what is mounted.

There is no container engine here that could do so without privileges that a test machine lacks: buildah gives the files and the configuration,
`unshare` the namespaces.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

PREFIX: Final = os.environ.get("THUNDERCAST_IMAGES", "localhost/thundercast")
TAG: Final = os.environ.get("THUNDERCAST_TAG", "dev")
_WRITABLE: Final = ("/tmp", "/var/lib/thundercast")  # what the charts mount

# $1: the root; then the user, and the command. Mounts are seen in this namespace only.
_ENTER: Final = """
set -e
root=$1 user=$2 work=$3; shift 3
mount --bind "$root" "$root"
for place in $WRITABLE; do mount -t tmpfs -o mode=1777 tmpfs "$root$place"; done
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
: "${BIND:=}"
for pair in $BIND; do
  target=$root${pair#*:}; mkdir -p "$target" 2>/dev/null || true
  mount --bind "${pair%%:*}" "$target"
done
mount -o remount,bind,ro "$root"
exec env -i $GIVEN chroot --userspec="$user" "$root" /bin/sh -c 'cd "$0" && exec "$@"' "$work" "$@"
"""


def why_not() -> str:
    """Why images cannot be run here; empty if they can."""
    for program in ("buildah", "unshare", "chroot"):
        if shutil.which(program) is None:
            return f"{program} is not here"
    return "" if os.geteuid() == 0 else "running an image without a container engine needs root"


@dataclass
class Container:
    """A process in an image.

    Attributes:
        pid: of its process 1, seen from here.
    """

    process: subprocess.Popen[bytes]
    log: Path
    pid: int

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def answer(self, url: str, *, within: float = 90.0) -> bytes:
        """What an address answers, as soon as it does. Fails with the log if the process ends before."""
        until = time.monotonic() + within
        while time.monotonic() < until:
            assert self.process.poll() is None, self.said()[-4000:]
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    body: bytes = answer.read()
                    return body
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise AssertionError(f"{url} did not answer; the log:\n{self.said()[-4000:]}")

    def terminate(self) -> int:
        """SIGTERM to its process 1; the exit code."""
        os.kill(self.pid, signal.SIGTERM)
        return self.process.wait(60)


@dataclass(frozen=True)
class Image:
    """A built image, its files mounted.

    Attributes:
        config: as the OCI image has it: User, Env, Entrypoint, Cmd, Labels, …
    """

    name: str
    root: Path
    config: Mapping[str, Any]

    @property
    def env(self) -> dict[str, str]:
        return dict(pair.split("=", 1) for pair in self.config["Env"])

    def command(
        self, words: Sequence[str] | None = None, *, entrypoint: Sequence[str] | None = None, env: Mapping[str, str] | None = None,
        bind: Mapping[Path, str] | None = None, user: str = "",
    ) -> tuple[list[str], dict[str, str]]:  # fmt: skip
        """The command that runs it and its environment."""
        given = self.env | dict(env or {})
        assert not any(" " in value for value in given.values())
        program = [*(self.config["Entrypoint"] if entrypoint is None else entrypoint)]
        program += list(words if words is not None else self.config.get("Cmd") or [] if entrypoint is None else [])
        variables = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "WRITABLE": " ".join(_WRITABLE),
            "GIVEN": " ".join(f"{name}={value}" for name, value in given.items()),
            "BIND": " ".join(f"{here}:{there}" for here, there in (bind or {}).items()),
        }
        enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _ENTER, "sh", str(self.root)]
        return [*enter, user or self.config["User"], self.config.get("WorkingDir") or "/", *program], variables

    def run(self, words: Sequence[str] | None = None, *, timeout: float = 120, **how: Any) -> subprocess.CompletedProcess[str]:
        """Runs it to its end."""
        command, variables = self.command(words, **how)
        process = subprocess.Popen(
            command, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        first = _child(process)
        try:
            out, err = process.communicate(timeout=timeout)
        finally:
            _end(process, first)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    @contextmanager
    def running(self, log: Path, words: Sequence[str] | None = None, **how: Any) -> Iterator[Container]:
        """Runs it until the block ends."""
        command, variables = self.command(words, **how)
        with log.open("wb") as out:
            process = subprocess.Popen(command, env=variables, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        first = _child(process)
        assert first, f"the container ended at once; the log:\n{log.read_text(errors='replace')}"
        try:
            yield Container(process, log, first)
        finally:
            _end(process, first)


def _child(process: subprocess.Popen[Any]) -> int:
    """Process 1 of the container, seen from here; 0 if it has ended already."""
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        if found := listed.read_text().split():
            return int(found[0])
        time.sleep(0.01)
    return 0


def _end(process: subprocess.Popen[Any], first: int) -> None:
    """Kills process 1, and with it all that are in the container. `unshare --kill-child` would not do: it lets live who changed the user."""
    if process.poll() is None:
        os.kill(first or process.pid, signal.SIGKILL)
    process.wait(60)


def _said(command: Sequence[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout.strip()


@contextmanager
def opened(name: str) -> Iterator[Image]:
    """The image of a part; skips with the reason where it is not built."""
    reference = f"{PREFIX}/{name}:{TAG}"
    if problem := why_not():
        pytest.skip(problem)
    if subprocess.run(["buildah", "inspect", "--type", "image", reference], capture_output=True).returncode:
        pytest.skip(f"the image {reference} is not built: make images")
    config = json.loads(_said(["buildah", "inspect", "--type", "image", reference]))["Docker"]["config"]
    with mounted(reference) as root:
        yield Image(name, root, config)


@contextmanager
def mounted(reference: str) -> Iterator[Path]:
    """The files of an image that is here."""
    container = _said(["buildah", "from", "--pull=never", reference])
    try:
        yield Path(_said(["buildah", "mount", container]))
    finally:
        subprocess.run(["buildah", "rm", container], check=True, capture_output=True)
