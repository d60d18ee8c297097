"""Grafana's dashboards: well formed, of any data source, and every panel says what it shows."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from charts.monitoring_chart import promtool, render
from charts.monitoring_queries import DASHBOARDS, expressions, load, panels, selectors
from grafana.writing import files
from thundercast.adapters.metrics import NAMES

BOARDS = pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)


def test_promtool_can_read_every_expression(tmp_path: Path) -> None:
    group = {"name": "all", "rules": [{"record": f"probe:{i}", "expr": expr} for i, expr in enumerate(expressions().values())]}
    (tmp_path / "all.yaml").write_text(yaml.safe_dump({"groups": [group]}))
    assert f"SUCCESS: {len(group['rules'])} rules found" in promtool("check", "rules", tmp_path / "all.yaml")


def test_uids_differ_and_are_stable_names() -> None:
    uids = [load(path)["uid"] for path in DASHBOARDS]
    assert uids == ["thundercast-kubernetes", "thundercast-model-skill", "thundercast-stream"]


def test_the_files_are_what_the_code_makes() -> None:
    assert {path: path.read_text() for path in DASHBOARDS} == files(), "run `make dashboards`"


def test_every_metric_of_a_release_is_in_some_panel() -> None:
    """What the parts export and nobody sees is either for an alert alone or was forgotten."""
    shown = {found.metric.removesuffix("_total").removesuffix("_bucket") for found in selectors() if ": " in found.where}
    assert {f"thundercast_{name}" for name in NAMES} <= shown


@BOARDS
def test_a_dashboard_is_well_formed(path: Path) -> None:
    board = load(path)
    assert "id" not in board, "the id is that of one Grafana"
    assert "__inputs" not in board
    assert {"datasource", "namespace", "release"} <= {variable["name"] for variable in board["templating"]["list"]}
    ids = Counter(panel["id"] for panel in panels(board))
    assert max(ids.values()) == 1
    taken: set[tuple[int, int]] = set()
    for panel in panels(board):
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert max(x for x, _ in cells) < 24, f"{panel['title']} is out of the grid"
        assert not cells & taken, f"{panel['title']} lies over another panel"
        taken |= cells


@BOARDS
def test_a_panel_says_what_it_shows_in_which_unit(path: Path) -> None:
    for panel in panels(load(path)):
        assert panel["title"]
        if panel["type"] == "row":
            continue
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"], panel["title"]
        for target in panel["targets"]:
            assert target["legendFormat"] or panel["type"] in ("stat", "table"), panel["title"]
            assert 'namespace="$namespace",release="$release"' in target["expr"], panel["title"]


@BOARDS
def test_no_data_source_of_one_grafana_is_named(path: Path) -> None:
    def sources(value: Any) -> list[Any]:
        if isinstance(value, dict):
            inner = [found for key, item in value.items() if key != "datasource" for found in sources(item)]
            return inner + ([value["datasource"]] if "datasource" in value else [])
        return [found for item in value for found in sources(item)] if isinstance(value, list) else []

    found = sources(load(path))
    assert found
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in found)


@BOARDS
def test_every_variable_that_is_used_is_declared(path: Path) -> None:
    board = load(path)
    declared = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]\w*)", path.read_text()))
    assert used == declared


@pytest.mark.parametrize("helm", ["helm", "helm4"])
def test_each_dashboard_comes_whole_in_a_config_map_that_grafana_finds(tmp_path: Path, helm: str) -> None:
    objects = render(tmp_path, {"dashboards": {"enabled": True, "annotations": {"grafana_folder": "Weather"}}}, helm=helm)
    assert [item["metadata"]["name"] for item in objects] == ["tc-kubernetes", "tc-model-skill", "tc-stream"]
    for item, path in zip(objects, DASHBOARDS, strict=True):
        assert item["kind"] == "ConfigMap"
        assert item["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert item["metadata"]["annotations"] == {"grafana_folder": "Weather"}
        assert json.loads(item["data"][path.name]) == load(path)
