"""Every metric and label value that an alert or a panel asks for is exported by the very part that it is asked of.

The parts run as they do on a cluster, as processes against stand-ins for Google's services, and are scraped.
"""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

import emulators
import local
from charts.monitoring_queries import OF_TARGETS, Selector, expressions, selectors

Samples = dict[str, list[dict[str, str]]]
"""The label sets of each metric."""
PARTS = ("simulator", "cleaner", "trainer")


def _scrape(part: local.Part) -> Samples:
    with urllib.request.urlopen(f"{part.url}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found: Samples = {"up": [{}]}  # Prometheus' own
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.labels)
    return found


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Samples]]:
    """What each part exports, as soon as it is all that is asked for, or after two minutes."""
    feed = {
        "THUNDERCAST_SOURCE": "synthetic:60", "THUNDERCAST_SPEED": "4", "THUNDERCAST_SHARDS": "4",
        "THUNDERCAST_START": "2022-06-01", "THUNDERCAST_END": "2023-12-31",
    }  # fmt: skip
    try:
        with local.system(tmp_path_factory.mktemp("parts")) as running:
            parts = {name: running.module(name, feed if name == "simulator" else None) for name in PARTS}
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
            yield found
    except emulators.Missing as missing:
        pytest.skip(str(missing))


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
