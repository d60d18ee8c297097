"""Measures the figures and prints them as the text of `figures.toml`."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import os
import tempfile
from pathlib import Path
from typing import Final

from figures.kept import FILE, Figures, least
from figures.measuring import measured

ROOT: Final = Path(__file__).resolve().parents[2]
MODELS: Final = (["thunder", "river-logistic"], ["thunder", "logistic"], ["thunder"])
"""The first is what the chart runs by default."""


def text(found: Figures) -> str:
    """The file's text."""
    lines = ["# Written by `python -m figures --write` (from scripts/). CPU times are of one thread, seconds a row; sizes are bytes.", ""]
    tables: list[tuple[str, dict[str, object]]] = []
    for name, value in dataclasses.asdict(found).items():
        if not isinstance(value, dict):
            lines.append(_line(name, value))
        elif name == "close":
            tables += [(f'work.close."{models}"', work) for models, work in value.items()]
        else:
            tables.append((f"work.{name}" if "seconds" in value else name, value))
    for name, figures in tables:
        lines += ["", f"[{name}]", *(_line(key, value) for key, value in figures.items())]
    return "\n".join(lines) + "\n"


def _line(key: str, value: object) -> str:
    return f"{key} = {float(f'{value:.4g}')}" if isinstance(value, float) else f"{key} = {value!r}".replace("'", '"')


def main() -> None:
    """Prints the figures, or writes them."""
    data = Path(os.environ.get("THUNDERCAST_REAL_DATA", ROOT.parent / "shared" / "data")) / "gsod_real.parquet"
    parser = argparse.ArgumentParser(prog="python -m figures", description=__doc__)
    parser.add_argument("--source", default=f"file:{data}" if data.is_file() else "synthetic:5000")
    parser.add_argument("--dates", type=int, default=60)
    parser.add_argument("--shards", type=int, default=7, help="batches a date (default 7: about 730 rows of the real station-days)")
    parser.add_argument("--repeat", type=int, default=3, help="runs, of which the least disturbed times count (default %(default)s)")
    parser.add_argument("--write", action="store_true", help=f"write {FILE.name}")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        runs = [
            measured(options.source, dates=options.dates, shards=options.shards, models=MODELS, cache=Path(cache))
            for _ in range(max(1, options.repeat))
        ]
    found = text(functools.reduce(least, runs))
    if options.write:
        FILE.write_text(found)
    else:
        print(found, end="")


if __name__ == "__main__":
    main()
