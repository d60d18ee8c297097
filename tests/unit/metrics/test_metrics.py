"""What a process promises to Prometheus."""

from __future__ import annotations

import datetime as dt
import math
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from thundercast.adapters.metrics import BUCKETS, SCORES, Metrics, serve
from thundercast.domain.deadletters import REASONS
from thundercast.stage.status import LoopStatus

NAMES = {
    "thundercast_rows_total": {"stage"},
    "thundercast_batches_total": {"stage", "outcome"},
    "thundercast_batch_seconds_bucket": {"stage", "le"},
    "thundercast_batch_seconds_count": {"stage"},
    "thundercast_batch_seconds_sum": {"stage"},
    "thundercast_dead_letters_total": {"reason"},
    "thundercast_duplicates_total": set(),
    "thundercast_gaps_total": set(),
    "thundercast_reorder_window_batches": set(),
    "thundercast_unacked_batches": set(),
    "thundercast_outbox_rows": set(),
    "thundercast_run_complete": set(),
    "thundercast_watermark_seq": set(),
    "thundercast_lead_dates": set(),
    "thundercast_stream_date_seconds": set(),
    "thundercast_checkpoint_age_seconds": set(),
    "thundercast_checkpoint_bytes": set(),
    "thundercast_leader": set(),
    "thundercast_dependency_up": {"dependency"},
    "thundercast_score": {"model", "task", "scope", "score"},
    "thundercast_drift_total": {"model"},
    "thundercast_prediction_requests_total": set(),
    "thundercast_build_info": {"version"},
}

STATUS = LoopStatus(
    component="trainer", state="running", leader=True, run_id="20260101T000000Z-0123abcd", watermark=160, total_batches=1_600,
    date=dt.date(2023, 6, 1), window=3, unacked=5, outbox=40, duplicates=2, gaps=1, rows=50_000, batches={"ok": 158, "empty": 2}, dead_letters={"duplicate": 7},
    checkpoint_at=1_000.0, checkpoint_bytes=123_456,
)  # fmt: skip


def _metric_row(**columns: Any) -> dict[str, Any]:
    row = {"model_name": "thunder", "task": "nowcast", "scope": "30d", "gate": "all", **dict.fromkeys(SCORES, 0.5)}
    return row | columns


def _filled() -> tuple[CollectorRegistry, Metrics]:
    registry = CollectorRegistry()
    metrics = Metrics(registry, version="1.2.3", clock=lambda: 1_004.5)
    metrics.loop(STATUS)
    metrics.batch_took("trainer", 0.02)
    metrics.scores([_metric_row(roc_auc=0.96)])
    metrics.drifts_from(lambda: {"thunder": 2})
    metrics.lead(4)
    metrics.dependencies({"the store": False, "the subscription": True})
    metrics.prediction_request()
    return registry, metrics


