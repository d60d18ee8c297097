"""Small pieces of HTML. Everything that comes from the store goes through `esc`."""

from __future__ import annotations

import html
from collections.abc import Sequence
from urllib.parse import quote

from thundercast_dashboard.palette import Palette


def esc(text: str) -> str:
    """Text as HTML: nothing in it is markup."""
    return html.escape(text)


def bolt(palette: Palette) -> str:
    """The emblem. As an image, because the page takes no drawings in its HTML."""
    drawn = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">'
        f'<path fill="{palette.said}" d="M7 15.5a4.5 4.5 0 0 1-.4-9A6 6 0 0 1 18 7.6a4 4 0 0 1-.5 7.9z"/>'
        f'<path fill="{palette.happened}" d="M13.2 10.5 8.6 17h3.1l-1.4 5.2 5.3-7h-3.2l1.7-4.7z"/></svg>'
    )
    return f'<img class="tc-bolt" alt="" src="data:image/svg+xml,{quote(drawn)}">'


def heading(title: str, about: str = "") -> str:
    """The heading of a section and what it is about."""
    return f"<h2>{esc(title)}</h2>" + (f'<p class="tc-about">{esc(about)}</p>' if about else "")


def tile(label: str, value: str, note: str, *, about: str = "", kind: str = "") -> str:
    """A number with its name above and its unit, or what it is measured against, below.

    Args:
        about: shown when the pointer rests on it.
        kind: a further class.
    """
    hint = f' title="{esc(about)}"' if about else ""
    number = f'<span class="tc-value">{esc(value)}</span> <span class="tc-note">{esc(note)}</span>'
    return f'<div class="tc-tile {kind}"{hint}><dt>{esc(label)}</dt><dd>{number}</dd></div>'


def tiles(items: Sequence[str], *, kind: str = "") -> str:
    """Tiles side by side, as many as there is room for."""
    return f'<dl class="tc-tiles {kind}">{"".join(items)}</dl>'


def pill(text: str, kind: str) -> str:
    """A state in one word."""
    return f'<span class="tc-pill tc-{kind}" role="status">{esc(text)}</span>'


def banner(title: str, text: str, kind: str) -> str:
    """Something the viewer should know before reading on."""
    return f'<div class="tc-banner tc-{kind}" role="status"><strong>{esc(title)}</strong><span>{esc(text)}</span></div>'


def blank(title: str, text: str, command: str = "", *, emblem: str) -> str:
    """A page with nothing to show yet: why, and what would change that."""
    code = f"<pre><code>{esc(command)}</code></pre>" if command else ""
    return f'<div class="tc-blank">{emblem}<h2>{esc(title)}</h2><p>{esc(text)}</p>{code}</div>'


def legend(entries: Sequence[tuple[str, str, str]]) -> str:
    """What the colours mean: (text, colour, line | dash | dot | ring)."""
    items = [f'<li><i class="tc-{shape}" style="--c:{colour}"></i>{esc(text)}</li>' for text, colour, shape in entries]
    return f'<ul class="tc-legend">{"".join(items)}</ul>'


def bar(share: float, label: str) -> str:
    """A progress bar; ``share`` is 0 to 1."""
    percent = round(100 * min(1.0, max(0.0, share)), 1)
    return (
        f'<div class="tc-bar" role="progressbar" aria-label="{esc(label)}" aria-valuemin="0" aria-valuemax="100" aria-valuenow="{percent}">'
        f'<i style="width:{percent}%"></i></div>'
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str, numbers: Sequence[int] = (), seen: bool = False) -> str:
    """A table that scrolls by itself where it is too wide.

    Args:
        caption: what it is; read out, and shown if ``seen``.
        numbers: columns that are set to the right. What follows a line break in a cell is set smaller, below.
    """

    def cell(text: str) -> str:
        first, _, rest = text.partition("\n")
        return esc(first) + (f" <small>{esc(rest)}</small>" if rest else "")

    right = [' class="tc-right"' if i in numbers else "" for i in range(len(head))]
    top = "".join(f'<th scope="col"{right[i]}>{esc(text)}</th>' for i, text in enumerate(head))
    body = "".join("<tr>" + "".join(f"<td{right[i]}>{cell(text)}</td>" for i, text in enumerate(row)) + "</tr>" for row in rows)
    shown = f"<caption>{esc(caption)}</caption>" if seen else ""
    return (
        f'<div class="tc-scroll" tabindex="0" role="region" aria-label="{esc(caption)}"><table class="tc-rows">{shown}'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )
