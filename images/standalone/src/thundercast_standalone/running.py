"""`thundercast run`: the whole system in one process.

    source ──▶ feeder ──▶ topic in memory ──▶ stage loop (cleaner, learner) ──▶ SQLite ──▶ dashboard
                                                    └──▶ folder of checkpoints

What is in memory is lost when the process ends, however it ends; the next one feeds from the checkpoint's watermark on.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import structlog
from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.markup import escape

import thundercast
from thundercast.adapters import logs, metrics
from thundercast.adapters.feeding import Feeder, dates_per_second, run_of
from thundercast.adapters.filelock import FileLock
from thundercast.adapters.folder import FolderCheckpoints
from thundercast.adapters.manifests import Refused, choose_run
from thundercast.adapters.memory import MemoryTopic
from thundercast.adapters.scored import ScoredStore
from thundercast.adapters.settings import RunSettings
from thundercast.adapters.signals import stopped_by_signals
from thundercast.adapters.sources import open_source
from thundercast.adapters.sources.base import SourceInfo
from thundercast.adapters.sqlite import SqliteStore
from thundercast.adapters.sqlite_reader import SqliteReader
from thundercast.domain.deadletters import DeadLetter
from thundercast.domain.models import registry
from thundercast.domain.runs import Run
from thundercast.domain.tables import DEAD_LETTERS, RUNS
from thundercast.stage.letters import to_rows
from thundercast.stage.loop import Deposed, Ending, StageLoop
from thundercast.stage.points import Gap, go_on
from thundercast.stage.protocols import BadCheckpoint, Unavailable
from thundercast.stage.settings import LoopSettings
from thundercast.stage.steps import ChainedStep, CleanStep, TrainStep
from thundercast.stage.unconfirmed import Outlets
from thundercast_standalone import show
from thundercast_standalone.reporting import Reporter
from thundercast_standalone.viewing import Dashboard

COMPONENT = "standalone"
_DATES_WAITING = 4
_log: structlog.stdlib.BoundLogger = structlog.get_logger()
_err = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Folders:
    """The state folder of a standalone system."""

    root: Path

    @property
    def store(self) -> Path:
        return self.root / "store.sqlite"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def lock(self) -> Path:
        return self.root / "lock"


def run(
    settings: RunSettings, *, cache: Path, new_run: bool = False, until_complete: bool = False, open_browser: bool = False,
    fall_back: bool = False, gap: Gap = go_on,
) -> int:  # fmt: skip
    """Replays a source until stopped (or, with ``until_complete``, until its last date is done).

    Args:
        settings: the typed settings.
        cache: folder of sorted and fetched data.
        new_run: start anew although a run is under way.
        fall_back: use an older checkpoint if the newest is damaged.
        gap: called at each of `points.KILL_POINTS`.

    Returns:
        The exit code.

    Raises:
        Refused: another run is under way in the folder.
    """
    logs.configure(settings.log_format)
    folders = Folders(settings.state)
    lock = FileLock(folders.lock)
    if not lock.acquire(0.0):
        raise Refused(
            f"the state folder {folders.root} is in use by {lock.holder() or 'another run'}: stop it, or give this one a --state of its own"
        )
    with ExitStack() as stack:
        stack.callback(lock.release)
        source = open_source(settings.source, cache=cache)
        with show.progress(_err) as bar:
            info = source.open(bar.preparing)
        checkpoints = FolderCheckpoints(folders.checkpoints, gap=gap)
        wanted = run_of(
            info, started=dt.datetime.now(dt.UTC), shards=settings.shards, version=thundercast.__version__, start=settings.start,
            end=settings.end,
        )  # fmt: skip
        this = choose_run(checkpoints, wanted, new_run=new_run, place=str(settings.state), way_out="give this one a --state of its own")
        store = stack.enter_context(SqliteStore(folders.store))
        store.expire()
        _supersede(store, folders.store, this)
        exposed = CollectorRegistry()
        collected = metrics.Metrics(exposed, version=thundercast.__version__)
        topic = MemoryTopic(capacity=_DATES_WAITING * this.shards)
        train = TrainStep(
            lambda: [registry.make(name, task) for task in settings.tasks for name in settings.models], on_new_run=settings.on_new_run
        )
        collected.drifts_from(train.drifts)
        step = ChainedStep(CleanStep(), train)
        loop = StageLoop(
            COMPONENT, step, subscription=topic, checkpoints=checkpoints, lock=lock, outlets=Outlets(store=ScoredStore(store, collected)),
            settings=_loop_settings(settings, this), gap=gap, observe=lambda seconds: collected.batch_took(COMPONENT, seconds),
        )  # fmt: skip
        feeder = Feeder(
            source,
            this,
            topic,
            pace=None if settings.speed == "max" else dates_per_second(settings.speed),
            set_aside=lambda letters: _set_aside(store, letters),
        )
        stopping = stack.enter_context(stopped_by_signals(loop.stop))
        reporter = Reporter(store, collected, this, loop, settings)
        stack.enter_context(reporter.running())
        metrics_address = stack.enter_context(_metrics_server(exposed, settings))
        dashboard = stack.enter_context(Dashboard(folders.store, settings).running()) if settings.dashboard else None
        _announce(this, info, dashboard, metrics_address)
        # Without a screen a text browser would take the terminal.
        if dashboard is not None and open_browser and (sys.platform == "darwin" or {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys()):
            webbrowser.open(dashboard)
        with _feeding(feeder, loop, topic, this, reporter):
            try:
                ending = loop.run(until_complete=this.run_id, fall_back=fall_back)
            except (BadCheckpoint, Deposed) as error:
                _err.print(f"[bold red]thundercast:[/] {escape(str(error))}", soft_wrap=True)
                return 1
        if reporter.failure is not None:
            _err.print(f"[bold red]thundercast:[/] {escape(reporter.failure)}", soft_wrap=True)
            return 1
        _log.info("run ended", run_id=this.run_id, why=ending.value, watermark=loop.status.watermark, batches=this.batches)
        if ending is Ending.COMPLETED and not until_complete and dashboard is not None:
            _err.print(
                f"All {this.dates} dates are done. The dashboard stays at {dashboard}; Ctrl-C ends it, `--new-run` starts over.",
                soft_wrap=True,
            )
            while not stopping.wait(0.5):  # a bare wait would not let a signal in on every system
                pass
    return 0


def _supersede(store: SqliteStore, path: Path, this: Run) -> None:
    """Runs that will not be gone on with are said to be over."""
    reader = SqliteReader(path)
    rows = [
        row | {"state": "superseded"} for row in reader.runs().to_pylist() if row["state"] == "running" and row["run_id"] != this.run_id
    ]
    reader.close()
    if rows:
        store.write(RUNS, pa.Table.from_pylist(rows, schema=RUNS.arrow))


def _loop_settings(settings: RunSettings, run: Run) -> LoopSettings:
    # A date or two in hand, some hundred applied between two checkpoints: bounded, and fast on small dates.
    window = max(64, 2 * run.shards)
    return LoopSettings(
        window=window,
        pull_limit=max(16, run.shards),
        poll=0.2,
        checkpoint_every=settings.checkpoint_seconds,
        unacked=max(window, 256 * run.shards),
    )


def _set_aside(store: SqliteStore, letters: list[DeadLetter]) -> None:
    store.write(DEAD_LETTERS, to_rows(letters))


@contextmanager
def _feeding(feeder: Feeder, loop: StageLoop, topic: MemoryTopic, run: Run, reporter: Reporter) -> Iterator[None]:
    """Feeds from where the loop stands, on a thread of its own, until the block ends."""

    def feed() -> None:
        try:
            if not reporter.wait_until_recovered():
                return
            status = loop.status
            begun = status.watermark if status.run_id == run.run_id else 0
            _log.info("feeding", run_id=run.run_id, from_seq=begun, of=run.batches)
            if begun < run.batches:
                for fed in feeder.feed(begun):
                    reporter.fed(fed.date)
            reporter.fed_all()
        except Unavailable as error:
            # The topic was closed under us because the run ends; anything else stops it.
            if not reporter.ending:
                reporter.fail(f"the source's rows cannot be passed on: {error}")
        except Exception as error:
            reporter.fail(f"the source failed: {error}")
            _log.exception("feeder failed")

    thread = threading.Thread(target=feed, name="feeder", daemon=True)
    thread.start()
    try:
        yield
    finally:
        reporter.ending = True
        feeder.stop()
        topic.close()
        thread.join()


@contextmanager
def _metrics_server(exposed: CollectorRegistry, settings: RunSettings) -> Iterator[str]:
    try:
        server, thread = metrics.serve(exposed, port=settings.metrics_port, host=settings.host)
    except OSError as error:
        raise Refused(
            f"/metrics cannot be served on {settings.host}:{settings.metrics_port} ({error.strerror}): "
            "name another --metrics-port, 0 takes a free one"
        ) from error
    try:
        yield f"http://{settings.host}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _announce(run: Run, info: SourceInfo, dashboard: str | None, metrics_address: str) -> None:
    """Addresses and the like go to standard error, as everything that is not a result."""
    say = Console(file=sys.stderr, highlight=False, soft_wrap=True).print
    synthetic = " [bold yellow](SYNTHETIC DATA)[/]" if run.synthetic else ""
    say(f"[bold]Thundercast[/] replays {run.source}{synthetic}, {run.start} to {run.end}; run {run.run_id}")
    if info.rights:
        say(f"[dim]{info.rights}[/]")
    if dashboard:
        say(f"Dashboard: [bold]{dashboard}[/]")
    say(f"Metrics:   {metrics_address}")
    say("Ctrl-C stops; the next start goes on from there.")
