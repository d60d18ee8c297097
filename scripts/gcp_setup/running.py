"""The only place that starts other programs: gcloud, bq, helm, kubectl, git and `thundercast bootstrap`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

Command = tuple[str, ...]
_KEPT: Final = 400
"""Lines that are kept of a long command's output, for its error."""
_SECRETS: Final = re.compile(
    r"ya29\.[\w.-]+|AIza[\w-]{20,}|GOCSPX-[\w-]+|eyJ[\w-]+\.[\w-]+\.[\w-]+|(?<=Bearer )\S+"
    r"|-----BEGIN [^-]*PRIVATE KEY-----.*?-----END [^-]*-----",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Said:
    """What a program answered."""

    code: int
    out: str = ""
    err: str = ""

    @property
    def words(self) -> str:
        """All of it, without what could be a secret."""
        return without_secrets("\n".join(part.strip() for part in (self.err, self.out) if part.strip()))


class Runner(Protocol):
    """Runs a command to its end."""

    def __call__(self, command: Command, *, aloud: bool = False) -> Said:
        """Raises nothing where the command fails: that is an answer.

        Args:
            aloud: it takes long; show what it prints as it comes.
        """
        ...

    def lacks(self, program: str) -> bool:
        """Whether this machine does not have a program."""
        ...


def without_secrets(text: str) -> str:
    """The text with tokens and keys of Google's forms taken out."""
    return _SECRETS.sub("[secret]", text)


class Programs:
    """The programs of this machine. None of them may ask: it would wait for ever."""

    def __call__(self, command: Command, *, aloud: bool = False) -> Said:
        env = os.environ | {"CLOUDSDK_CORE_DISABLE_PROMPTS": "1"}
        if not aloud:
            done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=env, check=False)
            return Said(done.returncode, done.stdout, done.stderr)
        lines: list[str] = []
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, env=env
        ) as process:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            for line in process.stdout:
                print(f"    {without_secrets(line.rstrip())}", flush=True)
                lines = [*lines[-_KEPT:], line]
        return Said(process.returncode, "".join(lines))

    def lacks(self, program: str) -> bool:
        return shutil.which(program) is None


def shown(command: Sequence[str]) -> str:
    """A command as a shell takes it, flags with values readable."""
    return " ".join(_quoted(word) for word in command)


def _quoted(word: str) -> str:
    if re.fullmatch(r"[\w@%+=:,./-]+", word):
        return word
    flag, equals, value = word.partition("=")
    if equals and re.fullmatch(r"--[\w-]+", flag):
        return f"{flag}={_in_quotes(value)}"
    return _in_quotes(word)


def _in_quotes(text: str) -> str:
    return "'" + text.replace("'", "'\"'\"'") + "'"
