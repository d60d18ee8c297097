"""Runs the simulation and prints what it says; or writes it, with its pictures, into docs/scaling.md."""

from __future__ import annotations

import argparse
import dataclasses

from cost.profiles import profiles
from figures import kept
from queueing import cases, page
from queueing.plant import Plant
from queueing.system import System


def main() -> None:
    """As the module says."""
    figures = kept.read()
    known = {case.name: case for case in cases.cases(figures)}
    parser = argparse.ArgumentParser(prog="python -m queueing", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the tables and pictures of docs/scaling.md")
    parser.add_argument("--case", choices=sorted(known), help="one of the document's cases; without it and --pace all of them")
    parser.add_argument("--pace", type=float, help="the GKE profile at so many rows a second")
    parser.add_argument("--model", action="append", choices=["thunder", "logistic", "river-logistic"], help="with --pace; may be repeated")
    parser.add_argument("--kill", type=float, metavar="SECONDS", help="kill the trainer then")
    parser.add_argument("--seed", type=int, default=1, help="of all randomness (default %(default)s)")
    options = parser.parse_args()
    if options.write:
        made = page.make(figures)
        page.PAGE.write_text(made.page)
        for picture in made.pictures:
            picture.path.write_text(picture.text)
        return
    plants: dict[str, Plant] = {case.name: case.plant for case in known.values()}
    if options.case:
        plants = {options.case: plants[options.case]}
    try:
        if options.pace is not None:
            plants = {"yours": cases.chart(figures, profiles()[1].asked, pace=options.pace, models=options.model)}
        if options.kill is not None:
            plants = {name: dataclasses.replace(plant, fail_at=options.kill) for name, plant in plants.items()}
    except (ValueError, LookupError) as error:
        parser.error(str(error).strip('"'))
    print("SIMULATED: nothing here was measured on Google's services.")
    for name, plant in plants.items():
        report = System(dataclasses.replace(plant, seed=options.seed)).run()
        print(f"\n{name}")
        for field in dataclasses.fields(report):
            if field.repr:
                print(f"    {field.name:24s} {_shown(getattr(report, field.name))}")


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(one)}" for name, one in value.items())
    return f"{value:,.2f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
