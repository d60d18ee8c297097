"""Prints what a month costs, or writes the tables of docs/cost.md."""

from __future__ import annotations

import argparse

import pages
from cost import page, prices
from cost.estimate import estimate, total
from cost.loads import GSOD, LOADS, PACE, SECONDS, Load
from cost.profiles import profiles
from figures import kept


def main() -> None:
    """As the module says."""
    parser = argparse.ArgumentParser(prog="python -m cost", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the tables into docs/cost.md")
    parser.add_argument("--rows", type=float, help="rows a month; without it the loads of the page are shown")
    parser.add_argument("--pace", type=float, default=PACE, help="rows a second while they are fed (default %(default)g)")
    parser.add_argument("--stations", type=float, default=float(GSOD), help="of a date (default %(default)g)")
    options = parser.parse_args()
    if options.write:
        page.PAGE.write_text(page.page())
        return
    try:
        given = [Load(name="yours", about="", rows=options.rows, stations=options.stations, pace=options.pace)] if options.rows else LOADS
    except ValueError as error:
        parser.error(f"{error}; a month has {SECONDS:,.0f} s")
    figures, found = kept.read(), prices.read()
    for load in given:
        print(f"\n{load.name}: {load.rows:,.0f} rows a month at {load.pace:,.0f} rows a second\n")
        for way in profiles():
            lines = estimate(way.asked, load, figures, found, host=way.host)
            print(f"{way.name:16s} {page.usd(total(lines)):>9s} USD")
            for line in sorted(lines, key=lambda line: -line.usd)[:6]:
                print(f"    {line.component:14s} {line.what:36s} {pages.short(line.quantity):>14s} {page.usd(line.usd):>9s}")


if __name__ == "__main__":
    main()
