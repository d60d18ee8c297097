"""Generated station-days: the same for the same text, plausible, and as troublesome as real ones."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest

from thundercast.adapters.sources import SourceError
from thundercast.adapters.sources.climate import WAVES
from thundercast.adapters.sources.synthetic import SyntheticSource
from thundercast.domain.cleaning.cleaner import Cleaner
from thundercast.domain.runs import ordinal
from thundercast.domain.schema import MEASUREMENTS, RAW_SCHEMA
from unit.sources.stationdays import dates_of, rows_of

START, END = dt.date(2022, 1, 1), dt.date(2023, 12, 31)


@pytest.fixture(scope="module")
def year() -> dict[str, Any]:
    """A year of 400 stations, by column."""
    rows = rows_of(SyntheticSource(400, seed=7, start=START, end=dt.date(2022, 12, 31)))
    return {name: rows.column(name).to_numpy(zero_copy_only=False) for name in rows.schema.names}


def test_the_same_text_gives_the_same_rows() -> None:
    first, second = (rows_of(SyntheticSource(50, seed=3, start=START, end=END)) for _ in range(2))
    assert first.equals(second)
    assert not first.equals(rows_of(SyntheticSource(50, seed=4, start=START, end=END)))


def test_a_restart_at_any_date_gives_the_same_rows() -> None:
    whole = dates_of(SyntheticSource(20, seed=3, start=START, end=END))
    for at in (1, 40, 700):
        again = dates_of(SyntheticSource(20, seed=3, start=START, end=END), start=whole[at].date)
        assert [date.rows for date in again] == [date.rows for date in whole[at:]]


def test_every_date_comes_once_and_is_empty_outside_the_range() -> None:
    dates = dates_of(SyntheticSource(5, start=START, end=END), START - dt.timedelta(days=2), START + dt.timedelta(days=1))
    assert [date.rows.num_rows > 0 for date in dates] == [False, False, True, True]
    assert all(date.rows.schema.equals(RAW_SCHEMA, check_metadata=True) for date in dates)


def test_rows_are_in_order_of_station_and_of_their_date() -> None:
    for date in dates_of(SyntheticSource(300, start=START, end=START + dt.timedelta(days=3))):
        stations = date.rows.column("station").to_pylist()
        assert stations == sorted(set(stations))
        assert pc.all(pc.equal(date.rows.column("date"), date.date)).as_py()
        assert date.rows.column("stn")[0].as_py() + date.rows.column("wban")[0].as_py() == stations[0]


def test_it_says_that_it_is_synthetic() -> None:
    info = SyntheticSource(5, seed=2, start=START, end=END).open()
    assert info.synthetic
    assert "not observations" in info.rights
    assert info.identity == "synthetic:5,seed=2,start=2022-01-01,end=2023-12-31#v1"


def test_thunder_is_about_as_frequent_as_in_the_real_data(year: dict[str, Any]) -> None:
    thunder = year["thunder"]
    by_station = {station: thunder[year["station"] == station].sum() for station in np.unique(year["station"])}
    assert 0.02 < thunder.mean() < 0.08
    assert 0.25 < np.mean([count == 0 for count in by_station.values()]) < 0.55


def test_thunder_comes_with_summer_the_tropics_and_yesterdays_thunder(year: dict[str, Any]) -> None:
    month = year["date"].astype("datetime64[M]").astype(int) % 12 + 1
    north = year["lat"] > 25
    assert year["thunder"][north & (month == 7)].mean() > 3 * year["thunder"][north & (month == 1)].mean()
    assert year["thunder"][np.abs(year["lat"]) < 20].mean() > 1.5 * year["thunder"][np.abs(year["lat"]) > 45].mean()
    order = np.lexsort((year["date"], year["station"]))
    thunder, same = year["thunder"][order], year["station"][order][1:] == year["station"][order][:-1]
    after, otherwise = thunder[1:][same & (thunder[:-1] == 1)].mean(), thunder[1:][same & (thunder[:-1] == 0)].mean()
    assert after > 4 * otherwise


def test_the_traps_of_the_real_data_are_in_it(year: dict[str, Any]) -> None:
    for m in MEASUREMENTS:
        missing = np.isin(year[m.raw], m.sentinels).mean()
        assert (missing > 0) == (m.raw not in ("temp", "max", "min")), m.raw
    assert 0.1 < (year["stp"] < 100).mean() < 0.5
    assert set(np.unique(year["flag_prcp"].astype(str))) == {"", "G", "I"}
    assert np.all(year["prcp"][year["flag_prcp"] == "I"] == 0)
    assert np.all((year["slp"] == 9999.9) == (year["count_slp"] == 0))
    days = np.unique(year["station"], return_counts=True)[1]
    assert 300 < days.min() < days.max() <= 365


def test_values_have_noaas_decimals(year: dict[str, Any]) -> None:
    for m in MEASUREMENTS:
        digits = 2 if m.raw == "prcp" else 1
        assert np.array_equal(np.round(year[m.raw], digits), year[m.raw]), m.raw


def test_the_cleaner_rejects_none_of_it() -> None:
    cleaner = Cleaner()
    for date in dates_of(SyntheticSource(500, seed=11, start=START, end=dt.date(2022, 12, 31))):
        cleaned = cleaner.clean(date.rows, ordinal(date.date))
        assert cleaned.dead_letters == []


def test_weather_passes_over_neighbours_together() -> None:
    source = SyntheticSource(2000, seed=5, start=START, end=START + dt.timedelta(days=30))
    dates_of(source, START, START)
    climate = source._climate
    assert climate is not None
    assert climate.waves.shape == (2000, 2 * WAVES)
    days = np.array([climate.waves @ climate.amplitudes(ordinal(START) + i)[0] for i in range(300)])
    assert 0.7 < days.std() < 1.3
    near = np.hypot(climate.lat - climate.lat[0], climate.lon - climate.lon[0])
    closest = int(np.argsort(near)[1])
    assert np.corrcoef(days[:, 0], days[:, closest])[0, 1] > 0.7
    assert np.corrcoef(days[1:, 0], days[:-1, 0])[0, 1] > 0.4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stations": 0}, "1 to 99,999"),
        ({"stations": 100_000}, "1 to 99,999"),
        ({"stations": 1, "start": END, "end": START}, "is before the start"),
    ],
)
def test_what_cannot_be_made_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        SyntheticSource(**arguments)
