"""From tables to charts: pure functions.

What a chart looks like is worked out once and kept; its data is named, so that new rows move the chart and do not draw it anew.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import altair as alt
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from thundercast.domain.scores.champion import BASELINE
from thundercast_dashboard.data import Row
from thundercast_dashboard.palette import Palette
from thundercast_dashboard.texts import Texts

MAX_POINTS: Final = 600
"""Points of one line: more than a panel has pixels."""


FLOORS: Final = {"roc_auc": 0.5, "pr_auc": 0.0, "brier_skill": -0.2, "hss": 0.0, "csi": 0.0, "base_rate": 0.0}
"""Where the panels of the scores begin. A model's first dates are far below, and would press the rest into a line."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart and its data.

    Attributes:
        spec: Vega-Lite, as JSON.
        data: what the names in it stand for: tables, or shapes as GeoJSON features.
        title: what the chart is, in words; the same whatever the data.
        words: what it says.
        table: which of the data a reader would take away.
    """

    spec: str
    data: Mapping[str, pa.Table | list[Any]]
    title: str
    words: str
    table: str = ""

    def csv(self) -> bytes:
        """The table of the chart as CSV; instants are dates (GMT) there."""
        name = self.table or next(name for name, data in self.data.items() if isinstance(data, pa.Table))
        table: pa.Table = self.data[name]
        if "day" in table.column_names:
            at = table.column_names.index("day")
            days = pc.divide(table.column("day"), 86_400_000.0).cast(pa.int32()).cast(pa.date32())
            table = table.set_column(at, "date", days)
        out = pa.BufferOutputStream()
        pa.csv.write_csv(table, out)
        return bytes(out.getvalue().to_pybytes())


def finished(chart: alt.LayerChart, texts: Texts, **embed: Any) -> str:
    """The chart as JSON, with the language's numbers and dates."""
    return json.dumps(chart.configure(locale=texts.vega).properties(usermeta={"embedOptions": embed}, background="transparent").to_dict())


def dated(texts: Texts) -> alt.Tooltip:
    """The date under the pointer, of a chart whose axis has `milliseconds` in ``day``."""
    return alt.Tooltip("utcyearmonthdate(day):T", title=texts("skill.axis_date"), format="%Y-%m-%d")


def milliseconds(dates: pa.ChunkedArray) -> pa.Array:
    """Dates as instants of a chart's axis."""
    # Plain numbers on a UTC scale: a date must not move by the viewer's time zone.
    return pa.array(dates.cast(pa.int32()).to_numpy().astype(np.float64) * 86_400_000.0)


def thinned(series: pa.Table) -> pa.Table:
    """At most `MAX_POINTS` dates of a series, evenly chosen and with the last one; nothing is averaged."""
    dates = pc.unique(series.column("date")).sort()
    if len(dates) <= MAX_POINTS:
        return series
    step = math.ceil(len(dates) / MAX_POINTS)
    kept = dates.take(pa.array(range((len(dates) - 1) % step, len(dates), step)))
    return series.filter(pc.is_in(series.column("date"), value_set=kept))


def model_colours(models: Sequence[str], champion: str, palette: Palette) -> dict[str, str]:
    """A colour for each model; the baseline is grey, the champion indigo."""
    others = iter(palette.others * len(models))
    fixed = {champion: palette.said, BASELINE: palette.baseline}
    return {name: fixed[name] if name in fixed else next(others) for name in sorted(models)}


