"""Charts of one station: what was said and what happened, and what was observed."""

from __future__ import annotations

from functools import cache

import altair as alt
import pyarrow as pa
import pyarrow.compute as pc

from thundercast_dashboard.charts import Figure, dated, finished, milliseconds
from thundercast_dashboard.palette import Palette
from thundercast_dashboard.texts import Texts

UNITS = {"temp": "°C", "dewp": "°C", "slp": "hPa", "wdsp": "m/s", "prcp": "mm"}
"""Of what is drawn of the observations."""


def probabilities(said: pa.Table, *, texts: Texts, palette: Palette) -> Figure:
    """A station's probabilities by date, the threshold fixed before each, and the days with thunder.

    Args:
        said: date, probability, baseline, threshold, label; one row a date.
    """
    outcome = {1: texts("map.yes"), 0: texts("map.no"), None: texts("map.open")}
    labels = said.column("label").to_pylist()
    data = pa.table(
        {
            "day": milliseconds(said.column("date")),
            "probability": said.column("probability"),
            "baseline": said.column("baseline"),
            "threshold": said.column("threshold"),
            "thunder": pa.array([label == 1 for label in labels]),
            "outcome": pa.array([outcome[label] for label in labels], pa.string()),
        }
    )
    count = sum(label == 1 for label in labels)
    first, last = said.column("date")[0].as_py(), said.column("date")[-1].as_py()
    words = texts(
        "station.words",
        start=texts.date(first),
        end=texts.date(last),
        days=texts.number(said.num_rows),
        thunder=texts.number(count),
        value=texts.share(said.column("probability")[-1].as_py(), 1),
    )
    return Figure(_probabilities_spec(texts, palette), {"said": data}, texts("station.alt"), words)


# Marks that may be none at all have no words of their own: an empty group would be an image without a name.
def _x() -> alt.X:
    axis = alt.Axis(format="%d %b", tickCount=6, grid=False, labelFlush=True)
    return alt.X("day:T", title=None, scale=alt.Scale(type="utc", nice=False), axis=axis)


@cache
def _probabilities_spec(texts: Texts, palette: Palette) -> str:
    y = alt.Y("probability:Q", title=texts("map.probability"), scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format=".0%", tickCount=5))
    tooltip = [
        dated(texts),
        alt.Tooltip("probability:Q", title=texts("map.probability"), format=".1%"),
        alt.Tooltip("baseline:Q", title=texts("skill.climatology"), format=".1%"),
        alt.Tooltip("threshold:Q", title=texts("station.threshold"), format=".1%"),
        alt.Tooltip("outcome:N", title=texts("map.happened")),
    ]
    base = alt.Chart(alt.NamedData(name="said")).encode(x=_x())
    usual = base.mark_line(color=palette.baseline, strokeDash=[4, 3], strokeWidth=1.5).encode(y=alt.Y("baseline:Q", title=None))
    limit = base.mark_line(color=palette.said, strokeWidth=1, opacity=0.45, interpolate="step").encode(y=alt.Y("threshold:Q", title=None))
    line = base.mark_line(color=palette.said, strokeWidth=1.75).encode(y=y)
    dots = base.mark_circle(color=palette.said, size=26, opacity=1).encode(y=y, tooltip=tooltip)
    rings = base.transform_filter("datum.thunder").mark_point(
        aria=False, filled=False, color=palette.happened, size=130, strokeWidth=2.2, opacity=1
    )
    return finished(
        alt.layer(usual, limit, line, dots, rings.encode(y=y, tooltip=tooltip)).properties(height=260, width="container", name="said"),
        texts,
    )


def measured(history: pa.Table, name: str, *, texts: Texts, palette: Palette) -> Figure:
    """One measurement by date: as observed, as filled in, and its means over 7 and 30 days.

    Args:
        history: rows of `observations`, by date.
    """
    data = pa.table(
        {
            "day": milliseconds(history.column("date")),
            "value": history.column(name).cast(pa.float64()),
            "imputed": pc.fill_null(history.column(f"{name}_imputed"), False),
            "mean7": history.column(f"{name}_ma7").cast(pa.float64()),
            "mean30": history.column(f"{name}_ma30").cast(pa.float64()),
        }
    )
    filled = pc.sum(data.column("imputed")).as_py() or 0
    last = texts.decimal(data.column("value")[-1].as_py(), 1)
    words = texts(
        "station.measured_words",
        date=texts.date(history.column("date")[-1].as_py()),
        value=f"{last}\N{NO-BREAK SPACE}{UNITS[name]}",
        days=texts.number(history.num_rows),
        imputed=texts.number(filled),
    )
    return Figure(_measured_spec(name, texts, palette), {"measured": data}, texts(f"measure.{name}"), words)


@cache
def _measured_spec(name: str, texts: Texts, palette: Palette) -> str:
    zero = name in ("wdsp", "prcp")
    y = alt.Y("value:Q", title=UNITS[name], scale=alt.Scale(zero=zero, nice=True), axis=alt.Axis(format="~f", tickCount=4))
    tooltip = [
        dated(texts),
        alt.Tooltip("value:Q", title=f"{texts(f'measure.{name}')} ({UNITS[name]})", format=".1f"),
        alt.Tooltip("imputed:N", title=texts("station.imputed")),
        alt.Tooltip("mean7:Q", title=texts("station.mean7"), format=".1f"),
        alt.Tooltip("mean30:Q", title=texts("station.mean30"), format=".1f"),
    ]
    base = alt.Chart(alt.NamedData(name="measured")).encode(x=_x())
    slow = base.mark_line(color=palette.baseline, strokeWidth=1.5, strokeDash=[4, 3]).encode(y=alt.Y("mean30:Q", title=None))
    week = base.mark_line(color=palette.others[0], strokeWidth=1.5).encode(y=alt.Y("mean7:Q", title=None))
    line = base.mark_line(color=palette.said, strokeWidth=1, opacity=0.5).encode(y=y)
    seen = base.transform_filter("!datum.imputed").mark_circle(color=palette.said, size=18, opacity=1).encode(y=y, tooltip=tooltip)
    made = base.transform_filter("datum.imputed").mark_point(
        aria=False, filled=False, color=palette.bad, size=50, strokeWidth=1.6, opacity=1
    )
    chart = alt.layer(slow, week, line, seen, made.encode(y=y, tooltip=tooltip)).properties(height=170, width="container", name=name)
    return finished(chart, texts)
