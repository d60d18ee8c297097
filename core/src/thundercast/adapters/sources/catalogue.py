"""The sources by the text that names them on the command line and in the settings."""

from __future__ import annotations

import datetime as dt
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from thundercast.adapters.sources import inputs
from thundercast.adapters.sources.base import Source, SourceError
from thundercast.adapters.sources.file import FileSource
from thundercast.adapters.sources.ncei import BASE_URL, FIRST_YEAR, NceiSource
from thundercast.adapters.sources.overlay import Overlaid
from thundercast.adapters.sources.sample import SampleSource
from thundercast.adapters.sources.synthetic import END, START, SyntheticSource
from thundercast.domain import stations


@dataclass(frozen=True, slots=True)
class Entry:
    """What `thundercast sources` says of a source.

    Attributes:
        form: how it is named.
        example: a text that `open_source` takes, once what it needs is there.
        available: whether this installation has it.
    """

    form: str
    example: str
    about: str
    needs: str
    available: bool = True


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


_SAMPLE: Final = Entry(
    "sample", "sample", "200 stations of the USA that report thunder, 2022-01-01 to 2024-06-19, packed with the program", "nothing"
)
_FILE: Final = Entry(
    "file:PATH",
    "file:gsod.parquet",
    "parquet, NCEI station-year CSV or .op files: one, a folder that may mix them, or a .tar.gz",
    "the file; the first time, seconds to minutes for sorting and room in the cache for its sorted form",
)
_NCEI: Final = Entry(
    "ncei:YEARS[,stations=ID+ID…]",
    "ncei:2022-2024",
    "the station-days of the whole world, or of some stations, from NCEI's server",
    "a network; some 100 MB and a minute of sorting for each year, once",
)
_SYNTHETIC: Final = Entry(
    "synthetic:STATIONS[,seed=N][,start=DATE][,end=DATE]",
    "synthetic:500,seed=7",
    "generated stations for load and demonstration; marked as synthetic wherever results are seen",
    "nothing",
)
_CLOUD: Final = "google.cloud.bigquery_storage_v1"
"""What this installation has if it was installed with the extra `cloud`."""
_BIGQUERY: Final = Entry(
    "bigquery:YEARS",
    "bigquery:2015-2025",
    "the station-days of the whole world to 2025-08-29, from the public dataset bigquery-public-data.noaa_gsod",
    "a Google Cloud project that pays for a query a year (`--estimate` tells how much) and, installed, thundercast-core[cloud]",
    available=_installed(_CLOUD),
)
_OVERLAY: Final = Entry(
    "overlay:FILE:SOURCE",
    "overlay:corrected.csv:sample",
    "any source with the corrected station-days of a file laid over it, as `thundercast dead-letters list --rows FILE` writes them",
    "the file, and what the source needs",
)
_ENTRIES: Final = {"sample": _SAMPLE, "file": _FILE, "ncei": _NCEI, "synthetic": _SYNTHETIC, "bigquery": _BIGQUERY, "overlay": _OVERLAY}

_BELOW: Final = re.compile(rf":(?=sample$|(?:{'|'.join(kind for kind in _ENTRIES if kind != 'sample')}):)")
"""The colon before the source that lies below an overlay; its file may have others."""
_YEARS: Final = re.compile(r"(\d{4})(?:-(\d{4}))?")


def catalogue() -> tuple[Entry, ...]:
    """All sources, the default first."""
    return tuple(_ENTRIES.values())


