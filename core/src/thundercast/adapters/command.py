"""The command line of a part: its settings as flags. Exit codes: 0 done, 1 failed, 2 usage."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import CliApp, CliSettingsSource, SettingsError

import thundercast
from thundercast.adapters.allocation import few_arenas
from thundercast.adapters.refusals import Failed, Usage
from thundercast.adapters.settings import Settings, explain

S = TypeVar("S", bound=Settings)


def main(settings: type[S], run: Callable[[S], int], *, prog: str, about: str, argv: Sequence[str] | None = None) -> int:
    """Reads the settings from flags, environment and file, and runs.

    Args:
        settings: the type; every field is a flag, with its description as help.
        about: what `--help` says first.
        argv: the words after the program's name; those of this process if not given.

    Returns:
        The exit code.
    """
    few_arenas()
    words = list(sys.argv[1:] if argv is None else argv)
    if "--version" in words:
        print(f"{prog} {thundercast.__version__}")  # noqa: T201
        return 0
    flags: CliSettingsSource[S] = CliSettingsSource(
        settings, cli_prog_name=prog, cli_kebab_case=True, cli_implicit_flags=True, cli_hide_none_type=True, cli_avoid_json=True
    )
    parser: argparse.ArgumentParser = flags.root_parser  # type: ignore[assignment]
    parser.description = about
    try:
        chosen = CliApp.run(settings, cli_args=words, cli_settings_source=flags, cli_exit_on_error=False)
        return run(chosen)
    except ValidationError as error:
        _complain(prog, explain(error))
    except (SettingsError, Usage) as error:
        _complain(prog, str(error))
    except Failed as error:
        _complain(prog, str(error))
        return 1
    return 2


def _complain(prog: str, text: str) -> None:
    print(f"{prog}: {text}", file=sys.stderr)  # noqa: T201
