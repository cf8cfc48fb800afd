"""Whether every reader can read the values of a raw file: Parquet stores what Python, Postgres and pandas refuse."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from imago.contracts.inputs import Broken

LONGEST_TEXT = 65_536
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = int((datetime(1, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds())
_LAST = int((datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - _EPOCH).total_seconds())
_PARTS = {"s": 1, "ms": 10**3, "us": 10**6}  # nanoseconds end in 2262
_YEARS = "0001-01-01 to 9999-12-31"


def first_unreadable(rows: pa.Table) -> Broken | None:
    """The first column with a value that a reader would stumble over: text that is not UTF-8, holds the character NUL
    or is very long, a moment before the year 1 or after 9999. No such value is quoted: it cannot be shown."""
    for name in rows.column_names:
        kind = rows.schema.field(name).type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            broken = _text(name, rows.column(name))
        elif pa.types.is_timestamp(kind) and kind.unit in _PARTS:
            parts = _PARTS[kind.unit]
            broken = _moment(name, rows.column(name), _FIRST * parts, (_LAST + 1) * parts - 1)
        elif pa.types.is_date32(kind):
            broken = _moment(name, rows.column(name).cast(pa.int32()), _days(date.min), _days(date.max))
        else:
            continue
        if broken is not None:
            return broken
    return None


def _text(name: str, column: pa.ChunkedArray) -> Broken | None:
    # Bytes first: no function for text may be asked of what is none.
    data = pa.chunked_array([_bytes(chunk) for chunk in column.chunks], pa.large_binary())
    try:
        texts = data.cast(pa.large_string())
    except pa.ArrowInvalid:
        odd = sum(1 for value in data.to_pylist() if value is not None and not _is_utf8(value))
        return Broken(column=name, rule="text in UTF-8", allowed="UTF-8", seen="other bytes", rows=odd)
    nul = pc.sum(pc.match_substring(texts, "\x00")).as_py() or 0
    if nul:
        return Broken(column=name, rule="text without NUL", allowed="other signs", seen="the character NUL", rows=nul)
    lengths = pc.utf8_length(texts)
    long = pc.sum(pc.greater(lengths, LONGEST_TEXT)).as_py() or 0
    if long:
        seen = f"{pc.max(lengths).as_py():,} characters"
        return Broken(
            column=name, rule="length of a text", allowed=f"up to {LONGEST_TEXT:,} characters", seen=seen, rows=long
        )
    return None


def _bytes(chunk: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(chunk.type):
        chunk = chunk.dictionary.cast(pa.large_binary()).take(chunk.indices)
    return chunk.cast(pa.large_binary())


def _moment(name: str, column: Any, first: int, last: int) -> Broken | None:
    numbers = column.cast(pa.int64())
    outside = pc.sum(pc.or_(pc.less(numbers, first), pc.greater(numbers, last))).as_py() or 0
    if outside:
        return Broken(column=name, rule="a moment of the calendar", allowed=_YEARS, seen="other years", rows=outside)
    return None


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _days(day: date) -> int:
    return day.toordinal() - date(1970, 1, 1).toordinal()
