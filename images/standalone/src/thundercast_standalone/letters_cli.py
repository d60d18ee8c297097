"""`thundercast dead-letters list|show|replay`: what was set aside, and what of it can be published again."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from thundercast.adapters.refusals import Failed
from thundercast_standalone.cloud_cli import AsJson, Checkpoints, Dataset, Project, cloud_settings, opened_store

if TYPE_CHECKING:
    from thundercast.adapters.reading import StoreReader
    from thundercast.adapters.replaying import Again, Progress
    from thundercast.adapters.settings import CloudSettings

app = typer.Typer(no_args_is_help=True, help="What was set aside and why: list it, look at it, publish it again.")
_out, _err = Console(), Console(stderr=True)

NO_RUN = "none"
State = Annotated[Path | None, typer.Option(help="State folder of `thundercast run`. Without it the store is the BigQuery dataset.")]
RunId = Annotated[str | None, typer.Option("--run", help=f"Run id; `{NO_RUN}` for what names no run. [default: the newest run]")]
Hash = Annotated[str, typer.Argument(metavar="HASH", help="As `list` shows it.")]
Reason = Annotated[str | None, typer.Option(help="Only those with this reason.")]


@app.command("list", epilog="Example: `thundercast dead-letters list --state .thundercast --reason min_above_max`")
def list_letters(
    run: RunId = None,
    reason: Reason = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 50,
    rows: Annotated[
        Path | None,
        typer.Option(help="Write the single rows among them to this CSV, to be corrected: `--source overlay:FILE:SOURCE --new-run`."),
    ] = None,
    state: State = None,
    project: Project = None,
    dataset: Dataset = None,
    as_json: AsJson = False,
) -> None:
    """List the newest dead letters of a run, with their counts by reason."""
    with opened_store(state, cloud_settings(project=project, dataset=dataset)) as reader:
        run_id = _run_id(reader, run)
        counts = {row["reason"]: row["count"] for row in reader.dead_letter_counts(run_id).to_pylist()}
        letters = reader.dead_letters(run_id, reason=reason, limit=limit).to_pylist()
    if rows is not None:
        _write_rows(rows, letters)
    if as_json:
        typer.echo(json.dumps({"run_id": run_id, "counts": counts, "letters": letters}, indent=2, default=_text))
        return
    _out.print(f"[bold]{sum(counts.values()):,} dead letters[/] of run {run_id or '(no run)'}", highlight=False)
    for name, count in counts.items():
        _out.print(f"  {count:>7,}  {escape(name)}", highlight=False)
    table = Table(box=None, pad_edge=False)
    for title in ("hash", "seq", "date", "station", "reason", "detail"):
        table.add_column(title, overflow="fold", no_wrap=title == "hash")
    for row in letters:
        cells = (row["payload_hash"], row["seq"], row["date"], row["station"], row["reason"], row["detail"])
        table.add_row(*(escape(str(cell or "")) for cell in cells))
    _out.print(table)


@app.command(epilog="Example: `thundercast dead-letters show 0123456789abcdef --payload batch.arrow`")
def show(
    payload_hash: Hash,
    run: RunId = None,
    payload: Annotated[Path | None, typer.Option(help="Write the message's bytes to this file.")] = None,
    state: State = None,
    project: Project = None,
    dataset: Dataset = None,
    as_json: AsJson = False,
) -> None:
    """Show a dead letter as it came."""
    from thundercast.domain.deadletters import REASONS

    with opened_store(state, cloud_settings(project=project, dataset=dataset)) as reader:
        rows = _found(reader, _run_id(reader, run), payload_hash)
    if payload is not None:
        _write(payload, _payload(rows[0]))
    for row in rows:
        row["payload"] = len(row["payload"] or b"")
        row["original"] = json.loads(row["original"])
    if as_json:
        typer.echo(json.dumps(rows, indent=2, default=_text))
        return
    for row in rows:
        for name, value in row.items():
            if name == "original":
                continue
            shown = f"{value:,} bytes" if name == "payload" else f"{value} ({REASONS.get(value, '')})" if name == "reason" else value
            _out.print(f"[bold]{name}[/]: {escape(str(shown))}", highlight=False, soft_wrap=True)
        _out.print("[bold]original[/]:")
        for name, value in row["original"].items():
            _out.print(f"  {escape(name)}: {escape(str(value))}", highlight=False, soft_wrap=True)


@app.command(epilog="Example: `thundercast dead-letters replay --reason undelivered --dry-run`")
def replay(
    hashes: Annotated[list[str] | None, typer.Argument(metavar="[HASH]...", help="Which; all whole batches of the run if none.")] = None,
    run: RunId = None,
    reason: Reason = None,
    limit: Annotated[int, typer.Option(min=1, help="Of the newest so many.")] = 10_000,
    groups: Annotated[int, typer.Option(min=1, max=256, help="Groups of shards that are cleaned apart.")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be published, and publish nothing.")] = False,
    state: State = None,
    project: Project = None,
    dataset: Dataset = None,
    checkpoints: Checkpoints = None,
    as_json: AsJson = False,
) -> None:
    """Publish whole batches again that the component they were meant for has not come to yet.

    Nothing is written into what a running run has passed, and a single row cannot be published alone: the reason is told for each.
    Exit code 1 if one that was named cannot be published again.
    """
    from thundercast.adapters.replaying import NotAgain, again

    settings = cloud_settings(project=project, dataset=dataset, checkpoints=checkpoints)
    outcomes: list[dict[str, Any]] = []
    ready: list[Again] = []
    with opened_store(state, settings) as reader:
        run_id = _run_id(reader, run)
        progress = _progress(settings, groups)
        chosen = hashes or _whole(reader, run_id, reason, limit)
        for payload_hash in chosen:
            for row in _found(reader, run_id, payload_hash):
                outcome = {"hash": payload_hash, "seq": row["seq"], "reason": row["reason"], "again": True, "why": ""}
                try:
                    ready.append(again(row, progress))
                    outcome["to"] = _topic(settings, ready[-1])
                except NotAgain as error:
                    outcome |= {"again": False, "why": str(error)}
                outcomes.append(outcome)
        if ready and not dry_run:
            _publish(settings, ready)
    if as_json:
        typer.echo(json.dumps({"run_id": run_id, "published": 0 if dry_run else len(ready), "letters": outcomes}, indent=2))
    else:
        for outcome in outcomes:
            text = f"{outcome['hash']}  batch {outcome['seq']}  {outcome['reason']}: "
            told = f"{'would go' if dry_run else 'published'} to {outcome['to']}" if outcome["again"] else f"not again: {outcome['why']}"
            _out.print(escape(text + told), highlight=False, soft_wrap=True)
        _out.print(f"{len(ready)} of {len(outcomes)} {'would be' if dry_run else 'were'} published again", highlight=False)
    if hashes and len(ready) < len(outcomes):
        raise typer.Exit(1)


# --- parts ------------------------------------------------------------------------------------------------


def _run_id(reader: StoreReader, wanted: str | None) -> str:

    if wanted is not None:
        return "" if wanted == NO_RUN else wanted
    runs = reader.runs().slice(0, 1).to_pylist()
    if not runs:
        raise Failed(f"the store has no run yet; `--run {NO_RUN}` names the dead letters without one")
    return str(runs[0]["run_id"])


def _found(reader: StoreReader, run_id: str, payload_hash: str) -> list[dict[str, Any]]:

    rows = reader.dead_letter(run_id, payload_hash).to_pylist()
    if not rows:
        raise Failed(f"run {run_id or '(no run)'} has no dead letter {payload_hash!r}; `thundercast dead-letters list` shows their hashes")
    return list(rows)


def _whole(reader: StoreReader, run_id: str, reason: str | None, limit: int) -> list[str]:
    rows = reader.dead_letters(run_id, reason=reason, limit=limit).to_pylist()
    return list(dict.fromkeys(row["payload_hash"] for row in sorted(rows, key=lambda row: row["seq"]) if not row["station"]))


def _progress(settings: CloudSettings, groups: int) -> Progress:
    from thundercast.adapters.places import open_checkpoints
    from thundercast.adapters.replaying import CLEANER

    def progress(reader: str, seq: int) -> dict[str, Any] | None:
        component = f"{CLEANER}-{seq % groups}-of-{groups}" if reader == CLEANER and groups > 1 else reader
        return open_checkpoints(settings.checkpoints, component).summary()

    return progress


def _topic(settings: CloudSettings, one: Again) -> str:
    from thundercast.adapters.replaying import CLEANER

    return settings.raw_topic if one.reader == CLEANER else settings.clean_topic


def _publish(settings: CloudSettings, ready: list[Again]) -> None:
    from thundercast.adapters.google.pubsub_publisher import PubSubPublisher

    for topic in sorted({_topic(settings, one) for one in ready}):
        with PubSubPublisher(settings.project, topic, timeout=60.0) as publisher:
            publisher.publish([one.message for one in ready if _topic(settings, one) == topic])


def _write_rows(path: Path, letters: list[dict[str, Any]]) -> None:
    from thundercast.adapters.replaying import rows_as_csv

    text, count = rows_as_csv(letters)
    if not count:
        raise Failed("none of these dead letters is a single row")
    _write(path, text.encode())
    _err.print(f"{count:,} rows are in {path}", highlight=False)


def _payload(row: dict[str, Any]) -> bytes:
    if not row["payload"]:
        raise Failed(f"dead letter {row['payload_hash']} has no payload: it is a row, which `original` shows")
    return bytes(row["payload"])


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise Failed(f"{path} cannot be written: {error.strerror}") from error


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, dt.date) else str(value)
