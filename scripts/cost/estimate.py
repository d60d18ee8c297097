"""The reckoning: values, load, figures and prices in; lines of a bill out. Nothing is read or asked here."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from chart_values.parts import Dataflow
from cost.loads import DAYS, HOURS, SECONDS, Load
from cost.pods import GIB, Asked, Pod
from cost.prices import Price
from figures.kept import Figures
from thundercast.adapters.google.bigquery_folding import OVERLAP
from thundercast.adapters.locks import Timing
from thundercast.adapters.metrics import SCORES
from thundercast.domain.tables import PREDICTIONS

TIB: Final = 1024 * GIB
RETAINED: Final = 7.0
"""Days for which the subscriptions keep what was acknowledged."""
MESSAGE: Final = 40.0
"""Bytes of a message's time and id, which are billed too."""
STATUS: Final = 300.0
"""Bytes of a row of `status` (assumed)."""
KEPT: Final = 12.0
"""Months of scores and status that are there: they do not expire."""
PAGE: Final = 10_000.0
"""Bytes a second of an open page (assumed)."""
LOGGED: Final = 200.0
"""Bytes a second that a pod logs (assumed): events, never rows."""
SERIES: Final = 70
"""Time series of a part without scores: 34 of its own on a quiet one, histogram and process beside them (assumed)."""
SCOPES: Final = 3
READING: Final = 5.0
"""Seconds between two readings of the store by a dashboard's pod."""
BODIES: Final = 3
MULTI_REGIONS: Final = ("US", "EU", "ASIA")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the bill."""

    component: str
    what: str
    quantity: float
    price: str
    usd: float


class _Bill:
    def __init__(self, prices: Mapping[str, Price]) -> None:
        self._prices = prices

    def line(self, component: str, what: str, quantity: float, price: str) -> Line:
        return Line(component, what, quantity, price, self._prices[price].of(quantity))


def estimate(asked: Asked, load: Load, figures: Figures, prices: Mapping[str, Price], *, host: str) -> list[Line]:
    """A month's bill.

    Args:
        host: where the pods run: ``gke`` (Autopilot), ``run`` (Cloud Run), or ``own``, a machine that Google does not bill.

    Raises:
        ValueError: the values ask for what cannot be reckoned here; says what.
    """
    if not asked.on_google:
        return []
    if asked.shared.location not in MULTI_REGIONS:
        raise ValueError(f"the prices kept are those of the location US, not of {asked.shared.location}")
    bill = _Bill(prices)
    lines = [*_pubsub(asked, load, figures, bill), *_bigquery(asked, load, figures, bill), *_storage(asked, load, figures, bill, host)]
    if asked.dataflow is not None:
        lines += _dataflow(asked.dataflow, asked.settings.shards, load, figures, bill)
    if host == "gke":
        lines += _gke(asked, load, bill)
    elif host == "run":
        lines += _run(asked, load, bill)
    elif host != "own":
        raise ValueError(f"host must be gke, run or own, not {host!r}")
    return [*lines, *_around(asked, load, bill, host)]


def total(lines: list[Line]) -> float:
    """USD of all lines."""
    return math.fsum(line.usd for line in lines)


def stream_bytes(load: Load, figures: Figures, shards: int) -> tuple[float, float]:
    """Bytes of raw and of clean messages."""
    messages = load.dates * shards
    raw = load.rows * figures.wire.raw + messages * (figures.wire.raw_attributes + MESSAGE)
    clean = load.rows * figures.wire.clean + messages * (figures.wire.clean_attributes + MESSAGE)
    return raw, clean


def _pubsub(asked: Asked, load: Load, figures: Figures, bill: _Bill) -> Iterator[Line]:
    both = sum(stream_bytes(load, figures, asked.settings.shards))
    yield bill.line("Pub/Sub", "published and delivered", 2 * both / TIB, "pubsub_throughput")
    yield bill.line("Pub/Sub", f"acknowledged messages, kept {RETAINED:.0f} days", both / GIB * RETAINED / DAYS, "pubsub_storage")


def said(asked: Asked) -> int:
    """Predictions of a row: of each model and of climatology, for each task."""
    return len(asked.settings.tasks) * (len(asked.settings.models) + 1)


def stored_a_row(asked: Asked, figures: Figures) -> float:
    """Bytes that the trainer writes into the store for each row, scores aside."""
    observed = figures.stored.observation if asked.settings.observations else 0.0
    return said(asked) * figures.stored.prediction + observed


def _bigquery(asked: Asked, load: Load, figures: Figures, bill: _Bill) -> Iterator[Line]:
    rows = load.rows * stored_a_row(asked, figures)
    scores = load.dates * said(asked) * figures.stored.metrics_a_date * figures.stored.metric
    told = sum(pod.count for pod in asked.pods if pod.name != "dashboard") * SECONDS / asked.settings.status_seconds * STATUS
    kept = rows * (PREDICTIONS.keep_days or 0) / DAYS + (scores + told) * KEPT
    yield bill.line("BigQuery", "written", (rows + scores + told) / GIB, "bigquery_write")
    yield bill.line("BigQuery", "kept", kept / GIB, "bigquery_storage")
    overlap = OVERLAP.total_seconds()
    fresh = overlap * (scores / SCOPES / max(load.fed, overlap) + told / SECONDS)
    shown = load.stations * (figures.stored.prediction + figures.stored.observation)
    pods = asked.pod("dashboard").count
    yield bill.line("BigQuery", "read by dashboards", pods * SECONDS / READING * (fresh + shown) / TIB, "bigquery_read")


def checkpoint_bytes(load: Load, figures: Figures) -> tuple[float, float]:
    """Of the cleaner's checkpoint and of the trainer's."""
    return load.stations * figures.state.cleaner_checkpoint, load.stations * figures.state.trainer_checkpoint


def checkpoints(asked: Asked, load: Load) -> float:
    """How many a component writes: one a date as the queue runs dry, at most one every `checkpointMin`."""
    return load.at_most(asked.settings.checkpoint_min)


def _storage(asked: Asked, load: Load, figures: Figures, bill: _Bill, host: str) -> Iterator[Line]:
    cleaner, trainer = checkpoint_bytes(load, figures)
    number = checkpoints(asked, load)
    written = number * trainer
    writes = 2 * number + load.at_most(asked.settings.progress_seconds)
    if asked.dataflow is None:
        written, writes = written + number * cleaner, writes + 2 * number
    else:
        snapshots = load.dates / asked.dataflow.pipeline.snapshot_dates
        written, writes = written + snapshots * cleaner, writes + snapshots * asked.settings.shards
    standing_by = asked.pod("trainer").count - 1 if host != "run" else 0
    looks = SECONDS / asked.settings.standby_seconds
    reads = load.dates + standing_by * (looks + min(number, looks))
    if host == "run" or asked.shared.lock == "checkpoints":
        leaders = 1 if asked.dataflow is not None else 2
        writes += leaders * SECONDS / Timing().retry
    yield bill.line("Cloud Storage", "operations of class A", writes / 1000, "storage_class_a")
    yield bill.line("Cloud Storage", "operations of class B", reads / 1000, "storage_class_b")
    yield bill.line("Cloud Storage", "kept", BODIES * (cleaner + trainer) / GIB, "storage")
    yield bill.line("Cloud Storage", "written to several regions", written / GIB, "storage_replication")


def machine(kind: str) -> tuple[int, float]:
    """vCPU and GiB of a machine type.

    Raises:
        ValueError: it is not one that is known here.
    """
    found = re.fullmatch(r"n1-standard-(\d+)", kind)
    if found is None:
        raise ValueError(f"the machine type {kind} is not known here; n1-standard-N are")
    return int(found[1]), 3.75 * int(found[1])


def _dataflow(job: Dataflow, shards: int, load: Load, figures: Figures, bill: _Bill) -> Iterator[Line]:
    vcpu, memory = machine(job.launch.machine_type)
    needed = math.ceil(load.pace * figures.clean.seconds / vcpu)
    workers = min(max(1, needed), job.launch.max_workers)
    yield bill.line("Dataflow", f"{workers} × {job.launch.machine_type}: vCPU", workers * vcpu * HOURS, "dataflow_vcpu")
    yield bill.line("Dataflow", "memory", workers * memory * HOURS, "dataflow_memory")
    yield bill.line("Dataflow", "disks", workers * job.launch.disk_size_gb * HOURS, "dataflow_disk")
    raw, _ = stream_bytes(load, figures, shards)
    # Read once, grouped by shard once; and each batch writes its shard's state.
    processed = 2 * raw + load.rows * figures.state.cleaner_checkpoint
    yield bill.line("Dataflow", "Streaming Engine, state included", processed / GIB, "dataflow_streaming_engine")


def autopilot(pod: Pod) -> tuple[float, float]:
    """vCPU and GiB that Autopilot makes of a request: at least 50 m and 52 MiB, and 1 to 6.5 GiB a vCPU."""
    cpu, memory = max(pod.cpu, 0.05), max(pod.memory, 52 / 1024)
    cpu = max(cpu, memory / 6.5)
    return cpu, max(memory, cpu)


def _hours(pod: Pod, load: Load) -> float:
    return pod.count * (HOURS if pod.always else load.fed / 3600)


def _gke(asked: Asked, load: Load, bill: _Bill) -> Iterator[Line]:
    yield bill.line("GKE", "the cluster", HOURS, "gke_cluster")
    hours = [(pod, _hours(pod, load)) for pod in asked.pods]
    yield bill.line("GKE", "vCPU of pods", sum(autopilot(pod)[0] * h for pod, h in hours), "autopilot_vcpu")
    yield bill.line("GKE", "memory of pods", sum(autopilot(pod)[1] * h for pod, h in hours), "autopilot_memory")
    yield bill.line("GKE", "disk of pods", sum(pod.disk * h for pod, h in hours), "autopilot_disk")


def _run(asked: Asked, load: Load, bill: _Bill) -> Iterator[Line]:
    """Trainer and cleaner as worker pools of one instance, the dashboard as a service of one, the simulator as a job."""
    alone = [(pod, HOURS if pod.always else load.fed / 3600) for pod in asked.pods]
    pools = [(pod, hours) for pod, hours in alone if pod.name in ("trainer", "cleaner")]
    others = [(pod, hours) for pod, hours in alone if pod.name not in ("trainer", "cleaner")]
    for what, some, price in (("worker pools", pools, "run_worker"), ("service and job", others, "run")):
        vcpu = sum(max(1.0, pod.cpu_limit) * hours * 3600 for pod, hours in some)
        memory = sum(max(0.5, pod.memory_limit) * hours * 3600 for pod, hours in some)
        yield bill.line("Cloud Run", f"{what}: vCPU", vcpu, f"{price}_vcpu")
        yield bill.line("Cloud Run", f"{what}: memory", memory, f"{price}_memory")


def _around(asked: Asked, load: Load, bill: _Bill, host: str) -> Iterator[Line]:
    pods = sum(pod.count if host != "run" else 1 for pod in asked.pods if pod.always)
    shown = load.pages * PAGE * SECONDS / GIB
    if host == "gke" and asked.dashboard.exposure in ("ingress", "gateway", "loadBalancer"):
        yield bill.line("Load balancer", "forwarding rules", HOURS, "load_balancer")
        yield bill.line("Load balancer", "data", shown, "load_balancer_data")
    yield bill.line("Network", "pages to the internet", shown, "egress")
    yield bill.line("Logging", "logs", pods * LOGGED * SECONDS / GIB, "logging")
    if asked.monitoring.kind == "managed":
        series = pods * SERIES + len(SCORES) * SCOPES * said(asked)
        every = float(asked.monitoring.interval.removesuffix("s"))
        yield bill.line("Prometheus", "samples", series * SECONDS / every / 1e6, "prometheus")
