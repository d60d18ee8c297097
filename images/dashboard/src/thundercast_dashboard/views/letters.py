"""Dead letters: what was set aside, and why."""

from __future__ import annotations

import pyarrow.compute as pc
import streamlit as st

from thundercast_dashboard import charts
from thundercast_dashboard.address import pick
from thundercast_dashboard.markup import esc, heading, table
from thundercast_dashboard.views.context import Context, draw

_ANY = "any"
_COLUMNS = ("written", "reason", "station", "date", "stage", "detail", "original")


def letters(context: Context) -> None:
    """Counts by reason, and the newest ones as they came."""
    t, snapshot = context.texts, context.snapshot
    counts = snapshot.letter_counts
    if not counts:
        st.html(heading(t("letters.heading")) + f'<p class="tc-hint">{esc(t("letters.none"))}</p>')
        return
    st.html(heading(t("letters.heading"), t("letters.about", count=t.number(sum(row["count"] for row in counts)))))
    left, right = st.columns([2, 3], gap="large")
    with left:
        draw(context, charts.letters(counts, texts=t, palette=context.palette), key="letters")
    with right:
        reasons = [_ANY, *[row["reason"] for row in counts]]
        reason = pick(
            t("letters.reason"),
            "reason",
            reasons,
            default=_ANY,
            words=lambda v: t("letters.any") if v == _ANY else t.reason(v),
            kind="list",
        )
        shown = snapshot.letters
        if reason != _ANY:
            shown = shown.filter(pc.equal(shown.column("reason"), reason))
        cells = [
            (
                t.time(row["written_at"]),
                t.reason(row["reason"]),
                *[str(row[name] or "") for name in ("station", "date", "stage", "detail", "original")],
            )
            for row in shown.to_pylist()
        ]
        caption = t("letters.newest", count=t.number(shown.num_rows))
        st.html(table([t(f"letters.{name}") for name in _COLUMNS], cells, caption=caption, seen=True))
