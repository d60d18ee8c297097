"""How good the models are: now, over time, by probability, and as warnings."""

from __future__ import annotations

from typing import Final

import streamlit as st

from thundercast.domain.scores.champion import BASELINE
from thundercast_dashboard import boards, charts
from thundercast_dashboard.data import Row, reliability
from thundercast_dashboard.markup import blank, bolt, esc, heading, legend, tile, tiles
from thundercast_dashboard.texts import Texts
from thundercast_dashboard.views import board
from thundercast_dashboard.views.choice import choice
from thundercast_dashboard.views.context import Choice, Context, draw

SCORES: Final = ("roc_auc", "pr_auc", "brier_skill", "hss", "csi")


def page(context: Context) -> None:
    """The whole page."""
    if not context.snapshot.scored:
        unscored(context)
        return
    chosen = choice(context)
    board.leaderboard(context, chosen)
    over_time(context, chosen)
    left, right = st.columns(2, gap="large")
    with left:
        probabilities(context, chosen)
    with right:
        warnings(context, chosen)
    board.costs(context, chosen)
    left, right = st.columns(2, gap="large")
    with left:
        board.months(context, chosen)
    with right:
        board.where(context, chosen)


def unscored(context: Context) -> None:
    """There are no scores yet."""
    st.html(blank(context.texts("state.unscored"), context.texts("state.unscored_text"), emblem=bolt(context.palette)))


def _base_rate(row: Row) -> float | None:
    return row["positives"] / row["rows"] if row["rows"] else None


def summary(context: Context, chosen: Choice) -> None:
    """What the numbers that follow are about."""
    t, model = context.texts, chosen.latest[chosen.model]
    about = t(
        "now.about",
        model=t.model(chosen.model),
        task=t(f"choice.{chosen.task}_about"),
        gate=t(f"choice.{chosen.gate}_about"),
        rows=t.number(model["rows"]),
        date=t.date(model["date"]),
        share=t.share(_base_rate(model), 1),
    )
    st.html(heading(t("now.heading"), about))


def now(context: Context, chosen: Choice) -> None:
    """The key numbers of the last 30 days, with the baseline's beside them."""
    t, model, baseline = context.texts, chosen.latest[chosen.model], chosen.latest.get(BASELINE)
    items = []
    for score in SCORES:
        value = model[score]
        against = t("now.baseline", value=t.decimal(baseline[score], 3)) if baseline else ""
        note = against if value is not None else t("now.undefined")
        items.append(tile(t(f"score.{score}"), t.decimal(value, 3), note, about=t(f"score.{score}_about"), kind="tc-score"))
    st.html(tiles(items, kind="tc-large"))


def over_time(context: Context, chosen: Choice) -> None:
    """A panel for each score, all models in each."""
    t = context.texts
    series = context.snapshot.series(chosen.task, chosen.gate)
    models = list(chosen.models)
    colours = charts.model_colours(models, chosen.champion, context.palette)
    entries = [(t.model(m), colours[m], "dash" if m == BASELINE else "line") for m in models]
    events = [row for row in context.snapshot.events if row["task"] == chosen.task and row["event"] in ("drift", "champion")]
    if events:
        entries.append((t("event.mark"), context.palette.happened, "line"))
    st.html(heading(t("skill.heading"), t("skill.about", floor=t.decimal(charts.FLOORS["brier_skill"], 1))) + legend(entries))
    panels = (*SCORES, "base_rate")
    for start in (0, 3):
        for column, score in zip(st.columns(3, gap="medium"), panels[start : start + 3], strict=True):
            with column:
                st.html(f'<h3>{esc(t(f"score.{score}"))}</h3><p class="tc-hint">{esc(t(f"score.{score}_about"))}</p>')
                figure = charts.score_over_time(
                    series, score, models=models, champion=chosen.champion, texts=t, palette=context.palette, events=events
                )
                draw(context, figure, key=f"panel_{score}")


def probabilities(context: Context, chosen: Choice) -> None:
    """The reliability diagram."""
    t, row = context.texts, chosen.latest[chosen.model]
    bins = reliability(row)
    st.html(heading(t("reliability.heading"), t("reliability.about", date=t.date(row["date"]))))
    if any(rows for rows, _, _ in bins):
        draw(context, charts.reliability(bins, model=t.model(chosen.model), texts=t, palette=context.palette), key="reliability")
        draw(context, charts.counts(bins, texts=t, palette=context.palette), key="counts")
    else:
        st.html(f'<p class="tc-hint">{esc(t("reliability.empty"))}</p>')


def warnings(context: Context, chosen: Choice) -> None:
    """The contingency table at the threshold fixed before each date, and the scores made from it."""
    t, row = context.texts, chosen.latest[chosen.model]
    baseline = chosen.latest.get(BASELINE)
    about = t("table.about", threshold=t.share(row["threshold"], 1), date=t.date(row["date"]))
    items = []
    for score in ("pod", "far", "csi", "hss"):
        note = t("now.baseline", value=_shown(t, score, baseline[score])) if baseline else ""
        items.append(tile(t(f"score.{score}"), _shown(t, score, row[score]), note, about=t(f"score.{score}_about")))
    st.html(heading(t("table.heading"), about) + boards.contingency_table(row, texts=t) + tiles(items, kind="tc-four"))


def _shown(t: Texts, score: str, value: float | None) -> str:
    return t.share(value) if score in ("pod", "far") else t.decimal(value, 3)
