"""Made-up station-days in the forms that files have, and what a source makes of them."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from thundercast.adapters.sources import Source, SourceDate
from thundercast.adapters.sources.columns import DIGITS
from thundercast.adapters.sources.file import FileSource
from thundercast.domain.deadletters import DeadLetter

FIXTURES = Path(__file__).parent / "fixtures"
CSV = FIXTURES / "72999900001.csv"
OP = FIXTURES / "729999-00001-2023.op"
STATION_LIST = FIXTURES / "isd-history.csv"
STATION = "72999900001"
FIRST = dt.date(2023, 1, 1)

_FIELDS: dict[str, str] = {
    "STATION": STATION, "DATE": "2023-01-01", "LATITUDE": "25.1234", "LONGITUDE": "-80.4321", "ELEVATION": "2.1", "NAME": "MADE UP FIELD, FL US",
    "TEMP": "  76.1", "TEMP_ATTRIBUTES": "24", "DEWP": "  70.3", "DEWP_ATTRIBUTES": "24", "SLP": "1019.9", "SLP_ATTRIBUTES": "24",
    "STP": "018.9", "STP_ATTRIBUTES": "24", "VISIB": "  9.3", "VISIB_ATTRIBUTES": "24", "WDSP": "  3.0", "WDSP_ATTRIBUTES": "24",
    "MXSPD": "  8.0", "GUST": "999.9", "MAX": "  86.0", "MAX_ATTRIBUTES": "*", "MIN": "  69.1", "MIN_ATTRIBUTES": " ",
    "PRCP": " 0.00", "PRCP_ATTRIBUTES": "G", "SNDP": "999.9", "FRSHTT": "000000",
}  # fmt: skip


def csv_text(*rows: Mapping[str, str], drop: tuple[str, ...] = ()) -> str:
    """A station-year CSV; each row is given by what differs from a plain day."""
    names = [name for name in _FIELDS if name not in drop]
    lines = [",".join(f'"{name}"' for name in names)]
    lines += [",".join(f'"{(_FIELDS | dict(row))[name]}"' for name in names) for row in rows]
    return "\n".join(lines) + "\n"


def days_csv(station: str, first: dt.date, days: int) -> str:
    """A station-year CSV whose temperature tells the station and the day."""
    return csv_text(
        *(
            {"STATION": station, "DATE": str(first + dt.timedelta(days=i)), "TEMP": f"{int(station[:3]) % 50 + i % 10}.{i % 10}"}
            for i in range(days)
        )
    )


def tidy(stations: int, days: int, *, seed: int = 0, first: dt.date = FIRST) -> pa.Table:
    """Random station-days in the columns of the tidy table, by station then date as such tables come; some station-days are missing."""
    draw = np.random.default_rng(seed)
    station, day = (a.ravel() for a in np.meshgrid(np.arange(stations), np.arange(days), indexing="ij"))
    there = draw.random(len(station)) < 0.9
    there[:1] = there[-1:] = True
    station, day = station[there], day[there]
    n = len(station)
    columns: dict[str, pa.Array] = {
        "station": pa.array([f"{720000 + s}{s:05d}" for s in station.tolist()]),
        "date": pa.array([first + dt.timedelta(days=d) for d in day.tolist()]),
        "latitude": pa.array(np.round(station * 1.5 + 10.123, 4)),
        "longitude": pa.array(-90.5 - station),
        "elevation": pa.array(station * 10.5),
        "name": pa.array([f"PLACE {s}, TX US" for s in station.tolist()]),
        "country": pa.array(["US"] * n),
    }
    for name in ("temp", "dewp", "slp", "stp", "visib", "wdsp", "mxspd", "gust", "max", "min", "sndp"):
        columns[name] = pa.array(np.round(draw.normal(50, 20, n), 1))
    for name in ("temp", "dewp", "slp", "stp", "visib", "wdsp"):
        columns[f"count_{name}"] = pa.array(draw.integers(4, 25, n).astype(np.int16))
    columns["prcp"] = pa.array(np.round(draw.exponential(0.2, n), 2))
    columns |= {"flag_max": pa.array(draw.choice(["", "*"], n)), "flag_min": pa.array(draw.choice(["", "*"], n))}
    columns["flag_prcp"] = pa.array(draw.choice(list("ABGI"), n))
    columns |= {name: pa.array(np.where(draw.random(n) < 0.2, "1", "0")) for name in DIGITS}
    return pa.table(columns)


def shuffled(table: pa.Table, seed: int = 1) -> pa.Table:
    return table.take(pa.array(np.random.default_rng(seed).permutation(table.num_rows)))


def by_date(table: pa.Table) -> pa.Table:
    return table.sort_by([("date", "ascending"), ("station", "ascending")])


def saved(table: pa.Table, path: Path, **options: int) -> Path:
    pq.write_table(table, path, **options)
    return path


def tar_gz(path: Path, files: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def gzipped(path: Path, data: bytes) -> Path:
    path.write_bytes(gzip.compress(data, mtime=0))
    return path


def dates_of(source: Source, start: dt.date | None = None, end: dt.date | None = None) -> list[SourceDate]:
    info = source.open()
    return list(source.dates(start or info.start, end or info.end))


def rows_of(source: Source, start: dt.date | None = None, end: dt.date | None = None) -> pa.Table:
    return pa.Table.from_batches([date.rows for date in dates_of(source, start, end)])


def letters_of(source: Source) -> list[DeadLetter]:
    return [letter for date in dates_of(source) for letter in date.rejected]


Read = Callable[[Path], FileSource]
