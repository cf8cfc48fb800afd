"""How the columns of a table change while it lives: by name, and never with a value that changes in silence.

A publish may bring columns that the table has not, leave some out, or give one another type. The commit that publishes
the rows gives the table the new columns; older days keep their files as they are. A reader casts what a file holds to
the type that the table has at the version that is read, where each value survives the way there and back; else the day
is refused by name, with the command that publishes it anew. A column that a file has not is null in its rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from imago.casts import type_name
from imago.errors import RefusedPartition


def check_columns(schema: pa.Schema, key: tuple[str, ...], where: Mapping[str, Any]) -> None:
    """Refuses rows whose columns no table can have: a key that is not among them, a name that stands twice (also in
    another case, which catalogs do not tell apart), a type that Delta or its readers do not know."""
    names = schema.names
    lacking = [name for name in dict.fromkeys((*key, "ds")) if name not in names]
    if lacking:
        raise RefusedPartition(
            f"the rows have no column {lacking[0]}, which is of their key", **where, column=lacking[0],
            rule="the key is among the columns", allowed=", ".join(dict.fromkeys((*key, "ds"))),
            seen=", ".join(names[:20]), next_step="give the rows that column, or correct `entity_keys` in the spec",
        )  # fmt: skip
    small = [name.lower() for name in names]
    twice = [name for name in names if small.count(name.lower()) > 1]
    if twice:
        raise RefusedPartition(
            f"the column {twice[0]} stands twice", **where, column=twice[0], rule="each column once, whatever its case",
            seen=", ".join(twice), next_step="rename one of them where the rows are made",
        )  # fmt: skip
    for field in schema:
        advice = _cast_to_make(field.type)
        if advice:
            raise RefusedPartition(
                f"the column {field.name} is {field.type}, which no table can hold", **where, column=field.name,
                rule="each column has a type that every reader knows",
                allowed="string, int32, int64, float, double, bool, decimal128, date32, timestamp[us]",
                seen=str(field.type), next_step=f"{advice} where the rows are made",
            )  # fmt: skip


def _cast_to_make(kind: pa.DataType) -> str | None:
    """What has to be done to a column of a type that Delta or its readers do not know; None for a type that they do."""
    if pa.types.is_null(kind):
        return "all of its values are missing: cast it to the type that it has on other days, as cast(null as double),"
    if pa.types.is_timestamp(kind) and (kind.unit != "us" or kind.tz):
        return "cast it to a timestamp in microseconds, in UTC and without a zone,"
    if pa.types.is_dictionary(kind):
        return f"decode it to {kind.value_type}"
    if pa.types.is_unsigned_integer(kind):
        return "cast it to a signed integer, as int64,"
    if pa.types.is_float16(kind) or pa.types.is_decimal256(kind):
        return "cast it to double or to decimal128"
    if pa.types.is_time(kind) or pa.types.is_duration(kind) or pa.types.is_interval(kind):
        return "cast it to a number of seconds, or to text,"
    return None


def evolved(table: pa.Schema, rows: pa.Schema) -> pa.Schema | None:
    """The columns of the table once these rows are in it: those that it had, in their order and with the rows' types,
    then the new ones. None where nothing changes."""
    types = {field.name: field.type for field in rows}
    fields, changed = [], False
    for field in table:
        new = types.get(field.name, field.type)
        other = type_name(new) != type_name(field.type)
        changed |= other
        fields.append(pa.field(field.name, new) if other else field)
    joined = [pa.field(name, kind) for name, kind in types.items() if name not in table.names]
    return pa.schema([*fields, *joined]) if changed or joined else None
