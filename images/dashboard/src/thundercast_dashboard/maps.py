"""The map: what part of the world it shows, its land, and the stations on it."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import altair as alt
import pyarrow as pa
import pyarrow.compute as pc

from thundercast_dashboard.charts import Figure, finished
from thundercast_dashboard.palette import Palette
from thundercast_dashboard.texts import Texts

CLASSES: Final = (0.02, 0.05, 0.15, 0.3, 0.5)
"""Bounds between the classes of probability."""

CROWDED: Final = 1500
"""Stations from which on dots and rings are small."""

_EQUAL_EARTH: Final = (1.340264, -0.081106, 0.000893, 0.003796)


@dataclass(frozen=True, slots=True)
class View:
    """What part of the world a map shows, and how.

    Attributes:
        projection: the name that Vega gives it.
        center: longitude and latitude of the middle, degrees.
        width, height: of the part shown, in the projection's units at scale 1.
    """

    projection: str
    center: tuple[float, float]
    width: float
    height: float

    @property
    def aspect(self) -> float:
        return self.width / self.height


def _equal_earth_y(latitude: float) -> float:
    """The ordinate of the Equal Earth projection (Šavrič, Patterson and Jenny 2018), scale 1."""
    a1, a2, a3, a4 = _EQUAL_EARTH
    theta = math.asin(math.sqrt(3) / 2 * math.sin(math.radians(latitude)))
    return theta * (a1 + a2 * theta**2 + theta**6 * (a3 + a4 * theta**2))


def _mercator_y(latitude: float) -> float:
    return math.log(math.tan(math.pi / 4 + math.radians(latitude) / 2))


def view_of(latitudes: Sequence[float], longitudes: Sequence[float]) -> View:
    """The world where the stations are far apart, else their region with a margin."""
    south, north, west, east = min(latitudes), max(latitudes), min(longitudes), max(longitudes)
    if east - west > 150 or north - south > 90:
        # Cut in the Bering Strait, so that no land is in two pieces; without Antarctica.
        return View("equalEarth", (11.0, 6.4), 2 * 2.70663, _equal_earth_y(84.0) - _equal_earth_y(-57.0))
    # Rounded outwards to 5 degrees, so that the map stands still when an outlying station is silent for a day.
    west, east = 5 * math.floor((west - 2) / 5), 5 * math.ceil((east + 2) / 5)
    south, north = max(-80, 5 * math.floor((south - 1) / 5)), min(80, 5 * math.ceil((north + 1) / 5))
    low, high = _mercator_y(south), _mercator_y(north)
    middle = math.degrees(2 * math.atan(math.exp((low + high) / 2)) - math.pi / 2)
    return View("mercator", ((west + east) / 2, middle), math.radians(east - west), high - low)


@cache
def land() -> list[Any]:
    """The land of the world as GeoJSON features."""
    return [json.loads(Path(__file__).with_name("assets").joinpath("land.json").read_text(encoding="utf-8"))]


def probability_map(predictions: pa.Table, *, date: dt.date, view: View, texts: Texts, palette: Palette) -> Figure:
    """Each station as a dot, coloured and sized by its probability, with a ring where thunder was reported.

    Args:
        predictions: `reading.PREDICTIONS_ON_MAP`, all with a position.
    """
    ordered = predictions.sort_by("probability")
    outcome = {1: texts("map.yes"), 0: texts("map.no"), None: texts("map.open")}
    data = pa.table(
        {
            "station": ordered.column("station"),
            "country": pc.fill_null(ordered.column("country"), ""),
            "lat": ordered.column("lat"),
            "lon": ordered.column("lon"),
            "probability": ordered.column("probability"),
            "thunder": pc.fill_null(pc.equal(ordered.column("label"), 1), False),
            "outcome": pa.array([outcome[label] for label in ordered.column("label").to_pylist()], pa.string()),
        }
    )
    first = ordered.slice(max(0, ordered.num_rows - 3)).to_pylist()[::-1]
    top = "; ".join(f"{row['station']} {texts.share(row['probability'])}" for row in first)
    said = texts("map.alt", date=texts.date(date), stations=texts.number(ordered.num_rows), top=top)
    return Figure(_map_spec(view, ordered.num_rows > CROWDED, texts, palette), {"land": land(), "stations": data}, said)


@cache
def _map_spec(view: View, crowded: bool, texts: Texts, palette: Palette) -> str:
    projection = alt.Projection(
        type=view.projection,
        rotate=[-view.center[0], 0, 0],
        center=[0, view.center[1]],
        scale=alt.ExprRef(f"min(width / {view.width:.4f}, height / {view.height:.4f})"),
        translate=alt.ExprRef("[width / 2, height / 2]"),
    )
    tooltip = [
        alt.Tooltip("station:N", title=texts("map.station")),
        alt.Tooltip("country:N", title=texts("map.country")),
        alt.Tooltip("probability:Q", title=texts("map.probability"), format=".1%"),
        alt.Tooltip("outcome:N", title=texts("map.happened")),
    ]
    ground = alt.Chart(alt.NamedData(name="land")).mark_geoshape(fill=palette.land, stroke=palette.coast, strokeWidth=0.6, clip=True)
    stations = alt.Chart(alt.NamedData(name="stations")).encode(longitude="lon:Q", latitude="lat:Q")
    # Areas in square pixels on a map 1,000 pixels wide; on a narrow one less, or the dots hide each other.
    narrow = "clamp(width / 1000, 0.3, 1)"
    small, large, ring = (6, 60, 70) if crowded else (24, 150, 190)
    areas = alt.Scale(type="linear", domain=[0, 0.6], range=[alt.ExprRef(f"{area} * {narrow}") for area in (small, large)], clamp=True)
    classes = alt.Scale(type="threshold", domain=list(CLASSES), range=list(palette.ramp))
    dots = stations.mark_circle(opacity=1, stroke=palette.streamlit["backgroundColor"], strokeWidth=0.4, clip=True).encode(
        color=alt.Color("probability:Q", legend=None, scale=classes),
        size=alt.Size("probability:Q", legend=None, scale=areas),
        tooltip=tooltip,
    )
    width = alt.ExprRef(f"{1.4 if crowded else 2.2} * sqrt({narrow})")
    rings = (
        stations.transform_filter("datum.thunder")
        .mark_point(filled=False, stroke=palette.happened, strokeWidth=width, opacity=1, clip=True, size=alt.ExprRef(f"{ring} * {narrow}"))
        .encode(tooltip=tooltip)
    )
    chart = alt.layer(ground, dots, rings).properties(projection=projection, width="container", height="container", name="map", padding=0)
    chart = chart.configure_view(stroke=None)
    return finished(chart, texts, renderer="canvas")


def class_labels(texts: Texts) -> list[str]:
    """The classes of probability on the map, in words."""
    bounds = [0.0, *CLASSES, 1.0]
    pairs = pairwise(bounds)
    return [f"{texts.decimal(100 * low, 0)}\N{EN DASH}{texts.share(high)}" for low, high in pairs]
