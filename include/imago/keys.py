"""The key of a row: an entity (one column or several, `ModelSpec.entity_keys`) on its day.

A key keeps the type that its dbt model gives it. Where a key has to be a text (an address, a command, a log line) there
is a single form: of one column its text as it is; of several the texts joined by commas, in which a comma and a
backslash that belong to a text have a backslash before them.

    42        'a/b'        7,north        7,north\\, upper
"""

from __future__ import annotations

import datetime as dt
import decimal
import re
from collections.abc import Sequence
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from imago.errors import ImagoError

_PARTS = re.compile(r"((?:\\[\\,]|[^\\,])*)(,|\Z)", re.DOTALL)


def by_day(keys: Sequence[str]) -> tuple[str, ...]:
    """The columns that are unique in a table of many days."""
    return ("ds", *(name for name in keys if name != "ds"))


def in_order(rows: pa.Table, keys: Sequence[str]) -> pa.Table:
    """The rows by day and key."""
    return rows.sort_by([(name, "ascending") for name in by_day(keys)]).combine_chunks()


def join(
    left: pa.Table, right: pa.Table, keys: Sequence[str], how: Literal["inner", "left outer"] = "inner"
) -> pa.Table:
    """The rows of both with the same day and key, in their order. Raises ImagoError for keys of types that cannot be
    compared."""
    both = [name for name in by_day(keys) if name in left.column_names and name in right.column_names]
    joined = left.join(_like(right, left.schema, both), keys=both, join_type=how)
    return in_order(joined, keys) if "ds" in both else joined.sort_by([(name, "ascending") for name in both])


def places(asked: pa.Table, known: pa.Table, keys: Sequence[str]) -> pa.Array:
    """The row of `known` with the key of each row of `asked`, null where there is none; both are of one day."""
    # No column of a spec has capitals.
    left = asked.select(list(keys)).append_column("ASKED", pa.array(range(asked.num_rows), pa.int64()))
    right = _like(known.select(list(keys)), left.schema, keys)
    right = right.append_column("KNOWN", pa.array(range(known.num_rows), pa.int64()))
    found = left.join(right, keys=list(keys), join_type="left outer").sort_by("ASKED")
    return found.column("KNOWN").combine_chunks()


def texts(rows: pa.Table | pa.RecordBatch, keys: Sequence[str]) -> pa.Array:
    """The text form of each row's key."""
    columns = []
    for name in keys:
        column = rows.column(name)
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        text = column.cast(pa.string())
        if len(keys) > 1:
            text = pc.replace_substring(pc.replace_substring(text, "\\", "\\\\"), ",", "\\,")
        columns.append(text)
    return columns[0] if len(columns) == 1 else pc.binary_join_element_wise(*columns, ",")


def parts(text: str, keys: Sequence[str]) -> tuple[str, ...]:
    """The text of each column, from the text form. Raises ImagoError for a text that is no key of these columns.

    >>> parts("7,north\\\\, upper", ("shop", "area"))
    ('7', 'north, upper')
    """
    if len(keys) == 1:
        return (text,)
    found: list[str] = []
    start = 0
    while (part := _PARTS.match(text, start)) is not None:
        found.append(re.sub(r"\\([\\,])", r"\1", part[1]))
        start = part.end()
        if not part[2]:
            break
    if part is None or len(found) != len(keys):
        raise ImagoError(
            f"the key {text!r} is not one of {len(keys)} columns",
            column=", ".join(keys),
            rule="the text form of a key",
            allowed=f"{','.join(keys)}, with a backslash before a comma or a backslash of a text",
            seen=f"{len(found)} parts" if part is not None else "a backslash before something else",
            next_step="give a text for each column, separated by commas",
        )
    return tuple(found)


def as_json(value: Any) -> Any:
    """A value of a key as JSON holds it: whole numbers, texts and booleans as they are, all else as its text."""
    if isinstance(value, (decimal.Decimal, dt.date, dt.datetime)):
        return str(value)
    return value


def _like(rows: pa.Table, schema: pa.Schema, names: Sequence[str]) -> pa.Table:
    """The rows with these columns in the types of `schema`."""
    for name in names:
        wanted, place = schema.field(name), rows.schema.get_field_index(name)
        if rows.schema.field(name).type == wanted.type:
            continue
        try:
            if _kind(rows.schema.field(name).type) != _kind(wanted.type):
                raise pa.ArrowInvalid("another kind")
            rows = rows.set_column(place, pa.field(name, wanted.type), rows.column(name).cast(wanted.type))
        except pa.ArrowInvalid:
            raise ImagoError(
                f"the key {name} has two types, so its rows cannot be joined",
                column=name,
                rule="one type of a key",
                allowed=str(wanted.type),
                seen=str(rows.schema.field(name).type),
                next_step=f"cast {name} to the same type in the feature model and in the outcome model",
            ) from None
    return rows


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return "whole number"
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return "text" if text else str(kind)
