"""Every command line that the set-up can come to, and what is known of the programs behind them."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from gcp_setup import listing
from gcp_setup.running import Command
from unit.gcp.scene import DATAFLOW, a_choice

TABLE = Path(__file__).parent / "gcloud.json"
"""The commands of gcloud that are used, each with the flags that not every command has, and the SDK that said so."""
EVERYWHERE = frozenset({"--project", "--format", "--quiet", "--account", "--filter"})
"""Flags that every command of gcloud takes; cloud.google.com/sdk/gcloud/reference#GLOBAL-FLAGS and what lists have."""


def every_command(folder: Path) -> list[Command]:
    """Of looking, making, removing and clearing, for workers and for Dataflow, with a name and without."""
    found: dict[Command, None] = {}
    choices = [a_choice(), a_choice(folder, DATAFLOW | {"global": {"groups": 1}}), a_choice(host="thunder.example.org")]
    for thing in itertools.chain.from_iterable(listing.things(choice, "123") for choice in choices):
        commands = [thing.look, *thing.make, *([thing.unmake] if thing.unmake else []), *(thing.stuck or {}).values()]
        found |= dict.fromkeys(commands)
    return list(found)


def path_of(command: Iterable[str], table: Iterable[str]) -> str:
    """The command of gcloud that a line calls: the longest of the table that it begins with."""
    words = [word for word in command if not word.startswith("-")]
    return max((path for path in table if words[: len(path.split())] == path.split()), key=len, default="")


@cache
def sdk() -> Path | None:
    """Where the SDK is installed, if it is and has a Python of its own."""
    gcloud = shutil.which("gcloud")
    root = Path(gcloud).resolve().parents[1] if gcloud else None
    return root if root and _python(root).is_file() else None


def _python(root: Path) -> Path:
    return root / "platform" / "bundledpythonunix" / "bin" / "python3"


def ask(what: str, lines: Iterable[str], config: Path) -> str:
    """What tests/unit/gcp/sdk.py says."""
    root = sdk()
    assert root is not None
    env = {"PATH": os.environ["PATH"], "HOME": str(config), "CLOUDSDK_CONFIG": str(config), "CLOUDSDK_ROOT_DIR": str(root)}
    done = subprocess.run(
        [_python(root), "-S", Path(__file__).parent / "sdk.py", what, str(root)], input="\n".join(lines), env=env, capture_output=True,
        text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def table() -> dict[str, list[str]]:
    """Flags by command."""
    found: dict[str, list[str]] = json.loads(TABLE.read_text())["commands"]
    return found
