"""A day's rows on their way into the table: written to a file as they come, digested beside it, so that memory
stays flat in the number of rows. Nobody sees the file before it is stored under its name and committed."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from imago.storage import Storage
from imago.tables import files
from imago.tables.digest import ContentDigest


class Spool:
    """The rows of one day as a file on this machine. Use it as a context: at its end the file is gone, stored or not.

    `rows` and `digest` are known after `fill`.
    """

    def __init__(self, storage: Storage, schema: pa.Schema) -> None:
        self.rows = 0
        self.digest = ""
        self._storage = storage
        self._schema = schema

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="imago-spool-", dir=self._storage.scratch())
        self._file = Path(self._folder.name) / "rows.parquet"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._folder.cleanup()

    def fill(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Takes in all rows, which come in key order."""
        digest = ContentDigest(self._schema)
        stored = self._schema.remove(self._schema.get_field_index("ds"))
        with pq.ParquetWriter(self._file, stored, compression=files.COMPRESSION) as writer:
            waiting: list[pa.RecordBatch] = []
            for batch in batches:
                digest.update(batch)
                waiting.append(batch.drop_columns(["ds"]))
                if sum(one.num_rows for one in waiting) >= files.ROW_GROUP:
                    writer.write_table(pa.Table.from_batches(waiting), row_group_size=files.ROW_GROUP)
                    waiting.clear()
            if waiting:
                writer.write_table(pa.Table.from_batches(waiting), row_group_size=files.ROW_GROUP)
        self.rows, self.digest = digest.rows, digest.hexdigest()

    def store(self, folder: str, *, ds: str, fence: int) -> files.DataFile:
        """Puts the file into the table in `folder`, under a name that says what it holds."""
        with self._file.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        size = self._file.stat().st_size
        path = files.path_of(ds, self.digest, sha256, fence)
        self._storage.put_file(f"{folder}/{path}", self._file)
        return files.DataFile(ds=ds, path=path, size=size, rows=self.rows, digest=self.digest, sha256=sha256)
