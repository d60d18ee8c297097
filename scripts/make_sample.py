"""Makes the packed sample: some 200 stations of the USA, chosen over climates, from a table of real station-days.

python scripts/make_sample.py FOLDER    FOLDER has gsod_real.parquet (its columns: see `file:PATH` in `thundercast sources`)
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from thundercast.adapters.sources import sample
from thundercast.adapters.sources.columns import canonical, to_raw

STATIONS = 200
LEAST_DAYS = 850
LEAST_THUNDER = 1
LARGEST = 3_000_000  # bytes
ROWS = "gsod_real.parquet"


def spread(points: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.intp]:
    """Indices of ``count`` points far from each other: from the first one on, always the one farthest from all those chosen.

    Args:
        points: float64[n, k].

    References:
        Gonzalez (1985), Clustering to minimize the maximum intercluster distance, https://doi.org/10.1016/0304-3975(85)90224-5
    """
    chosen = [0]
    distance = np.linalg.norm(points - points[0], axis=1)
    while len(chosen) < min(count, len(points)):
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.array(sorted(chosen))


def candidates(table: Path) -> tuple[list[str], npt.NDArray[np.float64]]:
    """Stations of the USA with a nearly whole record and thunder in it; and where they are: on the globe, and height, in 1,000 km."""
    rows = pq.read_table(table, filters=[("country", "=", "US"), ("elevation", ">", -999.0)])
    rows = rows.append_column("year", pc.year(rows.column("date"))).append_column(
        "thunder_days", pc.equal(rows.column("thunder"), "1").cast("int32")
    )
    found = rows.sort_by([("station", "ascending"), ("date", "ascending")]).group_by("station", use_threads=False)
    each = found.aggregate(
        [
            ("date", "count"),
            ("thunder_days", "sum"),
            ("year", "count_distinct"),
            ("latitude", "first"),
            ("longitude", "first"),
            ("elevation", "first"),
        ]
    )
    whole = pc.and_(pc.greater_equal(each.column("date_count"), LEAST_DAYS), pc.equal(each.column("year_count_distinct"), 3))
    each = each.filter(pc.and_(whole, pc.greater_equal(each.column("thunder_days_sum"), LEAST_THUNDER))).sort_by("station")
    place = np.column_stack([each.column(f"{name}_first").to_numpy() for name in ("latitude", "longitude", "elevation")])
    lat, lon = np.radians(place[:, 0]), np.radians(place[:, 1])
    globe = 6.371 * np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    # 1 km of height is another climate, as 300 km of distance may be.
    return each.column("station").to_pylist(), np.column_stack([globe, 0.3 * place[:, 2] / 1000])


def main() -> int:
    """Writes the sample beside the package's code; 1 if it cannot."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help=f"folder with {ROWS}")
    parser.add_argument("--to", type=Path, default=sample.PATH, help="file to write (default: the package's)")
    arguments = parser.parse_args()
    table = arguments.folder / ROWS
    if not table.is_file():
        print(f"{table}: there is no such file", file=sys.stderr)
        return 1
    stations, points = candidates(table)
    chosen = [stations[i] for i in spread(points, STATIONS)]
    rows = pq.read_table(table, filters=[("station", "in", chosen)]).sort_by([("date", "ascending"), ("station", "ascending")])
    names = canonical(rows.schema.names, where=ROWS)
    rows = rows.select(list(names.values())).rename_columns(list(names))
    raw, rejected = to_raw(rows, where=lambda i: f"{ROWS} row {i + 1}")
    if rejected:
        print(f"{len(rejected)} rows cannot be read, the first: {rejected[0].letter.detail}", file=sys.stderr)
        return 1
    sample.write(pa.Table.from_batches([raw]), arguments.to)
    size = arguments.to.stat().st_size
    thunder = raw.column("thunder").to_numpy().mean()
    print(f"{arguments.to}: {len(chosen)} of {len(stations)} stations, {raw.num_rows:,} rows, thunder {thunder:.2%}, {size:,} bytes")
    if size > LARGEST:
        print(f"that is more than {LARGEST:,} bytes", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
