"""The types that a contract promises, as Arrow holds them, and values that come in another type of the same meaning.

A moment is UTC without a zone, in microseconds. What pandas, Spark or a database wrote otherwise is taken where it says
the same moments (seconds, milliseconds, whole microseconds in nanoseconds, any zone); all else is refused, with the
cast to make.
"""

from __future__ import annotations

import re
import uuid

import pyarrow as pa

_TYPES = {
    "varchar": pa.string(),
    "double precision": pa.float64(),
    "timestamp": pa.timestamp("us"),
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "uuid": pa.string(),  # Delta has no such type
    "timestamp_ns": pa.timestamp("ns"),
}
_DECIMAL = re.compile(r"(?:decimal|numeric)\(\s*(\d+)\s*,\s*(\d+)\s*\)")


class OtherType(Exception):
    """Values are of a type that does not say what the promised one says; `reason` is in words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def arrow_type(data_type: str) -> pa.DataType | None:
    """The type of a column that a contract declares; None for one that no table can hold.

    >>> arrow_type("decimal(12, 2)")
    Decimal128Type(decimal128(12, 2))
    """
    found = _DECIMAL.fullmatch(data_type.lower())
    if found and 1 <= int(found[1]) <= 38 and int(found[2]) <= int(found[1]):
        return pa.decimal128(int(found[1]), int(found[2]))
    return _TYPES.get(data_type)


def is_text(kind: pa.DataType) -> bool:
    """Whether values are texts, whichever way their writer keeps them."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def may_become(seen: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether values of one type can say what the other says."""
    if seen == wanted:
        return True
    if pa.types.is_timestamp(wanted):
        return pa.types.is_timestamp(seen)
    return wanted == pa.string() and (is_text(seen) or isinstance(seen, pa.UuidType))


def as_promised(values: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """The values in the promised type. Raises OtherType where that would lose something."""
    seen = values.type
    if seen == wanted:
        return values
    if not may_become(seen, wanted):
        raise OtherType("another type")
    if isinstance(seen, pa.UuidType):
        stored = values.cast(seen.storage_type).to_pylist()
        texts = [None if one is None else str(uuid.UUID(bytes=one)) for one in stored]
        return pa.chunked_array([pa.array(texts, wanted)])
    if pa.types.is_timestamp(wanted):
        # The moments of a zone are kept as UTC, so that without it they read as UTC.
        plain = pa.timestamp(seen.unit)
        values = pa.chunked_array([chunk.view(plain) for chunk in values.chunks], plain)
    try:
        return values.cast(wanted)
    except pa.ArrowInvalid:
        raise OtherType(f"a moment that {wanted.unit} cannot hold" if pa.types.is_timestamp(wanted) else "a value "
                        f"that {wanted} cannot hold") from None  # fmt: skip


def cast_to(column: str, seen: pa.DataType, data_type: str) -> str:
    """The SQL that makes the promised type of a column, to paste into a model."""
    if data_type == "timestamp" and pa.types.is_integer(seen):
        return f"make_timestamp({column} * 1000000) as {column}"
    if data_type == "timestamp" and pa.types.is_timestamp(seen) and seen.tz is not None:
        return f"cast({column} at time zone 'UTC' as timestamp) as {column}"
    return f"cast({column} as {data_type}) as {column}"


def declared_as(seen: pa.DataType) -> str | None:
    """How a contract declares values of this type; None where it cannot."""
    if is_text(seen):
        return "varchar"
    for name, kind in _TYPES.items():
        if kind == seen:
            return name
    if pa.types.is_timestamp(seen):
        return "timestamp_ns" if seen.unit == "ns" else "timestamp"
    return f"decimal({seen.precision},{seen.scale})" if pa.types.is_decimal128(seen) else None
