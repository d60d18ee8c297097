"""Alerts and scraping: one source for both kinds of Prometheus, each alert fires and clears, and each has a page that says what to do."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from chart_values.monitoring import Monitoring
from charts.monitoring_chart import ROOT, Refused, promtool, render, rules

TESTS = Path(__file__).with_name("monitoring") / "alerts.test.yaml"
HELMS = pytest.mark.parametrize("helm", ["helm", "helm4"])


def _of(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [item for item in objects if item["kind"] == kind]
    return found


def _rendered_rules(folder: Path, **alerts: Any) -> list[dict[str, Any]]:
    groups = _of(render(folder, {"kind": "operator", "alerts": alerts}), "PrometheusRule")["spec"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


@HELMS
def test_nothing_is_made_unless_it_is_asked_for(tmp_path: Path, helm: str) -> None:
    assert render(tmp_path, {}, helm=helm) == []


@HELMS
def test_both_kinds_of_prometheus_get_the_same_rules_and_scrape_the_same_pods(tmp_path: Path, helm: str) -> None:
    operator = render(tmp_path, {"kind": "operator"}, helm=helm)
    managed = render(tmp_path, {"kind": "managed"}, helm=helm)
    assert {item["kind"] for item in operator} == {"PodMonitor", "PrometheusRule"}
    assert {item["kind"] for item in managed} == {"PodMonitoring", "Rules"}
    assert _of(operator, "PrometheusRule")["spec"] == _of(managed, "Rules")["spec"]
    assert _of(operator, "PodMonitor")["spec"]["selector"] == _of(managed, "PodMonitoring")["spec"]["selector"]
    # The rules ask for these labels of a target.
    relabelled = {entry["targetLabel"] for entry in _of(operator, "PodMonitor")["spec"]["podMetricsEndpoints"][0]["relabelings"]}
    copied = {entry["to"] for entry in _of(managed, "PodMonitoring")["spec"]["targetLabels"]["fromPod"]}
    assert relabelled == copied == {"release", "component"}


def test_promtool_accepts_the_rules(tmp_path: Path) -> None:
    groups = _of(render(tmp_path, {"kind": "managed"}), "Rules")["spec"]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(groups))
    assert f"SUCCESS: {len(rules())} rules found" in promtool("check", "rules", tmp_path / "rules.yaml")


def test_each_alert_fires_and_clears(tmp_path: Path) -> None:
    groups = _of(render(tmp_path, {"kind": "operator"}), "PrometheusRule")["spec"]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(groups))
    shutil.copy(TESTS, tmp_path)
    promtool("test", "rules", TESTS.name, cwd=tmp_path)


def _tried() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for test in yaml.safe_load(TESTS.read_text())["tests"]:
        for step in test["promql_expr_test"]:
            found.setdefault(re.search('alertname="([^"]+)"', step["expr"])[1], []).append(step)  # type: ignore[index]
    return found


def test_no_alert_goes_untried() -> None:
    tried = _tried()
    assert tried.keys() == {rule["alert"] for rule in rules()}
    for name, steps in tried.items():
        assert any(step["exp_samples"] for step in steps), f"{name} is never seen to fire"
        assert not steps[-1]["exp_samples"], f"{name} is never seen to clear"


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_what_an_alert_says_names_labels_that_it_has(rule: dict[str, Any]) -> None:
    said = " ".join(rule["annotations"].values())
    for step in _tried()[rule["alert"]]:
        for sample in step["exp_samples"]:
            assert set(re.findall(r"\$labels\.(\w+)", said)) <= set(re.findall(r'(\w+)="', sample["labels"]))


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_has_a_severity_a_summary_and_a_page(rule: dict[str, Any], tmp_path: Path) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    page = ROOT / "docs" / "runbooks" / rule["annotations"]["runbook_url"].removeprefix("${runbooks}/")
    text = page.read_text()
    assert f"`{rule['alert']}`" in text
    for heading in ("## What it means", "## What users see", "## How to look", "## How to mend"):
        assert heading in text, f"{page.name} lacks {heading}"


def test_no_page_is_left_without_an_alert() -> None:
    pages = {page.name for page in (ROOT / "docs" / "runbooks").glob("*.md")} - {"README.md"}
    assert pages == {rule["annotations"]["runbook_url"].rsplit("/", 1)[1] for rule in rules()}


def test_thresholds_labels_and_left_out_alerts_are_values(tmp_path: Path) -> None:
    changed = _rendered_rules(
        tmp_path,
        thresholds={"outboxRows": 1_234_567, "skill": -0.05, "stalledFor": "1h"},
        disabled=["ThundercastDrift"],
        labels={"team": "weather"},
        champion="logistic",
        runbooks="https://runbooks.example/thundercast",
    )
    by_name = {rule["alert"]: rule for rule in changed}
    assert by_name.keys() == {rule["alert"] for rule in rules()} - {"ThundercastDrift"}
    assert by_name["ThundercastOutboxFilling"]["expr"].strip().endswith("> 1234567")
    skill = by_name["ThundercastSkillBelowClimatology"]
    assert skill["expr"].strip().endswith("< -0.05")
    assert 'model="logistic"' in skill["expr"]
    assert by_name["ThundercastStreamStalled"]["for"] == "1h"
    assert all(rule["labels"].keys() == {"severity", "team"} for rule in changed)
    assert skill["annotations"]["runbook_url"] == "https://runbooks.example/thundercast/skill-below-climatology.md"


def test_every_threshold_is_used_and_every_name_is_filled_in(tmp_path: Path) -> None:
    text = (ROOT / "charts" / "thundercast" / "files" / "rules" / "thundercast.yaml").read_text()
    names = set(re.findall(r"\$\{(\w+)\}", text))
    assert names == {*Monitoring().alerts.thresholds.model_dump(by_alias=True), "namespace", "release", "champion", "runbooks"}
    assert "${" not in yaml.safe_dump(_rendered_rules(tmp_path))


def test_an_unknown_alert_cannot_be_left_out(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="there is no alert ThundercastDrifted; there are ThundercastStreamStalled, "):
        _rendered_rules(tmp_path, disabled=["ThundercastDrifted"])


@pytest.mark.parametrize(
    "wrong",
    [{"kind": "both"}, {"interval": "15"}, {"alerts": {"champion": 'x"}'}}, {"alerts": {"thresholds": {"bias": 1}}}, {"scrape": True}],
)
def test_values_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Monitoring.model_validate(wrong)
