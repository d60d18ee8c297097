"""The map of a date: what was said, and what happened."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from thundercast_dashboard import maps
from thundercast_dashboard.markup import esc, heading, legend
from thundercast_dashboard.texts import Texts
from thundercast_dashboard.views.context import Choice, Context, draw


def world(context: Context, chosen: Choice, date: dt.date, found: pa.Table | None) -> bool:
    """Probabilities and outcomes at the stations; False if there are none to draw.

    Args:
        found: `reading.PREDICTIONS_ON_MAP`; None if the store does not tell.
    """
    t, palette = context.texts, context.palette
    if found is None:
        st.html(heading(t("map.heading", date=t.date(date))) + f'<p class="tc-hint">{esc(t("state.unavailable"))}</p>')
        return False
    about = t("map.about", stations=t.number(found.num_rows), model=t.model(chosen.model), task=t(f"choice.{chosen.task}_about"))
    title = t("map.heading", date=t.date(date))
    placed = found.filter(pc.and_(pc.is_valid(found.column("lat")), pc.is_valid(found.column("lon"))))
    if not placed.num_rows:
        st.html(heading(title) + f'<p class="tc-hint">{esc(t("map.empty"))}</p>')
        return False
    entries = [
        *zip(maps.class_labels(t), palette.ramp, ["dot"] * len(palette.ramp), strict=True),
        (t("map.ring"), palette.happened, "ring"),
    ]
    latitude, longitude = (placed.column(name).to_numpy() for name in ("lat", "lon"))
    view = maps.view_of(latitude, longitude)
    shown = view.shows(latitude, longitude)
    outside = int(np.count_nonzero(~shown))
    unplaced = found.num_rows - placed.num_rows
    notes = [about, _outcome(t, found)]
    notes += [t("map.outside", count=t.number(outside))] if outside else []
    notes += [t("map.unplaced", count=t.number(unplaced))] if unplaced else []
    st.html(heading(title, " ".join(notes)))
    st.html(f"<style>.st-key-map {{--tc-aspect: {view.aspect:.3f}}}</style>")
    figure = maps.probability_map(placed.filter(pa.array(shown)), date=date, view=view, texts=t, palette=palette)
    draw(context, figure, key="map", height="stretch")
    st.html(f'<p class="tc-legend-title">{esc(t("map.legend"))}</p>' + legend(entries))
    return True


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
