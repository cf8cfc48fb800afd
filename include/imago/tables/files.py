"""The Parquet files of a table. Each carries in its name what it must hold:

    ds=2013-10-01/{digest of the rows}.{sha256 of the file}.{fence}.parquet

So whoever knows the address can prove the bytes, for every version and without asking anyone. It is needed: a flipped
bit in a Parquet file mostly gives wrong values and no error. Files of other writers (a compaction by Spark) have other
names; they are read unproved.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from imago.storage import Storage

# What every stored file is written with; `benchmarks/publish.py` compares with the same.
COMPRESSION = "zstd"

_NAME = re.compile(r"ds=(?P<ds>[^/]+)/(?P<digest>[0-9a-f]{64})\.(?P<sha256>[0-9a-f]{64})\.\d+\.parquet$")


class ChangedBytes(Exception):
    """A file does not hold the bytes that it was published with."""


@dataclass(frozen=True)
class DataFile:
    """A written file: its `path` below the table's folder, its `size` in bytes, what it holds."""

    ds: str
    path: str
    size: int
    rows: int
    digest: str
    sha256: str


def write(storage: Storage, folder: str, rows: pa.Table, *, ds: str, digest: str, fence: int) -> DataFile:
    """Writes the rows of one day (without `ds`, which stands in the folder's name) as one file of the table in
    `folder`. The fence makes the name this attempt's own; nobody sees the file before it is committed."""
    sink = pa.BufferOutputStream()
    pq.write_table(rows.drop_columns(["ds"]), sink, compression=COMPRESSION)
    data = sink.getvalue()
    sha256 = hashlib.sha256(data).hexdigest()
    path = f"ds={ds}/{digest}.{sha256}.{fence}.parquet"
    storage.write_bytes(f"{folder}/{path}", data)
    return DataFile(ds=ds, path=path, size=data.size, rows=rows.num_rows, digest=digest, sha256=sha256)


def day_of(uri: str) -> str:
    """The day whose rows a file holds."""
    return uri.rsplit("/ds=", 1)[1].split("/", 1)[0]


def digest_of(uri: str) -> str | None:
    """The digest of the rows that a file promises to hold, None for a file of another writer."""
    found = _NAME.search(uri)
    return found["digest"] if found else None


def proved_bytes(storage: Storage, uri: str) -> pa.Buffer:
    """The bytes of a file. Raises ChangedBytes when they are not those of its name, FileNotFoundError."""
    with storage.filesystem.open_input_file(uri.removeprefix("s3://")) as file:
        data: pa.Buffer = file.read_buffer()
    found = _NAME.search(uri)
    if found and hashlib.sha256(data).hexdigest() != found["sha256"]:
        raise ChangedBytes(uri)
    return data
