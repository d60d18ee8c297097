"""The old fixed-width format, `.op`, as tables of text.

Columns are those of NCEI's GSOD readme, "Format description"; ``*`` behind a maximum or minimum and the letter behind the
precipitation are their flags.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import IO, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from thundercast.adapters.sources.base import SourceError
from thundercast.adapters.sources.columns import STAGE, Rejected
from thundercast.adapters.sources.fields import fixed_text
from thundercast.adapters.sources.station_year_csv import ROW
from thundercast.domain.deadletters import DeadLetter

WIDTH: Final = 138

FIELDS: Final[dict[str, slice]] = {
    name: slice(first - 1, last)
    for name, first, last in (
        ("stn", 1, 6), ("wban", 8, 12), ("date", 15, 22),
        ("temp", 25, 30), ("count_temp", 32, 33), ("dewp", 36, 41), ("count_dewp", 43, 44),
        ("slp", 47, 52), ("count_slp", 54, 55), ("stp", 58, 63), ("count_stp", 65, 66),
        ("visib", 69, 73), ("count_visib", 75, 76), ("wdsp", 79, 83), ("count_wdsp", 85, 86), ("mxpsd", 89, 93), ("gust", 96, 100),
        ("max", 103, 108), ("flag_max", 109, 109), ("min", 111, 116), ("flag_min", 117, 117),
        ("prcp", 119, 123), ("flag_prcp", 124, 124), ("sndp", 126, 130), ("frshtt", 133, 138),
    )
}  # fmt: skip
"""First and last column, from 1, as the readme has them."""

_BETWEEN: Final = np.setdiff1d(np.arange(WIDTH), np.concatenate([np.arange(s.start, s.stop) for s in FIELDS.values()]))
_BLOCK: Final = 65_536  # lines
_SPACE: Final = ord(" ")


def read(stream: IO[bytes], where: str) -> Iterator[tuple[pa.Table, list[Rejected]]]:
    """Blocks of rows as text under the names of `gsod.raw/1` (and ``frshtt``), with `ROW`; and lines which are not in the columns.

    Raises:
        SourceError: the file is empty, has another header, is not ASCII, or was cut off.
    """
    header = stream.readline(1 << 16)
    if not header:
        raise SourceError(f"{where}: the file is empty")
    if not header.startswith(b"STN---"):
        raise SourceError(f"{where}: bad header: it begins with {header[:20]!r}, and an .op file with b'STN--- WBAN   YEARMODA'")
    first = 2
    while lines := list(islice(stream, _BLOCK)):
        yield _block(lines, first, where)
        first += len(lines)


def _block(lines: list[bytes], first: int, where: str) -> tuple[pa.Table, list[Rejected]]:
    texts = [line.rstrip() for line in lines]
    if not lines[-1].endswith(b"\n") and len(texts[-1]) != WIDTH:
        raise SourceError(f"{where}: the file is cut off: its last line is {texts[-1][-60:]!r}; fetch it again")
    width = np.array([len(text) for text in texts])
    characters = np.frombuffer(b"".join(text[:WIDTH].ljust(WIDTH) for text in texts), np.uint8).reshape(-1, WIDTH)
    if (beyond := np.flatnonzero((characters >= 128).any(axis=1))).size:
        raise SourceError(f"{where}, line {first + int(beyond[0])}: wrong encoding: not ASCII")
    # A line that is shifted would put digits between the columns, and its numbers would be wrong.
    shaped = (width == WIDTH) & (characters[:, _BETWEEN] == _SPACE).all(axis=1)
    rejected = []
    for i in np.flatnonzero(~shaped & (width > 0)).tolist():
        detail = f"{where} line {first + i}: {width[i]} characters, not the {WIDTH} of the format in its columns"
        rejected.append(Rejected(DeadLetter("bad_value", detail, STAGE, original={"line": texts[i].decode("ascii", "replace")}), None))
    numbers = np.flatnonzero(shaped)
    return _table(characters[numbers], numbers + first), rejected


def _table(characters: npt.NDArray[np.uint8], lines: npt.NDArray[np.intp]) -> pa.Table:
    columns = {name: fixed_text(characters[:, at]) for name, at in FIELDS.items()}
    return pa.table(columns | {ROW: pa.array(lines, pa.int32())})
