"""How the store's tables look in SQLite: types, keys, conversion to and from Arrow, and the check of what is already there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from thundercast.adapters.reading import StoreMismatch
from thundercast.domain.tables import MODEL_METRICS, Table

APPLICATION_ID: Final = 0x54484352
"""'THCR' in the file's header: tells a Thundercast store from another program's database."""

CLOCK: Final = "store_clock"
"""The table of one row with the last ``written_at`` given out."""

# A DATE is text (YYYY-MM-DD), so that a person can read and compare it; a TIMESTAMP is microseconds since 1970-01-01 UTC.
_TYPES: Final = {
    "STRING": "TEXT", "INT64": "INTEGER", "FLOAT64": "REAL", "BOOL": "INTEGER", "TIMESTAMP": "INTEGER", "DATE": "TEXT", "BYTES": "BLOB",
}  # fmt: skip

_PAGED: Final = {MODEL_METRICS.name: ("run_id", "written_at")}
"""Indexes beside the keys: readers page through these tables by the time of writing."""

_CHUNK: Final = 8192
_WORTH_A_STATEMENT: Final = 100  # rows


def statements(table: Table) -> list[str]:
    """The statements that make a table. It is kept in the order of its key, which is the order of writing and of reading."""
    columns = [f"{c.name} {_TYPES[c.kind]}" for c in table.columns]
    made = [f"CREATE TABLE {table.name} ({', '.join(columns)}, PRIMARY KEY ({', '.join(table.key)})) WITHOUT ROWID"]
    if table.name in _PAGED:
        made.append(f"CREATE INDEX {table.name}_paged ON {table.name} ({', '.join(_PAGED[table.name])})")
    return made


def upsert(table: Table, values: Sequence[str] | None = None) -> str:
    """The statement that adds a row, or replaces every other column of the row with an equal key.

    Args:
        values: a literal or ``?`` for each column of the table; None for ``?`` throughout.
    """
    names = [c.name for c in table.columns]
    others = ", ".join(f"{n} = excluded.{n}" for n in names if n not in table.key)
    return (
        f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join(values or '?' * len(names))}) ON CONFLICT DO UPDATE SET {others}"
    )


def missing_columns(connection: sqlite3.Connection, table: Table, path: Path) -> list[str]:
    """The statements that bring a table of the database up to its definition: it is made, or nullable columns are added.

    Raises:
        StoreMismatch: the table has another key, another type, or a column that this version does not know.
    """
    found = {row[1]: (row[2], row[5]) for row in connection.execute(f"PRAGMA table_info({table.name})")}
    if not found:
        return statements(table)
    expected = {c.name: _TYPES[c.kind] for c in table.columns}
    unknown = sorted(set(found) - set(expected))
    retyped = sorted(name for name in set(found) & set(expected) if found[name][0] != expected[name])
    key = tuple(name for name, (_, position) in sorted(found.items(), key=lambda item: item[1][1]) if position)
    wrong = [
        *[f"the unknown column{'s' * (len(names) > 1)} {', '.join(names)}" for names in [unknown] if names],
        *[f"{name} as {found[name][0]} instead of {expected[name]}" for name in retyped],
        *[f"the key ({', '.join(key)}) instead of ({', '.join(table.key)})" for _ in [0] if key != table.key],
    ]
    if wrong:
        raise StoreMismatch(
            f"{path}: the table {table.name} has {'; '.join(wrong)}. Another version of Thundercast made it: "
            "use that version, or move the file away to start a new store."
        )
    return [f"ALTER TABLE {table.name} ADD COLUMN {name} {kind}" for name, kind in expected.items() if name not in found]


def check_owner(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the database is a Thundercast store (True) or still empty (False).

    Raises:
        StoreMismatch: it is another program's database, or not a database.
    """
    try:
        (owner,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise StoreMismatch(
            f"{path} is not a SQLite database ({error}): name another place for the store, or move the file away."
        ) from error
    if owner == APPLICATION_ID:
        return True
    if owner or tables:
        raise StoreMismatch(f"{path} is a database of another program ({tables} tables): name another place for the store.")
    return False


def _values(column: pa.ChunkedArray) -> list[Any]:
    kind = column.type
    if pa.types.is_floating(kind):
        # SQLite stores a NaN as null, so nulls may pass through as NaN.
        return np.asarray(column.to_numpy(), np.float64).tolist()  # type: ignore[no-any-return]
    if pa.types.is_date(kind):
        column = column.cast(pa.string())
    elif pa.types.is_timestamp(kind):
        column = column.cast(pa.int64())
    elif pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    return column.to_pylist()  # type: ignore[no-any-return]


def _literal(column: pa.ChunkedArray) -> str | None:
    """The SQL literal of the one value that a column of texts, dates, times or whole numbers has; None if it has several."""
    # A decimal number would be read back from its digits, and SQLite does not promise to round that correctly.
    if pa.types.is_floating(column.type) or pa.types.is_binary(column.type) or pc.count_distinct(column, mode="all").as_py() != 1:
        return None
    (value,) = _values(column.slice(0, 1))
    if isinstance(value, str):
        return None if "\0" in value else "'" + value.replace("'", "''") + "'"
    return "NULL" if value is None else str(value)


def insertion(table: Table, rows: pa.Table) -> tuple[str, Iterator[tuple[Any, ...]]]:
    """A statement and the parameters with which it writes the rows; memory for one chunk of rows at a time.

    Run, date, model and the like are the same in thousands of rows: written into the statement once, instead of handed over
    with each row, they halve the time.
    """
    fixed = {c.name: _literal(rows.column(c.name)) if rows.num_rows >= _WORTH_A_STATEMENT else None for c in table.columns}
    varying = [name for name, literal in fixed.items() if literal is None]

    def parameters() -> Iterator[tuple[Any, ...]]:
        for start in range(0, rows.num_rows, _CHUNK):
            part = rows.slice(start, _CHUNK)
            yield from zip(*[_values(part.column(name)) for name in varying], strict=True) if varying else [()] * part.num_rows

    return upsert(table, [literal or "?" for literal in fixed.values()]), parameters()


def to_arrow(schema: pa.Schema, rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    """What SQLite answered, as Arrow: the i-th value of a row belongs to the i-th field."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    arrays = []
    for field, values in zip(schema, columns, strict=True):
        if pa.types.is_date(field.type):
            arrays.append(pa.array(values, pa.string()).cast(field.type))
        elif pa.types.is_timestamp(field.type):
            arrays.append(pa.array(values, pa.int64()).cast(field.type))
        elif pa.types.is_boolean(field.type):
            arrays.append(pa.array(values, pa.int8()).cast(field.type))
        else:
            arrays.append(pa.array(values, field.type))
    return pa.table(arrays, schema=schema)
