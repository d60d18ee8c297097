"""Rows that wait in the checkpoint until the store has taken them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from thundercast.domain.tables import TABLES, Table

Row = tuple[str, dict[str, Any]]
"""Table name, JSON values by column."""

_TABLES: Final = {table.name: table for table in TABLES}
_FROM_TEXT: Final[dict[str, Callable[[str], Any]]] = {"DATE": dt.date.fromisoformat, "TIMESTAMP": dt.datetime.fromisoformat}


class Outbox:
    """Rows in order. They are durable once a checkpoint holds them; only then may they be written.

    So the store never shows a score of a state that is lost again. A row that was written is left out of the next
    checkpoint; a crash before that writes it once more, under the same key.
    """

    def __init__(self, rows: Iterable[Sequence[Any]] = ()) -> None:
        """Starts with the rows of the checkpoint that was loaded."""
        self._rows: list[Row] = [(name, dict(row)) for name, row in rows]
        self._durable = len(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def durable(self) -> int:
        """How many rows may be written."""
        return self._durable

    def extend(self, rows: Iterable[Row]) -> None:
        """Adds rows.

        Raises:
            ValueError: a row is of no table, or has columns that its table has not.
        """
        for name, row in rows:
            table = _TABLES.get(name)
            if table is None or not row.keys() <= set(table.arrow.names):
                raise ValueError(f"a row for table {name!r} with columns {sorted(row)} fits none of the store's tables")
            self._rows.append((name, row))

    def to_json(self) -> list[Row]:
        """What the checkpoint keeps."""
        return list(self._rows)

    def committed(self) -> None:
        """A checkpoint holds all rows that are here now."""
        self._durable = len(self._rows)

    def write(self, write: Callable[[Table, pa.Table], None]) -> None:
        """Writes the durable rows, table by table; what one table took is gone even if the next one fails."""
        for name in dict.fromkeys(name for name, _ in self._rows[: self._durable]):
            table, durable = _TABLES[name], self._rows[: self._durable]
            write(table, to_arrow(table, [row for other, row in durable if other == name]))
            rest = [row for row in durable if row[0] != name]
            self._rows[: self._durable] = rest
            self._durable = len(rest)


def to_arrow(table: Table, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """JSON rows in the table's schema; a column that a row does not name is null."""
    kinds = {column.name: column.kind for column in table.columns}

    def value(row: Mapping[str, Any], name: str) -> Any:
        given = row.get(name)
        return _FROM_TEXT[kinds[name]](given) if isinstance(given, str) and kinds[name] in _FROM_TEXT else given

    return pa.table([pa.array([value(row, field.name) for row in rows], field.type) for field in table.arrow], schema=table.arrow)
