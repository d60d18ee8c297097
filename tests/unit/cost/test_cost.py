"""What a month costs: the reckoning follows values, load, figures and prices, and the page says what it says."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from pydantic import ValidationError

import pages
from cost import page, prices, saving
from cost.estimate import Line, autopilot, estimate, machine, total
from cost.loads import DAYS, HOURS, LOADS, SECONDS, Load
from cost.pods import Pod, asked, merged, quantity
from cost.profiles import profiles
from figures import kept

FIGURES, PRICES = kept.read(), prices.read()
LIVE, REPLAY, ALWAYS = LOADS


def bill(load: Load = ALWAYS, host: str = "gke", *, more: dict[str, Any] | None = None, **changed: Any) -> list[Line]:
    values = asked("values-gke.yaml", more=more)
    return estimate(dataclasses.replace(values, **changed), load, FIGURES, PRICES, host=host)


def usd(lines: list[Line], component: str, what: str = "") -> float:
    return total([line for line in lines if line.component == component and what in line.what])


def test_the_page_says_what_is_reckoned_now() -> None:
    assert page.PAGE.read_text() == page.page(), "run `make cost`"


def test_messages_cost_what_a_reckoning_by_hand_gives() -> None:
    rows = 5000 * 730 * 3600
    messages = rows / 11_000 * 16
    wire = FIGURES.wire
    both = rows * (wire.raw + wire.clean) + messages * (wire.raw_attributes + wire.clean_attributes + 80)
    assert usd(bill(), "Pub/Sub", "published") == pytest.approx((2 * both / 2**40 - 10 / 1024) * 40)
    # Seven of a month's 30.4 days are there at any time.
    assert usd(bill(), "Pub/Sub", "acknowledged") == pytest.approx(both / 2**30 * 7 / (730 / 24) * 0.27)


def test_what_is_kept_for_ninety_days_is_paid_for_ninety_days() -> None:
    rows = ALWAYS.rows * (6 * FIGURES.stored.prediction + FIGURES.stored.observation) * 90 / DAYS / 2**30
    assert usd(bill(), "BigQuery", "kept") == pytest.approx((rows - 10) * 0.02, rel=0.01)


def test_pods_cost_what_they_request() -> None:
    before, after = bill(LIVE), bill(LIVE, more={"trainer": {"replicas": 3}})
    assert usd(after, "GKE", "vCPU") - usd(before, "GKE", "vCPU") == pytest.approx(0.5 * HOURS * 0.0445)
    more = {"cleaner": {"resources": {"requests": {"cpu": "750m"}}}}
    assert usd(bill(LIVE, more=more), "GKE", "vCPU") - usd(before, "GKE", "vCPU") == pytest.approx(0.5 * HOURS * 0.0445)


def test_a_cluster_with_stand_ins_costs_nothing() -> None:
    local = profiles()[0]
    assert estimate(local.asked, ALWAYS, FIGURES, PRICES, host=local.host) == []


def test_dataflow_takes_the_place_of_the_cleaner() -> None:
    _, worker, dataflow, _ = profiles()
    ours, theirs = (estimate(way.asked, LIVE, FIGURES, PRICES, host=way.host) for way in (worker, dataflow))
    assert usd(ours, "Dataflow") == 0
    assert usd(theirs, "Dataflow", "vCPU") == pytest.approx(2 * HOURS * 0.069)
    assert usd(theirs, "GKE", "vCPU") < usd(ours, "GKE", "vCPU")


@pytest.mark.parametrize("load", LOADS, ids=lambda load: load.name)
def test_each_profile_has_a_bill_of_known_components(load: Load) -> None:
    for way in profiles():
        lines = estimate(way.asked, load, FIGURES, PRICES, host=way.host)
        assert {line.component for line in lines} <= set(page.COMPONENTS)
        assert all(line.usd >= 0 and line.price in PRICES for line in lines)


def test_twice_the_rows_cost_no_less_and_only_what_flows_grows() -> None:
    half = dataclasses.replace(ALWAYS, rows=ALWAYS.rows / 2)
    for line, other in zip(bill(ALWAYS), bill(half), strict=True):
        assert line.usd >= other.usd
    assert usd(bill(half), "GKE", "cluster") == usd(bill(), "GKE", "cluster")


def test_a_page_that_queries_every_five_seconds_costs_about_32_dollars() -> None:
    assert saving.viewer_queries(PRICES) == pytest.approx(SECONDS / 5 * 10 / 2**20 * 6.25)
    assert 30 < saving.viewer_queries(PRICES) < 34


def test_what_is_said_to_save_saves() -> None:
    assert all(one.usd > 0 for one in [*saving.savings(ALWAYS, FIGURES, PRICES), *saving.left_out(ALWAYS, FIGURES, PRICES)])


def test_what_is_free_is_left_out_once_a_month() -> None:
    price = PRICES["pubsub_throughput"]
    assert price.of(5 / 1024) == 0
    assert price.of(1.0) == pytest.approx(40 - 40 * 10 / 1024)
    assert price.of(1.0, free=False) == 40


def test_every_price_says_how_sure_it_is_on_the_page() -> None:
    text = page.parts()["prices"]
    assert len(text.splitlines()) == len(PRICES) + 2
    unsure = [price for price in PRICES.values() if price.seen in ("secondhand", "unconfirmed")]
    assert text.count("look it up") == len(unsure) > 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('seen = "copy"', 'seen = "guessed"'), "guessed"),
        (('date = ""', 'date = "yesterday"'), "yesterday"),
        (('date = ""', 'date = "2026-01-01"'), "has a date"),
        (("usd = 1.0", "usd = -1.0"), "not negative"),
        (('unit = "h"\n', ""), "unit"),
    ],
)
def test_a_price_that_is_not_complete_is_refused_by_name(change: tuple[str, str], said: str) -> None:
    text = '[tea]\nusd = 1.0\nunit = "h"\nregion = "all"\npage = "https://example.org"\nseen = "copy"\ndate = ""\n'
    assert prices.parsed(text)["tea"].usd == 1.0
    with pytest.raises(ValueError, match=f"price tea: .*{said}"):
        prices.parsed(text.replace(*change))


def test_a_value_that_the_chart_does_not_know_is_refused() -> None:
    with pytest.raises(ValidationError, match="replica_s"):
        asked("values-gke.yaml", more={"trainer": {"replica_s": 3}})


def test_values_are_laid_over_each_other_as_helm_does() -> None:
    assert merged({"a": {"b": 1, "c": [1, 2]}}, {"a": {"c": [3]}, "d": 4}) == {"a": {"b": 1, "c": [3]}, "d": 4}


@pytest.mark.parametrize(("text", "value"), [("250m", 0.25), ("1Gi", 2**30), ("2", 2.0), (3, 3.0), ("1.5k", 1500.0)])
def test_quantities_are_read_as_kubernetes_writes_them(text: str | float, value: float) -> None:
    assert quantity(text) == value


def test_autopilot_raises_what_is_too_small_or_too_lopsided() -> None:
    pod = Pod("cleaner", 0.01, 0.01, 0, 1, 1, 1, always=True)
    assert autopilot(pod) == (0.05, pytest.approx(52 / 1024))
    assert autopilot(dataclasses.replace(pod, cpu=1.0, memory=0.5)) == (1.0, 1.0)
    assert autopilot(dataclasses.replace(pod, cpu=0.1, memory=6.5)) == (1.0, 6.5)


def test_what_cannot_be_reckoned_is_refused_and_named() -> None:
    with pytest.raises(ValueError, match="location US, not of europe-west1"):
        bill(more={"global": {"location": "europe-west1"}})
    with pytest.raises(ValueError, match="not 'moon'"):
        bill(host="moon")
    with pytest.raises(ValueError, match="e2-micro"):
        machine("e2-micro")
    with pytest.raises(ValueError, match="do not pass in a month"):
        Load(name="too much", about="", rows=1e12, stations=11_000, pace=5_000)
    with pytest.raises(ValueError, match="stations must be more than 0"):
        dataclasses.replace(LIVE, stations=0)


def test_a_document_with_another_part_than_is_made_is_refused() -> None:
    text = "a\n<!-- computed: one -->\nold\n<!-- end -->\nb\n"
    assert pages.written(text, {"one": "new"}) == text.replace("old", "new")
    assert pages.written(pages.written(text, {"one": ""}), {"one": "old"}) == text.replace("b\n", "b\n")
    with pytest.raises(LookupError, match="one"):
        pages.written(text, {"two": ""})
