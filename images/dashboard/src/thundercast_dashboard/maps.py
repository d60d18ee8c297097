"""The map: what part of the world it shows, its land, and the stations on it."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import altair as alt
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from thundercast_dashboard.charts import Figure, finished
from thundercast_dashboard.palette import Palette
from thundercast_dashboard.texts import Texts

Floats = npt.NDArray[np.float64]
Projection = Callable[[Floats, Floats], tuple[Floats, Floats]]

CLASSES: Final = (0.02, 0.05, 0.15, 0.3, 0.5)
"""Bounds between the classes of probability."""

CROWDED: Final = 1500
"""Stations from which on dots and rings are small."""

_EQUAL_EARTH: Final = (1.340264, -0.081106, 0.000893, 0.003796)
_OUTLYING: Final = 0.015
"""The share of stations that a region may leave out at each of its four sides: an island far off does not shrink all others."""


@dataclass(frozen=True, slots=True)
class View:
    """What part of the world a map shows, and how.

    Attributes:
        projection: the name that Vega gives it.
        center: longitude and latitude of the middle, degrees.
        width, height: of the part shown, in the projection's units at scale 1.
        parallels: the standard parallels of a conic projection, degrees.
    """

    projection: str
    center: tuple[float, float]
    width: float
    height: float
    parallels: tuple[float, float] | None = None

    @property
    def aspect(self) -> float:
        return self.width / self.height

    def shows(self, latitude: Floats, longitude: Floats) -> npt.NDArray[np.bool_]:
        """Which of the places are on the map."""
        if self.projection == WORLD.projection:
            return np.ones(len(latitude), np.bool_)
        project = _conic_xy(*self.parallels) if self.parallels else _straight_xy
        x, y = project(latitude, (longitude - self.center[0] + 180.0) % 360.0 - 180.0)
        _, middle = project(np.array([self.center[1]]), np.zeros(1))
        return (np.abs(x) <= self.width / 2) & (np.abs(y - middle) <= self.height / 2)


def _straight_xy(latitude: Floats, longitude: Floats) -> tuple[Floats, Floats]:
    """Degrees as lengths; longitudes from the middle."""
    return np.radians(longitude), np.radians(latitude)


def _conic_xy(south: float, north: float) -> Projection:
    """Albers' equal-area conic projection (Snyder 1987, p. 100) by its standard parallels; longitudes from the middle."""
    low, high = math.sin(math.radians(south)), math.sin(math.radians(north))
    n, c = (low + high) / 2, 1 + low * high

    def project(latitude: Floats, longitude: Floats) -> tuple[Floats, Floats]:
        radius = np.sqrt(c - 2 * n * np.sin(np.radians(latitude))) / n
        angle = n * np.radians(longitude)
        return radius * np.sin(angle), -radius * np.cos(angle)

    return project


def _equal_earth_y(latitude: float) -> float:
    """The ordinate of the Equal Earth projection (Šavrič, Patterson and Jenny 2018), scale 1."""
    a1, a2, a3, a4 = _EQUAL_EARTH
    theta = math.asin(math.sqrt(3) / 2 * math.sin(math.radians(latitude)))
    return theta * (a1 + a2 * theta**2 + theta**6 * (a3 + a4 * theta**2))


# Cut in the Bering Strait, so that no land is in two pieces; without Antarctica.
WORLD: Final = View("equalEarth", (11.0, 6.4), 2 * 2.70663, _equal_earth_y(84.0) - _equal_earth_y(-57.0))


def view_of(latitude: Floats, longitude: Floats) -> View:
    """The region of the stations with a margin; the world where they are far apart."""
    # Longitudes are counted from the widest gap between stations, which may lie anywhere.
    around = np.sort(longitude % 360.0)
    gaps = np.diff(np.append(around, around[0] + 360.0))
    first = around[(int(np.argmax(gaps)) + 1) % len(around)]
    unrolled = first + (longitude - first) % 360.0
    share = _OUTLYING if len(longitude) >= 50 else 0.0
    west, east = np.quantile(unrolled, [share, 1 - share])
    south, north = np.quantile(latitude, [share, 1 - share])
    # Rounded outwards to 5 degrees, so that the map stands still when an outlying station is silent for a day.
    west, east = 5.0 * math.floor((west - 2) / 5), 5.0 * math.ceil((east + 2) / 5)
    south, north = max(-80.0, 5.0 * math.floor((south - 1) / 5)), min(80.0, 5.0 * math.ceil((north + 1) / 5))
    if east - west > 130 or north - south > 80:
        return WORLD
    centre = ((west + east) / 2 + 180.0) % 360.0 - 180.0
    half = (east - west) / 2
    # Near the equator a cone is no use: its parallels would be the same but for the sign.
    parallels = None if abs(south + north) < 30 else (south + (north - south) / 6, north - (north - south) / 6)
    project = _conic_xy(*parallels) if parallels else _straight_xy
    edge = np.linspace(south, north, 101)
    x, y = project(np.tile(edge, 2), np.repeat([half, 0.0], len(edge)))
    _, along = project(edge, np.zeros(len(edge)))
    middle = float(np.interp((y.min() + y.max()) / 2, along, edge))
    name = "conicEqualArea" if parallels else "equirectangular"
    return View(name, (centre, middle), 2 * float(x.max()), float(np.ptp(y)), parallels)


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
    words = texts("map.words", date=texts.date(date), stations=texts.number(ordered.num_rows), top=top)
    return Figure(_map_spec(view, ordered.num_rows > CROWDED, texts, palette), {"land": land(), "stations": data}, texts("map.alt"), words)


@cache
def _map_spec(view: View, crowded: bool, texts: Texts, palette: Palette) -> str:
    conic = {} if view.parallels is None else {"parallels": list(view.parallels)}
    projection = alt.Projection(
        type=view.projection,
        rotate=[-view.center[0], 0, 0],
        center=[0, view.center[1]],
        scale=alt.ExprRef(f"min(width / {view.width:.4f}, height / {view.height:.4f})"),
        translate=alt.ExprRef("[width / 2, height / 2]"),
        **conic,
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
