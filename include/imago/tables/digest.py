"""The digest of a partition's content: equal rows give equal digests, whatever their order or their files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from imago.tables.order import in_order


def content_digest(table: pa.Table, key: tuple[str, ...]) -> str:
    """The sha256 over the rows ordered by `key`, column by column in name order.

    Column names, types, values and nulls count; row order, chunks, file layout and NaN payloads do not.
    """
    ordered = in_order(table, key)
    whole = hashlib.sha256(str(table.num_rows).encode())
    for name in sorted(table.column_names):
        column = ordered.column(name)
        whole.update(f"\0{name}\0{type_name(column.type)}\0".encode())
        for part in _value_bytes(column):
            whole.update(part)
    return whole.hexdigest()


def type_name(kind: pa.DataType) -> str:
    """The name of a type; Delta gives strings back as large or view strings, depending on the reader, and the values
    are the same."""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "string"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"list<{type_name(kind.value_type)}>"
    return str(kind)


def _value_bytes(column: pa.ChunkedArray) -> Iterator[Any]:
    """Which values are null (one bit each), then the values; as few copies as the null count allows."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], column.type)
    kind = array.type
    if array.null_count:
        yield np.packbits(pc.is_null(array).to_numpy(zero_copy_only=False))
    else:
        yield bytes((len(array) + 7) // 8)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False).astype("<i8")
        yield from _value_bytes(pa.chunked_array([pc.list_flatten(array)]))
    elif type_name(kind) == "string":
        yield from _texts(array)
    else:
        yield _numbers(array)


def _texts(array: pa.Array) -> Iterator[Any]:
    if not pa.types.is_string(array.type):
        array = array.cast(pa.large_string())
    if array.null_count:
        # Nulls become empty texts, so that the bytes between the first and the last offset are those of the values
        # alone.
        array = pc.fill_null(array, "")
    if not len(array):
        return
    _, offset_buffer, data = array.buffers()
    width = "<i4" if pa.types.is_string(array.type) else "<i8"
    offsets = np.frombuffer(offset_buffer, width)[array.offset : array.offset + len(array) + 1]
    yield np.diff(offsets).astype("<i8")
    if data:
        yield memoryview(data)[int(offsets[0]) : int(offsets[-1])]


def _numbers(array: pa.Array) -> np.ndarray:
    kind = array.type
    if pa.types.is_timestamp(kind):
        array = array.cast(pa.int64())
    elif pa.types.is_date32(kind):
        array = array.cast(pa.int32())
    if array.null_count:
        array = pc.fill_null(array, False if pa.types.is_boolean(kind) else 0)
    values = array.to_numpy(zero_copy_only=False)
    if values.dtype.kind == "f":
        lost = np.isnan(values)
        if lost.any():
            values = np.where(lost, np.nan, values)
    if values.dtype.kind == "O":
        raise TypeError(f"no digest is defined for a column of type {kind}")
    return np.ascontiguousarray(values)
