"""Now: what the models say of the newest date, what happened, and what they said of the 90 days before."""

from __future__ import annotations

import datetime as dt
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from thundercast_dashboard.address import keep, wanted
from thundercast_dashboard.markup import esc, heading, table
from thundercast_dashboard.texts import Texts
from thundercast_dashboard.views import places, skill
from thundercast_dashboard.views.choice import choice
from thundercast_dashboard.views.context import Choice, Context

BACK: Final = dt.timedelta(90)
"""How far back the slider goes."""
STRONGEST: Final = 8
"""Stations in the list of the strongest signals, and in that of the greatest surprises."""


def page(context: Context) -> None:
    """The whole page."""
    if not context.snapshot.scored:
        skill.unscored(context)
        return
    chosen = choice(context)
    skill.summary(context, chosen)
    skill.now(context, chosen)
    closed = context.snapshot.closed(chosen.task)
    if closed is None:
        return
    date, found = _found(context, chosen, closed)
    drawn = places.world(context, chosen, date, found)
    if found is not None and drawn:
        left, right = st.columns(2, gap="large")
        with left:
            _strongest(context, found, date)
        with right:
            _surprises(context, found, date)
        _search(context, found)


def _found(context: Context, chosen: Choice, closed: dt.date) -> tuple[dt.date, pa.Table | None]:
    """The date that the viewer looks at, and what was said of it."""
    t = context.texts
    picked = _picked(t, context.snapshot.run or {}, closed)
    if picked is None:
        answer = context.feed.on_map(context.run_id, chosen.task, chosen.model, closed)
        return (closed, None) if answer is None else answer
    return picked, context.feed.on_date(context.run_id, chosen.task, chosen.model, picked, closed)


def _picked(t: Texts, run: dict[str, dt.date], closed: dt.date) -> dt.date | None:
    """The date that the viewer has gone back to; None for the newest."""
    asked = _date(wanted("date"))
    kinds = ("newest", "back")
    first = "newest" if asked is None else "back"
    with st.container(key="when", horizontal=True, gap="large", vertical_alignment="top"):
        when = st.segmented_control(
            t("when.label"), kinds, default=first, required=True, format_func=lambda v: t(f"when.{v}"), key="choose_when"
        )
        if when != "back":
            keep("date", None, None)
            st.session_state.pop("back_from", None)
            return None
        # The scale stands still while the viewer moves on it, though the stream goes on.
        end = st.session_state.setdefault("back_from", closed if asked is None else max(min(closed, asked + BACK), asked))
        start = max(run.get("start_date", end - BACK), end - BACK)
        if start >= end:
            return end  # type: ignore[no-any-return]
        at = end if asked is None else min(max(asked, start), end)
        picked: dt.date = st.slider(t("when.date"), start, end, at, format="YYYY-MM-DD", key="choose_date", width="stretch")
    keep("date", picked.isoformat(), None)
    return picked


def _date(text: str | None) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text) if text else None
    except ValueError:
        # A date that cannot be read is none: the address may have been written by hand.
        return None


def _strongest(context: Context, found: pa.Table, date: dt.date) -> None:
    """The stations with the highest probabilities."""
    t = context.texts
    first = found.sort_by([("probability", "descending"), ("station", "ascending")]).slice(0, STRONGEST)
    st.html(heading(t("strongest.heading"), t("strongest.about", date=t.date(date))) + _stations(t, first, t("strongest.heading")))


def _surprises(context: Context, found: pa.Table, date: dt.date) -> None:
    """Thunder that was least expected, and warnings that were the most wrong: by the squared difference to what happened."""
    t = context.texts
    known = found.filter(pc.is_valid(found.column("label")))
    if not known.num_rows:
        st.html(heading(t("surprises.heading"), t("map.unknown")))
        return
    off = pc.abs(pc.subtract(known.column("probability"), known.column("label").cast(pa.float64())))
    first = known.append_column("off", off).sort_by([("off", "descending"), ("station", "ascending")]).slice(0, STRONGEST)
    st.html(heading(t("surprises.heading"), t("surprises.about", date=t.date(date))) + _stations(t, first, t("surprises.heading")))


def _stations(t: Texts, rows: pa.Table, caption: str) -> str:
    outcome = {1: t("map.yes"), 0: t("map.no"), None: t("map.open")}
    cells = [
        (row["station"], row["country"] or t("none"), t.share(row["probability"], 1), outcome[row["label"]]) for row in rows.to_pylist()
    ]
    return table((t("map.station"), t("map.country"), t("map.probability"), t("map.happened")), cells, caption=caption, numbers=(2,))


def _search(context: Context, found: pa.Table) -> None:
    """A station by its name: what was said of it, and the way to its history."""
    t = context.texts
    st.html(heading(t("search.heading"), t("search.about")))
    names = found.column("station").to_pylist()
    with st.container(key="search", horizontal=True, gap="medium", vertical_alignment="bottom"):
        name = st.selectbox(t("map.station"), names, index=None, placeholder=t("search.placeholder"), key="choose_found", width=320)
        if name is None:
            return
        (row,) = found.filter(pc.equal(found.column("station"), name)).to_pylist()
        outcome = {1: t("map.yes"), 0: t("map.no"), None: t("map.open")}[row["label"]]
        place = t("search.place", lat=t.decimal(row["lat"], 2), lon=t.decimal(row["lon"], 2), elev=t.number(row["elev"]))
        st.html(
            f'<p class="tc-found"><b>{esc(t.share(row["probability"], 1))}</b> {esc(t("map.probability"))} \N{MIDDLE DOT} '
            f"{esc(outcome)} \N{MIDDLE DOT} {esc(place)}</p>",
            width="content",
        )
        # The choice is kept for the other page; the link only leads there.
        st.session_state["kept_station"] = name
        st.page_link(context.pages["station"], label=t("search.history"), icon=":material/timeline:")
