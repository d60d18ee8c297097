"""The data and the numbers: where they come from, whose they are, what they mean."""

from __future__ import annotations

from typing import Final

import streamlit as st

from thundercast_dashboard.markup import esc, heading
from thundercast_dashboard.views.context import Context

FORMULAS: Final = {
    "brier": r"\mathrm{BS} = \frac{1}{n} \sum_{i=1}^{n} (p_i - o_i)^2",
    "skill": r"\mathrm{BSS} = 1 - \mathrm{BS} / \mathrm{BS}_{\mathrm{clim}}",
    "roc": r"\mathrm{AUC} = P(p_i > p_j \mid o_i = 1, o_j = 0)",
    "pod": r"\mathrm{POD} = a / (a + c)",
    "far": r"\mathrm{FAR} = b / (a + b)",
    "csi": r"\mathrm{CSI} = a / (a + b + c)",
    "hss": r"\mathrm{HSS} = \frac{2 (ad - bc)}{(a + c)(c + d) + (a + b)(b + d)}",
    "cost": r"p^* = C_f / (C_f + C_m)",
}
"""How the scores are made, by the key of their words; p is the probability, o the outcome, a to d the contingency table."""


def page(context: Context) -> None:
    """The whole page."""
    t, run = context.texts, context.snapshot.run or {}
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
        heading(t("data.heading")) + f'<section class="tc-source"><dl>{shown}</dl><p><b>{esc(t("data.rights"))}</b> {rights}</p></section>'
    )
    with st.container(key="about"):
        for part in ("label", "synthetic", "before", "baseline", "scores"):
            st.markdown(t(f"about.{part}"))
        st.markdown("\n".join(f"- {t(f'about.formula_{name}')}: ${formula}$" for name, formula in FORMULAS.items()))
        for part in ("bounds", "watch", "links"):
            st.markdown(t(f"about.{part}"))
