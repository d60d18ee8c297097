"""The kept figures: typed, complete, and those that no machine changes are what the code makes of rows now."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from figures import kept
from figures.__main__ import MODELS, text
from figures.measuring import measured

FIGURES = kept.read()


def test_the_file_is_what_its_writer_writes() -> None:
    assert text(FIGURES) == kept.FILE.read_text()
    assert kept.parsed(text(FIGURES)) == FIGURES
    assert list(FIGURES.close) == ["+".join(models) for models in MODELS]


def test_a_figure_that_is_missing_is_an_error() -> None:
    with pytest.raises((KeyError, TypeError)):
        kept.parsed(kept.FILE.read_text().replace("clean_attributes", "other"))


def test_models_that_were_not_measured_are_named() -> None:
    with pytest.raises(LookupError, match=r"logistic.*python -m figures"):
        FIGURES.close_of(["logistic"])


def test_of_two_measurements_the_less_disturbed_times_count() -> None:
    slower = replace(FIGURES, clean=replace(FIGURES.clean, seconds=1.0), take=replace(FIGURES.take, seconds=1e-12))
    found = kept.least(FIGURES, slower)
    assert found.clean == FIGURES.clean
    assert found.take == slower.take
    with pytest.raises(ValueError, match="machine"):
        kept.least(FIGURES, replace(FIGURES, machine="another"))


def test_sizes_are_still_those_of_what_the_parts_write(tmp_path: Path) -> None:
    """On synthetic rows, which are a little smaller on the wire than real ones."""
    found = measured("synthetic:1400", dates=12, shards=2, models=[["thunder", "logistic"]], cache=tmp_path)
    assert found.wire.raw == pytest.approx(FIGURES.wire.raw, rel=0.15)
    assert found.wire.clean == pytest.approx(FIGURES.wire.clean, rel=0.15)
    assert found.wire.clean_attributes == pytest.approx(FIGURES.wire.clean_attributes, rel=0.15)
    assert found.stored.prediction == pytest.approx(FIGURES.stored.prediction, rel=0.05)
    assert found.stored.observation == pytest.approx(FIGURES.stored.observation, rel=0.05)
    assert found.stored.metrics_a_date == pytest.approx(FIGURES.stored.metrics_a_date, rel=0.15)
    assert found.state.cleaner == pytest.approx(FIGURES.state.cleaner, rel=0.1)
    assert found.state.trainer > found.state.cleaner / 2
    assert "SYNTHETIC" in found.source


def test_too_few_dates_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="dates must be at least 10"):
        measured("synthetic:10", dates=3, shards=1, models=[["thunder"]], cache=tmp_path)
