"""`bigquery:YEARS` over the wire protocols of the emulator: the rows of the sample, in BigQuery's types and in no order.

Where the emulator is not as the service: it keeps no table of a query's result, which the Storage Read API would read, so results come by
REST, or from a server in this process that has them; and it bills nothing, so a dry run is told the least that is billed.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryReadClient
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport
from typer.testing import CliRunner

import emulators
from integration.google.gsod_tables import END, PUBLIC, START, Tables, of_the_sample
from thundercast.adapters.google.bigquery_clients import rest_client
from thundercast.adapters.sources import SourceDate, SourceError, open_source
from thundercast.adapters.sources.bigquery import BigQuerySource, GsodSettings
from thundercast.domain.schema import RAW_SCHEMA
from thundercast_standalone import cli
from unit.google.bigquery_service import Reading, Refusing, refusing_client, serving

YEARS = range(2022, 2024)


@pytest.fixture(scope="module")
def tables(bigquery_emulator: emulators.Running) -> Tables:
    return of_the_sample()


def _read(tables: Tables, start: dt.date = START, end: dt.date = END) -> list[SourceDate]:
    return list(BigQuerySource(YEARS, settings=tables.settings).dates(start, end))


def _is_the_sample(found: list[SourceDate], tables: Tables) -> None:
    for date in found:
        assert date.rejected == []
        assert date.rows.schema.equals(RAW_SCHEMA)
        assert date.rows.equals(tables.rows[date.date]), date.date


def test_it_yields_the_very_rows_of_the_sample_over_the_turn_of_the_year(tables: Tables) -> None:
    found = _read(tables)
    assert [date.date for date in found] == list(tables.rows)
    _is_the_sample(found, tables)
    assert sum(date.rows.num_rows for date in found) > 500


@pytest.mark.parametrize("start", [dt.date(2022, 12, 27), dt.date(2023, 1, 1), dt.date(2023, 1, 9)])
def test_it_goes_on_at_any_date_with_equal_rows(tables: Tables, start: dt.date) -> None:
    found = _read(tables, start, dt.date(2023, 1, 11))
    assert [date.date for date in found] == [start + dt.timedelta(i) for i in range((dt.date(2023, 1, 11) - start).days + 1)]
    _is_the_sample(found, tables)


def test_dates_without_rows_are_yielded_empty(tables: Tables) -> None:
    found = _read(tables, START - dt.timedelta(3), END + dt.timedelta(2))
    assert [date.date for date in found] == [START - dt.timedelta(3) + dt.timedelta(i) for i in range(len(tables.rows) + 5)]
    assert [date.rows.num_rows for date in found[:3] + found[-2:]] == [0] * 5
    _is_the_sample(found[3:-2], tables)


def test_its_info_is_that_of_the_tables_and_changes_with_them(tables: Tables) -> None:
    def info() -> Any:
        return BigQuerySource(YEARS, settings=tables.settings).open()

    first = info()
    assert (first.start, first.end) == (START, END)
    assert first.rows == sum(batch.num_rows for batch in tables.rows.values())
    assert first.identity.startswith(f"bigquery:{PUBLIC}.{tables.dataset}:2022-2023#")
    assert "WMO Resolution 40" in first.rights
    assert info() == first
    other = Tables(tables.client)
    other.add("gsod2022", [_row("72202012839", "2022-03-01")])
    other.add("stations", [])
    assert BigQuerySource(range(2022, 2023), settings=other.settings).open().identity != first.identity


def _row(station: str, date: str | None, **columns: Any) -> dict[str, Any]:
    plain = {
        "stn": station[:6], "wban": station[6:], "date": date, "temp": 70.5, "count_temp": 24, "dewp": 60.0, "count_dewp": 24, "slp": 9999.9,
        "count_slp": 0, "stp": 999.9, "count_stp": 0, "visib": 9.9, "count_visib": 24, "wdsp": "5.5", "count_wdsp": "24", "mxpsd": "999.9",
        "gust": 999.9, "max": 80.0, "flag_max": None, "min": 60.0, "flag_min": "*", "prcp": 0.0, "flag_prcp": "I", "sndp": 999.9, "fog": "0",
        "rain_drizzle": "0", "snow_ice_pellets": "0", "hail": "0", "thunder": "1", "tornado_funnel_cloud": "0",
    }  # fmt: skip
    return plain | columns


def _place(station: str, lat: float | None, lon: float | None, elev: str | None, end: str, country: str | None = "US") -> dict[str, Any]:
    return {
        "usaf": station[:6],
        "wban": station[6:],
        "lat": lat,
        "lon": lon,
        "elev": elev,
        "country": country,
        "begin": "19500101",
        "end": end,
    }


@pytest.fixture(scope="module")
def odd(bigquery_emulator: emulators.Running) -> Tables:
    """A year of rows that are not as they should be."""
    tables = Tables(rest_client("demo-project"))
    tables.add(
        "gsod2022",
        [
            _row("72202012839", "2022-03-01"),
            _row("72202012839", "2022-03-01", temp=71.5),
            _row("72202012839", "2022-03-01", temp=69.5),
            _row("99999999999", "2022-03-01"),
            _row("99999900001", "2022-03-01", wdsp=" 7.5 ", count_wdsp=" 8"),
            _row("A0000353848", "2022-03-01"),
            _row("72202012839", "2022-03-02", thunder="2"),
            _row("7220", "2022-03-02"),
            _row("72202012839", "2022-03-03", wdsp="calm"),
            _row("72202012839", None),
            _row("72202012839", "2021-12-31"),
            _row("72202012839", "2023-01-01"),
        ],
    )
    tables.add(
        "stations",
        [
            _place("72202012839", 1.0, 1.0, "+0001.0", "19991231"),
            _place("72202012839", 25.75, -80.375, "+0008.8", "20250829"),
            _place("72202012839", 2.0, 2.0, "+0002.0", "20051231"),
            _place("99999999999", 50.0, 9.0, "+0100.0", "20250829", "GM"),
            _place("99999900001", 0.0, 0.0, "-0999.0", "20250829", ""),
        ],
    )
    return tables


def _odd(odd: Tables, start: dt.date = dt.date(2022, 1, 1)) -> list[SourceDate]:
    return list(BigQuerySource(range(2022, 2023), settings=odd.settings).dates(start, dt.date(2022, 12, 31)))


def test_a_station_with_several_entries_has_the_last_ones_place_and_its_rows_once(odd: Tables) -> None:
    (first,) = [date for date in _odd(odd) if date.date == dt.date(2022, 3, 1)]
    rows = first.rows.to_pylist()
    assert [(r["station"], r["temp"]) for r in rows] == [
        ("72202012839", 69.5), ("72202012839", 70.5), ("72202012839", 71.5), ("99999900001", 70.5), ("99999999999", 70.5), ("A0000353848", 70.5),
    ]  # fmt: skip
    place = ("lat", "lon", "elev", "country")
    assert [tuple(rows[0][name] for name in place), tuple(rows[-1][name] for name in place)] == [(25.75, -80.375, 8.8, "US"), (None,) * 4]
    # Zero, zero is no place; and the number of nines is that of many stations.
    assert [tuple(row[name] for name in place) for row in rows[3:5]] == [(None,) * 4] * 2
    assert (rows[3]["wdsp"], rows[3]["count_wdsp"], rows[3]["flag_prcp"], rows[0]["flag_max"]) == (7.5, 8, "I", "")


def test_a_row_that_cannot_be_read_is_a_dead_letter_of_its_date_and_one_of_no_date_of_the_year_comes_first(odd: Tables) -> None:
    letters = [(date.date, letter) for date in _odd(odd) for letter in date.rejected]
    assert sorted((str(day), letter.reason, letter.station, letter.date) for day, letter in letters) == [
        ("2022-01-01", "bad_date", "72202012839", ""),
        ("2022-01-01", "wrong_date", "72202012839", "2021-12-31"),
        ("2022-01-01", "wrong_date", "72202012839", "2023-01-01"),
        ("2022-03-02", "bad_station", "7220", "2022-03-02"),
        ("2022-03-02", "bad_value", "72202012839", "2022-03-02"),
        ("2022-03-03", "bad_value", "72202012839", "2022-03-03"),
    ]
    by_date = {str(day): letter for day, letter in letters}
    assert f"{PUBLIC}.{odd.dataset}.gsod2022" in by_date["2022-03-03"].detail
    assert "wdsp = 'calm'" in by_date["2022-03-03"].detail
    assert by_date["2022-03-03"].original["wdsp"] == "calm"
    assert len(_odd(odd)) == 365
    # Whoever goes on within the year has had them.
    assert [letter.reason for date in _odd(odd, dt.date(2022, 3, 3)) for letter in date.rejected] == ["bad_value"]


# --- the result of a query over the Storage Read API --------------------------------------------------------


class _Keeping(bigquery.Client):
    """A client that keeps the results of its queries, as the service does, for `Reading` to serve."""

    def __init__(self, like: bigquery.Client) -> None:
        super().__init__(like.project, credentials=AnonymousCredentials(), client_options={"api_endpoint": like._connection.API_BASE_URL})
        self.results: dict[str, pa.Table] = {}
        self.configs: list[bigquery.QueryJobConfig] = []

    def query(self, query: str, **options: Any) -> bigquery.QueryJob:
        self.configs.append(options["job_config"])
        job = super().query(query, **options)
        if not options["job_config"].dry_run:
            self.results[job.destination.table_id] = job.result().to_arrow(create_bqstorage_client=False)
        return job


@pytest.mark.parametrize(
    "breaks",
    [[], [grpc.StatusCode.UNAVAILABLE] * 2, [grpc.StatusCode.FAILED_PRECONDITION] * 2, [grpc.StatusCode.NOT_FOUND]],
    ids=["whole", "connection lost", "session over", "session gone"],
)
def test_a_result_is_read_as_one_ordered_stream_and_on_from_the_date_reached_when_that_ends(
    tables: Tables, breaks: list[grpc.StatusCode]
) -> None:
    rest = _Keeping(tables.client)
    reading = Reading(lambda name: rest.results[name], batch_rows=70, breaks=list(breaks))
    with serving(reading) as address, grpc.insecure_channel(address) as channel:
        storage = BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))
        found = list(BigQuerySource(YEARS, settings=tables.settings, rest=rest, storage=storage).dates(START, END))
    assert [date.date for date in found] == list(tables.rows)
    _is_the_sample(found, tables)
    assert {session.max_stream_count for session in reading.sessions} == {1}
    assert {session.parent for session in reading.sessions} == {"projects/demo-project"}
    again = [s.read_session.read_options.row_restriction for s in reading.sessions if s.read_session.read_options.row_restriction]
    # A lost connection is taken up again by Google's client, a session that is over by a new one on the same result.
    assert len(again) == sum(code != grpc.StatusCode.UNAVAILABLE for code in breaks)
    assert reading.breaks == []
    # The dates at both ends, and one for each year, however often the reading began anew.
    assert len(rest.configs) == 4
    assert {config.maximum_bytes_billed for config in rest.configs} == {20_000_000_000}


def test_a_result_that_cannot_be_read_at_all_is_one_clear_line(tables: Tables) -> None:
    rest = _Keeping(tables.client)
    refusing = Refusing(grpc.StatusCode.PERMISSION_DENIED, "missing bigquery.readsessions.create")
    with serving(refusing) as address, grpc.insecure_channel(address) as channel:
        storage = BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))
        source = BigQuerySource(YEARS, settings=tables.settings, rest=rest, storage=storage)
        with pytest.raises(
            SourceError, match=r"gsod2022 could not be read: permission denied; .*roles/bigquery\.readSessionUser"
        ) as raised:
            list(source.dates(START, END))
    assert "\n" not in str(raised.value)


# --- what it costs, and what is wrong -------------------------------------------------------------------------


def test_an_estimate_is_by_year_and_of_the_years_that_are_asked_for(tables: Tables) -> None:
    source = BigQuerySource(YEARS, settings=tables.settings)
    cost = source.estimate()
    assert list(cost.bytes_by_year) == [2022, 2023]
    # Two tables, of each of which ten megabytes at least are billed.
    assert cost.total_bytes == 2 * 2 * 10 * 2**20
    assert cost.usd == pytest.approx(40 / 2**20 * 6.25)
    assert list(source.estimate(start=dt.date(2023, 1, 5)).bytes_by_year) == [2023]


@pytest.fixture
def environment(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    variables = {"THUNDERCAST_PROJECT": "demo-project", "THUNDERCAST_GSOD_DATASET": tables.dataset}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


def test_the_command_line_tells_the_estimate(environment: Mapping[str, str]) -> None:
    answer = CliRunner().invoke(cli.app, ["sources", "--estimate", "bigquery:2022-2023", "--json"])
    assert json.loads(answer.stdout)["bytes_by_year"] == {"2022": 20 * 2**20, "2023": 20 * 2**20}
    answer = CliRunner().invoke(cli.app, ["sources", "--estimate", "bigquery:2022-2023"])
    assert "bigquery:2022-2023 bills 0.04 GiB, 0.00 USD at 6.25 USD a TiB" in answer.stdout
    answer = CliRunner().invoke(cli.app, ["sources", "--estimate", "sample"])
    assert isinstance(answer.exception, cli.Usage)
    assert "sample bills nothing" in str(answer.exception)


def test_it_is_opened_by_its_name_with_the_environments_settings(
    environment: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_source("bigquery:2022-2023", cache=tmp_path)
    assert isinstance(source, BigQuerySource)
    assert source.open().start == START
    monkeypatch.delenv("THUNDERCAST_PROJECT")
    assert open_source("bigquery:2022-2023", cache=tmp_path, project="demo-project").open() == source.open()


def test_a_year_without_a_table_is_named(tables: Tables) -> None:
    with pytest.raises(SourceError, match=r"gsod2024 does not exist: NOAA's GSOD in BigQuery has the years 1929 to 2025"):
        BigQuerySource(range(2022, 2025), settings=tables.settings).open()


def test_a_table_of_other_columns_is_named(tables: Tables) -> None:
    other = Tables(tables.client)
    table = bigquery.Table(f"{PUBLIC}.{other.dataset}.gsod2022", schema=[bigquery.SchemaField("stn", "STRING")])
    other.client.create_table(table)
    with pytest.raises(SourceError, match=r"gsod2022 has no column count_dewp, .*these are not GSOD station-days"):
        BigQuerySource(range(2022, 2023), settings=other.settings).open()


def _refused(status: int, reason: str, words: str) -> Iterator[str]:
    source = BigQuerySource(YEARS, settings=GsodSettings(project="demo-project"), rest=refusing_client(status, reason, words))
    for ask in (source.open, source.estimate):
        with pytest.raises(SourceError) as raised:
            ask()
        yield str(raised.value)


def test_what_the_service_refuses_is_one_line_with_the_way_out() -> None:
    for line in _refused(403, "accessDenied", "no bigquery.jobs.create"):
        assert line.startswith("table bigquery-public-data.noaa_gsod.gsod2022 could not be ")
        assert "grant this identity roles/bigquery.jobUser and roles/bigquery.readSessionUser on your project" in line
        assert "\n" not in line
    for line in _refused(
        400, "bytesBilledLimitExceeded", "Query exceeded limit for bytes billed: 20000000000. 30000000000 or higher required."
    ):
        assert line.endswith("; THUNDERCAST_GSOD_MAX_BYTES_BILLED raises the limit")
