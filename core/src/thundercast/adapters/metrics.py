"""What a process tells Prometheus, under the names that dashboards and alerts rely on.

Totals that outlive restarts are handed over as absolute numbers, from the checkpoint; so a restart is not a reset. A value
that is not known or not defined is absent: never 0, never the worth of a coin toss. Beside these names there are those of the
process (`process_start_time_seconds`, `process_resident_memory_bytes`, …), where the system tells them.
"""

from __future__ import annotations

import datetime as dt
import math
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from thundercast.domain.deadletters import REASONS
from thundercast.stage.status import LoopStatus

SCORES: Final = (
    "roc_auc",
    "pr_auc",
    "brier",
    "brier_skill",
    "log_loss",
    "pod",
    "far",
    "csi",
    "hss",
    "peirce",
    "bias",
    "best_hss",
    "best_csi",
)
"""Columns of the table `model_metrics` that become the label ``score``."""

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of `thundercast_batch_seconds`, in seconds."""

# name without the suffix that its kind adds: (kind, labels, help)
_FAMILIES: Final[dict[str, tuple[type[CounterMetricFamily] | type[GaugeMetricFamily], tuple[str, ...], str]]] = {
    "rows": (CounterMetricFamily, ("stage",), "Rows that took effect."),
    "batches": (CounterMetricFamily, ("stage", "outcome"), "Batches that took effect, by what came of them."),
    "dead_letters": (CounterMetricFamily, ("reason",), "Rows and messages that were set aside."),
    "duplicates": (CounterMetricFamily, (), "Batches that had been applied before."),
    "gaps": (CounterMetricFamily, (), "Batches that were given up."),
    "reorder_window_batches": (GaugeMetricFamily, (), "Batches held until the ones before them come."),
    "unacked_batches": (GaugeMetricFamily, (), "Batches that were applied and are in no checkpoint yet."),
    "outbox_rows": (GaugeMetricFamily, (), "Rows that wait for the store to take them."),
    "run_complete": (GaugeMetricFamily, (), "1 once the run's last batch was applied and is durable."),
    "watermark_seq": (GaugeMetricFamily, (), "Every batch of the run below this number was applied or given up."),
    "lead_dates": (GaugeMetricFamily, (), "Dates that the source is ahead of what was applied."),
    "stream_date_seconds": (GaugeMetricFamily, (), "The stream's date (its midnight, GMT) in seconds since 1970-01-01."),
    "checkpoint_age_seconds": (GaugeMetricFamily, (), "Time since the newest checkpoint."),
    "checkpoint_bytes": (GaugeMetricFamily, (), "Size of the newest checkpoint."),
    "leader": (GaugeMetricFamily, (), "1 while this process holds the lock."),
    "dependency_up": (GaugeMetricFamily, ("dependency",), "1 while it answers, 0 while it does not."),
    "score": (GaugeMetricFamily, ("model", "task", "scope", "score"), "Scores of the models; absent while undefined."),
    "drift": (CounterMetricFamily, ("model",), "How often a model no longer fitted what happens."),
    "prediction_requests": (CounterMetricFamily, (), "Requests for predictions that were answered."),
    "build_info": (GaugeMetricFamily, ("version",), "1, by the version that runs."),
}  # fmt: skip
NAMES: Final = (*_FAMILIES, "batch_seconds")
"""Every metric, without the prefix ``thundercast_`` and without the suffix that its kind adds."""


class _Histogram:
    """Counts of one stage by bucket, and the sum of what was observed."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.sum = 0.0

    def buckets(self) -> list[tuple[str, float]]:
        """(upper bound, count at or below it), cumulative."""
        bounds = [str(bound) for bound in BUCKETS] + ["+Inf"]
        return [(bound, float(sum(self.counts[: i + 1]))) for i, bound in enumerate(bounds)]


