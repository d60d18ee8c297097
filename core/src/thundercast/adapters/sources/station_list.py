"""NOAA's station list, `isd-history.csv`: place and country of stations whose rows do not say."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from thundercast.adapters.sources.base import SourceError
from thundercast.domain.stations import BAD_KEY, Keys, keys_of

NAME: Final = "isd-history.csv"
_COLUMNS: Final = ("USAF", "WBAN", "CTRY", "LAT", "LON", "ELEV(M)")


class StationList:
    """Place and country by station."""

    def __init__(self, keys: Keys, columns: dict[str, pa.Array]) -> None:
        order = np.argsort(keys, kind="stable")
        self._keys = keys[order]
        self._columns = {name: column.take(pa.array(order)) for name, column in columns.items()}

    @classmethod
    def read(cls, path: Path) -> StationList:
        """Reads the list as NOAA publishes it.

        Raises:
            SourceError: the file is not that list, or a number in it cannot be read.
        """
        ids: list[str] = []
        lat: list[float | None] = []
        lon: list[float | None] = []
        elev: list[float | None] = []
        country: list[str | None] = []
        line = 1
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                rows = csv.DictReader(file)
                if missing := [name for name in _COLUMNS if name not in (rows.fieldnames or ())]:
                    raise SourceError(f"{path.name}: bad header: no column {', '.join(missing)}: not NOAA's station list")
                for row in rows:
                    line += 1
                    ids.append(f"{row['USAF'].strip():0>6}{row['WBAN'].strip():0>5}")
                    x, y, z = (_number(row[name]) for name in ("LON", "LAT", "ELEV(M)"))
                    # 0, 0 is how the list writes an unknown place; no station lies in the sea there.
                    known = x is not None and y is not None and (x, y) != (0.0, 0.0)
                    lon.append(x if known else None)
                    lat.append(y if known else None)
                    elev.append(z if z is not None and z > -999.0 else None)
                    country.append(row["CTRY"].strip() or None)
        except (UnicodeDecodeError, csv.Error) as error:
            raise SourceError(f"{path.name}: cannot be read as CSV in UTF-8: {error}") from error
        except (ValueError, AttributeError) as error:
            raise SourceError(f"{path.name}, line {line}: {error}") from error
        place = {"lat": pa.array(lat, pa.float64()), "lon": pa.array(lon, pa.float64()), "elev": pa.array(elev, pa.float64())}
        return cls(keys_of(pa.array(ids, pa.string())), place | {"country": pa.array(country, pa.string())})

    def complete(self, columns: dict[str, pa.Array | None], keys: Keys, *, country: bool) -> None:
        """Fills in, by station, the place columns that are absent (None).

        Args:
            country: put the list's country before the one that is there. Right for a name's suffix, because names mix FIPS and ISO
                codes ("CH" is China in one, Switzerland in the other); wrong for a country column of the rows' own.
        """
        at = np.searchsorted(self._keys, keys)
        at[at == len(self._keys)] = 0
        known = (self._keys[at] == keys) & (keys != BAD_KEY) if len(self._keys) else np.zeros(len(keys), np.bool_)
        index = pa.array(at, mask=~known)
        for name in ("lat", "lon", "elev"):
            if columns.get(name) is None:
                columns[name] = self._columns[name].take(index)
        if country:
            listed = self._columns["country"].take(index)
            own = columns.get("country")
            columns["country"] = listed if own is None else pc.coalesce(listed, own)


def _number(text: str) -> float | None:
    return float(text) if text.strip() else None
