"""How good the models are: now, over time, by probability, and as warnings."""

from __future__ import annotations

from typing import Final

import pyarrow.compute as pc
import streamlit as st

from thundercast_dashboard import charts
from thundercast_dashboard.data import Row, champion, latest, reliability
from thundercast_dashboard.markup import esc, heading, legend, tile, tiles
from thundercast_dashboard.texts import BASELINE, Texts
from thundercast_dashboard.views.context import Choice, Context, draw

SCORES: Final = ("roc_auc", "pr_auc", "brier_skill", "hss", "csi")


def choice(context: Context) -> Choice:
    """What to show: the viewer's choice of task and stations, offered where there is one."""
    t, snapshot = context.texts, context.snapshot
    tasks, gates = snapshot.tasks, ["all", "reporting"]
    with st.container(key="choice", horizontal=True, gap="medium"):
        task = tasks[0]
        if len(tasks) > 1:
            task = (
                st.segmented_control(
                    t("choice.task"), tasks, default=task, required=True, format_func=lambda v: t(f"choice.{v}"), key="task"
                )
                or task
            )
        gate = (
            st.segmented_control(t("choice.gate"), gates, default="all", required=True, format_func=lambda v: t(f"choice.{v}"), key="gate")
            or "all"
        )
    rows = latest(snapshot.series(task, gate))
    return Choice(task, gate, champion(rows), rows)


def _base_rate(row: Row) -> float | None:
    return row["positives"] / row["rows"] if row["rows"] else None


def summary(context: Context, chosen: Choice) -> None:
    """What the numbers that follow are about."""
    t, model = context.texts, chosen.latest[chosen.champion]
    about = t(
        "now.about",
        model=chosen.champion,
        task=t(f"choice.{chosen.task}_about"),
        gate=t(f"choice.{chosen.gate}_about"),
        rows=t.number(model["rows"]),
        date=t.date(model["date"]),
        share=t.share(_base_rate(model), 1),
    )
    st.html(heading(t("now.heading"), about))


def now(context: Context, chosen: Choice) -> None:
    """The key numbers of the last 30 days, with the baseline's beside them."""
    t, model, baseline = context.texts, chosen.latest[chosen.champion], chosen.latest.get(BASELINE)
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
    models = pc.unique(series.column("model_name")).to_pylist()
    colours = charts.model_colours(models, chosen.champion, context.palette)
    order = sorted(models, key=lambda name: (name != chosen.champion, name == BASELINE, name))
    entries = [(t.model(m), colours[m], "dash" if m == BASELINE else "line") for m in order]
    st.html(heading(t("skill.heading"), t("skill.about", floor=t.decimal(charts.FLOORS["brier_skill"], 1))) + legend(entries))
    panels = (*SCORES, "base_rate")
    for start in (0, 3):
        for column, score in zip(st.columns(3, gap="medium"), panels[start : start + 3], strict=True):
            with column:
                st.html(f'<h3>{esc(t(f"score.{score}"))}</h3><p class="tc-hint">{esc(t(f"score.{score}_about"))}</p>')
                figure = charts.score_over_time(series, score, models=models, champion=chosen.champion, texts=t, palette=context.palette)
                draw(figure, key=f"panel_{score}")


def probabilities(context: Context, chosen: Choice) -> None:
    """The reliability diagram."""
    t, row = context.texts, chosen.latest[chosen.champion]
    bins = reliability(row)
    st.html(heading(t("reliability.heading"), t("reliability.about", date=t.date(row["date"]))))
    if any(rows for rows, _, _ in bins):
        draw(charts.reliability(bins, model=chosen.champion, texts=t, palette=context.palette), key="reliability")
        draw(charts.counts(bins, texts=t, palette=context.palette), key="counts")
    else:
        st.html(f'<p class="tc-hint">{esc(t("reliability.empty"))}</p>')


def warnings(context: Context, chosen: Choice) -> None:
    """The contingency table at the threshold fixed before each date, and the scores made from it."""
    t, row = context.texts, chosen.latest[chosen.champion]
    baseline = chosen.latest.get(BASELINE)
    about = t("table.about", threshold=t.share(row["threshold"], 1), date=t.date(row["date"]))
    items = []
    for score in ("pod", "far", "csi", "hss"):
        note = t("now.baseline", value=_shown(t, score, baseline[score])) if baseline else ""
        items.append(tile(t(f"score.{score}"), _shown(t, score, row[score]), note, about=t(f"score.{score}_about")))
    st.html(heading(t("table.heading"), about) + _table(t, row) + tiles(items, kind="tc-four"))


def _shown(t: Texts, score: str, value: float | None) -> str:
    return t.share(value) if score in ("pod", "far") else t.decimal(value, 3)


def _table(t: Texts, row: Row) -> str:
    def cell(name: str) -> str:
        return f'<td class="tc-{name}"><b>{esc(t.number(row[name]))}</b> <span>{esc(t(f"table.{name}"))}</span></td>'

    columns = f'<th scope="col">{esc(t("table.thunder"))}</th><th scope="col">{esc(t("table.no_thunder"))}</th>'
    return (
        f'<table class="tc-table"><caption>{esc(t("table.caption"))}</caption>'
        f"<thead><tr><td>{esc(t('table.corner'))}</td>{columns}</tr></thead>"
        f'<tbody><tr><th scope="row">{esc(t("table.warned"))}</th>{cell("tp")}{cell("fp")}</tr>'
        f'<tr><th scope="row">{esc(t("table.quiet"))}</th>{cell("fn")}{cell("tn")}</tr></tbody></table>'
    )
