"""The map of the latest date: what was said, and what happened."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from thundercast_dashboard import maps
from thundercast_dashboard.markup import esc, heading, legend
from thundercast_dashboard.texts import Texts
from thundercast_dashboard.views.context import Choice, Context, draw


def world(context: Context, chosen: Choice, run_id: str) -> None:
    """Probabilities and outcomes at the stations."""
    t, palette = context.texts, context.palette
    closed = chosen.latest[chosen.champion]["date"]
    date, found = context.feed.on_map(run_id, chosen.task, chosen.champion, closed)
    about = t("map.about", stations=t.number(found.num_rows), model=chosen.champion, task=t(f"choice.{chosen.task}_about"))
    title = t("map.heading", date=t.date(date))
    placed = found.filter(pc.and_(pc.is_valid(found.column("lat")), pc.is_valid(found.column("lon"))))
    if not placed.num_rows:
        st.html(heading(title) + f'<p class="tc-hint">{esc(t("map.empty"))}</p>')
        return
    entries = [
        *zip(maps.class_labels(t), palette.ramp, ["dot"] * len(palette.ramp), strict=True),
        (t("map.ring"), palette.happened, "ring"),
    ]
    unplaced = found.num_rows - placed.num_rows
    notes = [_outcome(t, found), t("map.unplaced", count=t.number(unplaced)) if unplaced else ""]
    st.html(heading(title, f"{about} {' '.join(filter(None, notes))}"))
    view = maps.view_of(placed.column("lat").to_pylist(), placed.column("lon").to_pylist())
    st.html(f"<style>.st-key-map {{--tc-aspect: {view.aspect:.3f}}}</style>")
    with st.container(key="map"):
        draw(maps.probability_map(placed, date=date, view=view, texts=t, palette=palette), key="map_chart", height="stretch")
    st.html(f'<p class="tc-legend-title">{esc(t("map.legend"))}</p>' + legend(entries))


def _outcome(t: Texts, found: pa.Table) -> str:
    """How many stations had thunder, and how many of the warnings were right; or that it is not known."""
    known = found.filter(pc.is_valid(found.column("label")))
    if not known.num_rows:
        return t("map.unknown")
    happened = pc.equal(known.column("label"), 1)
    warned = pc.greater_equal(known.column("probability"), known.column("threshold"))
    return t(
        "map.outcome",
        thunder=t.number(pc.sum(happened).as_py()),
        threshold=t.share(known.column("threshold")[0].as_py(), 1),
        warned=t.number(pc.sum(warned).as_py()),
        hits=t.number(pc.sum(pc.and_(warned, happened)).as_py()),
    )
