"""Ways in which a good table goes bad: pure functions from a table to another one.

Each returns a function, so that a case names what is done where: `scale("temp", 1000)`. Rows are chosen by position,
spread evenly over the table, so that a mutation is the same at every run. `changes` tells whether two tables differ.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

Mutator = Callable[[pa.Table], pa.Table]


# --- the shape -------------------------------------------------------------------------------------------------------


def rename(column: str, name: str) -> Mutator:
    """The column under another name."""
    return lambda rows: rows.rename_columns([name if given == column else given for given in rows.column_names])


def retype(column: str, kind: pa.DataType) -> Mutator:
    """The column's values in another type."""
    return lambda rows: replaced(rows, column, pc.cast(rows[column], kind, safe=False))


def drop(column: str) -> Mutator:
    """The table without the column."""
    return lambda rows: rows.drop_columns([column])


def add(column: str, value: Any = 1) -> Mutator:
    """A column more."""
    return lambda rows: rows.append_column(column, pa.repeat(value, rows.num_rows))


def swap(one: str, other: str) -> Mutator:
    """The values of two columns of one type in each other's place."""

    def swapped(rows: pa.Table) -> pa.Table:
        if rows.schema.field(one).type != rows.schema.field(other).type:
            raise ValueError(f"{one} and {other} are of two types")
        return replaced(replaced(rows, one, rows[other]), other, rows[one])

    return swapped


# --- the rows --------------------------------------------------------------------------------------------------------


def empty(rows: pa.Table) -> pa.Table:
    """No rows, with all columns."""
    return rows.slice(0, 0)


def keep(share: float) -> Mutator:
    """The first rows only, as of a file that was cut off."""
    return lambda rows: rows.slice(0, int(rows.num_rows * share))


def repeat(count: int | None = None) -> Mutator:
    """The first `count` rows twice (all when None)."""
    return lambda rows: pa.concat_tables([rows, rows.slice(0, count)]).combine_chunks()


# --- the values ------------------------------------------------------------------------------------------------------


def put(column: str, value: Any, *, share: float = 1.0, at_least: int = 1) -> Mutator:
    """One value in a share of the rows, `at_least` that many."""

    def mutated(rows: pa.Table) -> pa.Table:
        chosen = spread(rows.num_rows, share, at_least)
        given = pa.scalar(value, rows.schema.field(column).type)
        return replaced(rows, column, pc.if_else(chosen, given, rows[column]))

    return mutated


def null(column: str, *, share: float = 1.0) -> Mutator:
    """Nulls in a share of the rows."""
    return put(column, None, share=share)


def scale(column: str, factor: float) -> Mutator:
    """Numbers in another unit: times `factor`, in the column's own type."""

    def mutated(rows: pa.Table) -> pa.Table:
        kind = rows.schema.field(column).type
        return replaced(
            rows, column, pc.cast(pc.multiply(pc.cast(rows[column], pa.float64()), factor), kind, safe=False)
        )

    return mutated


def shifted(column: str, by: float, factor: float) -> Mutator:
    """Numbers in a unit with another zero: (value + by) * factor."""
    return lambda rows: replaced(rows, column, pc.multiply(pc.add(rows[column], by), factor))


def added(column: str, by: int, *, share: float) -> Mutator:
    """Whole numbers a little greater in a share of the rows."""

    def mutated(rows: pa.Table) -> pa.Table:
        return replaced(
            rows, column, pc.if_else(spread(rows.num_rows, share, 1), pc.add(rows[column], by), rows[column])
        )

    return mutated


def flip(column: str) -> Mutator:
    """Numbers with the other sign."""
    return lambda rows: replaced(rows, column, pc.negate(rows[column]))


def text(column: str, change: Callable[[str], str], *, share: float = 1.0, at_least: int = 1) -> Mutator:
    """Texts changed one by one in a share of the rows."""

    def mutated(rows: pa.Table) -> pa.Table:
        chosen = spread(rows.num_rows, share, at_least).to_pylist()
        values = [
            change(value) if there and value is not None else value
            for there, value in zip(chosen, rows[column].to_pylist(), strict=True)
        ]
        return replaced(rows, column, pa.array(values, rows.schema.field(column).type))

    return mutated


def move(column: str, by: dt.timedelta, *, share: float = 1.0) -> Mutator:
    """Moments moved by a span of time."""

    def mutated(rows: pa.Table) -> pa.Table:
        chosen = spread(rows.num_rows, share, 1)
        moved = pc.cast(pc.add(rows[column], pa.scalar(by)), rows.schema.field(column).type)
        return replaced(rows, column, pc.if_else(chosen, moved, rows[column]))

    return mutated


def renumbered(rows: pa.Table) -> pa.Table:
    """The same flights under other flight numbers, their keys with them; the numbers stay between 1 and 9999."""
    numbers = [9999 - number for number in rows["flight"].to_pylist()]
    keys = [
        f"{key[:13]}{number}{key[-9:]}" for key, number in zip(rows["flight_key"].to_pylist(), numbers, strict=True)
    ]
    if set(keys) & set(rows["flight_key"].to_pylist()):
        raise ValueError("a key stands twice")
    return replaced(replaced(rows, "flight", pa.array(numbers, pa.int64())), "flight_key", pa.array(keys, pa.string()))


def doubled(rows: pa.Table) -> pa.Table:
    """The same flights again under other numbers: twice the volume with unique keys."""
    others = renumbered(rows)
    return pa.concat_tables([rows, others])


def then(*mutators: Mutator) -> Mutator:
    """Several, one after the other."""

    def mutated(rows: pa.Table) -> pa.Table:
        for mutator in mutators:
            rows = mutator(rows)
        return rows

    return mutated


# Text that breaks what quotes, splits, renders or measures without care.
HOSTILE = {
    "a quote": "N1'4UA",
    "SQL": "'; drop table features; --",
    "a page for everybody": "<!channel>",
    "NUL": "N1\x00UA",
    "a very long text": "N" * 20_000,
    "right-to-left marks": "N\u202e14228\u202c",
}


# --- the bytes of a file ---------------------------------------------------------------------------------------------


def cut_off(data: bytes, share: float) -> bytes:
    """The first bytes of a file only."""
    return data[: int(len(data) * share)]


def flip_bit(data: bytes, at: float) -> bytes:
    """One bit of a file turned, at a share of its length."""
    spoiled = bytearray(data)
    spoiled[int(len(data) * at)] ^= 0x10
    return bytes(spoiled)


def changes(before: pa.Table, after: pa.Table) -> bool:
    """Whether two tables differ in columns, types, order or values; NaN equals NaN."""
    if before.schema.names != after.schema.names or before.schema.types != after.schema.types:
        return True
    return [_plain(column) for column in before.columns] != [_plain(column) for column in after.columns]


def _plain(column: pa.ChunkedArray) -> list[Any]:
    return ["NaN" if isinstance(value, float) and math.isnan(value) else value for value in column.to_pylist()]


def replaced(rows: pa.Table, column: str, values: Any) -> pa.Table:
    """The table with other values in one column."""
    at = rows.column_names.index(column)
    return rows.set_column(at, column, values)


def spread(total: int, share: float, at_least: int) -> pa.Array:
    """Which rows a share of a table is: true for rows evenly apart, beginning with the first."""
    count = min(total, max(at_least, round(total * share)))
    chosen = {int(n * total / count) for n in range(count)} if count else set()
    return pa.array([n in chosen for n in range(total)], pa.bool_())
