"""What the design saves against the system that it replaces, and what can be left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from chart_values.parts import Dataflow
from cost.estimate import MESSAGE, TIB, autopilot, checkpoint_bytes, checkpoints, estimate, machine, stream_bytes, total
from cost.loads import DAYS, HOURS, SECONDS, Load
from cost.pods import GIB, asked
from cost.prices import Price
from cost.profiles import profiles
from figures.kept import Figures

DATAFLOW: Final = Dataflow()
"""The chart's defaults are the replaced system's: n1-standard-2, 30 GB."""
QUERY_EVERY: Final = 5.0
"""Seconds between two queries of a viewer's page in the replaced system."""
LEAST: Final = 10 * 2.0**20
"""Bytes that a query bills at least."""
SOFT_DELETE: Final = 7.0
"""Days for which a bucket keeps by default what was deleted."""


@dataclass(frozen=True, slots=True)
class Saving:
    """A difference, in USD a month."""

    what: str
    how: str
    before: float
    after: float

    @property
    def usd(self) -> float:
        return self.before - self.after


def viewer_queries(prices: Mapping[str, Price]) -> float:
    """USD a month of one page that queries a small table all the time; the account's free TiB is used by something else."""
    return prices["bigquery_query"].of(SECONDS / QUERY_EVERY * LEAST / TIB, free=False)


def savings(load: Load, figures: Figures, prices: Mapping[str, Price]) -> list[Saving]:
    """Against the replaced system, at the same load."""
    gke, job = profiles()[1], DATAFLOW
    shards = gke.asked.settings.shards
    raw, clean = stream_bytes(load, figures, shards)
    # One list of row objects for each batch, before and after cleaning; the clean rows had a few columns fewer.
    plain = 2 * (load.rows * figures.wire.json + load.dates * shards * MESSAGE)
    vcpu, memory = machine(job.launch.machine_type)
    worker = HOURS * (
        vcpu * prices["dataflow_vcpu"].usd + memory * prices["dataflow_memory"].usd + job.launch.disk_size_gb * prices["dataflow_disk"].usd
    )
    pod = gke.asked.pod("cleaner")
    cpu, gib = autopilot(pod)
    own = HOURS * pod.count * (
        cpu * prices["autopilot_vcpu"].usd + gib * prices["autopilot_memory"].usd + pod.disk * prices["autopilot_disk"].usd
    )  # fmt: skip
    bodies = checkpoints(gke.asked, load) * sum(checkpoint_bytes(load, figures)) / GIB * SOFT_DELETE / DAYS
    throughput = prices["pubsub_throughput"]
    return [
        Saving("a page that is open", f"a query every {QUERY_EVERY:.0f} s, against Storage Read, which all pages of a pod share",
               viewer_queries(prices), 0.0),
        Saving("rows on the wire", "JSON, against Arrow in a zstd frame; raw and clean, published and delivered",
               throughput.of(2 * plain / TIB, free=False), throughput.of(2 * (raw + clean) / TIB, free=False)),
        Saving("the cleaner, always on", f"one worker ({job.launch.machine_type}, {job.launch.disk_size_gb} GB), against the chart's pod",
               worker, own),
        Saving("replaced checkpoints", f"kept {SOFT_DELETE:.0f} days as buckets do by default, against not at all",
               prices["storage"].of(bodies, free=False), 0.0),
    ]  # fmt: skip


_LEFT_OUT: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("clean rows in the store: `trainer.settings.observations: false`", {"trainer": {"settings": {"observations": False}}}),
    ("the day ahead: `trainer.settings.tasks: [nowcast]`", {"trainer": {"settings": {"tasks": ["nowcast"]}}}),
    ("checkpoints every 10 s instead of 2: `trainer.settings.checkpointMin: 10`", {"trainer": {"settings": {"checkpointMin": 10.0}}}),
)


def left_out(load: Load, figures: Figures, prices: Mapping[str, Price]) -> list[Saving]:
    """What the GKE profile costs less with something else set, or with a bucket of one region."""
    gke = profiles()[1]
    lines = estimate(gke.asked, load, figures, prices, host=gke.host)
    before = total(lines)
    found = []
    for what, more in _LEFT_OUT:
        other = total(estimate(asked("values-gke.yaml", more=more), load, figures, prices, host=gke.host))
        found.append(Saving(what, "", before, other))
    region = dict(prices)
    region |= {"storage": prices["storage_region"], "storage_class_a": prices["storage_class_a_region"]}
    single = [line for line in estimate(gke.asked, load, figures, region, host=gke.host) if line.price != "storage_replication"]
    found.append(Saving("several regions: make the bucket yourself, in the cluster's region", "", before, total(single)))
    return found
