"""A backtest: the stream's own cleaner and learner over a whole source, as fast as they go."""

from __future__ import annotations

import datetime as dt
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from thundercast.adapters.sources.base import Source, SourceInfo
from thundercast.domain import runs
from thundercast.domain.cleaning import Cleaned, Cleaner
from thundercast.domain.learning import Closed, Learner
from thundercast.domain.models.base import Model, Task

_AHEAD: Final = 4  # cleaned dates that may wait for the learner; bounds the memory


@dataclass(frozen=True, slots=True)
class Backtest:
    """Result of a backtest.

    Attributes:
        seconds: from the first row read to the last score; sorting or fetching the source is ``prepare_seconds``.
        dead_letters: by reason.
        scores: of scope ``run`` by model, climatology included.
    """

    source: SourceInfo
    task: Task
    start: dt.date
    end: dt.date
    score_from: dt.date | None
    rows: int
    seconds: float
    dead_letters: dict[str, int]
    scores: dict[str, dict[str, Any]]
    reporting: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.source.identity, "synthetic": self.source.synthetic, "task": self.task, "start": self.start.isoformat(),
            "end": self.end.isoformat(), "score_from": (self.score_from or self.start).isoformat(), "rows": self.rows,
            "seconds": round(self.seconds, 3), "rows_per_second": round(self.rows / self.seconds) if self.seconds > 0 else 0,
            "prepare_seconds": round(self.source.prepare_seconds, 3), "dead_letters": self.dead_letters, "models": self.scores,
            "reporting_stations": self.reporting,
        }  # fmt: skip


def backtest(
    source: Source,
    info: SourceInfo,
    models: Sequence[Model],
    *,
    start: dt.date | None = None,
    end: dt.date | None = None,
    score_from: dt.date | None = None,
    on_date: Callable[[int, int, int], None] | None = None,
    on_closed: Callable[[Closed], None] | None = None,
) -> Backtest:
    """Replays a source through the cleaner and the models of one task.

    Args:
        source: opened; ``info`` is what `open` returned.
        models: of one task, names distinct.
        start, end: dates, both included; by default the source's.
        score_from: first date that counts in the scores; the models learn from the first date on.
        on_date: called after each date with (dates done, dates in all, rows done).
        on_closed: called with what came of closing each date.
    """
    first, last = max(start or info.start, info.start), min(end or info.end, info.end)
    if last < first:
        asked = f"{start or info.start} to {end or info.end}"
        raise ValueError(f"no dates to replay: the source has {info.start} to {info.end}, asked for {asked}")
    if score_from is not None and score_from > last:
        raise ValueError(f"nothing to score: the first date to score, {score_from}, is after the last date, {last}")
    task = models[0].task
    learner = Learner(models, score_from=None if score_from is None else runs.ordinal(score_from))
    letters: Counter[str] = Counter()
    rows, total = 0, (last - first).days + 1
    began = time.perf_counter()
    for number, (cleaned, rejected) in enumerate(_cleaned(source, first, last)):
        letters.update(rejected)
        learner.take(cleaned.rows)
        closed = learner.close(date=cleaned.rows.date, batch_id=number)
        if on_closed is not None:
            on_closed(closed)
        rows += len(cleaned.rows)
        if on_date is not None:
            on_date(number + 1, total, rows)
    seconds = time.perf_counter() - began
    scorer = learner.scorer(task)
    every, reporting = scorer.summary(), scorer.summary(gate="reporting")
    return Backtest(info, task, first, last, score_from, rows, seconds, dict(sorted(letters.items())), every, reporting)


def _cleaned(source: Source, first: dt.date, last: dt.date) -> Iterator[tuple[Cleaned, list[str]]]:
    """Reads and cleans on a thread of its own, a few dates ahead: the kernels let the learner run meanwhile."""
    ready: queue.Queue[tuple[Cleaned, list[str]] | BaseException | None] = queue.Queue(_AHEAD)
    stopped = threading.Event()

    def put(item: tuple[Cleaned, list[str]] | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                ready.put(item, timeout=0.2)
                return
            except queue.Full:
                continue

    def work() -> None:
        cleaner = Cleaner()
        try:
            for day in source.dates(first, last):
                cleaned = cleaner.clean(day.rows, runs.ordinal(day.date))
                put((cleaned, [letter.reason for letter in (*day.rejected, *cleaned.dead_letters)]))
                if stopped.is_set():
                    return
            put(None)
        except BaseException as error:  # handed to the reader, who raises it
            put(error)

    worker = threading.Thread(target=work, name="cleaner", daemon=True)
    worker.start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        worker.join()
