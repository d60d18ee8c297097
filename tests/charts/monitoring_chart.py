"""The chart's monitoring alone: its templates and files with the default values, rendered by Helm."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart_values.monitoring import Monitoring

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "thundercast"
_BIN = Path.home() / ".cache" / "thundercast" / "bin"


def program(name: str) -> str:
    """The path of a program; skips the test where it is not installed."""
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), str(_BIN))))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def promtool(*arguments: str | Path, text: str | None = None, cwd: Path | None = None) -> str:
    """What promtool says; fails the test where it finds a fault."""
    done = subprocess.run(
        [program("promtool"), *map(str, arguments)], input=text, capture_output=True, text=True, timeout=120, check=False, cwd=cwd
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Refused(Exception):
    """Helm did not render; the message is what it says."""


def render(folder: Path, values: dict[str, Any], *, helm: str = "helm") -> list[dict[str, Any]]:
    """The objects that come of values under `monitoring`, for the release tc in the namespace prod.

    Args:
        folder: an empty one for the chart of nothing but this.
    """
    chart = folder / "thundercast"
    if not chart.exists():
        (chart / "templates").mkdir(parents=True)
        (chart / "Chart.yaml").write_text(yaml.safe_dump({"apiVersion": "v2", "name": "thundercast", "version": "0.1.0"}))
        (chart / "values.yaml").write_text(yaml.safe_dump({"monitoring": Monitoring().model_dump(by_alias=True)}))
        shutil.copytree(CHART / "files", chart / "files")
        for template in (*CHART.glob("templates/monitoring*.yaml"), CHART / "templates" / "_monitoring.tpl"):
            shutil.copy(template, chart / "templates")
    given = folder / "given.yaml"
    given.write_text(yaml.safe_dump({"monitoring": values}))
    command = [program(helm), "template", "tc", str(chart), "--namespace", "prod", "-f", str(given)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise Refused(done.stderr)
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@functools.cache
def source() -> dict[str, Any]:
    """The rules as they are written, with ${names}."""
    text = (CHART / "files" / "rules" / "thundercast.yaml").read_text()
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def rules() -> list[dict[str, Any]]:
    """The alerts as they are written."""
    return [rule for group in source()["groups"] for rule in group["rules"]]
