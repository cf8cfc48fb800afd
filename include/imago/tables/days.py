"""The rows of one stored day, batch by batch in key order, for work that must not hold them all."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq


class StoredDay(Protocol):
    """`rows` of one day, published with the columns `stored`; `batches` gives those from `start` to before `stop`, in
    batches of `size`; only the last one may be smaller."""

    @property
    def rows(self) -> int: ...
    @property
    def stored(self) -> Collection[str]: ...
    @property
    def schema(self) -> pa.Schema: ...
    def batches(self, size: int, *, start: int = 0, stop: int | None = None) -> Iterator[pa.RecordBatch]: ...


@dataclass(frozen=True)
class DayInFile:
    """A day as its own file holds it: flat in memory. The columns in `dictionaries` come dictionary-encoded."""

    file: pa.NativeFile
    ds: str
    schema: pa.Schema
    dictionaries: Collection[str] = ()

    @property
    def rows(self) -> int:
        return int(self._parquet.metadata.num_rows)

    @property
    def stored(self) -> Collection[str]:
        return frozenset(self._parquet.schema_arrow.names)

    @property
    def _parquet(self) -> pq.ParquetFile:
        return pq.ParquetFile(self.file, read_dictionary=list(self.dictionaries))

    def batches(self, size: int, *, start: int = 0, stop: int | None = None) -> Iterator[pa.RecordBatch]:
        parquet = self._parquet
        metadata = parquet.metadata
        stop = metadata.num_rows if stop is None else stop
        groups, skipped, first = [], 0, 0
        for number in range(metadata.num_row_groups):
            after = first + metadata.row_group(number).num_rows
            if after <= start:
                skipped = after
            elif first < stop:
                groups.append(number)
            first = after
        # Group by group: one reader for all of them keeps the bytes of each that it has left.
        read = (
            batch
            for group in groups
            for batch in parquet.iter_batches(batch_size=size, row_groups=[group], use_threads=False)
        )
        for batch in _even(read, size, skip=start - skipped, rows=stop - start):
            yield self._shaped(batch)

    def _shaped(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The table's columns in its order: with the day, and null where a column joined later or has left."""
        columns, fields = [], []
        for field in self.schema:
            if field.name == "ds":
                column = pa.repeat(self.ds, batch.num_rows)
            elif field.name not in batch.schema.names:
                column = pa.nulls(batch.num_rows, field.type)
            else:
                column = batch.column(field.name)
                if not pa.types.is_dictionary(column.type):
                    column = column.cast(field.type)
            columns.append(column)
            fields.append(pa.field(field.name, column.type))
        return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


@dataclass(frozen=True)
class DayInMemory:
    """A day that has to be held as a whole: stored by another writer."""

    table: pa.Table
    stored: Collection[str] = ()

    @property
    def rows(self) -> int:
        return self.table.num_rows

    @property
    def schema(self) -> pa.Schema:
        return self.table.schema

    def batches(self, size: int, *, start: int = 0, stop: int | None = None) -> Iterator[pa.RecordBatch]:
        stop = self.rows if stop is None else stop
        wanted = self.table.slice(start, stop - start)
        yield from _even(wanted.to_batches(max_chunksize=size), size, skip=0, rows=wanted.num_rows)


def _even(batches: Iterable[pa.RecordBatch], size: int, *, skip: int, rows: int) -> Iterator[pa.RecordBatch]:
    """`rows` rows after the first `skip`, cut into batches of `size`."""
    waiting: list[pa.RecordBatch] = []
    for given in batches:
        batch = given.slice(skip)
        skip = max(0, skip - given.num_rows)
        batch = batch.slice(0, rows)
        rows -= batch.num_rows
        while batch.num_rows:
            room = size - sum(one.num_rows for one in waiting)
            waiting.append(batch.slice(0, room))
            batch = batch.slice(room)
            if sum(one.num_rows for one in waiting) == size:
                yield _one(waiting)
                waiting = []
        if not rows:
            break
    if waiting:
        yield _one(waiting)


def _one(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    return pa.Table.from_batches(batches).unify_dictionaries().combine_chunks().to_batches()[0]