def open_source(text: str, *, cache: Path, ncei_url: str = BASE_URL, project: str | None = None) -> Source:
    """The source that a text names. Nothing is read or fetched before its `open`.

    Args:
        text: one of the forms of `catalogue`.
        cache: folder for what is fetched and sorted; made when it is needed.
        ncei_url: NCEI's server or a mirror of its folders.
        project: of Google Cloud, which pays for `bigquery:`; by default the environment's.

    Raises:
        SourceError: the text names no source; the message says how it should read.
    """
    kind, colon, rest = text.strip().partition(":")
    if kind == "sample" and not colon:
        return SampleSource()
    if kind not in _ENTRIES or not colon or not rest or kind == "sample":
        _refuse(text.strip())
    if kind == "file":
        return FileSource(Path(rest), cache=cache)
    if kind == "ncei":
        years, options = _options(rest, _NCEI, "stations")
        chosen = _stations(options["stations"]) if "stations" in options else []
        return NceiSource(_years(years, text), cache=cache, stations=chosen, base_url=ncei_url)
    if kind == "synthetic":
        count, options = _options(rest, _SYNTHETIC, "seed", "start", "end")
        return SyntheticSource(
            _whole(count, "the number of stations"),
            seed=_whole(options["seed"], "the seed") if "seed" in options else 0,
            start=_date(options["start"], "start") if "start" in options else START,
            end=_date(options["end"], "end") if "end" in options else END,
        )
    if kind == "overlay":
        file, *below = _BELOW.split(rest, maxsplit=1)
        if not file or not below:
            raise SourceError(f"cannot read {text!r}: the source is written {_OVERLAY.form}, as {_OVERLAY.example}")
        return Overlaid(open_source(below[0], cache=cache, ncei_url=ncei_url, project=project), FileSource(Path(file), cache=cache))
    if not _BIGQUERY.available:
        raise SourceError(f"{text} needs {_BIGQUERY.needs}; the sources that are here: {_forms()}")
    # Imported when it is asked for: Google's clients take a second, and few installations have them.
    from thundercast.adapters.sources.bigquery import BigQuerySource, GsodSettings

    return BigQuerySource(_years(rest.strip(), text), settings=GsodSettings() if project is None else GsodSettings(project=project))


def _forms() -> str:
    return ", ".join(entry.form for entry in _ENTRIES.values() if entry.available)


def _refuse(text: str) -> NoReturn:
    looks_like_path = "/" in text or "\\" in text or text.startswith((".", "~")) or inputs.kind_of(text) or (text and Path(text).exists())
    if looks_like_path and text.partition(":")[0] not in _ENTRIES:
        raise SourceError(f"{text} is not the name of a source; for a file or folder write file:{text}")
    raise SourceError(f"{text!r} is not the name of a source; there are {_forms()}")


def _options(rest: str, entry: Entry, *names: str) -> tuple[str, dict[str, str]]:
    """What comes before the first comma, and the NAME=VALUE after it."""
    first, *pairs = rest.split(",")
    options: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = (part.strip() for part in pair.partition("="))
        if name not in names or not equals or not value or name in options:
            raise SourceError(f"cannot read {pair!r}: the source is written {entry.form}")
        options[name] = value
    return first.strip(), options


def _years(text: str, source: str) -> range:
    found = _YEARS.fullmatch(text)
    if found is None:
        raise SourceError(f"{source}: years are written 2023 or 2022-2024, not {text!r}")
    first, last = int(found[1]), int(found[2] or found[1])
    this_year = dt.datetime.now(dt.UTC).year
    if not FIRST_YEAR <= first <= last <= this_year:
        raise SourceError(f"{source}: the years must go up, and lie within {FIRST_YEAR} and {this_year}")
    return range(first, last + 1)


def _stations(text: str) -> list[str]:
    chosen = [station.strip() for station in text.split("+")]
    for station in chosen:
        if len(station) != stations.LENGTH or not (station.isascii() and station.isalnum() and station == station.upper()):
            raise SourceError(f"stations={text}: {station!r} is not a station id, {stations.LENGTH} characters 0-9A-Z, as 72202012839")
    return chosen


def _whole(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise SourceError(f"synthetic: {what} must be a whole number, not {text!r}")
    return int(text)


def _date(text: str, name: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise SourceError(f"synthetic: {name} must be a date like 2022-01-31, not {text!r}") from error
