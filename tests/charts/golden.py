"""The kept renders. `python -m charts.golden` (from tests/) writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from charts.rendering import notes, profile, render

PLACE: Final = Path(__file__).parent / "golden"
CASES: Final = ("local", "gke", "dataflow", "volume", "cloudrun")


def _plain(thing: dict[str, Any]) -> dict[str, Any]:
    """Without what is drawn by lot, and without what is a file of its own already."""
    if thing["kind"] == "Secret":
        thing["data"] = dict.fromkeys(thing["data"], "(drawn by lot)")
    if thing["kind"] == "ConfigMap" and "dashboard" in str(thing["metadata"]["labels"]):
        thing["data"] = dict.fromkeys(thing["data"], "(in files/dashboards)")
    if thing["kind"] in ("Rules", "PrometheusRule"):
        thing["spec"]["groups"] = [
            {"name": group["name"], "rules": [rule["alert"] for rule in group["rules"]]} for group in thing["spec"]["groups"]
        ]
    return thing


def made(case: str, helm: str = "helm") -> str:
    """The render of a case, sorted by kind and name, with its notes as a comment before it."""
    files, more = profile(case)
    things = sorted(map(_plain, render(files, more, helm=helm)), key=lambda thing: (thing["kind"], thing["metadata"]["name"]))
    said = "".join(f"# {line}".rstrip() + "\n" for line in notes(files, more, helm=helm).strip().splitlines())
    return said + yaml.safe_dump_all(things, sort_keys=True, width=160)


if __name__ == "__main__":
    PLACE.mkdir(exist_ok=True)
    for name in CASES:
        (PLACE / f"{name}.yaml").write_text(made(name))
