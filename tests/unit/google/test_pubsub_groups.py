"""Subscriptions of groups of shards: filters lose nothing of the group's own."""

from __future__ import annotations

import doctest
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thundercast.adapters.google import pubsub_subscription, pubsub_topics
from thundercast.adapters.google.pubsub_topics import group_filter, group_subscription


def lets_in(text: str, shard: int) -> bool:
    """Pub/Sub's meaning of the filters that are made here."""
    assert re.fullmatch(r'(NOT attributes\.shard="\d+"( AND (?!$))?)*', text)
    return str(shard) not in re.findall(r'NOT attributes\.shard="(\d+)"', text)


@given(st.integers(1, 64), st.data(), st.integers(0, 4095))
def test_a_filter_never_keeps_a_shard_from_its_own_group(groups: int, more: st.DataObject, shard: int) -> None:
    group = more.draw(st.integers(0, groups - 1))
    text = group_filter(group, groups)
    assert len(text.encode()) <= 256
    if shard % groups == group:
        assert lets_in(text, shard)


@pytest.mark.parametrize("group", [0, 1])
def test_with_two_groups_nothing_of_the_default_shards_comes_along(group: int) -> None:
    assert [s for s in range(16) if lets_in(group_filter(group, 2), s)] == [s for s in range(16) if s % 2 == group]


def test_one_group_has_the_plain_subscription_without_a_filter() -> None:
    assert group_subscription("noaa-raw-cleaner", 0, 1) == "noaa-raw-cleaner"
    assert group_filter(0, 1) == ""


@pytest.mark.parametrize("module", [pubsub_subscription, pubsub_topics])
def test_docstrings_tell_the_truth(module: object) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
