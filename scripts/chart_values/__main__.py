"""Writes what is made of the values' types."""

from __future__ import annotations

from chart_values.writing import files

for path, text in files().items():
    path.write_text(text)
