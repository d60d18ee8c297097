"""The colours, for a light and a dark page. One meaning each: indigo is what was said, amber what happened, grey the baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one theme, as CSS.

    Attributes:
        said: the champion's probabilities and scores.
        happened: thunder that was observed.
        baseline: climatology.
        others: further models, in the order of their names.
        land, coast: of the map.
        ramp: probability on the map, from the lowest class to the highest.
        streamlit: options of the page's theme.
    """

    name: Literal["light", "dark"]
    said: str
    happened: str
    baseline: str
    others: tuple[str, ...]
    good: str
    bad: str
    land: str
    coast: str
    ramp: tuple[str, ...]
    streamlit: Mapping[str, str] = field(hash=False)


LIGHT: Final = Palette(
    name="light",
    said="#4338ca",
    happened="#d97706",
    baseline="#7c8091",
    others=("#0e8a8a", "#b4448c", "#5b6b1f"),
    good="#0f766e",
    bad="#b91c1c",
    land="#e9e9f0",
    coast="#c9cad8",
    ramp=("#bcbbd6", "#9d98cf", "#7a70c6", "#5a4cbd", "#3e2aa4", "#1f0d6b"),
    streamlit={"primaryColor": "#4338ca", "backgroundColor": "#ffffff", "secondaryBackgroundColor": "#f4f4f9", "textColor": "#1c1c2e"},
)

DARK: Final = Palette(
    name="dark",
    said="#a5a0ff",
    happened="#fbbf24",
    baseline="#9297a9",
    others=("#4fc6c0", "#e58ec6", "#b7c46a"),
    good="#5eead4",
    bad="#f87171",
    land="#232536",
    coast="#3a3d55",
    ramp=("#474a6b", "#5a5690", "#716bbf", "#8f86ea", "#b8b0ff", "#eeebff"),
    streamlit={"primaryColor": "#a5a0ff", "backgroundColor": "#12131c", "secondaryBackgroundColor": "#1b1d2a", "textColor": "#e7e7f1"},
)
