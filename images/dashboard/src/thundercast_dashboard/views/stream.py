"""Where the stream stands."""

from __future__ import annotations

import datetime as dt

import streamlit as st

from thundercast_dashboard.data import Phase, Row
from thundercast_dashboard.markup import banner, bar, esc, heading, pill, tile, tiles
from thundercast_dashboard.texts import Texts
from thundercast_dashboard.views.context import Context


def notices(context: Context, phase: Phase) -> None:
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


def stream(context: Context, phase: Phase, run: Row) -> None:
    """Date, progress and the counts of the stream."""
    t, status = context.texts, context.snapshot.status or {}
    date, watermark, total = status.get("date"), status.get("watermark"), status.get("total_batches")
    days = (run["end_date"] - run["start_date"]).days + 1
    day = (date - run["start_date"]).days + 1 if date else 0
    share = watermark / total if watermark is not None and total else day / days
    detail = status.get("detail") or ""
    label = f'<span class="tc-label">{esc(t("stream.date"))}</span>'
    big = f'<span class="tc-big">{esc(t.date(date) if date else t("stream.no_date"))}</span>'
    state = f'<div class="tc-state">{pill(t(f"phase.{phase}"), phase)}<span>{esc(detail)}</span></div>'
    progress = t("stream.progress", share=t.share(share, 1), day=t.number(day), days=t.number(days))
    updated = t("stream.updated", time=t.time(status["written_at"])) if status else ""
    st.html(
        f'{heading(t("stream.heading"))}<div class="tc-stand"><div class="tc-date">{label}{big}</div>{state}</div>'
        f'{bar(share, t("stream.progress_label"))}<p class="tc-progress"><span>{esc(progress)}</span><span>{esc(updated)}</span></p>'
        f"{tiles(_counts(t, context, status), kind='tc-small')}"
    )


def _counts(t: Texts, context: Context, status: Row) -> list[str]:
    total, at = status.get("total_batches"), status.get("checkpoint_at")
    of_total = t("stream.watermark_unit", total=t.number(total)) if total else t("stream.watermark_unit_open")
    age = t.duration(context.now - at.timestamp()) if at else t("stream.no_checkpoint")
    size = t("stream.checkpoint_unit", size=t.size(status.get("checkpoint_bytes"))) if at else ""
    return [
        tile(t("stream.rate"), t.number(status.get("rows_per_second")), t("stream.rate_unit")),
        tile(t("stream.rows"), t.number(status.get("rows")), t("stream.rows_unit")),
        tile(t("stream.watermark"), t.number(status.get("watermark")), of_total),
        tile(t("stream.window"), t.number(status.get("window")), t("stream.window_unit")),
        tile(t("stream.duplicates"), t.number(status.get("duplicates")), t("stream.duplicates_unit")),
        tile(t("stream.gaps"), t.number(status.get("gaps")), t("stream.gaps_unit")),
        tile(t("stream.letters"), t.number(sum(row["count"] for row in context.snapshot.letter_counts)), t("stream.letters_unit")),
        tile(t("stream.checkpoint"), age, size),
    ]
