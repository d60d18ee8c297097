"""The computed parts of docs/scaling.md, and its pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pages
from cost.page import SURE
from cost.pods import GIB
from cost.profiles import profiles
from figures import kept
from figures.kept import Figures, Work
from queueing import cases, sizing
from queueing.drawing import FOLDER, Series, drawn
from queueing.system import Report, System

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "scaling.md"


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture and what it shows."""

    path: Path
    series: list[tuple[str, Series]]
    draw: Callable[[list[tuple[str, Series]]], str]

    @property
    def text(self) -> str:
        return self.draw(self.series)


@dataclass(frozen=True, slots=True)
class Made:
    """Everything that the simulation says in the document."""

    parts: dict[str, str]
    pictures: list[Picture]

    @property
    def page(self) -> str:
        return pages.written(PAGE.read_text(), self.parts)


def make(figures: Figures | None = None) -> Made:
    """Runs all cases."""
    figures = figures or kept.read()
    done = [(case, System(case.plant).run()) for case in cases.cases(figures)]
    parts = {"sizes": _sizes(figures), "limits": _limits(), "cases": _cases(done), "rates": _rates(figures)}
    killed = [(case.name, report.lag_course) for case, report in done if case.plant.fail_at is not None]
    return Made(parts, [_delays(figures), _killed(killed)])


def _rates(figures: Figures) -> str:
    rows: list[tuple[str, Work]] = [
        ("the simulator, putting rows into batches", figures.encode),
        ("a cleaner, decoding and encoding included", figures.clean),
        ("the trainer, taking a clean batch in", figures.take),
        *((f"the trainer, closing a date with {_named(models)}, both tasks", work) for models, work in figures.close.items()),
    ]
    table = [[what, pages.short(work.rows_per_second), pages.short(work.variation, 2)] for what, work in rows]
    return pages.table(["work", "rows/s of a core", "variation"], table, numbers=2)


def _named(models: str) -> str:
    return " and ".join(f"`{name}`" for name in models.split("+"))


def _sizes(figures: Figures) -> str:
    asked = profiles()[1].asked
    known = sizing.limits()
    sizes = [(stream, sizing.size(stream, figures, asked)) for stream in sizing.STREAMS]
    usual = "+".join(asked.settings.models)
    memory = asked.pod("trainer").memory_limit * GIB
    short = pages.short
    rows = [
        ["rows/s", *(short(stream.pace) for stream, _ in sizes)],
        ["stations of a step", *(short(stream.stations) for stream, _ in sizes)],
        ["shards", *(str(one.shards) for _, one in sizes)],
        ["messages/s, raw and clean", *(short(one.messages) for _, one in sizes)],
        ["largest message, MB", *(short(one.message / 1e6) for _, one in sizes)],
        ["published, MB/s", *(short(one.published / 1e6) for _, one in sizes)],
        ["cleaners, at 70 % of a core", *(f"{one.cleaners:,}" for _, one in sizes)],
        *[[f"trainer's cores, {_named(models)}", *(short(one.trainer[models], 2) for _, one in sizes)] for models in figures.close],
        ["store, MB/s", *(short(one.written / 1e6) for _, one in sizes)],
        ["cleaners' memory, GB", *(short(one.state[0] / 1e9) for _, one in sizes)],
        ["trainer's state, GB", *(short(one.state[1] / 1e9) for _, one in sizes)],
        ["trainer's checkpoint, MB", *(short(one.checkpoint / 1e6) for _, one in sizes)],
        ["**what does not hold**", *("; ".join(one.broken(known, memory=memory, models=usual)) or "–" for _, one in sizes)],
    ]
    return pages.table(["", *(stream.name for stream, _ in sizes)], rows, numbers=len(sizes))


def _limits() -> str:
    rows = [
        [limit.kind, f"{pages.short(limit.value)} {limit.unit}", f"<{limit.page}>", SURE[limit.seen]] for limit in sizing.limits().values()
    ]
    return pages.table(["", "what", "page", "how sure"], rows)


def _cases(done: list[tuple[cases.Case, Report]]) -> str:
    head = [
        "case",
        "learnt, rows/s",
        "cleaner",
        "trainer",
        "store",
        "paused",
        "lag, dates",
        "at most",
        "delay, s",
        "99 %",
        "window",
        "again",
    ]
    head += ["out, s", "caught up, s"]
    rows = []
    for case, found in done:
        cleaners = [busy for name, busy in found.busy.items() if name.startswith("cleaner")]
        shares = (max(cleaners), found.busy["trainer"], found.writing, found.paused)
        row = [f"**{case.name}**: {case.about}", pages.short(found.rows_per_second), *(f"{100 * share:.0f} %" for share in shares)]
        row += [pages.short(found.lag, 2), f"{found.lag_most:.0f}", pages.short(found.delay, 2), pages.short(found.delay_p99, 2)]
        row += [f"{found.window_most:.0f}", str(sum(found.redelivered.values())), _or_dash(found.out), _or_dash(found.catch_up)]
        rows.append(row)
    return pages.table(head, rows, numbers=len(head) - 1)


def _or_dash(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


def _delays(figures: Figures) -> Picture:
    """Delay by pace."""
    asked = profiles()[1].asked
    series: list[tuple[str, Series]] = []
    for name, models in (("the chart's models", asked.settings.models), ("only thunder", ["thunder"])):
        points = []
        for pace in cases.PACES:
            plant = replace(cases.chart(figures, asked, pace=pace, models=models), until=200.0, warm_up=50.0)
            points.append((pace / 1000, System(plant).run().delay))
        series.append((name, points))
    return Picture(
        FOLDER / "scaling-delay.svg", series,
        lambda some: drawn(some, title="From publishing to learning", x="asked pace, thousand rows/s", y="seconds", log=True),
    )  # fmt: skip


def _killed(courses: list[tuple[str, list[tuple[float, float]]]]) -> Picture:
    """Lag around a kill: the highest within every five seconds."""
    series: list[tuple[str, Series]] = []
    for name, course in courses:
        highest: dict[int, float] = {}
        last = 0.0
        for at, lag in course:
            # What it was when the five seconds began counts, too.
            highest[int(at) // 5] = max(lag, highest.get(int(at) // 5, last))
            last = lag
        series.append((name, [(5.0 * at, lag) for at, lag in sorted(highest.items()) if 100 <= 5 * at <= 320]))
    return Picture(
        FOLDER / "scaling-killed.svg", series,
        lambda some: drawn(some, title="The trainer is killed after 150 s", x="seconds", y="dates behind", steps=True),
    )  # fmt: skip
