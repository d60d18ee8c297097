"""A running job is updated only if each of its steps goes on, for a step that is not found loses its state."""

from __future__ import annotations

import doctest

import pytest

from thundercast.adapters.refusals import Failed
from thundercast_launcher import compatibility
from thundercast_launcher.compatibility import check
from thundercast_launcher.specification import STATE, STEPS, Specification

NOW = frozenset(
    {"ReadRaw", "ReadRaw/Read", "Clean", "Clean/InOrder", "Clean/InOrder/ParDo(CleanInOrder)", "PublishClean", "PublishClean/ToProtobufX"}
)
WANTED = Specification(words=(), labels={STEPS: "now", STATE: "1"}, steps=NOW)
OTHER = {STEPS: "then", STATE: "1"}


def test_examples_hold() -> None:
    assert doctest.testmod(compatibility).failed == 0


def test_the_same_steps_go_on_whatever_dataflow_calls_them() -> None:
    check({STEPS: "now", STATE: "1"}, ["s1", "s2"], WANTED, {})


@pytest.mark.parametrize("running", [NOW, [name for name in NOW if "/" in name], ["ReadRaw", "Clean/InOrder"], []])
def test_steps_that_are_there_go_on_however_finely_they_are_told(running: list[str]) -> None:
    check(OTHER, running, WANTED, {})


def test_what_beam_has_inside_its_own_steps_is_beams() -> None:
    check(OTHER, ["ReadRaw/SomethingOfAnOlderBeam", "PublishClean/Another/One"], WANTED, {})


@pytest.mark.parametrize("lost", ["Sort", "Clean/Sort/ParDo(Sort)", "Clean/InOrder/ParDo(Sort)"])
def test_a_step_that_is_gone_is_named(lost: str) -> None:
    with pytest.raises(Failed, match="whose state would be lost") as refused:
        check(OTHER, ["ReadRaw", lost], WANTED, {})
    assert lost in str(refused.value)
    assert "thundercast-launch drain" in str(refused.value)


@pytest.mark.parametrize(
    "mapping",
    [{"Tidy": "Clean"}, {"Tidy/InOrder": "Clean/InOrder"}, {"Tidy/InOrder/ParDo(CleanInOrder)": "Clean/InOrder/ParDo(CleanInOrder)"}],
)
def test_a_step_that_is_called_otherwise_goes_on_if_it_is_said(mapping: dict[str, str]) -> None:
    with pytest.raises(Failed, match="lost: Tidy"):
        check(OTHER, ["ReadRaw", "Tidy/InOrder/ParDo(CleanInOrder)"], WANTED, {})
    check(OTHER, ["ReadRaw", "Tidy/InOrder/ParDo(CleanInOrder)"], WANTED, mapping)


def test_a_mapping_that_does_not_reach_every_part_is_refused() -> None:
    with pytest.raises(Failed, match=r"lost: Tidy/InOrder/ParDo\(Sort\)"):
        check(OTHER, ["Tidy/InOrder/ParDo(Sort)", "Tidy/InOrder/ParDo(CleanInOrder)"], WANTED, {"Tidy": "Clean"})


def test_a_mapping_to_nothing_is_refused() -> None:
    with pytest.raises(Failed, match="there is no step Sort; there are Clean"):
        check(OTHER, NOW, WANTED, {"Clean": "Sort"})


def test_a_mapping_from_nothing_is_refused() -> None:
    with pytest.raises(Failed, match="the running job has no step Sort"):
        check({STEPS: "now"}, NOW, WANTED, {"Sort": "Clean"})


@pytest.mark.parametrize("version", ["1", "0", "", "odd"])
def test_state_that_can_be_read_goes_on(version: str) -> None:
    check({STEPS: "now", STATE: version}, NOW, WANTED, {})


def test_state_of_a_newer_program_is_refused() -> None:
    with pytest.raises(Failed, match="version 2, and this program reads 1"):
        check({STEPS: "now", STATE: "2"}, NOW, WANTED, {})
