"""The cleaner's rules, one by one, on rows in which a single thing is odd."""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from thundercast.domain import runs
from thundercast.domain.cleaning import Cleaner
from thundercast.domain.deadletters import DeadLetter
from thundercast.domain.schema import CLEAN_VALUES, IMPUTABLE, MEASUREMENTS, RAW_SCHEMA
from thundercast.domain.stations import keys_of, shards_of, stations_of
from unit.domain.rawrows import DAY, A, B, C, Row, Stream, batch_of, clean, cleaned_days, of_shard, raw, state_bytes, value
from unit.domain.reference_cleaner import SENTINELS, celsius, metres_a_second, single

MEASURED = {m.raw: m for m in MEASUREMENTS}


def days_ago(n: int) -> dt.date:
    return DAY - dt.timedelta(days=n)


# --- rule 1: sentinels, the lost thousand, what was not reported


@pytest.mark.parametrize(("name", "sentinel"), [(name, s) for name, found in SENTINELS.items() for s in found])
def test_a_sentinel_becomes_null_in_its_own_column_only(name: str, sentinel: float) -> None:
    usual, odd = clean(raw()).rows, clean(raw(**{name: sentinel})).rows
    changed = {column for column, _, _ in CLEAN_VALUES if not same(value(usual, column), value(odd, column))}
    column = MEASURED[name].clean
    assert math.isnan(value(odd, column))
    derived = {
        "temp": {"dew_point_depression"}, "dewp": {"dew_point_depression"}, "max": {"diurnal_range"}, "min": {"diurnal_range"},
    }.get(name, set())  # fmt: skip
    averages = {f"{column}_ma{n}" for n in (3, 7, 30)} if name in ("temp", "dewp", "slp", "wdsp", "prcp") else set()
    assert changed == {column} | derived | averages


def same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


@pytest.mark.parametrize("gone", [None, float("nan")])
@pytest.mark.parametrize("name", SENTINELS)
def test_a_value_that_is_not_there_is_null(name: str, gone: float | None) -> None:
    done = clean(raw(**{name: gone}))
    assert math.isnan(value(done.rows, MEASURED[name].clean))
    assert done.dead_letters == []


@pytest.mark.parametrize(
    ("name", "reading"),
    [("slp", 999.9), ("stp", 999.8), ("wdsp", 99.9), ("gust", 99.9), ("visib", 99.9), ("sndp", 99.9), ("prcp", 9.99), ("mxpsd", 99.9)],
)
def test_what_is_a_sentinel_elsewhere_may_be_a_reading_here(name: str, reading: float) -> None:
    m = MEASURED[name]
    assert value(clean(raw(**{name: reading})).rows, m.clean) == pytest.approx((reading + m.shift) * m.scale, rel=1e-6)


@pytest.mark.parametrize(
    ("written", "meant"), [(0.0, 1000.0), (9.0, 1009.0), (45.6, 1045.6), (99.9, 1099.9), (300.0, 300.0), (987.6, 987.6), (1009.0, 1009.0)]
)
def test_a_station_pressure_gets_its_lost_thousand_back(written: float, meant: float) -> None:
    assert value(clean(raw(stp=written)).rows, "stp") == single(meant)


@pytest.mark.parametrize("flag", ["H", "I"])
def test_no_rain_under_flag_h_or_i_was_not_reported(flag: str) -> None:
    assert math.isnan(value(clean(raw(prcp=0.0, flag_prcp=flag)).rows, "prcp"))


@pytest.mark.parametrize(("prcp", "flag"), [(0.0, "G"), (0.0, ""), (0.0, None), (0.0, "A"), (0.12, "H"), (0.12, "I"), (0.12, None)])
def test_rain_that_was_reported_counts_and_so_does_none(prcp: float, flag: str | None) -> None:
    assert value(clean(raw(prcp=prcp, flag_prcp=flag)).rows, "prcp") == pytest.approx(prcp * 25.4, rel=1e-6)


def test_snow_that_was_not_reported_is_null_and_not_zero() -> None:
    assert math.isnan(value(clean(raw(sndp=999.9)).rows, "sndp"))
    assert value(clean(raw(sndp=0.0)).rows, "sndp") == 0.0


