"""A run as one page to send to a colleague: HTML with everything in it, no script, nothing fetched.

The charts are the dashboard's own, drawn as SVG by Vega in a process of its own kind (vl-convert): no browser, no network.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import vl_convert
from markdown_it import MarkdownIt

import thundercast
from thundercast.domain.scores import bootstrap, days
from thundercast.domain.scores.champion import BASELINE
from thundercast_dashboard import boards, charts
from thundercast_dashboard.charts import Figure
from thundercast_dashboard.data import Row, Snapshot, by_day, by_month, champion, latest, reliability
from thundercast_dashboard.markup import esc, heading, legend, table, tile, tiles
from thundercast_dashboard.palette import LIGHT
from thundercast_dashboard.texts import Texts

SCORES: Final = ("roc_auc", "pr_auc", "brier_skill", "hss", "csi")
WIDE, HALF, THIRD = 900, 430, 270
"""Widths of charts in pixels; on a narrow page they shrink."""
LETTERS: Final = 20
_PARTS: Final = re.compile(r' (?:role|aria-[a-z]+)="[^"]*"')
STYLE: Final = Path(__file__).with_name("report.css")


def report(snapshot: Snapshot, texts: Texts, *, settings: Mapping[str, str] | None = None, written: dt.datetime | None = None) -> str:
    """The page.

    Args:
        snapshot: of a run that is there.
        settings: names and values that are listed beside those of the run's row.
        written: what the page says of when it was written; now by default.

    Raises:
        ValueError: the snapshot is of no run.
    """
    run = snapshot.run
    if run is None:
        raise ValueError("there is no run to report on")
    written = written or dt.datetime.now(dt.UTC)
    body = [
        _head(snapshot, run, texts),
        *(part for task in snapshot.tasks for part in _task(snapshot, task, texts)),
        *([] if snapshot.scored else [f"<p>{esc(texts('state.unscored_text'))}</p>"]),
        *_stream(snapshot, texts),
        _settings(run, settings or {}, texts),
        _about(texts),
        f"<footer>{esc(texts('report.written', time=f'{written:%Y-%m-%d %H:%M} UTC', version=thundercast.__version__))}</footer>",
    ]
    style = STYLE.read_text(encoding="utf-8")
    title = esc(f"Thundercast: {run['source']}, {run['start_date']} \N{EN DASH} {run['end_date']}")
    return (
        f'<!doctype html>\n<html lang="{texts.language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{style}</style></head>\n<body><main>\n" + "\n".join(body) + "\n</main></body></html>\n"
    )


def picture(figure: Figure, width: int) -> str:
    """A chart as SVG, with its words for those who do not see it."""
    spec = json.loads(figure.spec)
    rows = {name: data if isinstance(data, list) else data.to_pylist() for name, data in figure.data.items()}
    spec["datasets"] = spec.get("datasets", {}) | rows
    spec["width"] = width
    # What only shows beneath a pointer is left out.
    spec["layer"] = [layer for layer in spec["layer"] if not _under_a_pointer(layer)]
    spec.pop("params", None)
    # The picture has one name, and its parts have none: a screen reader would read each of a hundred points.
    drawn = _PARTS.sub("", vl_convert.vegalite_to_svg(json.dumps(spec)))
    named = f'<svg role="img" aria-label="{esc(figure.title)}" '
    return f'<figure>{drawn.replace("<svg ", named, 1)}<figcaption class="words">{esc(figure.words)}</figcaption></figure>'


def _under_a_pointer(layer: dict[str, Any]) -> bool:
    """Whether it catches the pointer, or follows it."""
    follows = any(isinstance(step.get("filter"), dict) and "param" in step["filter"] for step in layer.get("transform", []))
    return follows or layer["mark"].get("opacity") == 0


# --- parts ------------------------------------------------------------------------------------------------


def _head(snapshot: Snapshot, run: Row, t: Texts) -> str:
    synthetic = bool(run["synthetic"])
    badge = f'<span class="{"synthetic" if synthetic else "observed"}">{esc(t("data.synthetic" if synthetic else "data.observed"))}</span>'
    status = snapshot.status
    facts = [
        (t("data.dates"), t("data.range", start=t.date(run["start_date"]), end=t.date(run["end_date"]))),
        (t("report.state"), t.known(f"phase.{run['state']}", run["state"])),
        (t("stream.date"), t.date(status["date"]) if status else ""),
        (t("stream.rows"), t.number(status["rows"]) if status else ""),
        (t("data.filter"), run["filter"] or ""),
        (t("data.run"), run["run_id"]),
        (t("data.version"), run["version"] or ""),
    ]
    shown = "".join(f"<div><dt>{esc(name)}</dt><dd>{esc(value)}</dd></div>" for name, value in facts if value)
    rights = esc(run["rights"] or t("data.no_rights"))
    return (
        f"<header><p>{esc(t('report.title'))}</p><h1>{esc(run['source'] or '')}</h1>{badge}</header>"
        f"<dl>{shown}</dl><p><b>{esc(t('data.rights'))}</b> {rights}</p>"
    )


def _task(snapshot: Snapshot, task: str, t: Texts) -> Iterator[str]:
    series = snapshot.series(task, "all")
    now = latest(series)
    names = sorted(now)
    leads = champion(names, snapshot.events, task)
    colours = charts.model_colours(names, leads, LIGHT)
    yield f"<h2>{esc(t(f'choice.{task}'))}</h2><p>{esc(t(f'choice.{task}_about'))}</p>"
    yield from _board(snapshot, task, leads, colours, t)
    events = [row for row in snapshot.events if row["task"] == task and row["event"] in ("drift", "champion")]
    entries = [(t.model(name), colours[name], "dash" if name == BASELINE else "line") for name in names]
    entries += [(t("event.mark"), LIGHT.happened, "line")] if events else []
    yield _section(t("skill.heading"), t("skill.about", floor=t.decimal(charts.FLOORS["brier_skill"], 1))) + legend(entries)
    panels = [
        f'<section><h4>{esc(t(f"score.{score}"))}</h4><p class="hint">{esc(t(f"score.{score}_about"))}</p>'
        + picture(charts.score_over_time(series, score, models=names, champion=leads, texts=t, palette=LIGHT, events=events), THIRD)
        + "</section>"
        for score in (*SCORES, "base_rate")
    ]
    yield f'<div class="three">{"".join(panels)}</div>'
    if events:
        yield _events(events, t)
    yield from _leader(snapshot, task, leads, now, t)


def _board(snapshot: Snapshot, task: str, leads: str, colours: Mapping[str, str], t: Texts) -> Iterator[str]:
    dates, sums = by_day(snapshot, task, "all")
    if BASELINE not in sums or leads not in sums or not dates:
        return
    board = days.leaderboard(sums, baseline=BASELINE, champion=leads)
    about = t(
        "board.about", start=t.date(dates[0]), end=t.date(dates[-1]), days=t.number(len(dates)),
        block=t.number(bootstrap.block_length(len(dates))), draws=t.number(bootstrap.DRAWS),
    )  # fmt: skip
    yield _section(t("board.heading"), about)
    yield boards.leaderboard_table(board, champion=leads, texts=t)
    yield picture(boards.leaderboard(board, colours=colours, texts=t), WIDE - 140)


def _events(events: list[Row], t: Texts) -> str:
    rows = [
        [t.date(row["date"]), t.model(row["model_name"]), t.known(f"event.{row['event']}", row["event"]), _why(row, t)] for row in events
    ]
    head = (t("skill.axis_date"), t("skill.model"), t("event.event"), t("letters.detail"))
    return _section(t("report.events")) + table(head, rows, caption=t("report.events"))


def _why(row: Row, t: Texts) -> str:
    detail = json.loads(row["detail"] or "{}")
    if row["event"] == "drift" and detail.get("happens") in ("more", "less"):
        return t(f"event.{detail['happens']}", date=t.date(dt.date.fromisoformat(detail["since"])))
    if row["event"] == "champion" and detail.get("led_before"):
        return t("event.led_before", model=t.model(detail["instead_of"]))
    if row["event"] == "champion" and "instead_of" in detail:
        return t("event.instead", model=t.model(detail["instead_of"]), better=t.decimal(detail["brier_better_by"], 5))
    return ""


def _leader(snapshot: Snapshot, task: str, leads: str, now: dict[str, Row], t: Texts) -> Iterator[str]:
    """The champion more closely: its probabilities, its warnings, its months."""
    row, baseline = now[leads], now.get(BASELINE)
    bins = reliability(row)
    items = []
    for score in SCORES:
        against = t("now.baseline", value=t.decimal(baseline[score], 3)) if baseline else ""
        items.append(tile(t(f"score.{score}"), t.decimal(row[score], 3), against if row[score] is not None else t("now.undefined")))
    yield _section(
        t("report.leader", model=t.model(leads)), t("table.about", threshold=t.share(row["threshold"], 1), date=t.date(row["date"]))
    )
    yield tiles(items) + boards.contingency_table(row, texts=t)
    if any(rows for rows, _, _ in bins):
        drawn = picture(charts.reliability(bins, model=t.model(leads), texts=t, palette=LIGHT), HALF - 60)
        counted = picture(charts.counts(bins, texts=t, palette=LIGHT), HALF - 60)
        head = _section(t("reliability.heading"), t("reliability.about", date=t.date(row["date"])))
        yield f'{head}<div class="two">{drawn}{counted}</div>'
    dates, sums = by_day(snapshot, task, "all")
    if BASELINE in sums and leads in sums:
        yield _section(t("months.heading"), t("months.about", model=t.model(leads)))
        yield picture(boards.months(by_month(dates, sums[leads], sums[BASELINE]), texts=t, palette=LIGHT), WIDE - 100)


def _stream(snapshot: Snapshot, t: Texts) -> Iterator[str]:
    yield f"<h2>{esc(t('stream.heading'))}</h2>"
    if snapshot.statuses:
        counted = ("rows", "watermark", "duplicates", "gaps", "dead_letters")
        rows = [
            [row["component"], t.known(f"phase.{row['state']}", row["state"]), t.date(row["date"])]
            + [t.number(row[name]) for name in counted]
            + [row["last_error"] or ""]
            for row in snapshot.statuses
        ]
        names = ("report.part", "report.state", "stream.date", "stream.rows", "stream.watermark", "stream.duplicates", "stream.gaps")
        head = (*(t(name) for name in names), t("stream.letters"), t("report.error"))
        yield table(head, rows, caption=t("parts.heading"), numbers=range(3, 8))
    if snapshot.gaps:
        yield f"<p>{esc(t('report.gaps', count=t.number(len(snapshot.gaps))))}</p>"
    if not snapshot.letter_counts:
        yield f"<p>{esc(t('letters.none'))}</p>"
        return
    total = sum(row["count"] for row in snapshot.letter_counts)
    yield _section(t("letters.heading"), t("letters.about", count=t.number(total)))
    counts = [[t.reason(row["reason"]), t.number(row["count"])] for row in snapshot.letter_counts]
    yield table((t("letters.reason"), t("letters.count")), counts, caption=t("letters.heading"), numbers=(1,))
    newest = snapshot.letters.slice(0, LETTERS).to_pylist()
    if newest:
        rows = [[str(row[name] or "") for name in ("date", "station", "stage", "reason", "detail")] for row in newest]
        head = tuple(t(f"letters.{name}") for name in ("date", "station", "stage", "reason", "detail"))
        shown = t("letters.newest", count=t.number(len(rows)))
        yield _section(shown) + table(head, rows, caption=shown)


def _settings(run: Row, settings: Mapping[str, str], t: Texts) -> str:
    own: dict[str, Any] = {name: run[name] for name in ("source", "start_date", "end_date", "shards", "fingerprint", "filter", "version")}
    own |= json.loads(run["models"] or "{}")
    rows = [[name, ", ".join(value) if isinstance(value, list) else str(value)] for name, value in (own | dict(settings)).items() if value]
    return f"<h2>{esc(t('report.settings'))}</h2>" + table((t("report.setting"), t("report.value")), rows, caption=t("report.settings"))


def _about(t: Texts) -> str:
    # Raw HTML is no part of it: what is written here is the project's own.
    words = MarkdownIt("commonmark", {"html": False})
    parts = "".join(str(words.render(t(f"about.{part}"))) for part in ("label", "before", "baseline", "scores", "bounds", "watch"))
    return f"<h2>{esc(t('about.heading'))}</h2>{parts}"


def _section(title: str, about: str = "") -> str:
    return heading(title, about).replace("<h2>", "<h3>").replace("</h2>", "</h3>")
