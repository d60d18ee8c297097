"""The command line, `thundercast`. Exit codes: 0 done, 1 failed, 2 usage.

What a command needs is imported when it is called, so that `--help` answers at once.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

import thundercast
from thundercast.adapters.refusals import Failed, Usage
from thundercast_standalone import cloud_cli, letters_cli, report_cli, show

if TYPE_CHECKING:
    from thundercast.domain.models.base import Model

app = typer.Typer(
    name="thundercast", no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="markdown", add_completion=False,
    help="Learns, live, to tell whether a weather station saw thunder. `thundercast run` is the place to start.",
)  # fmt: skip
_err = Console(stderr=True)
_out = Console()

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, for programs.")]
Cache = Annotated[Path, typer.Option("--cache", envvar="THUNDERCAST_CACHE", help="Folder of sorted and fetched data.")]
DEFAULT_CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "thundercast"


def _date(text: str | None, flag: str) -> dt.date | None:
    if text is None:
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise Usage(f"{flag} {text!r} is not a date like 2023-01-31") from error


def _model(name: str, task: str) -> Model:
    from thundercast.domain.models import registry

    if name == "climatology":
        raise Usage("climatology is scored beside every model anyway: name another one")
    try:
        return registry.make(name, task)  # type: ignore[arg-type]
    except (ValueError, LookupError) as error:
        raise Usage(str(error)) from error


def _version(value: bool) -> None:
    if value:
        typer.echo(f"thundercast {thundercast.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    pass


@app.command(epilog="Example: `thundercast run --source file:gsod.parquet --speed max --state /tmp/demo`")
def run(
    source: Annotated[str | None, typer.Option(help="Where the rows come from; see `thundercast sources`. [default: sample]")] = None,
    speed: Annotated[str | None, typer.Option(help="Dates of the stream a second, or `max`. [default: 4]")] = None,
    state: Annotated[Path | None, typer.Option(help="Folder of checkpoints, store and lock. [default: .thundercast]")] = None,
    new_run: Annotated[bool, typer.Option("--new-run", help="Start a new run even if one is under way in the state folder.")] = False,
    start: Annotated[str | None, typer.Option(help="First date, YYYY-MM-DD. [default: the source's]")] = None,
    end: Annotated[str | None, typer.Option(help="Last date, YYYY-MM-DD. [default: the source's]")] = None,
    model: Annotated[list[str] | None, typer.Option(help="A model; may be given several times. [default: thunder, river-logistic]")] = None,
    task: Annotated[list[str] | None, typer.Option(help="nowcast or dayahead; may be given several times. [default: both]")] = None,
    shards: Annotated[int | None, typer.Option(help="Batches a date. [default: 16]")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the dashboard; 0 takes a free one. [default: 8501]")] = None,
    metrics_port: Annotated[int | None, typer.Option(help="Port of /metrics; 0 takes a free one. [default: 9464]")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]")] = None,
    dashboard: Annotated[bool | None, typer.Option("--dashboard/--no-dashboard", help="Serve the dashboard. [default: yes]")] = None,
    until_complete: Annotated[
        bool, typer.Option("--until-complete", help="Stop when the last date is done instead of serving on.")
    ] = False,
    fall_back: Annotated[bool, typer.Option("--fall-back", help="If the newest checkpoint is damaged, go on from an older one.")] = False,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the dashboard in a browser.")] = False,
    cache: Cache = DEFAULT_CACHE,
) -> None:
    """Replay a source live, with dashboard and metrics. Ctrl-C stops; the next start goes on where it stopped."""
    from pydantic import ValidationError

    from thundercast.adapters import settings as settings_module
    from thundercast.adapters.manifests import Refused
    from thundercast_standalone.running import run as run_live
    from thundercast_standalone.viewing import NotServed

    given: dict[str, Any] = {
        "source": source, "speed": speed, "state": state, "start": _date(start, "--start"), "end": _date(end, "--end"), "models": model,
        "tasks": task, "shards": shards, "port": port, "metrics_port": metrics_port, "host": host, "dashboard": dashboard,
    }  # fmt: skip
    try:
        chosen = settings_module.RunSettings(**{name: value for name, value in given.items() if value not in (None, [])})
    except ValidationError as error:
        raise Usage(settings_module.explain(error)) from error
    for name in chosen.models:
        _model(name, "nowcast")
        if "." in name:
            raise Usage(f"model {name!r} keeps its state as a pickle, which a live run does not take; `thundercast backtest` does")
    try:
        code = run_live(chosen, new_run=new_run, cache=cache, until_complete=until_complete, open_browser=open_browser, fall_back=fall_back)
    except (Refused, NotServed) as error:
        raise Usage(str(error)) from error
    raise typer.Exit(code)


@app.command(epilog="Example: `thundercast backtest file:gsod.parquet --score-from 2023-01-01 --model thunder --model logistic`")
def backtest(
    source: Annotated[str, typer.Argument(help="Where the rows come from; see `thundercast sources`.")],
    start: Annotated[str | None, typer.Option(help="First date to replay, YYYY-MM-DD.")] = None,
    end: Annotated[str | None, typer.Option(help="Last date to replay, YYYY-MM-DD.")] = None,
    score_from: Annotated[str | None, typer.Option(help="First date that counts in the scores; models learn from the start on.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="A model; several share one pass. [default: thunder]")] = None,
    task: Annotated[str, typer.Option(help="nowcast or dayahead.")] = "nowcast",
    report: Annotated[Path | None, typer.Option(help="Write the whole of it as a page to this file, too.")] = None,
    language: report_cli.Language = "en",
    as_json: AsJson = False,
    cache: Cache = DEFAULT_CACHE,
) -> None:
    """Replay a source as fast as it goes and print how well the models did: each row was predicted before it was learnt."""
    from thundercast.adapters.sources import open_source
    from thundercast_standalone.backtest import backtest as replay

    if task not in ("nowcast", "dayahead"):
        raise Usage(f"--task {task!r} is neither nowcast nor dayahead")
    report_cli.check_language(language)
    names = model or ["thunder"]
    if len(set(names)) != len(names):
        raise Usage(f"--model names a model twice: {', '.join(names)}")
    first, last, scored = _date(start, "--start"), _date(end, "--end"), _date(score_from, "--score-from")
    models = [_model(name, task) for name in names]
    opened = open_source(source, cache=cache)
    collected = None if report is None else report_cli.Collected()
    with show.progress(_err, quiet=as_json and not sys.stderr.isatty()) as bar:
        info = opened.open(bar.preparing)
        try:
            result = replay(
                opened, info, models, start=first, end=last, score_from=scored, on_date=bar.dates,
                on_closed=None if collected is None else collected.take,
            )  # fmt: skip
        except ValueError as error:
            raise Usage(str(error)) from error
    if as_json:
        typer.echo(json.dumps(result.to_json(), indent=2))
    else:
        show.backtest(_out, result)
    if report is not None and collected is not None:
        settings = {"score_from": str(result.score_from or result.start)} | report_cli.versions()
        report_cli.write_page(report, collected.snapshot(info, result), language, settings=settings)


@app.command(epilog="Example: `thundercast sources --estimate bigquery:2015-2025`")
def sources(
    as_json: AsJson = False,
    estimate: Annotated[str | None, typer.Option(metavar="SOURCE", help="Say what reading this source bills; asking is free.")] = None,
) -> None:
    """List the sources and what each needs."""
    from thundercast.adapters.sources import catalogue, open_source
    from thundercast.adapters.sources.base import Priced

    if estimate is not None:
        asked = open_source(estimate, cache=DEFAULT_CACHE)
        if not isinstance(asked, Priced):
            raise Usage(f"{estimate} bills nothing; of the sources only bigquery:YEARS does")
        cost = asked.estimate()
        if as_json:
            typer.echo(json.dumps(asdict(cost) | {"total_bytes": cost.total_bytes, "usd": round(cost.usd, 4)}, indent=2))
        else:
            show.estimate(_out, estimate, cost)
        return
    entries = catalogue()
    if as_json:
        typer.echo(json.dumps([asdict(e) for e in entries], indent=2))
    else:
        show.sources(_out, entries)


@app.command(epilog="Example: `thundercast inspect .thundercast/checkpoints`")
def inspect(
    path: Annotated[Path, typer.Argument(help="A data file, a checkpoint's body, a folder of checkpoints, a store, or a state folder.")],
    as_json: AsJson = False,
    cache: Cache = DEFAULT_CACHE,
) -> None:
    """Say what a data file, a checkpoint or a store holds."""
    from thundercast_standalone.inspecting import inspect as look

    found = look(path, cache)
    if as_json:
        typer.echo(json.dumps(found, indent=2, default=str))
    else:
        show.inspected(_out, found)


@app.command(epilog="Example: `thundercast doctor --state .thundercast`")
def doctor(
    state: Annotated[Path, typer.Option(help="The state folder to look at.")] = Path(".thundercast"),
    as_json: AsJson = False,
    cache: Cache = DEFAULT_CACHE,
) -> None:
    """Check a set-up: versions, the sample, folders, ports, a browser. Exit code 1 if something is wrong."""
    from thundercast_standalone.doctor import checks

    results = checks(state, cache)
    if as_json:
        typer.echo(json.dumps([r.to_json() for r in results], indent=2))
    else:
        show.checks(_out, results)
    if any(r.state == "wrong" for r in results):
        raise typer.Exit(1)


app.command(epilog="Example: `thundercast bootstrap --project my-project --checkpoints gs://my-bucket/thundercast`")(cloud_cli.bootstrap)
app.command(epilog="Example: `thundercast report --state .thundercast -o report.html`")(report_cli.report)
app.add_typer(letters_cli.app, name="dead-letters")


def main() -> None:
    """The entry point: errors that a user can mend are one message, without a traceback."""
    try:
        app()
    except Usage as error:
        _err.print(f"[bold red]thundercast:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(2)
    except Exception as error:
        from thundercast.adapters.sources.base import SourceError

        if not isinstance(error, SourceError | Failed):
            raise
        _err.print(f"[bold red]thundercast:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