class Metrics(Collector):
    """The values, kept until Prometheus asks. Any thread may set them.

    Args:
        registry: where the values are collected.
        version: of the code, for `thundercast_build_info`.
        clock: UNIX seconds, for the checkpoint's age.
    """

    def __init__(self, registry: CollectorRegistry, *, version: str, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._values: dict[str, dict[tuple[str, ...], float]] = {name: {} for name in _FAMILIES}
        self._seconds: dict[str, _Histogram] = {}
        self._loops: dict[str, LoopStatus] = {}
        self._drifts: Callable[[], Mapping[str, int]] = dict
        self._values["build_info"][(version,)] = 1.0
        self._values["prediction_requests"][()] = 0.0
        registry.register(self)
        ProcessCollector(registry=registry)

    def loop(self, status: LoopStatus) -> None:
        """Where a loop stands; the component is the label ``stage``.

        Of several loops in one process the totals are added up, and the newest word on watermark, date and checkpoint counts.
        """
        with self._lock:
            self._loops.pop(status.component, None)
            self._loops[status.component] = status

    def batch_took(self, stage: str, seconds: float) -> None:
        """One batch was worked on for so long."""
        with self._lock:
            histogram = self._seconds.setdefault(stage, _Histogram())
            histogram.counts[bisect_left(BUCKETS, seconds)] += 1
            histogram.sum += seconds

    def scores(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Rows of the table `model_metrics`; those with gate ``all`` count. A score that is None or NaN vanishes."""
        with self._lock:
            found = self._values["score"]
            for row in rows:
                if row["gate"] != "all":
                    continue
                for score in SCORES:
                    labels = (row["model_name"], row["task"], row["scope"], score)
                    value = row.get(score)
                    if value is None or math.isnan(value):
                        found.pop(labels, None)
                    else:
                        found[labels] = float(value)

    def drifts_from(self, totals: Callable[[], Mapping[str, int]]) -> None:
        """Asks there, whenever Prometheus asks, how often each model has drifted so far."""
        self._drifts = totals

    def lead(self, dates: float) -> None:
        """How many dates the source is ahead."""
        self._set("lead_dates", (), dates)

    def dependencies(self, answering: Mapping[str, bool]) -> None:
        """Which dependencies answer now, by name; one that is not among them is forgotten."""
        with self._lock:
            self._values["dependency_up"] = {(name,): float(answers) for name, answers in answering.items()}

    def prediction_request(self) -> None:
        """One more request for a prediction was answered."""
        with self._lock:
            self._values["prediction_requests"][()] += 1.0

    def _set(self, name: str, labels: tuple[str, ...], value: float) -> None:
        with self._lock:
            self._values[name][labels] = float(value)

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            values = {name: dict(found) for name, found in self._values.items()}
            loops = list(self._loops.values())
            seconds = {stage: (histogram.buckets(), histogram.sum) for stage, histogram in self._seconds.items()}
        values |= _of_loops(loops, now=self._clock())
        values["drift"] = {(model,): float(total) for model, total in self._drifts().items()}
        for name, (kind, labels, about) in _FAMILIES.items():
            family = kind(f"thundercast_{name}", about, labels=labels)
            for given, value in sorted(values[name].items()):
                family.add_metric(given, value)
            yield family
        histograms = HistogramMetricFamily("thundercast_batch_seconds", "Time spent on one batch.", labels=("stage",))
        for stage, (buckets, total) in sorted(seconds.items()):
            histograms.add_metric((stage,), buckets, total)
        yield histograms


def _of_loops(loops: Sequence[LoopStatus], *, now: float) -> dict[str, dict[tuple[str, ...], float]]:
    """The values of the families that the loops fill; the last one is the newest."""
    if not loops:
        return {}
    newest = loops[-1]
    letters = Counter(dict.fromkeys(REASONS, 0))
    for loop in loops:
        letters.update(loop.dead_letters)
    found: dict[str, dict[tuple[str, ...], float]] = {
        "rows": {(loop.component,): loop.rows for loop in loops},
        "batches": {(loop.component, outcome): count for loop in loops for outcome, count in loop.batches.items()},
        "dead_letters": {(reason,): count for reason, count in letters.items()},
        "duplicates": {(): sum(loop.duplicates for loop in loops)},
        "gaps": {(): sum(loop.gaps for loop in loops)},
        "reorder_window_batches": {(): sum(loop.window for loop in loops)},
        "unacked_batches": {(): sum(loop.unacked for loop in loops)},
        "outbox_rows": {(): sum(loop.outbox for loop in loops)},
        "leader": {(): float(newest.leader)},
    }
    if newest.run_id:
        found["watermark_seq"] = {(): newest.watermark}
        found["run_complete"] = {(): float(newest.completed)}
    if newest.date is not None:
        found["stream_date_seconds"] = {(): (newest.date - dt.date(1970, 1, 1)).days * 86_400.0}
    if newest.checkpoint_at is not None:
        found["checkpoint_age_seconds"] = {(): max(0.0, now - newest.checkpoint_at)}
        found["checkpoint_bytes"] = {(): newest.checkpoint_bytes}
    return found


def serve(registry: CollectorRegistry, *, port: int, host: str = "127.0.0.1") -> tuple[WSGIServer, threading.Thread]:
    """Serves ``/metrics`` from a thread.

    Args:
        port: 0 takes a free one; ``server.server_port`` tells which.

    Returns:
        The server and its thread: end them with ``server.shutdown()``, ``server.server_close()`` and ``thread.join()``.

    Raises:
        OSError: the port is taken, or the host is not this machine's.
    """
    return start_http_server(port, addr=host, registry=registry)