def test_values_are_si_and_rounded_to_float32_once() -> None:
    tenths = np.arange(-1300, 1401) / 10
    ids = stations_of(np.arange(len(tenths), dtype=np.int64)).to_pylist()
    rows = clean(*[raw(s, temp=x, dewp=None, wdsp=abs(x)) for s, x in zip(ids, tenths.tolist(), strict=True)]).rows
    assert rows.values.dtype == np.float32
    assert rows.column("temp").tolist() == [single(celsius(x)) for x in tenths.tolist()]
    assert rows.column("wdsp").tolist() == [single(metres_a_second(abs(x))) for x in tenths.tolist()]


# --- rule 2: what cannot be right goes to the dead letters, alone, with its reason and as it came

FAULTS: list[tuple[str, Row, str]] = [
    ("bad_station", {"station": None}, "station = None"),
    ("bad_station", {"station": "7250901473"}, "station = 7250901473"),
    ("bad_station", {"station": "72509 14739"}, "station = 72509 14739"),
    ("bad_station", {"station": "72509014739 "}, "station"),
    ("bad_date", {"date": None}, "date = None"),
    ("wrong_date", {"date": DAY + dt.timedelta(days=1)}, "date = 2022-07-16"),
    ("wrong_date", {"date": dt.date(1, 1, 1)}, "date = 0001-01-01"),
    ("bad_label", {"thunder": None}, "thunder = None"),
    ("bad_label", {"thunder": 2}, "thunder = 2"),
    ("bad_label", {"thunder": -1}, "thunder = -1"),
    ("bad_value", {"fog": None}, "fog = None"),
    ("bad_value", {"tornado_funnel_cloud": 9}, "tornado_funnel_cloud = 9"),
    ("temperature_out_of_range", {"temp": 140.1}, "temp = 140.1"),
    ("temperature_out_of_range", {"temp": -130.1, "dewp": None}, "temp = -130.1"),
    ("temperature_out_of_range", {"max": 150.0}, "max = 150.0"),
    ("temperature_out_of_range", {"min": -131.0}, "min = -131.0"),
    ("temperature_out_of_range", {"dewp": 122.1, "temp": 130.0}, "dewp = 122.1"),
    ("temperature_out_of_range", {"dewp": -148.1}, "dewp = -148.1"),
    ("dew_point_above_temperature", {"temp": 60.0, "dewp": 60.2}, "dewp = 60.2, temp = 60.0"),
    ("min_above_max", {"min": 70.2, "max": 70.0}, "min = 70.2, max = 70.0"),
    ("value_out_of_range", {"stp": 100.0}, "stp = 100.0"),
    ("value_out_of_range", {"stp": -0.1}, "stp = -0.1"),
    ("value_out_of_range", {"slp": 1100.1}, "slp = 1100.1"),
    ("value_out_of_range", {"slp": 849.9}, "slp = 849.9"),
    ("value_out_of_range", {"wdsp": -0.1}, "wdsp = -0.1"),
    ("value_out_of_range", {"prcp": -0.01}, "prcp = -0.01"),
    ("value_out_of_range", {"visib": float("inf")}, "visib = inf"),
    ("value_out_of_range", {"gust": float("-inf")}, "gust = -inf"),
]


@pytest.mark.parametrize(("reason", "change", "said"), FAULTS, ids=lambda x: x if isinstance(x, str) else str(x)[:40])
def test_a_row_that_cannot_be_right_is_set_aside_alone_with_its_reason_and_as_it_came(reason: str, change: Row, said: str) -> None:
    wrong = raw(B) | change
    done = clean(raw(A), wrong, raw(C), run_id="run", seq=7)
    assert stations_of(done.rows.key).to_pylist() == [A, C]
    assert done.counts == {"rows_in": 3, f"rejected_{reason}": 1, "imputed": 0}
    (letter,) = done.dead_letters
    assert (letter.reason, letter.stage, letter.run_id, letter.seq) == (reason, "cleaner", "run", 7)
    assert (letter.station, letter.date) == (wrong["station"] or "", "2022-07-15")
    assert said in letter.detail
    assert originals(letter) == plain(wrong)


