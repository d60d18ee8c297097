"""Writes the dashboards into the chart."""

from __future__ import annotations

from grafana.writing import files

for path, text in files().items():
    path.write_text(text)