def score_over_time(
    series: pa.Table, score: str, *, models: Sequence[str], champion: str, texts: Texts, palette: Palette, events: Sequence[Row] = ()
) -> Figure:
    """One score of each model by date; where it is null the line breaks.

    Args:
        series: rows of `model_metrics` by date.
        score: a column, or ``base_rate`` for the share of thunder.
        events: rows of `model_events` to be marked on the axis of dates.
    """
    series = thinned(series)
    share = score == "base_rate"
    if share:
        series = series.filter(pc.equal(series.column("model_name"), champion))
        rows = pc.if_else(pc.greater(series.column("rows"), 0), series.column("rows"), pa.scalar(None, pa.int64()))
        value = pc.divide(series.column("positives").cast(pa.float64()), rows)
        colours = {champion: palette.happened}
    else:
        value = series.column(score)
        colours = model_colours(models, champion, palette)
    names = [texts.model(name) for name in series.column("model_name").to_pylist()]
    data = pa.table(
        {"day": milliseconds(series.column("date")), "model": pa.array(names, pa.string()), "value": value, "rows": series.column("rows")}
    )
    last = dict(zip(names, value.to_pylist(), strict=True))
    said = "; ".join(f"{name} {texts.share(v, 1) if share else texts.decimal(v, 3)}" for name, v in last.items())
    end = series.column("date")[-1].as_py() if series.num_rows else None
    title = texts("skill.alt", score=texts(f"score.{score}"))
    words = texts("skill.words", date=texts.date(end), values=said)
    named = tuple((texts.model(name), colour) for name, colour in colours.items())
    marked: dict[str, pa.Table | list[Any]] = {"scores": data}
    if events:
        marked["events"] = pa.table(
            {
                "day": milliseconds(pa.chunked_array([pa.array([row["date"] for row in events], pa.date32())])),
                "event": pa.array([texts.known(f"event.{row['event']}", row["event"]) for row in events], pa.string()),
                "model": pa.array([texts.model(row["model_name"]) for row in events], pa.string()),
            }
        )
    return Figure(_score_spec(score, named, bool(events), texts, palette), marked, title, words, "scores")


@cache
def _score_spec(score: str, colours: tuple[tuple[str, str], ...], marked: bool, texts: Texts, palette: Palette) -> str:
    share, baseline = score == "base_rate", texts.model(BASELINE)
    x = alt.X(
        "day:T",
        title=None,
        scale=alt.Scale(type="utc", nice=False),
        axis=alt.Axis(format="%b %y", tickCount=4, grid=False, labelFlush=True),
    )
    above = alt.Scale(domainMin=FLOORS[score], nice=True)
    y = alt.Y("value:Q", title=None, scale=above, axis=alt.Axis(format=".0%" if share else ".1f", tickCount=4))
    scale = alt.Scale(domain=[name for name, _ in colours], range=[colour for _, colour in colours])
    colour = alt.Color("model:N", legend=None, scale=scale)
    dash = alt.condition(alt.datum.model == baseline, alt.value([4, 3]), alt.value([1, 0]))
    form = ".1%" if share else ".3f"
    date = dated(texts)
    count = alt.Tooltip("rows:Q", title=texts("skill.rows"), format=",d")
    near = alt.selection_point(name="near", on="pointerover", clear="pointerout", fields=["day"], empty=False)
    base = alt.Chart(alt.NamedData(name="scores"))
    if score == "brier_skill":
        # Climatology's skill against itself is 0: said by a line, whatever the data.
        base = base.transform_filter(alt.datum.model != baseline)
    # What catches the pointer is one strip for each date, up to the next: a mark for each value would be drawn three times as slowly.
    said = [name for name, _ in colours if score != "brier_skill" or name != baseline]
    shown = [
        alt.Tooltip(field=_escaped(name), type="quantitative", title=texts("score.base_rate") if share else name, format=form)
        for name in said
    ]
    layers = [
        base.transform_pivot("model", value="value", groupby=["day", "rows"])
        .transform_window([alt.WindowFieldDef(op="lead", field="day", **{"as": "next"})], sort=[alt.SortField("day")])
        .transform_calculate(until=f"datum.next || time(datum.day) + {86_400_000}")
        .mark_rect(opacity=0)
        .encode(x=x, x2="until:T", tooltip=[date, *shown, count])
        .add_params(near)
    ]
    if marked:
        event = alt.Tooltip("event:N", title=texts("event.event"))
        layers.append(
            alt.Chart(alt.NamedData(name="events"))
            .mark_rule(color=palette.happened, strokeWidth=1.5, opacity=0.8)
            .encode(x=x, tooltip=[date, event, alt.Tooltip("model:N", title=texts("skill.model"))])
        )
    if score == "brier_skill":
        layers.append(
            alt.Chart(alt.InlineData(values=[{"value": 0}]))
            .mark_rule(color=palette.baseline, strokeDash=[4, 3], strokeWidth=1.75)
            .encode(y=y)
        )
    line = base.mark_line(strokeWidth=1.75, clip=True, invalid="break-paths-show-path-domains")
    # A group of marks that may be empty has no words of its own: it would be an image without a name.
    dots = base.transform_filter(near).mark_point(aria=False, filled=True, size=50, clip=True, invalid="filter", opacity=1)
    layers += [line.encode(x=x, y=y, color=colour, strokeDash=dash), dots.encode(x=x, y=y, color=colour)]
    return finished(alt.layer(*layers).properties(height=150, width="container", name=f"panel_{score}"), texts)


