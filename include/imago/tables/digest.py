"""The digest of a partition's content: equal rows give equal digests, whatever their order, their batches or their
files.

It can be taken while the rows stream by, in key order: each column has hashes of its own, which are put together at the
end.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from imago.casts import type_name
from imago.tables.order import in_order


def content_digest(table: pa.Table, key: tuple[str, ...]) -> str:
    """The digest over the rows ordered by `key`.

    Column names, types, values and nulls count; row order, chunks, file layout and NaN payloads do not.
    """
    digest = ContentDigest(table.schema)
    digest.update(in_order(table, key))
    return digest.hexdigest()


class ContentDigest:
    """`content_digest` of rows that come in batches, in key order; how they are cut into batches does not count."""

    def __init__(self, schema: pa.Schema) -> None:
        self.rows = 0
        self._columns = {field.name: _Column(field.type) for field in schema}

    def update(self, rows: pa.Table | pa.RecordBatch) -> None:
        """Takes in the next rows, with the columns of the schema."""
        self.rows += rows.num_rows
        for name, column in self._columns.items():
            values = rows.column(name)
            for chunk in values.chunks if isinstance(values, pa.ChunkedArray) else [values]:
                column.update(chunk)

    def hexdigest(self) -> str:
        """The sha256 over the number of rows and the hashes of the columns, in name order."""
        whole = hashlib.sha256(str(self.rows).encode())
        for name in sorted(self._columns):
            column = self._columns[name]
            whole.update(f"\0{name}\0{column.type}\0".encode())
            column.add_to(whole)
        return whole.hexdigest()


class _Column:
    """The hashes of one column: at which places it is null; the lengths of its texts or lists; its values, where a null
    counts as 0 or as empty."""

    def __init__(self, kind: pa.DataType) -> None:
        self.type = type_name(kind)
        self.items = _Column(kind.value_type) if self.type.startswith("list<") else None
        self._length = 0
        self._nulls, self._lengths, self._values = (hashlib.sha256() for _ in range(3))

    def update(self, array: pa.Array) -> None:
        if array.null_count:
            places = np.flatnonzero(pc.is_null(array).to_numpy(zero_copy_only=False))
            self._nulls.update((places + self._length).astype("<i8").data)
        self._length += len(array)
        if self.items is not None:
            lengths = pc.fill_null(pc.list_value_length(array), 0)
            self._lengths.update(lengths.to_numpy(zero_copy_only=False).astype("<i8").data)
            self.items.update(pc.list_flatten(array))
        elif self.type == "string" or pa.types.is_decimal(array.type):
            lengths, texts = _texts(array)
            self._lengths.update(lengths.data)
            self._values.update(texts)
        else:
            self._values.update(_numbers(array).data)

    def add_to(self, whole: Any) -> None:
        for one in (self._nulls, self._lengths, self._values):
            whole.update(one.digest())
        if self.items is not None:
            self.items.add_to(whole)


def _texts(array: pa.Array) -> tuple[np.ndarray, Any]:
    """(the lengths in bytes, the bytes)."""
    if not pa.types.is_string(array.type):
        array = array.cast(pa.large_string())
    if array.null_count:
        # Nulls become empty texts, so that the bytes between the first and the last offset are those of the values
        # alone.
        array = pc.fill_null(array, "")
    if not len(array):
        return np.empty(0, "<i8"), b""
    _, offset_buffer, data = array.buffers()
    width = "<i4" if pa.types.is_string(array.type) else "<i8"
    offsets = np.frombuffer(offset_buffer, width)[array.offset : array.offset + len(array) + 1]
    return np.diff(offsets).astype("<i8"), memoryview(data)[int(offsets[0]) : int(offsets[-1])] if data else b""


def _numbers(array: pa.Array) -> np.ndarray:
    kind = array.type
    if pa.types.is_timestamp(kind):
        array = array.cast(pa.int64())
    elif pa.types.is_date32(kind):
        array = array.cast(pa.int32())
    if array.null_count:
        array = pc.fill_null(array, False if pa.types.is_boolean(kind) else 0)
    if pa.types.is_decimal128(kind):
        # Each is a whole number of 16 bytes; its scale is part of the type.
        return np.frombuffer(array.buffers()[1], "<i8").reshape(-1, 2)[array.offset : array.offset + len(array)].copy()
    values = array.to_numpy(zero_copy_only=False)
    if values.dtype.kind == "f":
        lost = np.isnan(values)
        if lost.any():
            values = np.where(lost, np.nan, values)
    if values.dtype.kind == "O":
        raise TypeError(f"no digest is defined for a column of type {kind}")
    return np.ascontiguousarray(values)
