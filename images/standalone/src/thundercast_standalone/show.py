"""What the command line prints: tables and progress."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from thundercast.adapters.sources.base import Estimate
    from thundercast.adapters.sources.catalogue import Entry
    from thundercast_standalone.backtest import Backtest
    from thundercast_standalone.doctor import Check


class Bars:
    """Progress of a source's preparation and of a replay: amount, rate and time left."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def _task(self, what: str, total: float) -> TaskID:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total, rate="")
        return self._tasks[what]

    def preparing(self, what: str, done: float, total: float) -> None:
        self._bars.update(self._task(what, total), completed=done, total=total)

    def dates(self, done: int, total: int, rows: int) -> None:
        task = self._task("replaying", total)
        seconds = self._bars.tasks[task].elapsed or 0.0
        rate = f"{rows / seconds:,.0f} rows/s" if seconds > 0.5 else ""
        self._bars.update(task, completed=done, total=total, rate=rate)


@contextmanager
def progress(console: Console, *, quiet: bool = False) -> Iterator[Bars]:
    """A progress bar on the console; nothing where it is not a terminal."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as bars:
        yield Bars(bars)


def _number(value: float | None, form: str = ".4f") -> str:
    return "–" if value is None else format(value, form)


_COLUMNS = (
    ("ROC AUC", "roc_auc", ".4f"), ("AP", "pr_auc", ".4f"), ("Brier", "brier", ".5f"), ("skill", "brier_skill", ".4f"),
    ("POD", "pod", ".3f"),
    ("FAR", "far", ".3f"), ("CSI", "csi", ".3f"), ("HSS", "hss", ".3f"),
)  # fmt: skip


def backtest(console: Console, result: Backtest) -> None:
    """The scores of a backtest as a table, and what they are scores of."""
    synthetic = " [bold yellow]SYNTHETIC DATA[/]" if result.source.synthetic else ""
    console.print(f"[bold]{result.task}[/] on {result.source.identity}, {result.start} to {result.end}{synthetic}", highlight=False)
    table = Table(box=None, pad_edge=False)
    table.add_column("model", no_wrap=True)
    for title, _, _ in _COLUMNS:
        table.add_column(title, justify="right", no_wrap=True)
    for name, scores in result.scores.items():
        table.add_row(name, *[_number(scores[key], form) for _, key, form in _COLUMNS])
    console.print(table)
    any_scores = next(iter(result.scores.values()))
    scored = f"scored from {result.score_from or result.start}: {any_scores['n']:,} rows, {any_scores['positives']:,} with thunder"
    console.print(
        f"{result.rows:,} rows in {result.seconds:.2f} s ({result.rows / max(result.seconds, 1e-9):,.0f} rows/s); {scored}", highlight=False
    )
    if result.source.prepare_seconds:
        console.print(f"The source was prepared in {result.source.prepare_seconds:.1f} s before that.", highlight=False)
    if result.dead_letters:
        console.print("Set aside: " + ", ".join(f"{n:,} {reason}" for reason, n in result.dead_letters.items()), highlight=False)
    console.print(
        "Skill is Brier skill against the causal station-by-month climatology. Each row was predicted before it was learnt.", style="dim"
    )


def sources(console: Console, entries: Sequence[Entry]) -> None:
    """The catalogue of sources."""
    table = Table(box=None, pad_edge=False)
    for title in ("source", "what", "needs"):
        table.add_column(title, overflow="fold")
    for entry in entries:
        table.add_row(escape(entry.form), escape(entry.about), escape(entry.needs), style=None if entry.available else "dim")
    console.print(table)


def estimate(console: Console, source: str, cost: Estimate) -> None:
    """What reading a source bills, by year and in all."""
    for year, billed in cost.bytes_by_year.items():
        console.print(f"  {year}: {billed / 2**30:.2f} GiB", highlight=False)
    console.print(
        f"[bold]{escape(source)}[/] bills {cost.total_bytes / 2**30:.2f} GiB, {cost.usd:.2f} USD at {cost.usd_per_tib:g} USD a TiB",
        highlight=False, soft_wrap=True,
    )  # fmt: skip


def inspected(console: Console, found: dict[str, Any]) -> None:
    """What `inspect` found, one line a fact."""
    for name, value in found.items():
        if isinstance(value, dict):
            console.print(f"[bold]{name}[/]", highlight=False)
            for key, item in value.items():
                console.print(f"  {key}: {item}", highlight=False, soft_wrap=True)
        else:
            console.print(f"[bold]{name}[/]: {value}", highlight=False, soft_wrap=True)


def checks(console: Console, results: Sequence[Check]) -> None:
    """The doctor's findings."""
    marks = {"well": "[green]ok[/]   ", "note": "[yellow]note[/] ", "wrong": "[red]wrong[/]"}
    for r in results:
        console.print(f"{marks[r.state]} {r.name}: {r.detail}", highlight=False, soft_wrap=True)
