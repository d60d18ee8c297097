"""*Kubernetes view*: the pods, who leads, what answers, what they use, and what runs in them."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.panels import THIRD, WATCHED, Panel, assembled, lines, number, part, pick, rows, states

ANSWERS = {0: ("away", "red"), 1: ("answers", "green")}


def board() -> Dashboard:
    """The dashboard."""
    glance: list[Panel] = [
        number("Pods", "Pods that answer Prometheus.", f"count({pick('up')} == 1)", unit="short", width=4),
        number("Down", "Pods that do not answer Prometheus.",
               f"count({pick('up')} == 0) or vector(0)", unit="short", width=4, steps=((None, "green"), (1, "red"))),
        number("Leaders", "Pods that hold a lock: one trainer, and one cleaner for each group of shards.",
               f"sum({pick('leader', part(*WATCHED))})", unit="short", width=4),
        number("Restarts", "Starts of containers in the time shown, beyond each pod's first.",
               f"sum(changes({pick('process_start_time_seconds')}[$__range]))", unit="short", width=4, steps=((None, "green"), (1, "orange")), decimals=0),
        number("Memory", "Resident memory of all pods.", f"sum({pick('process_resident_memory_bytes')})", unit="bytes", width=4),
        number("CPU", "Cores in use in all pods.", f"sum(rate({pick('process_cpu_seconds_total')}[$__rate_interval]))", unit="short", width=4, decimals=2),
    ]  # fmt: skip
    health: list[Panel] = [
        states("Pods", "Which pods answered Prometheus when.", f"max by (pod) ({pick('up')})", "{{pod}}", ANSWERS),
        states("Dependencies", "What answered when, as each part sees it.",
               f"min by (component, dependency) ({pick('dependency_up')})", "{{component}}: {{dependency}}", ANSWERS),
        states("Leader", "Who held the lock when.",
               f"max by (pod) ({pick('leader', part(*WATCHED))})", "{{pod}}", {0: ("standby", "super-light-blue"), 1: ("leads", "green")}),
        rows("Versions", "What runs in each pod.", f"max by (component, pod, version) ({pick('build_info')})",
             {"component": "Part", "pod": "Pod", "version": "Version"}, value=False),
    ]  # fmt: skip
    used: list[Panel] = [
        lines("Memory", "Resident memory, by pod.", {"{{pod}}": pick("process_resident_memory_bytes")}, unit="bytes", width=THIRD, from_zero=True),
        lines("CPU", "Cores in use, by pod.",
              {"{{pod}}": f"rate({pick('process_cpu_seconds_total')}[$__rate_interval])"}, unit="short", width=THIRD, from_zero=True),
        lines("Restarts", "Starts of each container within an hour. At 3 the alert on restarts fires.",
              {"{{pod}}": f"changes({pick('process_start_time_seconds')}[1h])"}, unit="short", width=THIRD, steps=((None, "green"), (3, "red")),
              from_zero=True, decimals=0),
        lines("Open files", "File descriptors and connections in use, by pod.", {"{{pod}}": pick("process_open_fds")}, unit="short", from_zero=True, decimals=0),
        lines("Prediction requests", "Requests for predictions a second, by pod.",
              {"{{pod}}": f"rate({pick('prediction_requests_total', part('trainer'))}[$__rate_interval])"}, unit="reqps", from_zero=True),
    ]  # fmt: skip
    sections: dict[str, list[Panel]] = {"At a glance": glance, "Health": health, "Use": used}
    return assembled("kubernetes", "Kubernetes view", "The pods: who leads, what answers, what they use.", sections)
