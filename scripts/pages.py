"""Tables of a document that are written by a command: what stands between two comments is replaced."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

_PART: Final = re.compile(r"(<!-- computed: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.S)


def written(text: str, parts: Mapping[str, str]) -> str:
    """The document with its parts made anew.

    Raises:
        LookupError: it has a part that is not among these, or lacks one of them.
    """
    names = [found["name"] for found in _PART.finditer(text)]
    if sorted(names) != sorted(parts):
        raise LookupError(f"the document has the computed parts {sorted(names)}, and {sorted(parts)} are made")
    return _PART.sub(lambda found: found[1] + parts[found["name"]].strip("\n") + "\n" + found[3], text)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: int = 0) -> str:
    """A table in Markdown; the last ``numbers`` columns are set to the right."""
    rule = ["---"] * (len(head) - numbers) + ["--:"] * numbers
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


def short(value: float, digits: int = 3) -> str:
    """A number with so many digits that count.

    >>> short(1234567), short(0.01234), short(0), short(61.749)
    ('1,230,000', '0.0123', '0', '61.7')
    """
    if value == 0:
        return "0"
    return f"{float(f'{value:.{digits}g}'):,.10f}".rstrip("0").rstrip(".")
