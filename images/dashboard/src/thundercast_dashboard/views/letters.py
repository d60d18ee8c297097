"""Dead letters: what was set aside, and why."""

from __future__ import annotations

import streamlit as st

from thundercast_dashboard import charts
from thundercast_dashboard.markup import esc, heading
from thundercast_dashboard.views.context import Context, draw


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
        draw(charts.letters(counts, texts=t, palette=context.palette), key="letters")
    with right:
        columns = ("written", "reason", "station", "date", "detail", "original")
        head = "".join(f'<th scope="col">{esc(t(f"letters.{name}"))}</th>' for name in columns)
        body = ""
        for row in snapshot.letters.to_pylist():
            cells = (t.time(row["written_at"]), t.reason(row["reason"]), row["station"], row["date"], row["detail"], row["original"])
            body += "<tr>" + "".join(f"<td>{esc(str(cell or ''))}</td>" for cell in cells) + "</tr>"
        caption = esc(t("letters.newest", count=t.number(snapshot.letters.num_rows)))
        st.html(
            f'<div class="tc-scroll" tabindex="0" role="region" aria-label="{caption}"><table class="tc-rows"><caption>{caption}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )
