"""Charts of how models compare: leaderboard, thresholds, months."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import altair as alt
import numpy as np
import pyarrow as pa

from thundercast.domain.scores.champion import BASELINE
from thundercast.domain.scores.costs import Warned
from thundercast.domain.scores.days import Bounded
from thundercast_dashboard.charts import Figure, finished
from thundercast_dashboard.markup import esc, table
from thundercast_dashboard.palette import Palette
from thundercast_dashboard.texts import Texts

THRESHOLDS: Final = 300
"""Thresholds that are drawn: more than a chart has pixels to tell apart."""


def leaderboard(board: Mapping[str, Mapping[str, Bounded]], *, colours: Mapping[str, str], texts: Texts) -> Figure:
    """Each model's Brier skill as a dot with its bounds, the best on top."""
    ranked = sorted((name for name in board if name != BASELINE), key=lambda name: -(board[name]["brier_skill"][0] or -np.inf))
    rows: list[dict[str, Any]] = []
    for name in ranked:
        value, bounds = board[name]["brier_skill"]
        low, high = bounds or (None, None)
        rows.append({"model": texts.model(name), "brier_skill": value, "low": low, "high": high})
    kinds = [("model", pa.string()), *[(name, pa.float64()) for name in ("brier_skill", "low", "high")]]
    data = pa.Table.from_pylist(rows, schema=pa.schema(kinds))
    said = "; ".join(
        texts(
            "board.point",
            model=row["model"],
            value=texts.decimal(row["brier_skill"], 3),
            bounds=bounds_of(texts, (row["low"], row["high"])),
        )
        for row in rows
    )
    named = tuple((texts.model(name), colours[name]) for name in ranked)
    return Figure(_leaderboard_spec(named, texts), {"board": data}, texts("board.alt"), said)


def leaderboard_table(board: Mapping[str, Mapping[str, Bounded]], *, champion: str, texts: Texts) -> str:
    """The same as a table, with more scores."""
    t = texts
    rows = []
    for name in sorted(board, key=lambda name: -(board[name]["brier_skill"][0] or 0.0)):
        cells = [f"{t.model(name)} \N{BLACK STAR}" if name == champion else t.model(name)]
        for score in ("brier_skill", "roc_auc", "hss", "csi", "above_champion"):
            value, bounds = board[name][score]
            itself = score == "above_champion" and name == champion
            cells.append(t("none") if itself else "\n".join(filter(None, (t.decimal(value, 3), bounds and bounds_of(t, bounds)))))
        rows.append(cells)
    head = (t("skill.model"), t("score.brier_skill"), t("board.roc_auc"), t("score.hss"), t("score.csi"), t("board.above"))
    return table(head, rows, caption=t("board.caption", champion=t.model(champion)), numbers=range(1, len(head)), seen=True)


def bounds_of(texts: Texts, bounds: tuple[float | None, float | None] | None, places: int = 3) -> str:
    """Two bounds in words."""
    low, high = bounds or (None, None)
    return texts("board.bounds", low=texts.decimal(low, places), high=texts.decimal(high, places))


@cache
def _leaderboard_spec(colours: tuple[tuple[str, str], ...], texts: Texts) -> str:
    names = [name for name, _ in colours]
    scale = alt.Scale(domain=names, range=[colour for _, colour in colours])
    y = alt.Y("model:N", title=None, sort=names, axis=alt.Axis(labelLimit=200, ticks=False, domain=False, labelPadding=8))
    x = alt.X("brier_skill:Q", title=texts("board.axis"), axis=alt.Axis(format=".2f", tickCount=5))
    tooltip = [
        alt.Tooltip("model:N", title=texts("skill.model")),
        alt.Tooltip("brier_skill:Q", title=texts("score.brier_skill"), format=".3f"),
        alt.Tooltip("low:Q", title=texts("board.low"), format=".3f"),
        alt.Tooltip("high:Q", title=texts("board.high"), format=".3f"),
    ]
    base = alt.Chart(alt.NamedData(name="board")).encode(y=y, color=alt.Color("model:N", legend=None, scale=scale), tooltip=tooltip)
    bars = base.mark_rule(strokeWidth=3, opacity=0.5).encode(x=alt.X("low:Q", title=texts("board.axis")), x2="high:Q")
    dots = base.mark_circle(size=110, opacity=1).encode(x=x)
    zero = alt.Chart(alt.InlineData(values=[{"value": 0}])).mark_rule(strokeDash=[4, 3], opacity=0.6).encode(x=alt.X("value:Q"))
    return finished(alt.layer(zero, bars, dots).properties(height=46 * len(colours) + 50, width="container", name="board"), texts)


def thresholds(found: Warned, *, miss: float, false_alarm: float, texts: Texts, palette: Palette) -> Figure:
    """Cost, POD and FAR at every threshold, with the cheapest marked."""
    best = found.best(miss=miss, false_alarm=false_alarm)
    last = len(found.threshold) - 1
    # Evenly by the share of warnings, so that the steep end near 0 keeps its points.
    kept = np.unique(np.concatenate([np.round(np.linspace(1, last, THRESHOLDS)).astype(int), [max(best, 1)]])) if last else np.zeros(0, int)
    days = int(found.tn[0] + found.fn[0])
    cost = found.cost(miss=miss, false_alarm=false_alarm) / max(days, 1)
    tp, fp, fn = (part[kept].astype(np.float64) for part in (found.tp, found.fp, found.fn))
    with np.errstate(divide="ignore", invalid="ignore"):
        pod, far = tp / (tp + fn), fp / (tp + fp)
    data = pa.table(
        {
            "threshold": found.threshold[kept],
            "cost": cost[kept],
            "pod": pa.array(pod, from_pandas=True),
            "far": pa.array(far, from_pandas=True),
            "best": kept == best,
        }
    )
    words = texts("costs.words", threshold=texts.share(float(found.threshold[best]), 1), cost=texts.decimal(float(cost[best]), 3))
    if not best:
        words = texts("costs.never")
    return Figure(_thresholds_spec(texts, palette), {"thresholds": data}, texts("costs.alt"), words)


@cache
def _thresholds_spec(texts: Texts, palette: Palette) -> str:
    x = alt.X("threshold:Q", title=texts("costs.axis"), scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format=".0%", tickCount=5))
    tooltip = [
        alt.Tooltip("threshold:Q", title=texts("costs.axis"), format=".1%"),
        alt.Tooltip("cost:Q", title=texts("costs.cost"), format=".3f"),
        alt.Tooltip("pod:Q", title=texts("score.pod"), format=".0%"),
        alt.Tooltip("far:Q", title=texts("score.far"), format=".0%"),
    ]
    base = alt.Chart(alt.NamedData(name="thresholds")).encode(x=x)
    cost = alt.Y("cost:Q", title=texts("costs.cost"), axis=alt.Axis(format=".2f", tickCount=4), scale=alt.Scale(zero=True))
    line = base.mark_line(color=palette.said, strokeWidth=2).encode(y=cost, tooltip=tooltip)
    dot = base.transform_filter("datum.best").mark_circle(color=palette.happened, size=140, opacity=1).encode(y=cost, tooltip=tooltip)
    rule = base.transform_filter("datum.best").mark_rule(color=palette.happened, strokeDash=[4, 3]).encode(tooltip=tooltip)
    upper = alt.layer(line, rule, dot).properties(height=190, width="container", name="costs")
    return finished(upper, texts)


def months(rows: Sequence[Mapping[str, float | int | None]], *, texts: Texts, palette: Palette) -> Figure:
    """Brier skill by month of the year as bars, with the share of thunder as a line of dots."""
    data = pa.Table.from_pylist(
        [dict(row) | {"name": texts.month(int(row["month"] or 1))[:3]} for row in rows],
        schema=pa.schema(
            [("month", pa.int64()), ("name", pa.string()), ("days", pa.int64())]
            + [(name, pa.float64()) for name in ("brier_skill", "hss", "pod", "far", "base_rate")]
        ),
    )
    said = "; ".join(
        texts("months.point", month=texts.month(int(row["month"] or 1)), value=texts.decimal(row["brier_skill"], 3)) for row in rows
    )
    return Figure(_months_spec(texts, palette), {"months": data}, texts("months.alt"), said)


@cache
def _months_spec(texts: Texts, palette: Palette) -> str:
    names = [texts.month(i)[:3] for i in range(1, 13)]
    x = alt.X("name:N", title=None, sort=names, scale=alt.Scale(domain=names), axis=alt.Axis(labelAngle=0, ticks=False))
    tooltip = [
        alt.Tooltip("name:N", title=texts("months.month")),
        alt.Tooltip("days:Q", title=texts("months.days"), format=",d"),
        alt.Tooltip("base_rate:Q", title=texts("score.base_rate"), format=".1%"),
        *[alt.Tooltip(f"{name}:Q", title=texts(f"score.{name}"), format=".3f") for name in ("brier_skill", "hss")],
        *[alt.Tooltip(f"{name}:Q", title=texts(f"score.{name}"), format=".0%") for name in ("pod", "far")],
    ]
    base = alt.Chart(alt.NamedData(name="months")).encode(x=x, tooltip=tooltip)
    bars = base.mark_bar(color=palette.said, opacity=0.85, cornerRadiusEnd=2, width={"band": 0.7}).encode(
        y=alt.Y("brier_skill:Q", title=texts("score.brier_skill"), axis=alt.Axis(format=".1f", tickCount=4))
    )
    return finished(alt.layer(bars).properties(height=190, width="container", name="months"), texts)


def contingency_table(row: Mapping[str, Any], *, texts: Texts) -> str:
    """Warned or not against what happened, at the thresholds fixed before each date."""
    t = texts

    def cell(name: str) -> str:
        return f'<td class="tc-{name}"><b>{esc(t.number(row[name]))}</b> <span>{esc(t(f"table.{name}"))}</span></td>'

    columns = f'<th scope="col">{esc(t("table.thunder"))}</th><th scope="col">{esc(t("table.no_thunder"))}</th>'
    return (
        f'<table class="tc-table"><caption>{esc(t("table.caption"))}</caption>'
        f"<thead><tr><td>{esc(t('table.corner'))}</td>{columns}</tr></thead>"
        f'<tbody><tr><th scope="row">{esc(t("table.warned"))}</th>{cell("tp")}{cell("fp")}</tr>'
        f'<tr><th scope="row">{esc(t("table.quiet"))}</th>{cell("fn")}{cell("tn")}</tr></tbody></table>'
    )
