"""Pictures of the simulation as SVG, for light and dark: what is ink takes the colour of the reader's scheme."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "images"
INK: Final = "#010203"
"""Stands for the reader's colour of text."""
LINES: Final = ("#3987e5", "#d95926")
"""Blue and orange: told apart in light and dark, and by people who do not tell red from green; line styles differ, too."""
_STYLE: Final = "<style>:root{color:#1f2328}@media(prefers-color-scheme:dark){:root{color:#e6edf3}}</style>"
LABEL: Final = "SIMULATED"
Series = Sequence[tuple[float, float]]
_SETTINGS: Final[dict[Any, Any]] = {
    "svg.fonttype": "none", "svg.hashsalt": "thundercast", "font.family": "sans-serif", "font.size": 10.0, "text.color": INK,
    "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK, "grid.color": INK, "grid.alpha": 0.15,
}  # fmt: skip


def fingerprint(series: Sequence[tuple[str, Series]]) -> str:
    """Tells series apart, to three digits: it is kept in the picture, so that a test can tell whether that is still true."""
    text = repr([(name, [(float(f"{x:.3g}"), float(f"{y:.3g}")) for x, y in points]) for name, points in series])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def drawn(series: Sequence[tuple[str, Series]], *, title: str, x: str, y: str, log: bool = False, steps: bool = False) -> str:
    """The text of a picture with up to two lines."""
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(7.2, 3.4), layout="constrained")
        axes = figure.add_subplot()
        for (name, points), colour, style in zip(series, LINES, ("-", "--"), strict=False):
            xs, ys = zip(*points, strict=True)
            axes.plot(xs, ys, style, color=colour, linewidth=1.8, label=name, drawstyle="steps-post" if steps else "default")
        axes.set(title=f"{title} ({LABEL})", xlabel=x, ylabel=y)
        if log:
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.grid(visible=True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, labelcolor=INK)
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Title": title})
    text = out.getvalue().replace(INK, "currentColor")
    start = text.index("<svg")
    end = text.index(">", start) + 1
    return f"{text[:end]}\n <desc>data {fingerprint(series)}</desc>\n {_STYLE}{text[end:]}"
