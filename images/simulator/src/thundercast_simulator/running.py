"""Replays a source into the raw topic.

How far it has come is an object beside the run's manifest, written when the topic has confirmed. A process that starts again
goes on from there; what it publishes twice falls below the watermark of whoever reads it.
"""

from __future__ import annotations

import datetime as dt
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import structlog
from google.api_core.exceptions import RetryError
from google.api_core.retry import Retry, if_exception_type
from prometheus_client import CollectorRegistry

import thundercast
from thundercast.adapters import logs, rows, service
from thundercast.adapters.feeding import Fed, Feeder, Pace, dates_per_second, rows_per_second, run_of
from thundercast.adapters.google.bigquery_store import BigQueryStore
from thundercast.adapters.google.pubsub_publisher import PubSubPublisher
from thundercast.adapters.google.pubsub_topics import check_topic
from thundercast.adapters.hosting import Readiness
from thundercast.adapters.manifests import CURRENT, Refused, choose_run
from thundercast.adapters.metrics import Metrics
from thundercast.adapters.places import open_checkpoints, open_manifests
from thundercast.adapters.refusals import Failed, Usage
from thundercast.adapters.signals import stopped_by_signals
from thundercast.adapters.sources import open_source
from thundercast.adapters.sources.base import SourceError, SourceInfo
from thundercast.domain.batch import TooLarge
from thundercast.domain.deadletters import DeadLetter
from thundercast.domain.runs import Run
from thundercast.stage import letters
from thundercast.stage.protocols import BadCheckpoint, CheckpointStore, Publisher, RowWriter, Unavailable
from thundercast.stage.status import LoopStatus, State
from thundercast_simulator.lead import Watermark, from_checkpoints, from_status, lead
from thundercast_simulator.settings import SimulatorSettings

COMPONENT = "simulator"
T = TypeVar("T")
_RETRY = 1.0  # s
_LAST_WORD = Retry(if_exception_type(Unavailable), initial=0.5, maximum=2.0, timeout=15.0)
"""Nothing overtakes the last status: without it viewers would see a run that is under way for ever."""
_log: structlog.stdlib.BoundLogger = structlog.get_logger()


def run(settings: SimulatorSettings) -> int:
    """Publishes until the last date is out, or a signal comes; returns the exit code.

    Raises:
        Usage: another run is under way, a batch would be too large, or the address is taken.
        Failed: the source cannot be read, or the topic does not confirm.
    """
    logs.configure(settings.log_format)
    try:
        source = open_source(settings.source, cache=settings.cache, project=settings.project)
    except SourceError as error:
        # Nothing was opened yet: the text is wrong.
        raise Usage(str(error)) from error
    try:
        info = source.open(_telling())
        with (
            BigQueryStore(settings) as store,
            PubSubPublisher(settings.project, settings.dead_letter_topic) as aside,
            PubSubPublisher(settings.project, settings.raw_topic, timeout=settings.publish_timeout) as publisher,
        ):

            def feeder(this: Run) -> Feeder:
                return Feeder(source, this, publisher, pace=_pace(settings), set_aside=_set_aside(aside))

            return Simulator(settings, info, open_manifests(settings.checkpoints), store, feeder).run()
    except (Refused, TooLarge, service.Taken) as error:
        raise Usage(str(error)) from error
    except (SourceError, Unavailable, BadCheckpoint) as error:
        raise Failed(str(error)) from error