def _escaped(name: str) -> str:
    r"""A column's name as Vega-Lite takes it: dots and brackets would lead into an object.

    >>> _escaped("linear_model.Perceptron")
    'linear_model\\.Perceptron'
    """
    return re.sub(r"([\\.\[\]'\"])", r"\\\1", name)


def reliability(bins: Sequence[tuple[int, float, int]], *, model: str, texts: Texts, palette: Palette) -> Figure:
    """Mean probability given against the share that came, by bins of probability; the dot's area is the number of rows."""
    filled = [(i, rows, said / rows, seen / rows) for i, (rows, said, seen) in enumerate(bins) if rows]
    names = _bin_names(len(bins), texts)
    # The range that chance alone would often leave: two standard errors of the observed share.
    spread = [2.0 * math.sqrt(max(seen * (1 - seen), 1e-9) / rows) for _, rows, _, seen in filled]
    data = pa.table(
        {
            "bin": pa.array([names[i] for i, *_ in filled], pa.string()),
            "rows": pa.array([row[1] for row in filled], pa.float64()),
            "said": pa.array([row[2] for row in filled], pa.float64()),
            "seen": pa.array([row[3] for row in filled], pa.float64()),
            "low": pa.array([max(0.0, row[3] - s) for row, s in zip(filled, spread, strict=True)], pa.float64()),
            "high": pa.array([min(1.0, row[3] + s) for row, s in zip(filled, spread, strict=True)], pa.float64()),
        }
    )
    points = "; ".join(
        texts("reliability.point", said=texts.share(said), seen=texts.share(seen), rows=texts.number(rows))
        for _, rows, said, seen in filled
    )
    return Figure(_reliability_spec(texts, palette), {"bins": data}, texts("reliability.alt", model=model), points)


@cache
def _reliability_spec(texts: Texts, palette: Palette) -> str:
    axis, unit = alt.Axis(format=".0%", tickCount=5), alt.Scale(domain=[0, 1])
    x = alt.X("said:Q", title=None, scale=unit, axis=axis)
    y = alt.Y("seen:Q", title=texts("reliability.axis_y"), scale=unit, axis=axis)
    tooltip = [
        alt.Tooltip("bin:N", title=texts("reliability.bin")),
        alt.Tooltip("said:Q", title=texts("reliability.axis_x"), format=".1%"),
        alt.Tooltip("seen:Q", title=texts("reliability.axis_y"), format=".1%"),
        alt.Tooltip("rows:Q", title=texts("reliability.axis_count"), format=",d"),
    ]
    base = alt.Chart(alt.NamedData(name="bins"))
    ends = alt.Chart(alt.InlineData(values=[{"a": 0}, {"a": 1}]))
    diagonal = ends.mark_line(color=palette.baseline, strokeDash=[4, 3], strokeWidth=1.5).encode(
        x=alt.X("a:Q", scale=unit), y=alt.Y("a:Q", scale=unit)
    )
    bars = base.mark_rule(color=palette.said, opacity=0.45, strokeWidth=2).encode(x=x, y="low:Q", y2="high:Q")
    line = base.mark_line(color=palette.said, strokeWidth=1.75).encode(x=x, y=y)
    dots = base.mark_circle(color=palette.said, opacity=1).encode(
        x=x, y=y, size=alt.Size("rows:Q", legend=None, scale=alt.Scale(type="sqrt", range=[30, 320])), tooltip=tooltip
    )
    chart = alt.layer(diagonal, bars, line, dots).properties(height=280, width="container", name="reliability")
    return finished(chart, texts)


