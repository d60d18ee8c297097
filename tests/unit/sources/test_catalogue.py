"""Sources are named by a text; a text that names none is told how it should read."""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path

import pytest

from thundercast.adapters.sources import SourceError, catalogue, open_source
from thundercast.adapters.sources.file import FileSource
from thundercast.adapters.sources.ncei import NceiSource
from thundercast.adapters.sources.overlay import Overlaid
from thundercast.adapters.sources.sample import SampleSource
from thundercast.adapters.sources.synthetic import SyntheticSource
from unit.sources.stationdays import CSV

# The package has a function of the module's name.
module = sys.modules["thundercast.adapters.sources.catalogue"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("sample", SampleSource),
        ("file:some.parquet", FileSource),
        ("ncei:2023", NceiSource),
        ("ncei:2022-2024", NceiSource),
        ("ncei:2023,stations=72202012839+72219013874", NceiSource),
        ("synthetic:500", SyntheticSource),
        ("overlay:corrected.csv:sample", Overlaid),
        ("overlay:a:b/c.csv:synthetic:500,seed=7", Overlaid),
        ("synthetic:500,seed=7,start=2020-01-01,end=2020-12-31", SyntheticSource),
    ],
)
def test_every_form_opens_its_source(text: str, kind: type, cache: Path) -> None:
    assert isinstance(open_source(text, cache=cache), kind)
    assert not cache.exists()


def test_options_reach_the_source(cache: Path) -> None:
    info = open_source("synthetic:5,end=2020-12-31,seed=7,start=2020-01-01", cache=cache).open()
    assert info.identity == "synthetic:5,seed=7,start=2020-01-01,end=2020-12-31#v1"


def test_a_path_with_commas_and_colons_is_a_path(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "a,b=c:d.csv"
    path.write_bytes(CSV.read_bytes())
    assert open_source(f"file:{path}", cache=cache).open().rows == 4


def test_every_entry_of_the_catalogue_can_be_opened_by_its_example_or_says_why_not(cache: Path) -> None:
    for entry in catalogue():
        assert entry.example.partition(":")[0] == entry.form.partition(":")[0]
        if entry.available:
            open_source(entry.example, cache=cache)
        else:
            with pytest.raises(SourceError, match=re.escape(entry.needs)):
                open_source(entry.example, cache=cache)
    assert [entry.form.partition(":")[0] for entry in catalogue()] == ["sample", "file", "ncei", "synthetic", "bigquery", "overlay"]


def test_a_source_that_this_installation_lacks_says_what_it_needs(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr(module, "_BIGQUERY", dataclasses.replace(module._BIGQUERY, available=False))
    monkeypatch.setitem(module._ENTRIES, "bigquery", module._BIGQUERY)
    with pytest.raises(SourceError, match=r"bigquery:2022 needs .*thundercast-core\[cloud\]; the sources that are here: sample, file:PATH"):
        open_source("bigquery:2022", cache=cache)
    assert not module._installed("google.no_such_part.of_it")


@pytest.mark.parametrize("path", ["/x/y.parquet", "y.parquet", "./folder", "../a", "~/gsod", "data.csv.gz", "folder/x", "C:\\gsod.csv"])
def test_a_bare_path_is_told_the_form_of_a_file(path: str, cache: Path) -> None:
    with pytest.raises(SourceError) as error:
        open_source(path, cache=cache)
    assert f"write file:{path}" in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not the name of a source; there are sample, file:PATH, ncei:YEARS"),
        ("simple", "'simple' is not the name of a source"),
        ("sample:5", "'sample:5' is not the name of a source"),
        ("file:", "'file:' is not the name of a source"),
        ("overlay:corrected.csv", "the source is written overlay:FILE:SOURCE, as overlay:corrected.csv:sample"),
        ("overlay:corrected.csv:nothing:x", "the source is written overlay:FILE:SOURCE"),
        ("overlay:corrected.csv:file:", "'file:' is not the name of a source"),
        ("ncei", "'ncei' is not the name of a source"),
        ("ncei:22", "years are written 2023 or 2022-2024, not '22'"),
        ("ncei:2024-2022", "the years must go up"),
        ("ncei:1928", "lie within 1929 and"),
        ("ncei:2999", "lie within 1929 and"),
        ("ncei:2023,station=72202012839", r"cannot read 'station=72202012839': the source is written ncei:YEARS\[,stations="),
        ("ncei:2023,stations=722020", "'722020' is not a station id"),
        ("ncei:2023,stations=7220201283é", "is not a station id"),
        ("synthetic:many", "the number of stations must be a whole number, not 'many'"),
        ("synthetic:0", "must be 1 to 99,999"),
        ("synthetic:5,seed=x", "the seed must be a whole number, not 'x'"),
        ("synthetic:5,seed=1,seed=2", "cannot read 'seed=2'"),
        ("synthetic:5,start=soon", "start must be a date like 2022-01-31, not 'soon'"),
        ("synthetic:5,colour=red", r"cannot read 'colour=red': the source is written synthetic:STATIONS"),
        ("bigquery", "'bigquery' is not the name of a source"),
        ("bigquery:22", "years are written 2023 or 2022-2024, not '22'"),
        ("bigquery:1928", "lie within 1929 and"),
    ],
)
def test_a_text_that_names_no_source_is_told_how_it_should_read(text: str, message: str, cache: Path) -> None:
    with pytest.raises(SourceError, match=message):
        open_source(text, cache=cache)
