"""`thundercast bootstrap`: what a distributed system needs beside its parts; and what other commands share that look at a store."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from thundercast.adapters.refusals import Failed

if TYPE_CHECKING:
    from thundercast.adapters.reading import StoreReader
    from thundercast.adapters.settings import CloudSettings

_out = Console()

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, for programs.")]
Project = Annotated[str | None, typer.Option(help="Google Cloud project. [default: GOOGLE_CLOUD_PROJECT, else demo-project]")]
Dataset = Annotated[str | None, typer.Option(help="BigQuery dataset of the store. [default: weather_data]")]
Checkpoints = Annotated[
    str | None, typer.Option(help="Place of checkpoints: a folder, or gs://BUCKET/PREFIX. [default: .thundercast/checkpoints]")
]


def cloud_settings(**given: str | None) -> CloudSettings:
    """The settings, with these flags before environment and file.

    Raises:
        Usage: a value is not allowed.
    """
    from pydantic import ValidationError

    from thundercast.adapters.refusals import Usage
    from thundercast.adapters.settings import CloudSettings, explain

    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    try:
        return CloudSettings(**chosen)
    except ValidationError as error:
        raise Usage(explain(error)) from error


@contextmanager
def opened_store(state: Path | None, settings: CloudSettings) -> Iterator[StoreReader]:
    """The store of a state folder, or else the dataset; what it complains of becomes one line."""
    from thundercast.adapters.reading import StoreMismatch, StoreMissing
    from thundercast.stage.protocols import BadCheckpoint, Unavailable

    reader: StoreReader
    if state is not None:
        from thundercast.adapters.sqlite_reader import SqliteReader

        reader = SqliteReader(state / "store.sqlite")
    else:
        from thundercast.adapters.google.bigquery_reader import BigQueryReader

        reader = BigQueryReader(settings)
    try:
        yield reader
    except (StoreMissing, StoreMismatch, Unavailable, BadCheckpoint) as error:
        raise Failed(str(error)) from error
    finally:
        reader.close()


def bootstrap(
    project: Project = None,
    location: Annotated[str | None, typer.Option(help="Where dataset and bucket are made. [default: US]")] = None,
    dataset: Dataset = None,
    checkpoints: Checkpoints = None,
    groups: Annotated[int, typer.Option(min=1, max=256, help="Groups of shards that are cleaned apart, each with its subscription.")] = 1,
    label: Annotated[list[str] | None, typer.Option(help="KEY=VALUE, a label of what is made. Can be given more than once.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make topics, subscriptions, bucket, dataset and tables. What is there is kept, or changed where it differs.

    Names are settings too: `THUNDERCAST_RAW_TOPIC` and so on, or `thundercast.toml`. Exit code 1 if something is there that differs and
    cannot be changed, or if a service does not answer.
    """
    from thundercast.adapters.google.bootstrap import bootstrap as make
    from thundercast.adapters.google.bootstrap import grants
    from thundercast.adapters.google.errors import PUBSUB
    from thundercast.adapters.reading import StoreMismatch
    from thundercast.adapters.refusals import Failed
    from thundercast.stage.protocols import Unavailable

    settings = cloud_settings(project=project, location=location, dataset=dataset, checkpoints=checkpoints)
    labels = _labels(label or [])
    found = []
    try:
        for finding in make(settings, groups=groups, labels=labels):
            found.append(finding)
            if not as_json:
                _print(finding.what, finding.state, finding.detail)
    except (Unavailable, StoreMismatch) as error:
        raise Failed(str(error)) from error
    commands = [] if os.environ.get(PUBSUB.emulator) else grants(settings)
    if as_json:
        typer.echo(json.dumps({"things": [asdict(finding) for finding in found], "grants": commands}, indent=2))
    elif commands:
        _out.print("\nOnce, so that Pub/Sub itself may move messages to the dead letters:", highlight=False)
        for command in commands:
            typer.echo(f"  {command}")
    if any(finding.state == "differs" for finding in found):
        raise typer.Exit(1)


def _labels(given: list[str]) -> dict[str, str]:
    from thundercast.adapters.refusals import Usage

    for text in given:
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}=[a-z0-9_-]{0,63}", text):
            raise Usage(f"--label {text} is no label: KEY=VALUE of small letters, digits, - and _, a letter first, 63 of each at most")
    return {key: value for key, _, value in (text.partition("=") for text in given)}


_COLOURS = {"made": "green", "changed": "green", "there": "dim", "differs": "yellow"}


def _print(what: str, state: str, detail: Any) -> None:
    text = f"[{_COLOURS[state]}]{state:<8}[/]{escape(what)}"
    _out.print(f"{text}: {escape(str(detail))}" if detail else text, highlight=False, soft_wrap=True)
