"""Tables in the emulator that stand in for the public dataset, with station-days of the packed sample."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from google.cloud import bigquery

from thundercast.adapters.google.bigquery_clients import rest_client
from thundercast.adapters.sources.bigquery import GsodSettings
from thundercast.adapters.sources.sample import SampleSource
from thundercast.domain.schema import RAW_SCHEMA

PUBLIC = "bigquery-public-data"
START, END = dt.date(2022, 12, 20), dt.date(2023, 1, 15)
STATIONS = 25

_TEXTS = ("stn", "wban", "year", "mo", "da", "wdsp", "count_wdsp", "mxpsd", "flag_max", "flag_min", "flag_prcp", "fog", "rain_drizzle",
          "snow_ice_pellets", "hail", "thunder", "tornado_funnel_cloud")  # fmt: skip
_SCHEMA = [
    bigquery.SchemaField(
        name, "STRING" if name in _TEXTS else "DATE" if name == "date" else "INTEGER" if name.startswith("count_") else "FLOAT"
    )
    for name in (
        "stn",
        "wban",
        "date",
        "year",
        "mo",
        "da",
        *[f.name for f in RAW_SCHEMA if f.name not in ("station", "stn", "wban", "date", "lat", "lon", "elev", "country")],
    )
]
_PLACES = [
    bigquery.SchemaField(name, "FLOAT" if name in ("lat", "lon") else "STRING")
    for name in ("usaf", "wban", "name", "country", "state", "call", "lat", "lon", "elev", "begin", "end")
]


@dataclass
class Tables:
    """A dataset as NOAA's: tables gsodYYYY and stations, in BigQuery's types.

    Attributes:
        rows: what the source is to make of them, by date.
    """

    client: bigquery.Client
    dataset: str = field(default_factory=lambda: f"gsod_{uuid.uuid4().hex[:8]}")
    rows: dict[dt.date, pa.RecordBatch] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.client.create_dataset(f"{PUBLIC}.{self.dataset}")

    @property
    def settings(self) -> GsodSettings:
        return GsodSettings(project="demo-project", gsod_project=PUBLIC, gsod_dataset=self.dataset)

    def add(self, name: str, rows: list[dict[str, Any]]) -> None:
        table = bigquery.Table(f"{PUBLIC}.{self.dataset}.{name}", schema=_PLACES if name == "stations" else _SCHEMA)
        self.client.create_table(table, exists_ok=True)
        for start in range(0, len(rows), 500):
            assert self.client.insert_rows_json(table, rows[start : start + 500]) == []


def of_the_sample(change: Callable[[dict[str, Any]], Mapping[str, Any]] | None = None) -> Tables:
    """Some stations of the sample over the turn of a year, their rows in no order.

    Args:
        change: gives, for a row as BigQuery has it, what is to be otherwise.
    """
    tables = Tables(rest_client("demo-project"))
    whole = pa.Table.from_batches([date.rows for date in SampleSource().dates(START, END)])
    # A list of stations has one place for each, so only stations that stayed where they were can come out equal.
    places = whole.group_by(["station", "lat", "lon", "elev", "country"]).aggregate([])
    counted = places.group_by("station").aggregate([([], "count_all")])
    settled = sorted(counted.filter(pc.equal(counted.column("count_all"), 1)).column("station").to_pylist())[:STATIONS]
    chosen = whole.filter(pc.is_in(whole.column("station"), pa.array(settled)))
    for day in range((END - START).days + 1):
        date = START + dt.timedelta(day)
        tables.rows[date] = chosen.filter(pc.equal(chosen.column("date"), pa.scalar(date))).combine_chunks().to_batches()[0]
    shuffled = sorted(chosen.to_pylist(), key=lambda row: (row["wban"], row["temp"]))
    for year in (START.year, END.year):
        tables.add(f"gsod{year}", [_as_bigquery(row) for row in shuffled if row["date"].year == year])
    tables.add("stations", [entry for row in places.to_pylist() if row["station"] in settled for entry in _entries(row)])
    return tables


def _as_bigquery(row: Mapping[str, Any]) -> dict[str, Any]:
    date = row["date"]
    made = {f.name: row.get(f.name) for f in _SCHEMA} | {"date": str(date), "year": f"{date:%Y}", "mo": f"{date:%m}", "da": f"{date:%d}"}
    return {name: str(value) if name in _TEXTS and value is not None else value for name, value in made.items()}


def _entries(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The station's entry, and an older one of another place."""
    usaf, wban = row["station"][:6], row["station"][6:]
    entry = {"usaf": usaf, "wban": wban, "name": "SOMEWHERE", "country": row["country"], "lat": row["lat"], "lon": row["lon"]}
    entry |= {"elev": None if row["elev"] is None else f"{row['elev']:+}", "begin": "20060101", "end": "20250829"}
    return [entry | {"lat": 1.0, "lon": 2.0, "elev": "-0999.0", "begin": "19480101", "end": "20051231"}, entry]