def originals(letter: DeadLetter) -> Row:
    """The original as it can be read from the table."""
    return json.loads(letter.original_json)  # type: ignore[no-any-return]


def plain(row: Row) -> Row:
    return json.loads(DeadLetter("", "", "", original=row).original_json)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "change",
    [
        {"temp": 140.0}, {"temp": -130.0, "dewp": -130.0}, {"dewp": 60.4, "temp": 60.3}, {"min": 70.1, "max": 70.0}, {"slp": 850.0}, {"visib": 74.6},
        {"prcp": 19.35}, {"max": 131.7}, {"min": 80.0, "max": 80.0, "temp": 99.0},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_odd_but_possible_stays(change: Row) -> None:
    assert clean(raw(**change)).dead_letters == []


@pytest.mark.parametrize("unknown", [99999.9, -9999.0, -9999.9, 99999.0, 9999999.0, -999.9, 9999.0])
@pytest.mark.parametrize("name", SENTINELS)
def test_an_unknown_sentinel_is_a_dead_letter_and_never_a_number(name: str, unknown: float) -> None:
    done = clean(raw(A, **{name: unknown}), raw(B))
    assert stations_of(done.rows.key).to_pylist() == [B]
    assert done.dead_letters[0].reason in ("temperature_out_of_range", "value_out_of_range")
    assert f"{name} = {unknown}" in done.dead_letters[0].detail
    assert str(SENTINELS[name][0]) in done.dead_letters[0].detail


def test_of_a_station_day_that_comes_twice_the_first_right_one_stays() -> None:
    first, second, third = raw(B, temp=70.0), raw(B, temp=71.0), raw(B, temp=72.0)
    wrong = raw(B, temp=500.0)
    done = clean(raw(C), wrong, first, second, raw(A), third)
    assert stations_of(done.rows.key).to_pylist() == [A, B, C]
    assert value(done.rows, "temp", 1) == single(celsius(70.0))
    assert [(letter.reason, originals(letter)["temp"]) for letter in done.dead_letters] == [
        ("temperature_out_of_range", 500.0), ("duplicate", 71.0), ("duplicate", 72.0),
    ]  # fmt: skip
    assert done.counts == {"rows_in": 6, "rejected_duplicate": 2, "rejected_temperature_out_of_range": 1, "imputed": 0}


def test_a_duplicate_leaves_no_trace_in_the_stations_history() -> None:
    once, twice = Cleaner(), Cleaner()
    clean(raw(A), cleaner=once)
    clean(raw(A), raw(A, temp=90.0, thunder=1), cleaner=twice)
    assert state_bytes(once) == state_bytes(twice)


def test_a_row_of_another_shard_is_set_aside() -> None:
    shards = shards_of(keys_of(pa.array([A, B, C])), 16).tolist()
    assert len(set(shards)) == 3
    done = clean(raw(A), raw(B), raw(C), shard=shards[1], shards=16)
    assert stations_of(done.rows.key).to_pylist() == [B]
    assert [(letter.reason, letter.station) for letter in done.dead_letters] == [("wrong_shard", A), ("wrong_shard", C)]


def test_a_row_without_station_is_no_matter_of_shards() -> None:
    done = clean(raw(None), raw("abc"), shard=0, shards=16)
    assert [letter.reason for letter in done.dead_letters] == ["bad_station"] * 2


def test_every_row_of_a_batch_may_be_wrong() -> None:
    done = clean(*[raw(B) | change for _, change, _ in FAULTS])
    assert len(done.rows) == 0
    assert done.outcome == "rejected"
    assert sorted(letter.reason for letter in done.dead_letters) == sorted(reason for reason, _, _ in FAULTS)


def test_nothing_in_means_nothing_out() -> None:
    done = clean()
    assert (len(done.rows), done.outcome, done.counts, done.dead_letters) == (0, "empty", {"rows_in": 0}, [])


def test_rows_are_sorted_by_station_and_keep_what_belongs_to_them() -> None:
    rows = clean(raw(C, country="NO", fog=1), raw(A, country=None, thunder=1), raw(B, hail=1)).rows
    assert stations_of(rows.key).to_pylist() == [A, B, C]
    assert rows.country.to_pylist() == [None, "US", "NO"]
    assert rows.label.tolist() == [1, 0, 0]
    assert rows.weather.tolist() == [
        [False, True, False, False, False],
        [False, True, False, True, False],
        [True, True, False, False, False],
    ]


# --- rule 3: imputation


def test_a_missing_value_is_the_stations_own_mean_of_the_last_30_days() -> None:
    days = [(days_ago(n), [raw(A, days_ago(n), slp=1000.0 + n), raw(B, days_ago(n), slp=900.0)]) for n in (31, 30, 4, 1)]
    rows = cleaned_days([*days, (DAY, [raw(A, slp=9999.9), raw(B)])])[-1]
    assert value(rows, "slp") == single((1030.0 + 1004.0 + 1001.0) / 3)
    assert rows.imputed[0].tolist() == [name == "slp" for name in IMPUTABLE]
    assert not rows.imputed[1].any()


def test_without_such_days_it_is_the_stations_own_mean_of_this_calendar_month() -> None:
    last_july = [dt.date(2020, 7, 3), dt.date(2021, 7, 30)]
    days = [(day, [raw(A, day, slp=1000.0 + i, temp=9999.9, dewp=9999.9)]) for i, day in enumerate(last_july)]
    june = dt.date(2022, 6, 1)
    rows = cleaned_days([*days, (june, [raw(A, june, slp=900.0)]), (DAY, [raw(A, slp=9999.9, temp=9999.9, dewp=9999.9)])])[-1]
    assert value(rows, "slp") == 1000.5
    assert math.isnan(value(rows, "temp"))  # of July there is none, and June's is too long ago
    assert rows.imputed[0].tolist() == [name == "slp" for name in IMPUTABLE]


def test_without_history_it_stays_null_and_unflagged() -> None:
    done = clean(raw(A, **dict.fromkeys(SENTINELS)), raw(B))
    assert all(math.isnan(value(done.rows, m.clean)) for m in MEASUREMENTS)
    assert not done.rows.imputed.any()
    assert done.counts["imputed"] == 0


def test_imputed_values_are_counted_and_never_imputed_from() -> None:
    cleaner = Cleaner()
    days = [(days_ago(31), [raw(A, days_ago(31), wdsp=10.0)]), (days_ago(30), [raw(A, days_ago(30), wdsp=20.0)])]
    days += [(days_ago(n), [raw(A, days_ago(n), wdsp=999.9)]) for n in range(29, 0, -1)]
    rows = cleaned_days([*days, (DAY, [raw(A, wdsp=999.9)])], cleaner)
    knots = 1852 / 3600
    assert all(value(r, "wdsp") == pytest.approx(15.0 * knots, rel=1e-6) for r in rows[2:-1])
    assert value(rows[-1], "wdsp") == single(20.0 * knots)
    assert (
        clean(raw(A, DAY + dt.timedelta(days=1), wdsp=999.9, slp=9999.9), date=DAY + dt.timedelta(days=1), cleaner=cleaner).counts[
            "imputed"
        ]
        == 1
    )


def test_gust_and_snow_depth_are_never_filled_in() -> None:
    days = [(days_ago(n), [raw(A, days_ago(n))]) for n in (2, 1)]
    rows = cleaned_days([*days, (DAY, [raw(A, gust=999.9, sndp=999.9)])])[-1]
    assert math.isnan(value(rows, "gust"))
    assert math.isnan(value(rows, "sndp"))
    assert not rows.imputed.any()


def test_what_is_derived_from_imputed_values_is_null() -> None:
    days = [(days_ago(1), [raw(A, days_ago(1)), raw(B, days_ago(1))])]
    rows = cleaned_days([*days, (DAY, [raw(A, dewp=9999.9, max=9999.9), raw(B)])])[-1]
    for name in ("dew_point_depression", "diurnal_range", "dewp_tendency"):
        assert math.isnan(value(rows, name, 0))
        assert not math.isnan(value(rows, name, 1))
    assert value(rows, "dew_point_depression", 1) == single(value(rows, "temp", 1) - value(rows, "dewp", 1))


# --- rule 4: averages, tendencies, label history


def test_averages_are_over_days_and_not_over_rows() -> None:
    readings = {40: 900.0, 30: 960.0, 29: 1029.0, 7: 1007.0, 6: 1006.0, 3: 1003.0, 2: 1002.0}
    days = [(days_ago(n), [raw(A, days_ago(n), slp=x)]) for n, x in readings.items()]
    rows = cleaned_days([*days, (DAY, [raw(A, slp=1000.0)])])[-1]
    assert value(rows, "slp_ma3") == 1001.0  # this date and two days ago
    assert value(rows, "slp_ma7") == single((1000 + 1002 + 1003 + 1006) / 4)
    assert value(rows, "slp_ma30") == single((1000 + 1002 + 1003 + 1006 + 1007 + 1029) / 6)


def test_averages_are_of_observed_values_only_and_null_without_any() -> None:
    days = [(days_ago(4), [raw(A, days_ago(4), slp=1004.0)]), (days_ago(1), [raw(A, days_ago(1), slp=9999.9)])]
    rows = cleaned_days([*days, (DAY, [raw(A, slp=9999.9)])])[-1]
    assert value(rows, "slp") == 1004.0  # imputed
    assert math.isnan(value(rows, "slp_ma3"))
    assert value(rows, "slp_ma7") == value(rows, "slp_ma30") == 1004.0


@pytest.mark.parametrize(("before", "expected"), [(1, 1.5), (2, None), (30, None), (31, None)])
def test_tendencies_are_against_exactly_the_day_before(before: int, expected: float | None) -> None:
    rows = cleaned_days([(days_ago(before), [raw(A, days_ago(before), slp=1000.0)]), (DAY, [raw(A, slp=1001.5)])])[-1]
    found = value(rows, "slp_tendency")
    assert math.isnan(found) if expected is None else found == expected


def test_a_value_missing_yesterday_has_no_tendency() -> None:
    days = [(days_ago(2), [raw(A, days_ago(2))]), (days_ago(1), [raw(A, days_ago(1), temp=9999.9, dewp=9999.9)])]
    rows = cleaned_days([*days, (DAY, [raw(A)])])[-1]
    assert math.isnan(value(rows, "temp_tendency"))
    assert value(rows, "slp_tendency") == 0.0


def test_label_history_is_of_earlier_dates_only() -> None:
    thunder = {40: 1, 31: 1, 30: 1, 8: 1, 7: 0, 3: 1, 1: 0}
    days = [(days_ago(n), [raw(A, days_ago(n), thunder=y)]) for n, y in thunder.items()]
    for label in (0, 1):
        rows = cleaned_days([*days, (DAY, [raw(A, thunder=label)])])[-1]
        assert value(rows, "thunder_1d") == 0.0
        assert value(rows, "thunder_7d") == single(1 / 3)
        assert value(rows, "thunder_30d") == single(3 / 5)
        assert value(rows, "thunder_rate") == single(5 / 27)
        assert rows.label.tolist() == [label]


def test_label_history_is_null_where_there_is_none() -> None:
    rows = clean(raw(A, thunder=1)).rows
    assert all(math.isnan(value(rows, f"thunder_{n}d")) for n in (1, 7, 30))
    assert value(rows, "thunder_rate") == 0.0
    later = cleaned_days([(days_ago(31), [raw(A, days_ago(31), thunder=1)]), (DAY, [raw(A)])])[-1]
    assert all(math.isnan(value(later, f"thunder_{n}d")) for n in (1, 7, 30))
    assert value(later, "thunder_rate") == single(1 / 21)


def test_a_station_reports_thunder_from_the_date_after_its_first() -> None:
    days = [(days_ago(n), [raw(A, days_ago(n), thunder=int(n == 2)), raw(B, days_ago(n))]) for n in (3, 2, 1, 0)]
    assert [rows.reports.tolist() for rows in cleaned_days(days)] == [[False, False], [False, False], [True, False], [True, False]]


# --- place and season


def test_a_place_that_is_not_known_is_null_and_costs_nothing_else() -> None:
    nowhere = {"lat": None, "lon": None, "elev": None}
    listed = {"lat": -99.999, "lon": -999.999, "elev": -999.9}
    broken = {"lat": float("inf"), "lon": 181.0, "elev": float("nan")}
    done = clean(raw(A, **nowhere), raw(B, **listed), raw(C, **broken))
    assert done.dead_letters == []
    for name in ("lat", "lon", "elev", "local_season_sin", "local_season_cos"):
        assert np.isnan(done.rows.column(name)).all()
    assert not np.isnan(done.rows.column("season_sin")).any()


def test_seasons_are_turned_around_south_of_the_equator() -> None:
    rows = clean(raw(A, lat=42.0), raw(B, lat=-42.0), raw(C, lat=0.0)).rows
    angle = 2 * math.pi * 196 / 365.25
    assert rows.column("season_sin").tolist() == [single(math.sin(angle))] * 3
    assert rows.column("local_season_sin").tolist() == [single(math.sin(angle)), single(-math.sin(angle)), 0.0]
    assert rows.column("local_season_cos").tolist() == [single(math.cos(angle)), single(-math.cos(angle)), 0.0]


# --- order


@pytest.mark.parametrize("back", [0, 1, 400])
def test_a_batch_that_is_not_later_than_the_last_is_the_callers_fault(back: int) -> None:
    cleaner = Cleaner()
    clean(raw(A), cleaner=cleaner)
    with pytest.raises(ValueError, match="after the batch of 2022-07-15: a shard's batches must come in order"):
        clean(raw(A, days_ago(back)), date=days_ago(back), cleaner=cleaner)


def test_an_empty_batch_is_a_batch_of_its_date() -> None:
    cleaner = Cleaner()
    clean(cleaner=cleaner)
    with pytest.raises(ValueError, match="in order"):
        clean(raw(A), cleaner=cleaner)


def test_dates_before_1970_are_dates() -> None:
    start = dt.date(1929, 8, 13)
    days = [start + dt.timedelta(days=n) for n in range(35)]
    rows = cleaned_days([(day, [raw(A, day, slp=1000.0 + i, thunder=i % 2)]) for i, day in enumerate(days)])
    assert value(rows[-1], "slp_ma3") == 1033.0
    assert value(rows[-1], "slp_ma30") == single(sum(range(5, 35)) / 30 + 1000)
    assert value(rows[-1], "thunder_1d") == 1.0
    assert value(rows[-1], "slp_tendency") == 1.0


# --- real rows


@pytest.mark.real_data
def test_a_month_of_the_whole_world_has_no_row_that_cannot_be_right(real_month: Stream) -> None:
    cleaner, rows = Cleaner(), 0
    for date, batch in real_month:
        done = cleaner.clean(batch, date)
        assert done.dead_letters == []
        assert len(done.rows) == batch.num_rows
        rows += batch.num_rows
    assert rows > 150_000


@pytest.mark.real_data
def test_planted_faults_are_found_among_real_rows_and_cost_no_other(real_month: Stream) -> None:
    date, batch = real_month[0]
    before = Cleaner().clean(batch, date).rows
    rows = batch.to_pylist()
    rng = np.random.default_rng(0)
    at = rng.choice(len(rows), len(FAULTS), replace=False)
    day = runs.day(date)
    planted: list[Any] = []
    for i, (reason, change, _) in zip(at.tolist(), FAULTS, strict=True):
        rows[i] |= {"temp": 60.0, "dewp": 50.0, "max": 70.0, "min": 50.0} | change
        planted.append(reason)
    rows.append(rows[next(i for i in range(len(rows)) if i not in at)])
    done = Cleaner().clean(pa.RecordBatch.from_pylist(rows, schema=RAW_SCHEMA), date)
    assert sorted(letter.reason for letter in done.dead_letters) == sorted([*planted, "duplicate"])
    kept = np.setdiff1d(np.arange(len(before)), at)
    np.testing.assert_array_equal(done.rows.values, before.values[kept])
    assert np.array_equal(done.rows.key, before.key[kept])
    assert all(letter.date == day.isoformat() for letter in done.dead_letters)
    assert of_shard(batch, 0, 1).num_rows == batch.num_rows
    assert batch_of().num_rows == 0
