"""`thundercast report`: a run as one page; and the same of a backtest."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from thundercast.adapters.refusals import Failed, Usage
from thundercast_standalone.cloud_cli import Dataset, Project, cloud_settings, opened_store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from thundercast.adapters.sources.base import SourceInfo
    from thundercast.domain.learning import Closed
    from thundercast_dashboard.data import Snapshot
    from thundercast_standalone.backtest import Backtest

_err = Console(stderr=True)
Language = Annotated[str, typer.Option("--language", help="en or es.")]


def report(
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")] = Path("report.html"),
    state: Annotated[Path | None, typer.Option(help="State folder of `thundercast run`. [default: .thundercast]")] = None,
    bigquery: Annotated[bool, typer.Option("--bigquery", help="Take the run from the BigQuery dataset instead.")] = False,
    run: Annotated[str | None, typer.Option("--run", help="Run id. [default: the newest run]")] = None,
    project: Project = None,
    dataset: Dataset = None,
    language: Language = "en",
) -> None:
    """Write a run as one page to send to a colleague: scores, charts, what was set aside, settings. Nothing in it is fetched."""
    from thundercast_dashboard.feed import Feed

    check_language(language)
    if bigquery and state is not None:
        raise Usage("--state and --bigquery name two stores: leave one out")
    if not bigquery and (project is not None or dataset is not None):
        raise Usage("--project and --dataset belong to a BigQuery store: add --bigquery")
    place = None if bigquery else state or Path(".thundercast")
    with opened_store(place, cloud_settings(project=project, dataset=dataset)) as reader:
        found = Feed(reader).snapshot(run)
    if found.problem is not None:
        raise Failed(found.detail)
    if found.run is None:
        raise Failed("the store has no run yet: `thundercast run` makes one")
    if run is not None and found.run["run_id"] != run:
        known = ", ".join(row["run_id"] for row in found.runs[:5])
        raise Failed(f"the store has no run {run!r}; its newest are {known}")
    write_page(out, found, language)


def check_language(language: str) -> None:
    """Refuses a language that there are no texts of.

    Raises:
        Usage: names those that there are.
    """
    from thundercast_dashboard.texts import LANGUAGES

    if language not in LANGUAGES:
        raise Usage(f"--language {language!r} is none of {', '.join(LANGUAGES)}")


def write_page(out: Path, found: Snapshot, language: str, *, settings: Mapping[str, str] | None = None) -> None:
    """Writes the page and says where it is.

    Raises:
        Failed: the file cannot be written.
    """
    from thundercast_dashboard.texts import Texts
    from thundercast_standalone import report as paper

    page = paper.report(found, Texts(language), settings=settings)
    try:
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise Failed(f"{out} cannot be written: {error.strerror}") from error
    _err.print(f"The report is in {out} ({len(page) / 1000:,.0f} kB)", highlight=False, soft_wrap=True)


def versions() -> dict[str, str]:
    """What this process computes with, by name."""
    import platform
    from importlib.metadata import version

    return {"python": platform.python_version()} | {name: version(name) for name in ("numpy", "numba", "pyarrow", "river")}


class Collected:
    """What a report needs of a backtest, date by date."""

    def __init__(self) -> None:
        self._metrics: list[dict[str, Any]] = []
        self._events: list[dict[str, Any]] = []

    def take(self, closed: Closed) -> None:
        """Takes what came of closing a date. The scope ``run`` is summed up by the result itself."""
        self._metrics += [row for row in closed.metrics if row["scope"] != "run"]
        self._events += closed.events

    def snapshot(self, info: SourceInfo, result: Backtest) -> Snapshot:
        """As if it had been read from a store."""
        import pyarrow.compute as pc

        import thundercast
        from thundercast.domain.scores.champion import BASELINE
        from thundercast.domain.tables import MODEL_EVENTS, MODEL_METRICS, RUNS
        from thundercast.stage.outbox import to_arrow
        from thundercast_dashboard.data import SCOPES, Snapshot

        name = f"backtest-{result.task}"
        now = dt.datetime.now(dt.UTC).isoformat()
        models = sorted(name for name in result.scores if name != BASELINE)
        row = {
            "run_id": name, "source": info.identity, "start_date": result.start.isoformat(), "end_date": result.end.isoformat(),
            "synthetic": info.synthetic, "rights": info.rights, "version": thundercast.__version__, "state": "completed",
            "models": json.dumps({"models": models, "tasks": [result.task]}), "written_at": now,
        }  # fmt: skip
        # The learner was given no time of day: a backtest has none.
        kept = to_arrow(MODEL_METRICS, [row | {"run_id": name, "timestamp": now} for row in self._metrics])
        counts = [{"reason": reason, "count": count, "last": None} for reason, count in result.dead_letters.items()]
        (run,) = to_arrow(RUNS, [row]).to_pylist()
        return Snapshot(
            read_at=dt.datetime.now(dt.UTC).timestamp(), run=run, runs=[run],
            metrics={scope: kept.filter(pc.equal(kept.column("scope"), scope)) for scope in SCOPES},
            letter_counts=sorted(counts, key=lambda found: -int(str(found["count"]))),
            events=to_arrow(MODEL_EVENTS, [{"run_id": name, **event} for event in self._events]).to_pylist(),
        )  # fmt: skip
