"""The Parquet files of a table. Each carries in its name what it must hold:

    ds=2013-10-01/{digest of the rows}.{sha256 of the file}.{fence}.parquet

So whoever knows the address can prove the bytes, for every version and without asking anyone. It is needed: a flipped
bit in a Parquet file mostly gives wrong values and no error. Files of other writers (a compaction by Spark) have other
names; they are read unproved.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from imago.storage import Storage

# What every stored file is written with; `benchmarks/publish.py` compares with the same.
COMPRESSION = "zstd"
# Whoever streams a file holds the column chunks of one row group at a time.
ROW_GROUP = 131_072
_PIECE = 1024 * 1024
# A file on S3 up to this size is read into memory at once; a larger one is downloaded.
_SMALL = 64 * 1024 * 1024

_NAME = re.compile(r"ds=(?P<ds>[^/]+)/(?P<digest>[0-9a-f]{64})\.(?P<sha256>[0-9a-f]{64})\.\d+\.parquet$")
_IN_A_DAY = re.compile(r"/ds=[^/]+/[^/]+$")


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
    pq.write_table(rows.drop_columns(["ds"]), sink, compression=COMPRESSION, row_group_size=ROW_GROUP)
    data = sink.getvalue()
    sha256 = hashlib.sha256(data).hexdigest()
    path = path_of(ds, digest, sha256, fence)
    storage.write_bytes(f"{folder}/{path}", data)
    return DataFile(ds=ds, path=path, size=data.size, rows=rows.num_rows, digest=digest, sha256=sha256)


def path_of(ds: str, digest: str, sha256: str, fence: int) -> str:
    """Where a file lies below its table's folder."""
    return f"ds={ds}/{digest}.{sha256}.{fence}.parquet"


def is_of_a_day(uri: str) -> bool:
    """Whether an address lies in the folder of a day."""
    return _IN_A_DAY.search(uri) is not None


def day_of(uri: str) -> str:
    """The day whose rows a file holds."""
    return uri.rsplit("/ds=", 1)[1].split("/", 1)[0]


def digest_of(uri: str) -> str | None:
    """The digest of the rows that a file promises to hold, None for a file of another writer."""
    found = _NAME.search(uri)
    return found["digest"] if found else None


def proved_bytes(storage: Storage, uri: str) -> pa.Buffer:
    """The bytes of a file. Raises ChangedBytes when they are not those of its name, FileNotFoundError."""
    with opened(storage, uri) as file:
        data: pa.Buffer = file.read_buffer()
    _compare(uri, hashlib.sha256(data).hexdigest())
    return data


def prove(storage: Storage, uri: str) -> None:
    """Reads a file once, piece by piece. Raises as `proved_bytes` does."""
    with opened(storage, uri) as file:
        _compare(uri, _sha256(file))


@contextmanager
def proved_file(storage: Storage, uri: str) -> Iterator[pa.NativeFile]:
    """The file, open for reading, after its bytes were proved; raises as `proved_bytes` does.

    Memory stays flat. What is read is what was proved: the same open file in a folder, a copy on this machine's disk
    from S3.
    """
    with opened(storage, uri) as file:
        if not storage.environment.on_s3:
            _compare(uri, _sha256(file))
            file.seek(0)
            yield file
        elif file.size() <= _SMALL:
            yield pa.BufferReader(proved_bytes(storage, uri))
        else:
            with tempfile.NamedTemporaryFile(prefix="imago-", suffix=".parquet") as copy:
                _compare(uri, _sha256(file, into=copy))
                copy.flush()
                with pa.OSFile(copy.name) as local:
                    yield local


def opened(storage: Storage, uri: str) -> pa.NativeFile:
    return storage.filesystem.open_input_file(uri.removeprefix("s3://"))


def _sha256(file: pa.NativeFile, into: IO[bytes] | None = None) -> str:
    sha256 = hashlib.sha256()
    while piece := file.read_buffer(_PIECE):
        sha256.update(piece)
        if into is not None:
            into.write(piece)
    return sha256.hexdigest()


def _compare(uri: str, sha256: str) -> None:
    found = _NAME.search(uri)
    if found and sha256 != found["sha256"]:
        raise ChangedBytes(uri)
