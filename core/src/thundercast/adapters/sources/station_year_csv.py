"""NCEI's station-year CSVs as tables of text."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import IO, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from thundercast.adapters.sources.base import SourceError
from thundercast.adapters.sources.columns import STAGE, Rejected, canonical
from thundercast.domain.deadletters import DeadLetter

ROW: Final = "_row"
"""Column with the number of each row's line, the header being 1."""

_BLOCK: Final = 4 << 20
_LONGEST_LINE: Final = 1 << 16
_NEWLINE: Final = ord("\n")


class _Tail:
    """A binary stream that remembers its last line, which tells whether the file was cut off."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._tail = b""
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        if data:
            self._tail = (self._tail + data[-_LONGEST_LINE:])[-_LONGEST_LINE:]
        return data

    @property
    def unfinished_line(self) -> bytes:
        """What follows the last newline."""
        return self._tail.rpartition(b"\n")[2]


def read(stream: IO[bytes], where: str) -> Iterator[tuple[pa.Table, list[Rejected]]]:
    """Blocks of rows as text under `canonical` names, with `ROW`; and lines that have too few or too many fields.

    Raises:
        SourceError: the file is empty, has another header, is not UTF-8, has an open quote, or was cut off.
    """
    header = _header(stream.readline(_LONGEST_LINE), where)
    names = canonical(header, where=where)
    invalid: list[pa_csv.InvalidRow] = []

    def set_aside(row: pa_csv.InvalidRow) -> str:
        invalid.append(row)
        return "skip"

    tail = _Tail(stream)
    line = 2
    try:
        reader = pa_csv.open_csv(
            pa.PythonFile(tail, mode="r"),
            read_options=pa_csv.ReadOptions(use_threads=False, block_size=_BLOCK, column_names=header),
            parse_options=pa_csv.ParseOptions(invalid_row_handler=set_aside),
            convert_options=pa_csv.ConvertOptions(
                include_columns=list(names.values()), column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):  # a header and no rows: nothing was seen in that year
            return
        raise _unreadable(error, where) from error
    while True:
        try:
            batch = reader.read_next_batch()
        except StopIteration:
            break
        except pa.ArrowInvalid as error:
            raise _unreadable(error, where) from error
        table = pa.Table.from_batches([batch]).rename_columns(list(names))
        _refuse_open_quote(table, invalid, where, line)
        rejected = [_misshapen(row, where) for row in invalid]
        # Numbers of the lines that are left, given those that were skipped among them.
        skipped = sorted(row.number + 1 for row in invalid)
        stop = line + batch.num_rows + len(skipped)
        rows = np.setdiff1d(np.arange(line, stop, dtype=np.int32), np.array(skipped, np.int32), assume_unique=True)[: batch.num_rows]
        line, invalid[:] = stop, []
        yield table.append_column(ROW, pa.array(rows, pa.int32())), rejected
    if rest := tail.unfinished_line:
        _refuse_cut_off(rest, header, where)
    if invalid:
        yield pa.table({}), [_misshapen(row, where) for row in invalid]


def _header(first: bytes, where: str) -> list[str]:
    if not first:
        raise SourceError(f"{where}: the file is empty")
    if b"\0" in first:
        raise SourceError(f"{where}: wrong encoding: not a CSV in UTF-8 (its header has NUL bytes, as UTF-16 and binary files have)")
    try:
        return next(csv.reader([first.decode("utf-8-sig")]), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{where}: wrong encoding: the header cannot be read as UTF-8: {error}") from error


def _unreadable(error: pa.ArrowInvalid, where: str) -> SourceError:
    kind = "wrong encoding" if "UTF8" in str(error) else "not readable as CSV"
    return SourceError(f"{where}: {kind}: {error}")


def _refuse_open_quote(table: pa.Table, invalid: list[pa_csv.InvalidRow], where: str, line: int) -> None:
    swallowed = any("\n" in row.text for row in invalid)
    for column in table.columns:
        for chunk in column.chunks:
            data = chunk.buffers()[2]
            swallowed = swallowed or (data is not None and bool((np.frombuffer(data, np.uint8) == _NEWLINE).any()))
    if swallowed:
        raise SourceError(f"{where}: after line {line - 1}, a quote is opened and not closed on its line, so that rows run together")


def _refuse_cut_off(rest: bytes, header: list[str], where: str) -> None:
    """The last line has no newline: right if an editor took it away, wrong if the file was cut off."""
    text = rest.decode("utf-8", "replace")
    fields = next(csv.reader([text]), [])
    whole = text.count('"') % 2 == 0 and len(fields) == len(header)
    if whole and header[-1].strip().lower() == "frshtt":
        whole = re.fullmatch(r"\s*[01]{6}\s*", fields[-1]) is not None
    if not whole:
        raise SourceError(f"{where}: the file is cut off: its last line is {text[-60:]!r}; fetch it again")


def _misshapen(row: pa_csv.InvalidRow, where: str) -> Rejected:
    detail = f"{where} line {row.number + 1}: {row.actual_columns} fields instead of {row.expected_columns}"
    return Rejected(DeadLetter("bad_value", detail, STAGE, original={"line": row.text}), None)
