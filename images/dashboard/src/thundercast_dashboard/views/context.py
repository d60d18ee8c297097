"""What every part of the page needs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

import streamlit as st

from thundercast_dashboard.charts import Figure
from thundercast_dashboard.data import Feed, Row, Snapshot
from thundercast_dashboard.markup import esc
from thundercast_dashboard.palette import Palette
from thundercast_dashboard.texts import Texts


@dataclass(frozen=True, slots=True)
class Context:
    """One drawing of the page.

    Attributes:
        where: of the store, for people.
        now: UNIX seconds.
    """

    texts: Texts
    palette: Palette
    feed: Feed
    snapshot: Snapshot
    where: str
    now: float


@dataclass(frozen=True, slots=True)
class Choice:
    """What the viewer chose to see, and the newest scores for it.

    Attributes:
        latest: the rows of the last date with scores, by model; champion and baseline among them.
    """

    task: str
    gate: str
    champion: str
    latest: dict[str, Row]


def draw(figure: Figure, *, key: str, height: Literal["content", "stretch"] = "content") -> None:
    """Puts a chart on the page, and its words where only a screen reader finds them.

    The words are no part of the chart: a chart whose description changes is drawn anew, and flickers.
    """
    spec = json.loads(figure.spec)
    spec["datasets"] = spec.get("datasets", {}) | figure.data
    with st.container(key=key):
        st.vega_lite_chart(spec=spec, width="stretch", height=height, theme="streamlit", key=f"{key}_chart", alt=figure.title)
        st.html(f'<p class="tc-words">{esc(figure.words)}</p>')
