"""What this is, and which data it shows."""

from __future__ import annotations

import streamlit as st

from thundercast_dashboard.data import Row
from thundercast_dashboard.markup import bolt, esc
from thundercast_dashboard.palette import Palette
from thundercast_dashboard.texts import LANGUAGES, Texts, preferred
from thundercast_dashboard.views.context import Context


def title(texts: Texts, palette: Palette) -> None:
    """The name and the switch of languages."""
    with st.container(key="head", horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.html(
            f'<div class="tc-head"><h1>{bolt(palette)}{esc(texts("page.title"))}</h1><p>{esc(texts("page.lead"))}</p></div>',
            width="stretch",
        )
        st.segmented_control(
            texts("page.language"),
            list(LANGUAGES),
            default=preferred(st.context.locale),
            required=True,
            key="lang",
            bind="query-params",
            label_visibility="collapsed",
        )


def source(context: Context, run: Row) -> None:
    """The data: real or not, from where, which dates, whose rights."""
    t = context.texts
    kind = "synthetic" if run["synthetic"] else "observed"
    note = f"<span>{esc(t('data.synthetic_note'))}</span>" if run["synthetic"] else ""
    badge = f'<div class="tc-badge tc-{kind}"><strong>{esc(t(f"data.{kind}"))}</strong>{note}</div>'
    facts = [
        (t("data.source"), run["source"] or ""),
        (t("data.dates"), t("data.range", start=t.date(run["start_date"]), end=t.date(run["end_date"]))),
        (t("data.filter"), run["filter"] or ""),
        (t("data.run"), run["run_id"]),
        (t("data.version"), run["version"] or ""),
    ]
    shown = "".join(f"<div><dt>{esc(name)}</dt><dd>{esc(value)}</dd></div>" for name, value in facts if value)
    rights = esc(run["rights"] or t("data.no_rights"))
    st.html(
        f'<section class="tc-source" aria-label="{esc(t("data.heading"))}">{badge}<dl>{shown}</dl>'
        f"<p><b>{esc(t('data.rights'))}</b> {rights}</p></section>"
    )