def counts(bins: Sequence[tuple[int, float, int]], *, texts: Texts, palette: Palette) -> Figure:
    """How many rows were given a probability of each bin; the count is logarithmic, for most probabilities are small."""
    width = 1.0 / len(bins)
    data = pa.table(
        {
            "from": pa.array([i * width for i in range(len(bins))], pa.float64()),
            "to": pa.array([(i + 1) * width for i in range(len(bins))], pa.float64()),
            "rows": pa.array([rows if rows else None for rows, _, _ in bins], pa.float64()),
            "bin": pa.array(_bin_names(len(bins), texts), pa.string()),
        }
    )
    said = "; ".join(f"{name} {texts.number(rows)}" for name, (rows, _, _) in zip(_bin_names(len(bins), texts), bins, strict=True))
    return Figure(_counts_spec(texts, palette), {"bins": data}, texts("reliability.counts_alt"), said)


@cache
def _counts_spec(texts: Texts, palette: Palette) -> str:
    axis = alt.Axis(format=".0%", tickCount=5)
    x = alt.X("from:Q", title=texts("reliability.axis_x"), scale=alt.Scale(domain=[0, 1]), axis=axis)
    y = alt.Y(
        "rows:Q",
        title=texts("reliability.axis_count"),
        scale=alt.Scale(type="log", domainMin=1, nice=True),
        axis=alt.Axis(format="~s", tickCount=3),
    )
    tooltip = [
        alt.Tooltip("bin:N", title=texts("reliability.bin")),
        alt.Tooltip("rows:Q", title=texts("reliability.axis_count"), format=",d"),
    ]
    bars = alt.Chart(alt.NamedData(name="bins")).mark_bar(color=palette.said, opacity=0.55, binSpacing=2)
    bars = bars.encode(x=x, x2="to:Q", y=y, y2=alt.datum(1), tooltip=tooltip)
    return finished(alt.layer(bars).properties(height=190, width="container", name="counts"), texts)


def _bin_names(bins: int, texts: Texts) -> list[str]:
    return [f"{texts.decimal(100 * i / bins, 0)}\N{EN DASH}{texts.share((i + 1) / bins)}" for i in range(bins)]


def letters(counts: Sequence[Row], *, texts: Texts, palette: Palette) -> Figure:
    """Dead letters by reason, most frequent first."""
    reasons = [texts.reason(row["reason"]) for row in counts]
    data = pa.table({"reason": pa.array(reasons, pa.string()), "count": pa.array([row["count"] for row in counts], pa.float64())})
    said = "; ".join(f"{reason} {texts.number(row['count'])}" for reason, row in zip(reasons, counts, strict=True))
    return Figure(_letters_spec(len(counts), texts, palette), {"letters": data}, texts("letters.alt"), said)


@cache
def _letters_spec(reasons: int, texts: Texts, palette: Palette) -> str:
    tooltip = [alt.Tooltip("reason:N", title=texts("letters.reason")), alt.Tooltip("count:Q", title=texts("letters.count"), format=",d")]
    axis = alt.Axis(labelLimit=220, labelOverlap=False, ticks=False, domain=False, labelPadding=8)
    base = alt.Chart(alt.NamedData(name="letters")).encode(
        y=alt.Y("reason:N", title=None, sort=None, axis=axis),
        x=alt.X("count:Q", title=texts("letters.axis"), axis=alt.Axis(format=",d", tickCount=4, tickMinStep=1)),
        tooltip=tooltip,
    )
    bars = base.mark_bar(color=palette.said, height=14, cornerRadiusEnd=2)
    numbers = base.mark_text(align="left", dx=5, color=palette.streamlit["textColor"]).encode(text=alt.Text("count:Q", format=",d"))
    return finished(alt.layer(bars, numbers).properties(height=30 * reasons + 60, width="container", name="letters"), texts)
