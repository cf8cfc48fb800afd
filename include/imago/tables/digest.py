"""The digest of a partition's content: equal rows give equal digests, whatever their order or their files."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def content_digest(table: pa.Table, key: tuple[str, ...]) -> str:
    """The sha256 over the rows ordered by `key`, column by column in name order.

    Column names, types, values and nulls count; row order, chunks, file layout and NaN payloads do not.
    """
    ordered = table.sort_by([(name, "ascending") for name in key]) if table.num_rows else table
    whole = hashlib.sha256(str(table.num_rows).encode())
    for name in sorted(table.column_names):
        column = ordered.column(name)
        whole.update(f"\0{name}\0{_type_name(column.type)}\0".encode())
        whole.update(_value_bytes(column))
    return whole.hexdigest()


def _type_name(kind: pa.DataType) -> str:
    # Delta gives strings back as large or view strings, depending on the reader; the values are the same.
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "string"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"list<{_type_name(kind.value_type)}>"
    return str(kind)


def _value_bytes(column: pa.ChunkedArray) -> bytes:
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], column.type)
    kind = array.type
    nulls = np.packbits(pc.is_null(array).to_numpy(zero_copy_only=False)).tobytes()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False).astype("<i8")
        return nulls + lengths.tobytes() + _value_bytes(pa.chunked_array([pc.list_flatten(array)]))
    if _type_name(kind) == "string":
        # Nulls become empty texts, so that the bytes between the first and the last offset are those of the values
        # alone.
        filled = pc.fill_null(array.cast(pa.large_string()), "")
        _, offset_buffer, data = filled.buffers()
        offsets = np.frombuffer(offset_buffer, "<i8")[filled.offset : filled.offset + len(filled) + 1]
        text = bytes(memoryview(data)[offsets[0] : offsets[-1]]) if data and len(filled) else b""
        return nulls + np.diff(offsets).tobytes() + text
    if pa.types.is_timestamp(kind):
        array = array.cast(pa.int64())
    elif pa.types.is_date32(kind):
        array = array.cast(pa.int32())
    values = pc.fill_null(array, False if pa.types.is_boolean(kind) else 0).to_numpy(zero_copy_only=False)
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), np.nan, values)
    if values.dtype.kind == "O":
        raise TypeError(f"no digest is defined for a column of type {kind}")
    return nulls + np.ascontiguousarray(values).tobytes()
