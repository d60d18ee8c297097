"""Every metric and label value that an alert or a panel asks for is exported by the very part that it is asked of.

The parts run as they do on a cluster, as processes against stand-ins for Google's services, and are scraped: by the test, and by a
Prometheus that every panel's query is put to.
"""

from __future__ import annotations

import json
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from google.cloud import pubsub_v1
from prometheus_client.parser import text_string_to_metric_families

import emulators
import local
from charts.monitoring_chart import program
from charts.monitoring_queries import DASHBOARDS, OF_TARGETS, Selector, asked, expressions, filled, load, panels, selectors

Samples = dict[str, list[dict[str, str]]]
"""The label sets of each metric."""
PARTS = ("simulator", "cleaner", "trainer")
CHOSEN = {
    "$namespace": "prod", "$release": "tc", "$model": ".+", "$task": ".+", "$scope": "30d", "$__rate_interval": "15s", "$__range": "10m",
}  # fmt: skip
"""What a reader of the dashboards would have chosen; `$__rate_interval` is Grafana's for a scrape every few seconds."""


def _scrape(part: local.Part) -> Samples:
    with urllib.request.urlopen(f"{part.url}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found: Samples = {"up": [{}]}  # Prometheus' own
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


def _prometheus(running: local.System, parts: dict[str, local.Part]) -> str:
    """Starts a Prometheus that scrapes the parts and labels them as the chart's monitors do; its address."""
    targets = [
        {
            "targets": [part.url.removeprefix("http://")],
            "labels": {"namespace": "prod", "release": "tc", "component": name, "pod": f"tc-{name}-0"},
        }
        for name, part in parts.items()
    ]
    port = emulators.free_port()
    config = running.folder / "prometheus.yaml"
    scrape = {"job_name": "thundercast", "scrape_interval": "1s", "scrape_timeout": "1s", "static_configs": targets}
    config.write_text(yaml.safe_dump({"scrape_configs": [scrape]}))
    command = [
        program("prometheus"), f"--config.file={config}", f"--storage.tsdb.path={running.folder / 'recorded'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    running.start("prometheus", command)
    return f"http://127.0.0.1:{port}"


def _poison(running: local.System) -> None:
    """Publishes what is no batch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PUBSUB_EMULATOR_HOST", running.env["PUBSUB_EMULATOR_HOST"])
        with pubsub_v1.PublisherClient() as client:
            client.publish(client.topic_path(running.env["GOOGLE_CLOUD_PROJECT"], "noaa-raw"), b"not a batch").result(timeout=30)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[local.System]:
    try:
        with local.system(tmp_path_factory.mktemp("parts")) as found:
            yield found
    except emulators.Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def parts(running: local.System) -> dict[str, local.Part]:
    """A stream that flows for five minutes."""
    feed = {
        "THUNDERCAST_SOURCE": "synthetic:60", "THUNDERCAST_SPEED": "4", "THUNDERCAST_SHARDS": "4",
        "THUNDERCAST_START": "2022-06-01", "THUNDERCAST_END": "2025-08-31",
    }  # fmt: skip
    return {name: running.module(name, feed if name == "simulator" else None) for name in PARTS}


@pytest.fixture(scope="module")
def recording(running: local.System, parts: dict[str, local.Part]) -> str:
    """The address of a Prometheus that watches the stream from its beginning."""
    return _prometheus(running, parts)


@pytest.fixture(scope="module")
def exported(running: local.System, parts: dict[str, local.Part], recording: str) -> dict[str, Samples]:
    """What each part exports, as soon as it is all that is asked for, or after two minutes."""
    found: dict[str, Samples] = {}
    for _ in range(240):
        running.check()
        try:
            found = {name: _scrape(part) for name, part in parts.items()}
        except OSError:
            found = {}
        # A score, a checkpoint, a lead: each is there only once there is something to tell.
        if found and not _unanswered(found):
            break
        time.sleep(0.5)
    return found


def _fits(labels: dict[str, str], matcher: tuple[str, str, str]) -> bool:
    label, operator, value = matcher
    had = labels.get(label, "")
    match operator:
        case "=":
            return had == value
        case "!=":
            return had != value
        case "=~":
            return re.fullmatch(value, had) is not None
    return re.fullmatch(value, had) is None


def _missing(selector: Selector, exported: dict[str, Samples]) -> list[str]:
    """The parts that a selector asks and that cannot answer; of those that it does not name, one has to."""
    matchers = [matcher for matcher in selector.matchers if matcher[0] not in OF_TARGETS]
    answer = {
        part: any(all(_fits(labels, matcher) for matcher in matchers) for labels in samples.get(selector.metric, []))
        for part, samples in exported.items()
    }
    asked = selector.components
    if not asked:
        return [] if any(answer.values()) else ["any part"]
    return [part for part in asked if not answer.get(part)]


def _unanswered(exported: dict[str, Samples]) -> list[str]:
    return [f"{asked.where}: {asked.metric} {asked.matchers} of {part}" for asked in selectors() for part in _missing(asked, exported)]


def test_each_metric_and_label_value_is_exported_by_the_part_that_is_asked(exported: dict[str, Samples]) -> None:
    assert exported.keys() == set(PARTS), "the parts were not scraped"
    asked = selectors()
    assert len({selector.metric for selector in asked}) > 20
    missing = _unanswered(exported)
    assert not missing, "\n".join(missing)


def test_labels_that_are_summed_by_or_named_in_legends_exist(exported: dict[str, Samples]) -> None:
    known = OF_TARGETS | {label for samples in exported.values() for sets in samples.values() for labels in sets for label in labels}

    for where, expr in expressions().items():
        for names in re.findall(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)", expr):
            assert {name.strip() for name in names.split(",") if name.strip()} <= known, where


def test_the_check_sees_what_is_not_exported(exported: dict[str, Samples]) -> None:
    """A selector of a metric, a label value or a part that is not there is found out."""
    assert _missing(Selector("probe", "thundercast_rows_total", ()), exported) == []
    assert _missing(Selector("probe", "thundercast_rows", ()), exported) == ["any part"]
    assert _missing(Selector("probe", "thundercast_score", (("score", "=", "auc"),)), exported) == ["any part"]
    assert _missing(Selector("probe", "thundercast_lead_dates", (("component", "=", "trainer"),)), exported) == ["trainer"]


def _answer(address: str, expr: str) -> list[Any]:
    """The series of a query, now."""
    query = urllib.parse.urlencode({"query": expr})
    with urllib.request.urlopen(f"{address}/api/v1/query?{query}", timeout=10) as answer:
        told = json.load(answer)
    assert told["status"] == "success", told
    series: list[Any] = told["data"]["result"]
    return series


def test_each_panel_has_data_of_a_recorded_stream(exported: dict[str, Samples], running: local.System, recording: str) -> None:
    """Each query is put to a real Prometheus as Grafana would put it; a model is marked only where it has drifted."""
    boards = [(path.stem, load(path)) for path in DASHBOARDS]
    queries = {f"{name}: {where}": filled(expr, CHOSEN) for name, board in boards for where, expr in asked(board).items()}
    marks = {where: expr for where, expr in queries.items() if ": mark " in where}
    assert len(queries) - len(marks) >= sum(panel["type"] != "row" for _, board in boards for panel in panels(board)) > 40
    silent = sorted(queries.keys() - marks.keys())
    for _ in range(60):
        running.check()
        _poison(running)  # time and again: a counter that is born at 1 has not increased
        silent = [where for where in silent if not _answer(recording, queries[where])]
        if not silent:
            break
        time.sleep(2)
    assert not silent, "\n".join(f"{where}: {queries[where]}" for where in silent)
    assert list(marks) == ["model-skill: mark Drift"]
    marked = {series["metric"]["model"] for series in _answer(recording, marks["model-skill: mark Drift"])}
    assert marked <= {series["metric"]["model"] for series in _answer(recording, "thundercast_drift_total > 0")}
    assert _answer(recording, 'thundercast_rows_totals{release="tc"}') == [], "what is not there must be seen"
