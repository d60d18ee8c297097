"""The computed parts of docs/cost.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pages
from cost import loads, prices, saving
from cost.estimate import Line, estimate, total
from cost.loads import Load
from cost.prices import Price
from cost.profiles import Profile, profiles
from figures import kept
from figures.kept import Figures

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "cost.md"
COMPONENTS: Final = (
    "Pub/Sub", "Dataflow", "GKE", "Cloud Run", "BigQuery", "Cloud Storage", "Load balancer", "Network", "Logging", "Prometheus",
)  # fmt: skip
SURE: Final = {
    "transcribed": "read at the page on {date}",
    "copy": "in a stored copy of a page of Google's, undated",
    "secondhand": "said by others, undated: **look it up**",
    "unconfirmed": "**not confirmed: look it up**",
}


def usd(amount: float) -> str:
    """Whole dollars from ten on."""
    return f"{amount:,.0f}" if amount >= 9.995 else f"{amount:.2f}"


def parts(figures: Figures | None = None, found: Mapping[str, Price] | None = None) -> dict[str, str]:
    """The page's parts by name, from the kept figures and prices if no others are given."""
    figures, found = figures or kept.read(), found or prices.read()
    ways = profiles()
    bills = {(load.name, way.name): estimate(way.asked, load, figures, found, host=way.host) for load in loads.LOADS for way in ways}
    return {
        "totals": _totals(ways, bills),
        "replay": _components(ways, bills, loads.LOADS[1]),
        "always": _components(ways, bills, loads.LOADS[2]),
        "lines": _lines(bills[loads.LOADS[2].name, ways[1].name], found),
        "savings": _savings(saving.savings(loads.LOADS[2], figures, found)),
        "left-out": _left_out(saving.left_out(loads.LOADS[2], figures, found)),
        "prices": _prices(found),
    }


def page() -> str:
    """The whole page as it should be."""
    return pages.written(PAGE.read_text(), parts())


def _totals(ways: tuple[Profile, ...], bills: Mapping[tuple[str, str], list[Line]]) -> str:
    rows = [
        [f"{load.name}: {load.about}", pages.short(load.rows), *(usd(total(bills[load.name, way.name])) for way in ways)]
        for load in loads.LOADS
    ]
    return pages.table(["load", "rows a month", *(way.name for way in ways)], rows, numbers=len(ways) + 1)


def _components(ways: tuple[Profile, ...], bills: Mapping[tuple[str, str], list[Line]], load: Load) -> str:
    rows = [
        [component, *(usd(total([line for line in bills[load.name, way.name] if line.component == component])) for way in ways)]
        for component in COMPONENTS
    ]
    rows.append(["**all**", *(f"**{usd(total(bills[load.name, way.name]))}**" for way in ways)])
    return pages.table(["USD a month", *(way.name for way in ways)], rows, numbers=len(ways))


def _lines(bill: list[Line], found: Mapping[str, Price]) -> str:
    rows = [
        [line.component, line.what, pages.short(line.quantity), f"{found[line.price].usd:g} a {found[line.price].unit}", usd(line.usd)]
        for line in bill
    ]
    return pages.table(["component", "what", "quantity", "price", "USD"], rows, numbers=1)


def _savings(some: list[saving.Saving]) -> str:
    rows = [[one.what, one.how, usd(one.before), usd(one.after), usd(one.usd)] for one in some]
    return pages.table(["what", "how", "there", "here", "saved"], rows, numbers=3)


def _left_out(some: list[saving.Saving]) -> str:
    rows = [[one.what, usd(one.before), usd(one.after), usd(one.usd)] for one in some]
    return pages.table(["without", "as it is", "then", "less"], rows, numbers=3)


def _prices(found: Mapping[str, Price]) -> str:
    rows = []
    for price in found.values():
        free = f"; free: {pages.short(price.free)} a {price.free_for}" if price.free else ""
        rows.append(
            [
                price.unit + free,
                f"{price.usd:.9f}".rstrip("0").rstrip("."),
                price.region,
                f"<{price.page}>",
                SURE[price.seen].format(date=price.date),
            ]
        )
    return pages.table(["unit", "USD", "region", "page", "how sure"], rows)
