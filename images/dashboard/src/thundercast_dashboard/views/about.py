"""What the numbers mean, and states in which there are none."""

from __future__ import annotations

import streamlit as st

from thundercast_dashboard.data import Phase
from thundercast_dashboard.markup import blank, bolt
from thundercast_dashboard.texts import Texts
from thundercast_dashboard.views.context import Context


def about(texts: Texts) -> None:
    """How the scores are computed, and what the label is worth."""
    with st.expander(texts("about.heading"), key="about"):
        for part in ("label", "before", "baseline", "scores", "links"):
            st.markdown(texts(f"about.{part}"))


def nothing(context: Context, phase: Phase) -> None:
    """There is nothing to show: why, and what would change that."""
    t, emblem = context.texts, bolt(context.palette)
    if phase == "missing":
        st.html(blank(t("state.missing"), t("state.missing_text", where=context.where), "thundercast run", emblem=emblem))
    elif phase == "empty":
        st.html(blank(t("state.empty"), t("state.empty_text", where=context.where), emblem=emblem))
    elif phase == "mismatch":
        st.html(blank(t("state.mismatch"), context.snapshot.detail, emblem=emblem))
    else:
        st.html(blank(t("state.unavailable"), t("state.unavailable_first", detail=context.snapshot.detail), emblem=emblem))
