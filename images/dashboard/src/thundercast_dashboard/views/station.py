"""Station: what was observed at one station, what was said of it, and what happened."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from thundercast.domain.scores.champion import BASELINE
from thundercast_dashboard import charts, stationcharts
from thundercast_dashboard.address import pick, wanted
from thundercast_dashboard.data import Row, champion, latest
from thundercast_dashboard.markup import blank, bolt, esc, heading, legend, table, tile, tiles
from thundercast_dashboard.texts import Texts
from thundercast_dashboard.views import skill
from thundercast_dashboard.views.choice import choice
from thundercast_dashboard.views.context import Choice, Context, draw

DAYS = dt.timedelta(90)
"""How far back the charts go."""
ROWS = 30
"""Dates in the table."""
BINS = 10


def page(context: Context) -> None:
    """The whole page."""
    t = context.texts
    if not context.snapshot.scored:
        skill.unscored(context)
        return
    names, strongest = _names(context)
    if not names:
        st.html(blank(t("station.none"), t("map.empty"), emblem=bolt(context.palette)))
        return
    left, right = st.columns([1, 2], gap="medium")
    with left:
        # The address names it whichever it is, so that it stays though another one has the strongest signal tomorrow.
        station = pick(t("map.station"), "station", names, default=strongest, words=str, kind="list", named=True)
    with right:
        chosen = choice(context, gates=False)
    answer = context.feed.station(context.run_id, station)
    if answer is None:
        st.html(f'<p class="tc-hint">{esc(t("state.unavailable"))}</p>')
        return
    history, predictions = answer
    said = _said(predictions, history, chosen)
    if not history.num_rows and not said.num_rows:
        st.html(blank(t("station.unknown", station=station), t("station.unknown_text"), emblem=bolt(context.palette)))
        return
    last = max(part.column("date")[-1].as_py() for part in (history, said) if part.num_rows)
    history, said = (part.filter(pc.greater(part.column("date"), pa.scalar(last - DAYS))) for part in (history, said))
    _facts(context, station, history, said)
    if said.num_rows:
        _probabilities(context, chosen, said)
    if history.num_rows:
        _measurements(context, history)
    if said.num_rows:
        left, right = st.columns(2, gap="large")
        with left:
            _calibration(context, chosen, said)
        with right:
            _days(context, said, history)


def _names(context: Context) -> tuple[list[str], str]:
    """The stations of the newest predictions and the one that the address names; and the one with the strongest signal."""
    snapshot = context.snapshot
    task = snapshot.tasks[0]
    closed = snapshot.closed(task)
    if closed is None:
        return [], ""
    leads = champion(list(latest(snapshot.series(task, "all"))), snapshot.events, task)
    answer = context.feed.on_map(context.run_id, task, leads, closed)
    found = answer[1].sort_by([("probability", "descending"), ("station", "ascending")]).column("station").to_pylist() if answer else []
    asked = wanted("station")
    return sorted({*found, *([asked] if asked else [])}), found[0] if found else asked or ""


def _said(predictions: pa.Table, history: pa.Table, chosen: Choice) -> pa.Table:
    """date, probability, baseline, threshold, label of the model; labels that were not known then are those of the observations."""
    of_task = predictions.filter(pc.equal(predictions.column("task"), chosen.task))
    own = of_task.filter(pc.equal(of_task.column("model_name"), chosen.model)).select(["date", "probability", "threshold", "label"])
    usual = (
        of_task.filter(pc.equal(of_task.column("model_name"), BASELINE))
        .select(["date", "probability"])
        .rename_columns(["date", "baseline"])
    )
    outcome = history.select(["date", "thunder"])
    found = own.join(usual, "date").join(outcome, "date").sort_by("date")
    label = pc.coalesce(found.column("label"), found.column("thunder").cast(pa.int64()))
    return found.set_column(found.column_names.index("label"), "label", label).drop_columns(["thunder"])


def _facts(context: Context, station: str, history: pa.Table, said: pa.Table) -> None:
    t = context.texts
    row: Row = history.slice(history.num_rows - 1).to_pylist()[0] if history.num_rows else {}
    place = t("search.place", lat=t.decimal(row.get("lat"), 2), lon=t.decimal(row.get("lon"), 2), elev=t.number(row.get("elev")))
    days = history.num_rows
    thunder = pc.sum(history.column("thunder").cast(pa.int64())).as_py() or 0 if days else 0
    known = said.filter(pc.is_valid(said.column("label")))
    last = said.slice(said.num_rows - 1).to_pylist()
    newest = (t("none"), "")
    if last:
        newest = (t.share(last[0]["probability"], 1), t("station.for_date", date=t.date(last[0]["date"])))
    items = [
        tile(t("station.place"), row.get("country") or t("none"), place),
        tile(t("station.days"), t.number(days), t("station.up_to", date=t.date(row.get("date")))),
        tile(t("station.thunder"), t.number(thunder), t("station.of_days", count=t.number(days))),
        tile(t("station.reports"), t("parts.yes") if row.get("reports_thunder") else t("map.no"), t("station.reports_note")),
        tile(t("station.latest"), *newest),
        tile(t("station.brier"), t.decimal(_brier(known), 3), t("station.of_days", count=t.number(known.num_rows))),
    ]  # fmt: skip
    st.html(heading(station) + tiles(items, kind="tc-small"))


def _brier(known: pa.Table) -> float | None:
    off = pc.subtract(known.column("probability"), known.column("label").cast(pa.float64()))
    return pc.mean(pc.multiply(off, off)).as_py() if known.num_rows else None


def _probabilities(context: Context, chosen: Choice, said: pa.Table) -> None:
    t, palette = context.texts, context.palette
    about = t("station.said_about", model=t.model(chosen.model), task=t(f"choice.{chosen.task}_about"))
    entries = [
        (t.model(chosen.model), palette.said, "line"),
        (t("skill.climatology"), palette.baseline, "dash"),
        (t("station.threshold"), f"color-mix(in srgb, {palette.said} 45%, transparent)", "line"),
        (t("map.ring"), palette.happened, "ring"),
    ]
    st.html(heading(t("station.said"), about) + legend(entries))
    draw(context, stationcharts.probabilities(said, texts=t, palette=palette), key="said")


def _measurements(context: Context, history: pa.Table) -> None:
    t, palette = context.texts, context.palette
    entries = [
        (t("station.observed"), palette.said, "dot"),
        (t("station.imputed"), palette.bad, "ring"),
        (t("station.mean7"), palette.others[0], "line"),
        (t("station.mean30"), palette.baseline, "dash"),
    ]
    st.html(heading(t("station.measured"), t("station.measured_about")) + legend(entries))
    names = list(stationcharts.UNITS)
    for start in (0, 3):
        for column, name in zip(st.columns(3, gap="medium"), names[start : start + 3], strict=False):
            with column:
                st.html(f"<h3>{esc(t(f'measure.{name}'))}, {esc(stationcharts.UNITS[name])}</h3>")
                draw(context, stationcharts.measured(history, name, texts=t, palette=palette), key=f"measured_{name}")


def _calibration(context: Context, chosen: Choice, said: pa.Table) -> None:
    t = context.texts
    known = said.filter(pc.is_valid(said.column("label")))
    st.html(heading(t("station.calibration"), t("station.calibration_about", days=t.number(known.num_rows))))
    if not known.num_rows:
        st.html(f'<p class="tc-hint">{esc(t("map.unknown"))}</p>')
        return
    bins = [[0, 0.0, 0] for _ in range(BINS)]
    for probability, label in zip(known.column("probability").to_pylist(), known.column("label").to_pylist(), strict=True):
        found = bins[min(BINS - 1, int(probability * BINS))]
        found[0] += 1
        found[1] += probability
        found[2] += label
    figure = charts.reliability(
        [(int(n), float(p), int(s)) for n, p, s in bins], model=t.model(chosen.model), texts=t, palette=context.palette
    )
    draw(context, figure, key="calibration")


def _days(context: Context, said: pa.Table, history: pa.Table) -> None:
    t = context.texts
    seen = {row["date"]: row for row in history.select(["date", "temp", "temp_imputed", "prcp", "prcp_imputed"]).to_pylist()}
    rows = []
    for row in said.slice(max(0, said.num_rows - ROWS)).to_pylist()[::-1]:
        there = seen.get(row["date"], {})
        outcome = {1: t("map.yes"), 0: t("map.no"), None: t("map.open")}[row["label"]]
        warned = t("station.warned") if row["probability"] >= row["threshold"] else t("none")
        rows.append(
            (t.date(row["date"]), t.share(row["probability"], 1), warned, outcome, *[_value(t, there, name) for name in ("temp", "prcp")])
        )
    head = (
        t("letters.date"), t("map.probability"), t("station.warning"), t("map.happened"),
        f"{t('measure.temp')} ({stationcharts.UNITS['temp']})", f"{t('measure.prcp')} ({stationcharts.UNITS['prcp']})",
    )  # fmt: skip
    caption = t("station.table", count=t.number(len(rows)))
    st.html(heading(t("station.table_heading"), t("station.table_about")) + table(head, rows, caption=caption, numbers=(1, 4, 5)))


def _value(t: Texts, row: Row, name: str) -> str:
    mark = "*" if row.get(f"{name}_imputed") else ""
    return t.decimal(row.get(name), 1) + mark