class Simulator:
    """One run on its way into the topic.

    Args:
        info: of the source that is replayed.
        manifests: where runs are kept, and how far this one has come.
        store: takes rows of `status`.
        feeder: makes what publishes a run.
    """

    def __init__(
        self, settings: SimulatorSettings, info: SourceInfo, manifests: CheckpointStore, store: RowWriter, feeder: Callable[[Run], Feeder]
    ) -> None:
        self._settings = settings
        self._info = info
        self._manifests = manifests
        self._store = store
        self._make_feeder = feeder
        self._run: Run | None = None
        self._feeder: Feeder | None = None
        self._watermark: Watermark = (
            from_status(settings.trainer_url)
            if settings.trainer_url
            else from_checkpoints(open_checkpoints(settings.checkpoints, "trainer"))
        )
        self._exposed = CollectorRegistry()
        self._collected = Metrics(self._exposed, version=thundercast.__version__)
        self._readiness = Readiness(
            {
                "the place of runs": lambda: manifests.read_manifest(CURRENT),
                "the raw topic": self._check_topic,
                "the dead-letter topic": self._check_aside,
            }
        )
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._rate = rows.Rate()
        self._state: State = "starting"
        self._detail = ""
        self._next = 0
        self._date: dt.date | None = None
        self._rows = self._batches = 0
        self._lead = 0
        self._written = 0.0

    def run(self) -> int:
        """Publishes; returns the exit code.

        Raises:
            Refused: another run is under way.
            Taken: the address cannot be listened on.
            Unavailable: the topic does not confirm, or how far it has come cannot be read or written at the end.
        """
        with (
            stopped_by_signals(self._stop),
            service.serving(host=self._settings.host, port=self._settings.port, readiness=self._readiness, exposed=self._exposed) as port,
            self._reporting(),
        ):
            _log.info("serving", host=self._settings.host, port=port)
            try:
                this = self._wait_for(self._choose)
                if this is not None and self._wait_for(self._can_publish):
                    self._publish(this)
            except Exception as error:
                self._say("failed", str(error))
                raise
            self._say("completed" if this is not None and self._next >= this.batches else "stopped", "")
        return 0

    def _publish(self, this: Run) -> None:
        _log.info("run", run_id=this.run_id, source=this.source, from_seq=self._next, of=this.batches)
        if self._next < this.batches:
            self._feeder = feeder = self._make_feeder(this)
            if self._stopping.is_set():
                feeder.stop()
            for fed in feeder.feed(self._next):
                self._count(this, fed)
                if self._next < this.batches and not self._keep_in_touch(this):
                    break
        self._write_progress(this)

    def _stop(self) -> None:
        self._stopping.set()
        if self._feeder is not None:
            self._feeder.stop()

    # --- the run and how far it has come ----------------------------------------------------------------------

    def _choose(self) -> Run:
        """The run to go on with from where it was left, or a new one.

        Raises:
            Refused: another one is under way, or there can be no such run.
            Unavailable: it cannot be known now.
        """
        s = self._settings
        try:
            wanted = run_of(
                self._info, started=dt.datetime.now(dt.UTC), shards=s.shards, version=thundercast.__version__, start=s.start, end=s.end
            )
        except ValueError as error:
            raise Refused(str(error)) from error
        way_out = "give this one another place for --checkpoints"
        this = choose_run(self._manifests, wanted, new_run=s.new_run, place=s.checkpoints, way_out=way_out)
        progress = self._manifests.read_manifest(_progress(this))
        self._next = int(progress["next_seq"]) if progress is not None else 0
        self._run = this
        return this

    def _write_progress(self, this: Run) -> None:
        self._manifests.write_manifest(_progress(this), {"run_id": this.run_id, "next_seq": self._next})
        self._written = time.monotonic()

    def _count(self, this: Run, fed: Fed) -> None:
        self._next, self._date = fed.next_seq, fed.date
        self._rows += fed.rows
        self._batches += fed.batches
        if time.monotonic() - self._written < self._settings.progress_seconds:
            return
        try:
            self._write_progress(this)
        except Unavailable as error:
            # The next date tries again; who starts before that publishes some batches twice.
            _log.warning("progress not written", error=str(error))

    # --- waiting ----------------------------------------------------------------------------------------------

    def _wait_for(self, what: Callable[[], T]) -> T | None:
        """What a question is answered with, once it is; None if a signal came first."""
        while not self._stopping.is_set():
            try:
                answer = what()
            except Unavailable as error:
                self._say("waiting", f"for {error}")
                self._stopping.wait(_RETRY)
            else:
                self._say("running", "")
                return answer
        return None

    def _can_publish(self) -> bool:
        """True; raises `Unavailable` while the topic or its subscription is not there."""
        self._check_topic()
        return True

    def _keep_in_touch(self, this: Run) -> bool:
        """Waits while the trainer is too far behind; False if a signal came."""
        while True:
            try:
                self._lead = lead(this, self._next, self._watermark(this))
                if self._lead <= self._settings.max_lead_dates:
                    self._say("running", "")
                    return not self._stopping.is_set()
                self._say("paused", f"{self._lead} dates ahead of the trainer; max_lead_dates is {self._settings.max_lead_dates}")
            except Unavailable as error:
                # Nobody knows how far behind the trainer is: going on could bury it.
                self._say("waiting", f"for {error}")
            if self._stopping.wait(min(_RETRY, self._settings.status_seconds)):
                return False

    def _say(self, state: State, detail: str) -> None:
        if state != self._state:
            _log.info(state, detail=detail, next_seq=self._next)
        self._state, self._detail = state, detail

    def _check_topic(self) -> None:
        s = self._settings
        check_topic(s.project, s.raw_topic, subscription=s.expected_subscription or s.raw_subscription)

    def _check_aside(self) -> None:
        check_topic(self._settings.project, self._settings.dead_letter_topic, subscription=self._settings.dead_letter_subscription)

    # --- telling ----------------------------------------------------------------------------------------------

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        thread = threading.Thread(target=self._report, name="reporter", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()
            try:
                _LAST_WORD(self._write_status)()
            except RetryError as error:
                _log.warning("last status not written", error=str(error.cause), state=self._state)

    def _report(self) -> None:
        left = 0.0
        self._readiness.look()
        while not self._ended.wait(1.0):
            self._collected.loop(self._status())
            self._collected.lead(self._lead)
            self._collected.dependencies(self._readiness.answering)
            left -= 1.0
            if left <= 0:
                left = self._settings.status_seconds
                self._readiness.look()
                self._tell()

    def _status(self) -> LoopStatus:
        run_id, total = (self._run.run_id, self._run.batches) if self._run is not None else ("", None)
        return LoopStatus(
            component=COMPONENT, state=self._state, detail=self._detail, leader=True, run_id=run_id, watermark=self._next,
            total_batches=total, date=self._date, completed=self._state == "completed", rows=self._rows,
            batches={"ok": self._batches},
        )  # fmt: skip

    def _tell(self) -> None:
        try:
            self._write_status()
        except Unavailable as error:
            # The next one overtakes it.
            _log.warning("status not written", error=str(error))

    def _write_status(self) -> None:
        row: dict[str, Any] = rows.status_of(self._status(), instance=socket.gethostname(), rate=self._rate(self._rows))
        rows.write_status(self._store, [row | {"lead_dates": self._lead}])


def _progress(run: Run) -> str:
    """The name of the object that tells how far a run has come."""
    return f"{COMPONENT}-{run.run_id}"


def _pace(settings: SimulatorSettings) -> Pace | None:
    if settings.speed == "max":
        return None
    return dates_per_second(settings.speed) if settings.speed is not None else rows_per_second(settings.rows_per_second)


def _set_aside(publisher: Publisher) -> Callable[[list[DeadLetter]], None]:
    return lambda rejected: publisher.publish(letters.to_messages(rejected))


def _telling() -> Callable[[str, float, float], None]:
    """Progress of a source that prepares itself, as a line every ten seconds."""
    said = [time.monotonic()]

    def tell(doing: str, done: float, total: float) -> None:
        if time.monotonic() - said[0] >= 10.0:
            said[0] = time.monotonic()
            _log.info("source", doing=doing, done=done, total=total)

    return tell
