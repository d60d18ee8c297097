"""What the rules and dashboards ask of Prometheus: their expressions, and the metrics and label values in them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chart_values.monitoring import Monitoring
from charts.monitoring_chart import CHART, rules

DASHBOARDS = sorted((CHART / "files" / "dashboards").glob("*.json"))
OF_TARGETS = {"namespace", "release", "component", "pod", "instance", "job", "container"}
"""Labels that the scraping adds."""

_VARIABLES = {"$__rate_interval": "5m", "$__range": "1h", "$__interval": "30s"}
_SELECTOR = re.compile(r"\b((?:thundercast|process)_\w+|up)\b\s*(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric with the values that an expression asks of its labels: label, operator, value."""

    where: str
    metric: str
    matchers: tuple[tuple[str, str, str], ...]

    @property
    def components(self) -> list[str]:
        """The parts whose metrics are asked for; empty for any."""
        return [
            name
            for label, operator, value in self.matchers
            if label == "component" and operator in ("=", "=~")
            for name in value.split("|")
        ]


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All panels, those inside rows too."""
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels", [])


def expressions() -> dict[str, str]:
    """Every expression by where it is, with the variables filled in."""
    values = Monitoring().alerts
    names = {"namespace": "prod", "release": "tc", "champion": values.champion, **values.thresholds.model_dump(by_alias=True)}
    found = {}
    for rule in rules():
        found[rule["alert"]] = re.sub(r"\$\{(\w+)\}", lambda match: str(names[match[1]]), rule["expr"])
    for path in DASHBOARDS:
        for where, expr in asked(load(path)).items():
            found[f"{path.stem}: {where}"] = re.sub(r'=~?"\$\w+"', '=~".+"', filled(expr, _VARIABLES))
    return found


def asked(board: dict[str, Any]) -> dict[str, str]:
    """Every expression of a dashboard, its marks' too, by where it is; with its variables."""
    found = {
        f"{panel['title']} {panel['id']}{target['refId']}": target["expr"] for panel in panels(board) for target in panel.get("targets", [])
    }
    return found | {f"mark {mark['name']}": mark["expr"] for mark in board["annotations"].get("list", [])}


def filled(expr: str, variables: Mapping[str, str]) -> str:
    """An expression with the values of variables."""
    for name, value in variables.items():
        expr = expr.replace(name, value)
    return expr


def selectors() -> list[Selector]:
    """Every metric that is asked for, wherever."""
    return [
        Selector(where, metric, tuple(_MATCHER.findall(matchers or "")))
        for where, expr in expressions().items()
        for metric, matchers in _SELECTOR.findall(expr)
    ]