def _samples(registry: CollectorRegistry) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What is told of the stream, without what is told of the process."""
    text = generate_latest(registry).decode()
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return {(s.name, frozenset(s.labels.items())): s.value for s in samples if not s.name.startswith("process_")}


def _value(registry: CollectorRegistry, name: str, labels: Mapping[str, str] | None = None) -> float | None:
    return _samples(registry).get((f"thundercast_{name}", frozenset((labels or {}).items())))


def test_the_names_and_labels_are_the_promised_ones_and_no_others() -> None:
    registry, _ = _filled()
    found: dict[str, set[str]] = {}
    for name, labels in _samples(registry):
        found.setdefault(name, set()).update(label for label, _ in labels)
    assert found == NAMES


def test_promtool_accepts_the_exposition_without_complaint() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    registry, _ = _filled()
    done = subprocess.run([promtool, "check", "metrics"], input=generate_latest(registry), capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_the_values_are_those_that_were_given() -> None:
    registry, _ = _filled()
    assert _value(registry, "rows_total", {"stage": "trainer"}) == 50_000
    assert _value(registry, "batches_total", {"stage": "trainer", "outcome": "ok"}) == 158
    assert _value(registry, "dead_letters_total", {"reason": "duplicate"}) == 7
    assert _value(registry, "duplicates_total") == 2
    assert _value(registry, "gaps_total") == 1
    assert _value(registry, "reorder_window_batches") == 3
    assert _value(registry, "unacked_batches") == 5
    assert _value(registry, "outbox_rows") == 40
    assert _value(registry, "run_complete") == 0
    assert _value(registry, "watermark_seq") == 160
    assert _value(registry, "lead_dates") == 4
    assert _value(registry, "stream_date_seconds") == dt.datetime(2023, 6, 1, tzinfo=dt.UTC).timestamp()
    assert _value(registry, "checkpoint_age_seconds") == 4.5
    assert _value(registry, "checkpoint_bytes") == 123_456
    assert _value(registry, "leader") == 1
    assert _value(registry, "score", {"model": "thunder", "task": "nowcast", "scope": "30d", "score": "roc_auc"}) == 0.96
    assert _value(registry, "drift_total", {"model": "thunder"}) == 2
    assert _value(registry, "dependency_up", {"dependency": "the store"}) == 0
    assert _value(registry, "dependency_up", {"dependency": "the subscription"}) == 1
    assert _value(registry, "prediction_requests_total") == 1
    assert _value(registry, "build_info", {"version": "1.2.3"}) == 1


def test_totals_are_set_and_not_added_so_that_they_outlive_a_restart() -> None:
    registry, metrics = _filled()
    metrics.loop(STATUS)
    assert _value(registry, "rows_total", {"stage": "trainer"}) == 50_000
    assert _value(registry, "dead_letters_total", {"reason": "duplicate"}) == 7


def test_every_reason_of_a_dead_letter_is_there_before_the_first_one_falls() -> None:
    registry, _ = _filled()
    found = {dict(labels)["reason"]: v for (name, labels), v in _samples(registry).items() if name == "thundercast_dead_letters_total"}
    assert found == dict.fromkeys(REASONS, 0) | {"duplicate": 7}


@pytest.mark.parametrize("undefined", [None, math.nan])
def test_a_score_that_becomes_undefined_vanishes(undefined: float | None) -> None:
    registry, metrics = _filled()
    labels = {"model": "thunder", "task": "nowcast", "scope": "30d", "score": "roc_auc"}
    metrics.scores([_metric_row(roc_auc=undefined)])
    assert _value(registry, "score", labels) is None
    assert _value(registry, "score", labels | {"score": "brier"}) == 0.5
    metrics.scores([_metric_row(roc_auc=0.9)])
    assert _value(registry, "score", labels) == 0.9


def test_a_run_that_is_complete_says_so() -> None:
    registry, metrics = _filled()
    metrics.loop(replace(STATUS, completed=True))
    assert _value(registry, "run_complete") == 1


def test_a_dependency_that_is_asked_no_more_is_forgotten() -> None:
    registry, metrics = _filled()
    metrics.dependencies({"the subscription": False})
    assert _value(registry, "dependency_up", {"dependency": "the store"}) is None
    assert _value(registry, "dependency_up", {"dependency": "the subscription"}) == 0


def test_the_process_tells_since_when_it_runs() -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("this system has no /proc")
    registry, _ = _filled()
    started = registry.get_sample_value("process_start_time_seconds")
    assert started is not None
    assert 0 < started <= time.time()


def test_scores_are_those_of_all_stations() -> None:
    registry, metrics = _filled()
    metrics.scores([_metric_row(gate="reporting", roc_auc=0.1)])
    assert _value(registry, "score", {"model": "thunder", "task": "nowcast", "scope": "30d", "score": "roc_auc"}) == 0.96


def test_what_is_not_known_is_absent() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry, version="1")
    assert {name for name, _ in _samples(registry)} == {"thundercast_build_info", "thundercast_prediction_requests_total"}
    metrics.loop(LoopStatus(component="trainer"))
    for name in ("watermark_seq", "run_complete", "stream_date_seconds", "checkpoint_age_seconds", "checkpoint_bytes", "lead_dates"):
        assert _value(registry, name) is None
    assert _value(registry, "leader") == 0


def test_the_totals_of_several_loops_are_added_up() -> None:
    registry, metrics = _filled()
    metrics.loop(LoopStatus(component="cleaner", rows=60_000, duplicates=5, gaps=1, dead_letters={"duplicate": 1, "bad_value": 2}))
    assert _value(registry, "rows_total", {"stage": "cleaner"}) == 60_000
    assert _value(registry, "rows_total", {"stage": "trainer"}) == 50_000
    assert _value(registry, "duplicates_total") == 7
    assert _value(registry, "dead_letters_total", {"reason": "duplicate"}) == 8
    assert _value(registry, "dead_letters_total", {"reason": "bad_value"}) == 2


def test_the_histogram_is_cumulative_and_a_bound_belongs_to_its_bucket() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry, version="1")
    for seconds in (0.0004, 0.005, 0.0051, 99.0):
        metrics.batch_took("cleaner", seconds)
    counts = [_value(registry, "batch_seconds_bucket", {"stage": "cleaner", "le": str(bound)}) for bound in BUCKETS]
    assert counts == [1, 1, 2, 3] + [3] * (len(BUCKETS) - 4)
    assert _value(registry, "batch_seconds_bucket", {"stage": "cleaner", "le": "+Inf"}) == 4
    assert _value(registry, "batch_seconds_count", {"stage": "cleaner"}) == 4
    assert _value(registry, "batch_seconds_sum", {"stage": "cleaner"}) == pytest.approx(99.0105)


def test_the_server_takes_a_free_port_says_which_and_serves_the_values() -> None:
    registry, _ = _filled()
    server, thread = serve(registry, port=0)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics", timeout=10) as answer:
            body = answer.read().decode()
        assert 'thundercast_rows_total{stage="trainer"} 50000.0' in body
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
    assert not thread.is_alive()


def test_a_port_that_is_taken_is_an_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            serve(CollectorRegistry(), port=taken.getsockname()[1])
