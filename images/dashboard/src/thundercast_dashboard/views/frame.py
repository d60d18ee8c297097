"""What every page has: its name, the switch of languages, which data it shows, and what to know before reading it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import streamlit as st
from streamlit.navigation.page import Page

from thundercast_dashboard.address import pick
from thundercast_dashboard.data import Phase, Row
from thundercast_dashboard.markup import banner, blank, bolt, esc, pill
from thundercast_dashboard.palette import Palette
from thundercast_dashboard.texts import LANGUAGES, Texts, preferred
from thundercast_dashboard.views.context import Context


def top(pages: Sequence[Page], chosen: Page, texts: Texts, palette: Palette) -> None:
    """The name, the way to the other pages, and the switch of languages."""
    with st.container(key="top", horizontal=True, vertical_alignment="center", gap="small"):
        st.html(f'<div class="tc-brand">{bolt(palette)}{esc(texts("page.title"))}</div>', width="content")
        with st.container(key="pages", horizontal=True, vertical_alignment="center", gap="xsmall"):
            for page in pages:
                with st.container(key=f"page_{page.url_path or 'first'}{'_here' if page is chosen else ''}", width="content"):
                    st.page_link(page, label=page.title)
        st.segmented_control(
            texts("page.language"),
            list(LANGUAGES),
            default=preferred(st.context.locale),
            required=True,
            key="lang",
            bind="query-params",
            label_visibility="collapsed",
        )


def title(page: str, texts: Texts) -> None:
    """What the page is."""
    st.html(f'<div class="tc-head"><h1>{esc(texts(f"page.{page}_title"))}</h1><p>{esc(texts(f"page.{page}_lead"))}</p></div>')


def begins(context: Context) -> bool:
    """Says what the page is about; False if there is nothing to show, which it then says."""
    phase, run = context.snapshot.phase(context.now), context.snapshot.run
    if run is None or phase in ("missing", "mismatch", "empty"):
        _nothing(context, phase)
        return False
    _strip(context, phase, run)
    if len(context.snapshot.runs) > 1:
        _runs(context)
    _notices(context, phase)
    return True


def _nothing(context: Context, phase: Phase) -> None:
    """There is nothing to show: why, and what would change that."""
    t, emblem = context.texts, bolt(context.palette)
    store = context.store
    if phase == "missing":
        text = t(f"state.missing_{store.kind}", where=store.where, detail=context.snapshot.detail)
        st.html(blank(t("state.missing"), text, store.maker, emblem=emblem))
    elif phase == "empty":
        st.html(blank(t("state.empty"), t("state.empty_text", where=store.where), emblem=emblem))
    elif phase == "mismatch":
        st.html(blank(t("state.mismatch"), context.snapshot.detail, emblem=emblem))
    else:
        st.html(blank(t("state.unavailable"), t("state.unavailable_first", detail=context.snapshot.detail), emblem=emblem))


def _strip(context: Context, phase: Phase, run: Row) -> None:
    """The data, real or not; where the stream stands; how it is."""
    t, status = context.texts, context.snapshot.status or {}
    kind = "synthetic" if run["synthetic"] else "observed"
    note = f"<span>{esc(t('data.synthetic_note'))}</span>" if run["synthetic"] else ""
    badge = f'<div class="tc-badge tc-{kind}"><strong>{esc(t(f"data.{kind}"))}</strong>{note}</div>'
    date = status.get("date")
    facts = [
        (t("data.source"), run["source"] or ""),
        (t("stream.date"), t.date(date) if date else t("stream.no_date")),
        (t("strip.updated"), t.time(status.get("written_at"))),
    ]
    shown = "".join(f"<div><dt>{esc(name)}</dt><dd>{esc(value)}</dd></div>" for name, value in facts)
    label = esc(t("data.heading"))
    st.html(f'<section class="tc-strip" aria-label="{label}">{badge}<dl>{shown}</dl>{pill(t(f"phase.{phase}"), phase)}</section>')


def _runs(context: Context) -> None:
    """The run that is shown, where the store has several."""
    t, names = context.texts, [row["run_id"] for row in context.snapshot.runs]

    def words(name: str) -> str:
        row = next(row for row in context.snapshot.runs if row["run_id"] == name)
        return " \N{MIDDLE DOT} ".join((name, row["source"], t.known(f"phase.{row['state']}", row["state"])))

    with st.container(key="runs"):
        pick(t("data.run"), "run", names, default=names[0], words=words, kind="list")


def _notices(context: Context, phase: Phase) -> None:
    """What the viewer should know before reading the numbers."""
    t, snapshot = context.texts, context.snapshot
    status = snapshot.status
    if snapshot.problem == "unavailable":
        read = t.time(dt.datetime.fromtimestamp(snapshot.read_at, dt.UTC))
        st.html(banner(t("state.unavailable"), t("state.unavailable_text", time=read, detail=snapshot.detail), "bad"))
    elif phase == "stale" and status is not None:
        age = t.duration(snapshot.silence(context.now))
        st.html(banner(t("state.stale", age=age), t("state.stale_text", time=t.time(status["written_at"])), "warn"))
    elif phase == "failed" and status is not None:
        st.html(banner(t("state.failed"), " ".join(filter(None, (status["detail"], status["last_error"]))), "bad"))
    elif phase == "stopped":
        st.html(banner(t("state.stopped"), t("state.stopped_text"), "warn"))
    elif phase == "completed":
        st.html(banner(t("state.completed"), t("state.completed_text"), "good"))
