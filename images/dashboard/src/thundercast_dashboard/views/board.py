"""How the models compare: leaderboard with bounds, the price of warnings, by month and by place."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow.compute as pc
import streamlit as st

from thundercast.domain.scores import bootstrap, contingency, days
from thundercast.domain.scores import costs as pricing
from thundercast.domain.scores.champion import BASELINE
from thundercast_dashboard import boards, charts, maps
from thundercast_dashboard.address import keep, wanted
from thundercast_dashboard.data import by_day, by_month
from thundercast_dashboard.markup import esc, heading, legend, tile, tiles
from thundercast_dashboard.texts import Texts
from thundercast_dashboard.views.context import Choice, Context, draw

RATIOS: Final = (1, 2, 3, 5, 8, 10, 15, 20, 30, 50, 100)
"""How many false alarms a miss may be worth."""
_RATIO: Final = 10


def leaderboard(context: Context, chosen: Choice) -> None:
    """The models by Brier skill over the whole run, each score with its bounds."""
    t, snapshot = context.texts, context.snapshot
    dates, sums = by_day(snapshot, chosen.task, chosen.gate)
    if BASELINE not in sums or chosen.champion not in sums or not dates:
        return
    board = snapshot.made(("board", chosen.task, chosen.gate), lambda: days.leaderboard(sums, baseline=BASELINE, champion=chosen.champion))
    about = t(
        "board.about",
        start=t.date(dates[0]),
        end=t.date(dates[-1]),
        days=t.number(len(dates)),
        block=t.number(bootstrap.block_length(len(dates))),
        draws=t.number(bootstrap.DRAWS),
    )
    st.html(heading(t("board.heading"), about))
    colours = charts.model_colours(list(sums), chosen.champion, context.palette)
    left, right = st.columns([1, 2], gap="large", vertical_alignment="center")
    with left:
        draw(context, boards.leaderboard(board, colours=colours, texts=t), key="board")
    with right:
        st.html(boards.leaderboard_table(board, champion=chosen.champion, texts=t))


def costs(context: Context, chosen: Choice) -> None:
    """At which threshold warnings would have cost least, for the viewer's own price of a miss."""
    t, snapshot = context.texts, context.snapshot
    closed = snapshot.closed(chosen.task)
    found = None if closed is None else context.feed.window(context.run_id, chosen.task, chosen.model, closed)
    st.html(heading(t("costs.heading"), t("costs.about", date=t.date(closed))))
    known = None if found is None else found.filter(pc.is_valid(found.column("label")))
    if known is None or not known.num_rows:
        st.html(f'<p class="tc-hint">{esc(t("map.empty"))}</p>')
        return

    def make() -> pricing.Warned:
        return pricing.warned(known.column("probability").to_numpy(), known.column("label").to_numpy().astype(np.int8))

    warned = snapshot.made(("warned", chosen.task, chosen.model), make)
    asked = wanted("miss") or ""
    first = int(asked) if asked in {str(ratio) for ratio in RATIOS} else _RATIO
    left, right = st.columns([2, 3], gap="large")
    with left:
        ratio = st.select_slider(t("costs.ratio"), RATIOS, first, key="choose_ratio", format_func=t.number)
        keep("miss", str(ratio), str(_RATIO))
        at = warned.best(miss=ratio, false_alarm=1)
        st.html(_price(t, warned, at, ratio, known.num_rows))
    with right:
        draw(context, boards.thresholds(warned, miss=ratio, false_alarm=1, texts=t, palette=context.palette), key="costs")


def _price(t: Texts, warned: pricing.Warned, at: int, ratio: int, rows: int) -> str:
    tp, fp, fn, tn = (int(part[at]) for part in (warned.tp, warned.fp, warned.fn, warned.tn))
    found = contingency.scores(tp, fp, fn, tn)
    threshold = t("costs.none") if not at else t.share(float(warned.threshold[at]), 1)
    true = pricing.true_threshold(miss=ratio, false_alarm=1)
    items = [
        tile(t("costs.best"), threshold, t("costs.true", value=t.share(true, 1))),
        tile(t("score.pod"), t.share(found["pod"]), t("costs.of_thunder", count=t.number(tp + fn))),
        tile(t("score.far"), t.share(found["far"]), t("costs.of_warnings", count=t.number(tp + fp))),
        tile(t("costs.cost"), t.decimal((ratio * fn + fp) / rows, 3), t("costs.unit")),
    ]
    return tiles(items, kind="tc-price")


def months(context: Context, chosen: Choice) -> None:
    """The model's skill by month of the year."""
    t, snapshot = context.texts, context.snapshot
    dates, sums = by_day(snapshot, chosen.task, chosen.gate)
    st.html(heading(t("months.heading"), t("months.about", model=t.model(chosen.model))))
    if BASELINE not in sums or chosen.model not in sums:
        st.html(f'<p class="tc-hint">{esc(t("map.empty"))}</p>')
        return
    rows = by_month(dates, sums[chosen.model], sums[BASELINE])
    draw(context, boards.months(rows, texts=t, palette=context.palette), key="months")


def where(context: Context, chosen: Choice) -> None:
    """The model's skill by place, in the last 30 days."""
    t = context.texts
    closed = context.snapshot.closed(chosen.task)
    st.html(heading(t("where.heading"), t("where.about", model=t.model(chosen.model), date=t.date(closed), rows=t.number(maps.ENOUGH))))
    pair = [None if closed is None else context.feed.window(context.run_id, chosen.task, name, closed) for name in (chosen.model, BASELINE)]
    model, baseline = pair
    if model is None or baseline is None or not model.num_rows or not baseline.num_rows:
        st.html(f'<p class="tc-hint">{esc(t("map.empty"))}</p>')
        return
    cells = context.snapshot.made(("cells", chosen.task, chosen.model), lambda: maps.cells(model, baseline))
    if not cells:
        st.html(f'<p class="tc-hint">{esc(t("where.few"))}</p>')
        return
    figure, aspect = maps.skill_map(cells, texts=t, palette=context.palette)
    st.html(f"<style>.st-key-where {{--tc-aspect: {aspect:.3f}}}</style>")
    draw(context, figure, key="where", height="stretch")
    labels = zip(maps.skill_labels(t), maps.skill_colours(context.palette), ["dot"] * len(maps.SKILL_CLASSES), strict=False)
    st.html(f'<p class="tc-legend-title">{esc(t("score.brier_skill"))}</p>' + legend(list(labels)))
