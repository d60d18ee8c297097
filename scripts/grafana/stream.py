"""*Stream*: where it stands, how fast it flows, what waits, what was set aside, and what is durable."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.panels import WATCHED, Panel, assembled, lines, number, part, pick, seconds

TRAINER, SIMULATOR = part("trainer"), part("simulator")
_BEHIND = (
    f"clamp_min((max({pick('watermark_seq', SIMULATOR)}) - max({pick('watermark_seq', TRAINER)}))"
    f" / sum(rate({pick('batches_total', TRAINER)}[5m])), 0)"
)


def board() -> Dashboard:
    """The dashboard."""
    both = part(*WATCHED)
    glance = [
        number("Date of the stream", "The date of the batch that the trainer applied last, GMT.",
               f"max({pick('stream_date_seconds', TRAINER)}) * 1000", unit="dateTimeAsIso", width=5),
        number("Rows learnt", "Rows a second that took effect in the trainer.",
               f"sum(rate({pick('rows_total', TRAINER)}[$__rate_interval]))", unit="rowsps", width=3, steps=((None, "red"), (0.001, "green"))),
        number("Lead", "Dates that the simulator is ahead of the trainer. At max_lead_dates (30) it pauses.",
               f"max({pick('lead_dates', SIMULATOR)})", unit="short", width=2, steps=((None, "green"), (25, "yellow"), (31, "orange"))),
        number("Behind", "Seconds that the trainer needs at its present pace for what is published already.",
               _BEHIND, unit="s", width=3, steps=((None, "green"), (300, "orange"), (600, "red"))),
        number("Leaders", "Trainers that hold the lock: one, always.",
               f"sum({pick('leader', TRAINER)})", unit="short", width=2, steps=((None, "red"), (1, "green"), (2, "red"))),
        number("Checkpoint", "Age of the leader's newest checkpoint. It grows when there is nothing to keep.",
               f"max({pick('checkpoint_age_seconds', TRAINER)})", unit="s", width=3, steps=((None, "green"), (60, "orange"), (120, "red"))),
        number("Dead letters", "Rows and messages set aside in the time shown.",
               f"sum(increase({pick('dead_letters_total')}[$__range]))", unit="short", width=2, steps=((None, "green"), (0.5, "orange")), decimals=0),
        number("Gaps", "Batches given up in the time shown.",
               f"sum(increase({pick('gaps_total')}[$__range]))", unit="short", width=2, steps=((None, "green"), (0.5, "red")), decimals=0),
        number("Run", "Whether the run's last batch was applied and is durable.",
               f"max({pick('run_complete', TRAINER)})", unit="bool_yes_no", width=2),
    ]  # fmt: skip
    flow = [
        lines("Rows", "Rows a second that took effect, by part. Equal lines mean that nothing piles up.",
              {"{{component}}": f"sum by (component) (rate({pick('rows_total')}[$__rate_interval]))"}, unit="rowsps", from_zero=True),
        lines("Watermark", "Number of the batch below which all is done, by part. The distance between the lines is what is under way.",
              {"{{component}}": f"max by (component) ({pick('watermark_seq')})"}, unit="short"),
        lines("Batches by outcome", "Batches a second of cleaner and trainer, by what came of them.",
              {"{{component}} {{outcome}}": f"sum by (component, outcome) (rate({pick('batches_total', both)}[$__rate_interval]))"},
              unit="ops", from_zero=True, stacked=True),
        lines("Held and waiting", "Batches held out of order, batches applied and not yet in a checkpoint, and rows that wait for the store.",
              {"{{component}} window": f"max by (component) ({pick('reorder_window_batches', both)})",
               "{{component}} unacked": f"max by (component) ({pick('unacked_batches', both)})",
               "{{component}} outbox rows": f"max by (component) ({pick('outbox_rows', both)})"}, unit="short", from_zero=True),
    ]  # fmt: skip
    work = [
        seconds(f"Seconds a batch, {name}", f"How long the {name} works on one batch; the darker, the more batches.",
                f"sum by (le) (increase({pick('batch_seconds_bucket', part(name))}[$__rate_interval]))")
        for name in ("trainer", "cleaner")
    ]  # fmt: skip
    durability = [
        lines("Checkpoint age", "Seconds since the newest checkpoint, by pod. A saw-tooth of ten seconds is right; a long slope is right only while nothing comes.",
              {"{{pod}}": f"max by (pod) ({pick('checkpoint_age_seconds')})"}, unit="s", steps=((None, "green"), (120, "red")), from_zero=True),
        lines("Checkpoint size", "Bytes of the newest checkpoint, by part.",
              {"{{component}}": f"max by (component) ({pick('checkpoint_bytes')})"}, unit="bytes", from_zero=True),
        lines("Dead letters by reason", "Rows and messages set aside, by part and reason.",
              {"{{component}} {{reason}}": f"sum by (component, reason) (increase({pick('dead_letters_total')}[$__rate_interval])) > 0"},
              unit="short", from_zero=True, stacked=True, bars=True),
        lines("Gaps and duplicates", "Batches given up, and batches that came again and were left alone.",
              {"{{component}} gaps": f"sum by (component) (increase({pick('gaps_total')}[$__rate_interval]))",
               "{{component}} duplicates": f"sum by (component) (increase({pick('duplicates_total')}[$__rate_interval]))"},
              unit="short", from_zero=True, bars=True),
    ]  # fmt: skip
    sections: dict[str, list[Panel]] = {"At a glance": [*glance], "Flow": [*flow], "Work": [*work], "Durability": [*durability]}
    return assembled("stream", "Stream", "Where the stream stands, how fast it flows, and what waits.", sections)
