"""What every part of the page needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import streamlit as st
from streamlit.navigation.page import Page

from thundercast_dashboard.charts import Figure
from thundercast_dashboard.data import Row, Snapshot
from thundercast_dashboard.feed import Feed
from thundercast_dashboard.markup import esc
from thundercast_dashboard.palette import Palette
from thundercast_dashboard.store import Store
from thundercast_dashboard.texts import Texts


@dataclass(frozen=True, slots=True)
class Context:
    """One drawing of the page.

    Attributes:
        store: what is shown.
        now: UNIX seconds.
        pages: by the last part of their address.
    """

    texts: Texts
    palette: Palette
    store: Store
    feed: Feed
    snapshot: Snapshot
    now: float
    pages: Mapping[str, Page]

    @property
    def run_id(self) -> str:
        """Of the run that is shown; empty if there is none."""
        return str(self.snapshot.run["run_id"]) if self.snapshot.run else ""


@dataclass(frozen=True, slots=True)
class Choice:
    """What the viewer chose to see, and the newest scores for it.

    Attributes:
        model: that the page speaks of.
        champion: the one that leads.
        models: all of them, the baseline last.
        latest: the rows of the last date with scores, by model; that model and the baseline among them.
    """

    task: str
    gate: str
    model: str
    champion: str
    models: tuple[str, ...]
    latest: dict[str, Row]


def draw(context: Context, figure: Figure, *, key: str, height: Literal["content", "stretch"] = "content") -> None:
    """Puts a chart on the page, its words where only a screen reader finds them, and a way to take its numbers away.

    The words are no part of the chart: a chart whose description changes is drawn anew, and flickers. As a picture it can be
    taken from the menu that Streamlit lays over it.
    """
    spec = json.loads(figure.spec)
    spec["datasets"] = spec.get("datasets", {}) | figure.data
    with st.container(key=key):
        st.vega_lite_chart(spec=spec, width="stretch", height=height, theme="streamlit", key=f"{key}_chart", alt=figure.title)
        st.html(f'<p class="tc-words">{esc(figure.words)}</p>')
    with st.container(key=f"take_{key}", horizontal=True, horizontal_alignment="right"):
        st.download_button(
            context.texts("chart.csv"),
            figure.csv,
            file_name=f"thundercast-{key}.csv",
            mime="text/csv",
            key=f"csv_{key}",
            help=context.texts("chart.csv_help", title=figure.title),
            on_click="ignore",
            type="tertiary",
            icon=":material/download:",
        )
