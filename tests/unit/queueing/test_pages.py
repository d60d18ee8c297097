"""docs/scaling.md and its pictures say what figures, limits and simulation say now."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from cost.pods import GIB
from cost.profiles import profiles
from figures import kept
from queueing import page, sizing
from queueing.drawing import drawn, fingerprint

FIGURES = kept.read()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_document_and_its_pictures_are_what_the_simulation_says_now() -> None:
    made = page.make(FIGURES)
    assert page.PAGE.read_text() == made.page, "run `make queueing`"
    for picture in made.pictures:
        assert f"<desc>data {fingerprint(picture.series)}</desc>" in picture.path.read_text(), f"run `make queueing`: {picture.path.name}"
        assert f"(images/{picture.path.name})" in page.PAGE.read_text()


@pytest.mark.parametrize("name", ["scaling-delay.svg", "scaling-killed.svg"])
def test_a_picture_is_for_light_and_dark_and_says_that_it_is_simulated(name: str) -> None:
    text = (page.FOLDER / name).read_text()
    root = ET.fromstring(text)
    assert root.tag.endswith("svg")
    assert "prefers-color-scheme:dark" in text
    assert "SIMULATED" in text
    colours = set(re.findall(r"(?:fill|stroke): ?(#[0-9a-f]{6})", text))
    assert colours <= {"#3987e5", "#d95926"}, "what is neither line must take the reader's colour"


def test_other_data_have_another_fingerprint_and_the_same_to_three_digits_have_not() -> None:
    series = [("a", [(1.0, 2.0), (2.0, 3.0)])]
    assert fingerprint(series) == fingerprint([("a", [(1.0, 2.0), (2.0, 3.0001)])])
    assert fingerprint(series) != fingerprint([("a", [(1.0, 2.0), (2.0, 3.1)])])
    assert fingerprint(series) in drawn(series, title="t", x="x", y="y")


def test_what_the_world_makes_each_day_passes_every_limit() -> None:
    asked = profiles()[1].asked
    size = sizing.size(sizing.STREAMS[0], FIGURES, asked)
    assert size.broken(sizing.limits(), memory=asked.pod("trainer").memory_limit * GIB, models="+".join(asked.settings.models)) == []
    assert size.cleaners == 1


def test_needs_grow_with_rows_and_stations_as_they_should() -> None:
    asked = profiles()[1].asked
    gsod, hourly = (sizing.size(sizing.STREAMS[at], FIGURES, asked) for at in (1, 3))
    assert hourly.published == pytest.approx(24 * gsod.published)
    assert hourly.written == pytest.approx(24 * gsod.written)
    assert hourly.state == gsod.state
    assert hourly.trainer["thunder"] == pytest.approx(24 * gsod.trainer["thunder"])
    large = sizing.size(sizing.STREAMS[4], FIGURES, asked)
    assert large.shards <= sizing.WINDOW
    assert large.state[1] == pytest.approx(1000 * gsod.state[1])


def test_a_thousand_times_hourly_replayed_passes_hardly_any() -> None:
    asked = profiles()[1].asked
    broken = sizing.size(sizing.STREAMS[5], FIGURES, asked).broken(sizing.limits(), memory=2 * GIB, models="thunder")
    assert {"Pub/Sub's quotas", "the one trainer", "BigQuery's quota", "the trainer's memory"} <= set(broken)


def test_a_message_over_the_limit_is_named() -> None:
    asked = profiles()[1].asked
    stream = sizing.Stream(name="huge", stations=100_000_000, pace=1.0)
    assert "messages are too large" in sizing.size(stream, FIGURES, asked).broken(sizing.limits(), memory=1e15, models="thunder")
