"""The inputs of `thunder`: what is taken, what counts as missing, and the neighbourhood."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thundercast.domain.models.base import Task
from thundercast.domain.models.design import COLUMNS_OF_CELLS, ROWS_OF_CELLS, count_cells, design, features, pairs
from thundercast.domain.rows import UNKNOWN, CleanRows
from thundercast.domain.schema import IMPUTABLE, VALUE_INDEX, WEATHER
from unit.domain.rawrows import clean_stream

TASKS: tuple[Task, ...] = get_args(Task)
every_task = pytest.mark.parametrize("task", TASKS)
NONE = np.zeros((ROWS_OF_CELLS, COLUMNS_OF_CELLS, 2), np.int32)


def column(rows: CleanRows, task: Task, name: str, cells: np.ndarray = NONE) -> np.ndarray:
    return design(rows, task, cells)[:, [f.name for f in features(task)].index(name)]


@every_task
def test_every_pair_is_of_two_features_and_occurs_once(task: Task) -> None:
    names = [f.name for f in features(task)]
    found = [frozenset(pair) for pair in pairs(task)]
    assert len(names) == len(set(names))
    assert all(pair <= set(names) and len(pair) == 2 for pair in found)
    assert len(found) == len(set(found))


@every_task
def test_values_are_taken_as_they_are_and_imputed_ones_are_missing(task: Task) -> None:
    rows = clean_stream(4, 60, missing=0.3)[3]
    x = design(rows, task, NONE)
    assert x.dtype == np.float32
    assert rows.imputed.any()
    for j, feature in enumerate(features(task)):
        if feature.name in VALUE_INDEX:
            wanted = rows.column(feature.name).copy()
            if feature.name in IMPUTABLE:
                wanted[rows.imputed[:, IMPUTABLE.index(feature.name)]] = np.nan
            np.testing.assert_array_equal(x[:, j], wanted)
        if feature.name in WEATHER:
            np.testing.assert_array_equal(x[:, j], rows.weather[:, WEATHER.index(feature.name)])
    prcp = np.where(rows.imputed[:, IMPUTABLE.index("prcp")], np.nan, rows.column("prcp"))
    np.testing.assert_allclose(column(rows, task, "log_prcp"), np.log1p(prcp / 0.254), rtol=1e-6)
    np.testing.assert_allclose(column(rows, task, "log_prcp_ma7"), np.log1p(rows.column("prcp_ma7") / 0.254), rtol=1e-6)
    np.testing.assert_array_equal(column(rows, task, "abs_lat"), np.abs(rows.column("lat")))


def test_the_nowcast_has_no_feature_of_todays_label_and_the_day_ahead_has() -> None:
    rows = clean_stream(2, 40)[1]
    rows.label[3] = UNKNOWN
    today = column(rows, "dayahead", "thunder_today")
    np.testing.assert_array_equal(today, np.where(rows.label == UNKNOWN, np.nan, rows.label))
    before = design(rows, "nowcast", NONE)
    rows.label[:] = 1 - np.abs(rows.label)
    np.testing.assert_array_equal(design(rows, "nowcast", NONE), before)


def placed(places: list[tuple[float, float]], labels: list[int], yesterday: list[float]) -> CleanRows:
    """Rows of stations at (lat, lon) with today's and yesterday's label; NaN where there was no row."""
    rows = clean_stream(1, len(places), absent=0.0)[0]
    rows.values[:, [VALUE_INDEX["lat"], VALUE_INDEX["lon"]]] = np.array(places).reshape(-1, 2)
    rows.values[:, VALUE_INDEX["thunder_1d"]] = yesterday
    rows.label[:] = labels
    return rows


def cell(lat: float, lon: float) -> tuple[int, int]:
    return min(math.floor((lat + 90) / 4), 44), math.floor((lon + 180) / 4) % 90


def neighbours(places: list[tuple[float, float]], labels: list[int], i: int, reach: int) -> float:
    """Share of thunder among the other stations in the cells around station i's."""
    if math.isnan(places[i][0]) or math.isnan(places[i][1]):
        return math.nan
    r, c = cell(*places[i])
    around = {(r + dr, (c + dc) % 90) for dr in range(-reach, reach + 1) for dc in range(-reach, reach + 1)}
    known = [
        y for j, (place, y) in enumerate(zip(places, labels, strict=True))
        if j != i and y != UNKNOWN and not math.isnan(sum(place)) and cell(*place) in around
    ]  # fmt: skip
    return sum(known) / len(known) if known else math.nan


coordinates = st.tuples(
    st.sampled_from([-90.0, -88.0, -1.0, 0.0, 3.0, 4.5, 8.0, 89.0, 90.0, math.nan]),
    st.sampled_from([-180.0, -179.0, -2.0, 0.0, 3.0, 5.0, 176.5, 179.9, 180.0]),
)


@settings(max_examples=80)
@given(st.lists(st.tuples(coordinates, st.sampled_from([0, 1, UNKNOWN])), min_size=1, max_size=14))
def test_neighbours_are_the_other_stations_around_of_yesterday_for_the_nowcast_and_of_today_for_the_day_ahead(
    stations: list[tuple[tuple[float, float], int]],
) -> None:
    places, labels = [place for place, _ in stations], [y for _, y in stations]
    # The same stations with the same labels: yesterday's as the nowcast gets them, or today's as the day ahead does.
    yesterday = [math.nan if y == UNKNOWN else float(y) for y in labels]
    rows = placed(places, labels, yesterday)
    cells = count_cells(rows.values, rows.label)
    assert cells[..., 0].sum() == sum(y != UNKNOWN and not math.isnan(lat) for (lat, _), y in stations)
    tomorrow = placed(places, [0] * len(places), yesterday)
    for name, reach in (("near_thunder", 0), ("around_thunder", 1)):
        wanted = [neighbours(places, labels, i, reach) for i in range(len(places))]
        np.testing.assert_allclose(column(tomorrow, "nowcast", name, cells), wanted, rtol=1e-6)
        np.testing.assert_allclose(column(rows, "dayahead", name, cells), wanted, rtol=1e-6)


def test_a_station_that_has_moved_still_sees_a_share() -> None:
    yesterday = placed([(50.0, 8.0), (10.0, 8.0), (10.5, 8.0)], [1, 0, 0], [math.nan] * 3)
    moved = placed([(10.0, 8.5), (10.0, 8.0), (10.5, 8.0)], [0, 0, 0], [1.0, 0.0, 0.0])
    for name in ("near_thunder", "around_thunder"):
        share = column(moved, "nowcast", name, count_cells(yesterday.values, yesterday.label))
        assert ((share >= 0) & (share <= 1)).all()
