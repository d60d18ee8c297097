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
    return Figure(
        _map_spec(view, ordered.num_rows > CROWDED, texts, palette), {"land": land(), "stations": data}, texts("map.alt"), words, "stations"
    )


def _projection(view: View) -> alt.Projection:
    conic = {} if view.parallels is None else {"parallels": list(view.parallels)}
    return alt.Projection(
        type=view.projection,
        rotate=[-view.center[0], 0, 0],
        center=[0, view.center[1]],
        scale=alt.ExprRef(f"min(width / {view.width:.4f}, height / {view.height:.4f})"),
        translate=alt.ExprRef("[width / 2, height / 2]"),
        **conic,
    )


@cache
def _map_spec(view: View, crowded: bool, texts: Texts, palette: Palette) -> str:
    projection = _projection(view)
    tooltip = [
        alt.Tooltip("station:N", title=texts("map.station")),
        alt.Tooltip("country:N", title=texts("map.country")),
        alt.Tooltip("probability:Q", title=texts("map.probability"), format=".1%"),
        alt.Tooltip("outcome:N", title=texts("map.happened")),
    ]
    ground = alt.Chart(alt.NamedData(name="land")).mark_geoshape(fill=palette.land, stroke=palette.coast, strokeWidth=0.6, clip=True)
    stations = alt.Chart(alt.NamedData(name="stations")).encode(longitude="lon:Q", latitude="lat:Q")
    # Areas in square pixels on a map 1,000 pixels wide; on a narrow one less, or the dots hide each other.
    narrow = "clamp(pow(width / 1000, 1.5), 0.18, 1)"
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


# --- skill by place ---------------------------------------------------------------------------------------

CELL: Final = 5.0
"""Degrees of latitude and longitude of a cell."""
ENOUGH: Final = 60
"""Station-days that a cell must have: of fewer the skill would say little."""
SKILL_CLASSES: Final = (-0.2, 0.0, 0.1, 0.2, 0.4)
"""Bounds between the classes of Brier skill."""


def cells(model: pa.Table, baseline: pa.Table) -> list[dict[str, float]]:
    """Brier skill by cell of latitude and longitude: south, west, rows, thunder, brier_skill.

    Args:
        model, baseline: date, station, probability, label, lat, lon of the same dates; what only one of them has is left out.
    """
    both = model.join(baseline.select(["date", "station", "probability"]), ["date", "station"], join_type="inner", right_suffix="_baseline")
    valid = [pc.is_valid(both.column(name)) for name in ("label", "lat", "lon")]
    both = both.filter(pc.and_(pc.and_(valid[0], valid[1]), valid[2]))
    label = both.column("label").cast(pa.float64()).to_numpy()
    south, west = (np.floor(both.column(name).cast(pa.float64()).to_numpy() / CELL) * CELL for name in ("lat", "lon"))
    key, which = np.unique(np.stack([south, west]), axis=1, return_inverse=True)
    which = which.reshape(-1)
    said, usual = ((both.column(name).to_numpy() - label) ** 2 for name in ("probability", "probability_baseline"))
    count, thunder, own, reference = (np.bincount(which, weights, key.shape[1]) for weights in (None, label, said, usual))
    out = []
    for i in range(key.shape[1]):
        if count[i] >= ENOUGH and reference[i] > 0 and thunder[i] > 0:
            skill = 1.0 - float(own[i]) / float(reference[i])
            found = {"south": float(key[0, i]), "west": float(key[1, i]), "rows": float(count[i]), "thunder": float(thunder[i])}
            out.append(found | {"brier_skill": skill})
    return out


def skill_colours(palette: Palette) -> tuple[str, ...]:
    """A colour for each class of Brier skill, from harm to gain."""
    return (palette.bad, palette.happened, *palette.ramp[1:5])


def skill_labels(texts: Texts) -> list[str]:
    """The classes of Brier skill in words."""
    bounds = [texts.decimal(bound, 1) for bound in SKILL_CLASSES]
    return [
        texts("where.below", value=bounds[0]),
        *[texts("where.between", low=low, high=high) for low, high in pairwise(bounds)],
        texts("where.above", value=bounds[-1]),
    ]


def _cell_shape(cell: dict[str, float]) -> dict[str, Any]:
    south, west = cell["south"], cell["west"]
    north, east = south + CELL, west + CELL
    # Clockwise, as d3 wants the ring of what is inside.
    ring = [[west, south], [west, north], [east, north], [east, south], [west, south]]
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": cell}


def skill_map(found: list[dict[str, float]], *, texts: Texts, palette: Palette) -> tuple[Figure, float]:
    """Cells of the world, coloured by Brier skill, and the width of the map over its height."""
    south, west = (np.array([cell[name] for cell in found]) for name in ("south", "west"))
    view = view_of(np.concatenate([south, south + CELL]), np.concatenate([west, west + CELL]))
    ranked = sorted(found, key=lambda cell: cell["brier_skill"])

    def named(cell: dict[str, float]) -> str:
        return texts(
            "where.cell",
            lat=texts.decimal(cell["south"], 0),
            lon=texts.decimal(cell["west"], 0),
            value=texts.decimal(cell["brier_skill"], 2),
        )

    words = texts("where.words", cells=texts.number(len(found)), best=named(ranked[-1]), worst=named(ranked[0]))
    data = {"land": land(), "cells": [_cell_shape(cell) for cell in found], "table": pa.Table.from_pylist(ranked)}
    return Figure(_skill_spec(view, texts, palette), data, texts("where.alt"), words, "table"), view.aspect


@cache
def _skill_spec(view: View, texts: Texts, palette: Palette) -> str:
    ground = alt.Chart(alt.NamedData(name="land")).mark_geoshape(fill=palette.land, stroke=palette.coast, strokeWidth=0.6, clip=True)
    tooltip = [
        alt.Tooltip("properties.brier_skill:Q", title=texts("score.brier_skill"), format=".3f"),
        alt.Tooltip("properties.rows:Q", title=texts("skill.rows"), format=",d"),
        alt.Tooltip("properties.thunder:Q", title=texts("where.thunder"), format=",d"),
        alt.Tooltip("properties.south:Q", title=texts("where.south"), format=".0f"),
        alt.Tooltip("properties.west:Q", title=texts("where.west"), format=".0f"),
    ]
    classes = alt.Scale(type="threshold", domain=list(SKILL_CLASSES), range=list(skill_colours(palette)))
    shapes = alt.Chart(alt.NamedData(name="cells")).mark_geoshape(
        stroke=palette.streamlit["backgroundColor"], strokeWidth=0.8, opacity=0.9, clip=True
    )
    shapes = shapes.encode(color=alt.Color("properties.brier_skill:Q", legend=None, scale=classes), tooltip=tooltip)
    chart = alt.layer(ground, shapes).properties(
        projection=_projection(view), width="container", height="container", name="where", padding=0
    )
    return finished(chart.configure_view(stroke=None), texts, renderer="canvas")
