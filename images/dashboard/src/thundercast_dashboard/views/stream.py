"""Where the stream stands, and how its parts are."""

from __future__ import annotations

import datetime as dt

import streamlit as st

from thundercast_dashboard.data import Row, part_phase, spoke
from thundercast_dashboard.markup import bar, esc, heading, pill, table, tile, tiles
from thundercast_dashboard.texts import Texts
from thundercast_dashboard.views import letters
from thundercast_dashboard.views.context import Context


def page(context: Context) -> None:
    """The whole page."""
    stream(context, context.snapshot.run or {})
    parts(context)
    letters.letters(context)
    gaps(context)


def stream(context: Context, run: Row) -> None:
    """Date, progress and the counts of the stream."""
    t, status = context.texts, context.snapshot.status or {}
    date, watermark, total = status.get("date"), status.get("watermark"), status.get("total_batches")
    days = (run["end_date"] - run["start_date"]).days + 1
    day = (date - run["start_date"]).days + 1 if date else 0
    share = watermark / total if watermark is not None and total else day / days
    detail = status.get("detail") or ""
    label = f'<span class="tc-label">{esc(t("stream.date"))}</span>'
    big = f'<span class="tc-big">{esc(t.date(date) if date else t("stream.no_date"))}</span>'
    state = f'<div class="tc-state"><span>{esc(detail)}</span></div>'
    progress = t("stream.progress", share=t.share(share, 1), day=t.number(day), days=t.number(days))
    updated = t("stream.updated", time=t.time(status["written_at"])) if status else ""
    st.html(
        f'<div class="tc-stand"><div class="tc-date">{label}{big}</div>{state}</div>'
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


def parts(context: Context) -> None:
    """Each part that tells of itself as a box, in the order of the flow, from the source to the store."""
    t, run = context.texts, context.snapshot.run or {}
    boxes = [_end(t("parts.source"), run["source"] or "", t("data.range", start=t.date(run["start_date"]), end=t.date(run["end_date"])))]
    boxes += [_part(context, row) for row in context.snapshot.statuses]
    read = t.time(dt.datetime.fromtimestamp(context.snapshot.read_at, dt.UTC))
    boxes.append(_end(t("parts.store"), context.store.where, t("parts.read", time=read)))
    st.html(heading(t("parts.heading"), t("parts.about")) + f'<ol class="tc-flow">{"".join(boxes)}</ol>')


def _end(name: str, what: str, note: str) -> str:
    return f'<li class="tc-part tc-end"><h3>{esc(name)}</h3><p class="tc-hint">{esc(what)}</p><p class="tc-hint">{esc(note)}</p></li>'


def _part(context: Context, row: Row) -> str:
    t = context.texts
    phase = part_phase(row, context.now)
    at, total = row["checkpoint_at"], row["total_batches"]
    batches = t("stream.watermark_unit", total=t.number(total)) if total else t("stream.watermark_unit_open")
    facts = [
        (t("parts.last_word"), t("parts.ago", age=t.duration(max(0.0, context.now - spoke(row))))),
        (t("parts.date"), t.date(row["date"])),
    ]
    # A part tells only what it has: a simulator holds nothing, and a cleaner is ahead of nobody.
    counted = (
        ("stream.watermark", "watermark", batches),
        ("stream.rate", "rows_per_second", t("stream.rate_unit")),
        ("stream.window", "window", t("stream.window_unit")),
        ("stream.duplicates", "duplicates", t("parts.batches")),
        ("stream.gaps", "gaps", t("parts.batches")),
        ("stream.letters", "dead_letters", ""),
        ("parts.lead", "lead_dates", t("parts.lead_unit")),
    )
    facts += [(t(key), f"{t.number(row[name])} {unit}".strip()) for key, name, unit in counted if row[name] is not None]
    if row["leader"] is not None:
        facts.append((t("parts.leader"), t("parts.yes") if row["leader"] else t("parts.no")))
    if at:
        facts.append(
            (t("stream.checkpoint"), f"{t('parts.ago', age=t.duration(context.now - at.timestamp()))}, {t.size(row['checkpoint_bytes'])}")
        )
    shown = "".join(f"<div><dt>{esc(name)}</dt><dd>{esc(value)}</dd></div>" for name, value in facts)
    detail = f'<p class="tc-hint">{esc(row["detail"])}</p>' if row["detail"] else ""
    wrong = f'<p class="tc-wrong">{esc(t("parts.error", detail=row["last_error"]))}</p>' if row["last_error"] else ""
    name = t.known(f"parts.{row['component']}", row["component"])
    return (
        f'<li class="tc-part"><h3>{esc(name)}</h3><p class="tc-hint">{esc(row["instance"])}</p>{pill(t(f"phase.{phase}"), phase)}'
        f"{detail}{wrong}<dl>{shown}</dl></li>"
    )


def gaps(context: Context) -> None:
    """The batches that were given up, if there are any."""
    t, rows = context.texts, context.snapshot.gaps
    if not rows:
        return
    cells = [
        (t.date(row["date"]), t.number(row["seq"]), t.number(row["shard"]), row["component"], t.time(row["written_at"])) for row in rows
    ]
    head = (t("gaps.date"), t("gaps.seq"), t("gaps.shard"), t("gaps.part"), t("gaps.written"))
    st.html(heading(t("gaps.heading"), t("gaps.about", count=t.number(len(rows)))) + table(head, cells, caption=t("gaps.heading")))
