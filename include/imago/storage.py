"""Files of an environment, on S3 or in a folder, by paths relative to its storage root.

The first use of a root writes `_imago/environment.json`, its identity; a process whose environment disagrees with it
refuses to work there.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import posixpath
import re
import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imago.environments import Environment
from imago.errors import (
    DamagedPartition,
    EnvironmentMismatch,
    ImagoError,
    RefusedPartition,
    StorageUnavailable,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import fs

IDENTITY = "_imago/environment.json"
CHECKSUM = ".sha256"
_SEAL = '\n"{}"\n'
_PIECE = 8 * 1024 * 1024


def checksum_of(rel: str) -> str:
    """Where the checksum of a raw file lies: beside it, under a name that readers of a folder of Parquet skip.

    >>> checksum_of("raw/planes/20121231T230000Z.parquet")
    'raw/planes/_20121231T230000Z.parquet.sha256'
    """
    folder, _, name = rel.rpartition("/")
    return f"{folder}/_{name}{CHECKSUM}"


class Storage:
    """The storage of one environment.

    `Storage(env)` only assigns; the first access connects and checks the identity.
    """

    def __init__(self, environment: Environment) -> None:
        self.environment = environment

    @cached_property
    def filesystem(self) -> fs.FileSystem:
        """The pyarrow filesystem, after the identity was checked."""
        from pyarrow import fs

        env = self.environment
        if env.on_s3:
            options: dict[str, Any] = {"region": env.s3_region}
            if env.s3_endpoint:
                scheme, _, host = env.s3_endpoint.partition("://")
                options |= {"endpoint_override": host.rstrip("/"), "scheme": scheme}
            if env.s3_access_key and env.s3_secret_key:
                options |= {"access_key": env.s3_access_key, "secret_key": env.s3_secret_key.get_secret_value()}
            filesystem: fs.FileSystem = fs.S3FileSystem(**options)
        else:
            filesystem = fs.LocalFileSystem()
        try:
            self._check_identity(filesystem)
        except OSError as error:
            raise self._unavailable(error) from error
        return filesystem

    def _unavailable(self, error: OSError) -> StorageUnavailable:
        return StorageUnavailable(
            "the storage does not answer",
            environment=self.environment.name,
            rule="the storage root can be read and written",
            allowed=self.environment.storage_root,
            seen=f"{type(error).__name__}: {next(iter(str(error).splitlines()), 'no reason given')}",
            next_step="imago doctor",
        )

    def _check_identity(self, filesystem: fs.FileSystem) -> None:
        from pyarrow import fs

        path = self._absolute(IDENTITY)
        if filesystem.get_file_info(path).type == fs.FileType.NotFound:
            self._create(filesystem, path, json.dumps({"environment": self.environment.name}).encode())
        with filesystem.open_input_stream(path) as stream:
            owner = json.loads(stream.read())["environment"]
        if owner != self.environment.name:
            raise EnvironmentMismatch(
                f"the storage root belongs to {owner}",
                environment=self.environment.name,
                rule="a storage root serves one environment",
                seen=self.environment.storage_root,
                next_step=f"set IMAGO_{self.environment.name.upper()}_STORAGE_ROOT to a root of its own",
            )

    def _absolute(self, rel: str) -> str:
        root = self.environment.storage_root.removeprefix("s3://")
        return posixpath.join(root, _checked(rel)) if rel else root

    def path(self, rel: str) -> str:
        """The path of `rel` as `filesystem` wants it."""
        return self._absolute(rel)

    def uri(self, *parts: str) -> str:
        """The full address of a file or folder: `s3://bucket/prefix/a/b` or `/folder/a/b`."""
        rel = _checked("/".join(parts)) if parts else ""
        root = self.environment.storage_root
        return f"{root}/{rel}" if rel else root

    def relative(self, uri: str) -> str:
        """The path below the root of a full address; an address elsewhere is refused."""
        root = self.environment.storage_root + "/"
        if not uri.startswith(root):
            raise ImagoError(
                f"{uri} lies outside of the storage root",
                environment=self.environment.name,
                rule="files stay under the storage root",
                allowed=root,
                next_step="check which environment wrote this address",
            )
        return uri[len(root) :]

    @property
    def delta_options(self) -> dict[str, str]:
        """The storage options of `deltalake` for this environment."""
        env = self.environment
        if not env.on_s3:
            return {}
        # `etag` makes a commit a conditional put, which is what lets two writers of one version conflict loudly.
        options = {"AWS_REGION": env.s3_region, "aws_conditional_put": "etag"}
        if env.s3_endpoint:
            options["AWS_ENDPOINT_URL"] = env.s3_endpoint
            options["AWS_ALLOW_HTTP"] = str(env.s3_endpoint.startswith("http://")).lower()
        if env.s3_access_key and env.s3_secret_key:
            options["AWS_ACCESS_KEY_ID"] = env.s3_access_key
            options["AWS_SECRET_ACCESS_KEY"] = env.s3_secret_key.get_secret_value()
        return options

    def write_bytes(self, rel: str, data: bytes | pa.Buffer) -> str:
        """Writes a whole file, which readers see whole or not at all; returns the sha256 of its bytes."""
        self._create(self.filesystem, self.path(rel), data)
        return hashlib.sha256(data).hexdigest()

    def _create(self, filesystem: fs.FileSystem, path: str, data: bytes | pa.Buffer) -> None:
        if self.environment.on_s3:
            with filesystem.open_output_stream(path) as stream:
                stream.write(data)
            return
        filesystem.create_dir(posixpath.dirname(path), recursive=True)
        # A rename within one folder is what makes the file appear whole.
        temporary = f"{path}.{os.getpid()}.tmp"
        with filesystem.open_output_stream(temporary) as stream:
            stream.write(data)
        filesystem.move(temporary, path)

    def put_file(self, rel: str, file: Path) -> None:
        """Takes a file of this machine into the storage, where readers see it whole or not at all; in a folder the file
        itself moves, which costs nothing from `scratch`."""
        target = self.path(rel)
        if not self.environment.on_s3:
            self.filesystem.create_dir(posixpath.dirname(target), recursive=True)
            file.replace(target)
            return
        with file.open("rb") as source, self.filesystem.open_output_stream(target) as stream:
            while piece := source.read(_PIECE):
                stream.write(piece)

    def scratch(self) -> str | None:
        """The folder of this machine for files on their way to `put_file`; None for the system's own."""
        if self.environment.on_s3:
            return None
        folder = self.path("staging/scratch")
        self.filesystem.create_dir(folder, recursive=True)
        return folder

    def read_bytes(self, rel: str) -> bytes:
        """The bytes of a file; a missing one raises FileNotFoundError."""
        with self.filesystem.open_input_stream(self.path(rel)) as stream:
            return stream.read()

    def write_sealed(self, rel: str, data: bytes) -> None:
        """Writes a document with the sha256 of its bytes on a line of its own behind it; see `read_sealed`."""
        self.write_bytes(rel, data + _SEAL.format(hashlib.sha256(data).hexdigest()).encode())

    def read_sealed(self, rel: str) -> bytes:
        """The document of `write_sealed`. Raises DamagedPartition when it was changed since, FileNotFoundError."""
        data = self.read_bytes(rel)
        length = len(_SEAL.format("0" * 64))
        found = data[:-length]
        if data[-length:] != _SEAL.format(hashlib.sha256(found).hexdigest()).encode():
            raise DamagedPartition(
                "a stored file does not hold the bytes that were written",
                environment=self.environment.name,
                rule="its last line is the sha256 of what stands before it",
                file=rel,
                next_step="run what wrote it again: it writes the same file anew",
            )
        return found

    def exists(self, rel: str) -> bool:
        """Whether a file or a folder is there."""
        from pyarrow import fs

        return self.filesystem.get_file_info(self.path(rel)).type != fs.FileType.NotFound

    def sizes(self, paths: Sequence[str]) -> dict[str, int | None]:
        """How large each of these files is, in bytes; None where there is no such file."""
        from pyarrow import fs

        found = self.filesystem.get_file_info([self.path(rel) for rel in paths])
        return {
            rel: info.size if info.type == fs.FileType.File else None for rel, info in zip(paths, found, strict=True)
        }

    def list(self, rel: str) -> Sequence[str]:
        """The files below a folder, at any depth, sorted; empty when the folder is not there."""
        from pyarrow import fs

        root = self._absolute("")
        return sorted(info.path[len(root) + 1 :] for info in self.infos(rel) if info.type == fs.FileType.File)

    def modified(self, rel: str) -> dict[str, datetime]:
        """When each file and folder below a folder was last changed, at any depth; empty when it is not there."""
        root = self._absolute("")
        return {info.path[len(root) + 1 :]: info.mtime for info in self.infos(rel) if info.mtime}

    def infos(self, rel: str) -> Sequence[fs.FileInfo]:
        """What lies below a folder, at any depth; nothing when it is not there. Raises RefusedPartition for a file or
        folder whose name is not UTF-8, which no reader could be given."""
        from pyarrow import fs

        selector = fs.FileSelector(self.path(rel), recursive=True, allow_not_found=True)
        try:
            found: Sequence[fs.FileInfo] = self.filesystem.get_file_info(selector)
            all(info.path for info in found)  # each is decoded when it is asked for
        except UnicodeDecodeError:
            odd = next(_not_utf8(self.path(rel)), rel)
            raise RefusedPartition(
                "the name of a file is not UTF-8",
                environment=self.environment.name,
                file=f"{rel}/{odd}",
                rule="file name in UTF-8",
                allowed="UTF-8",
                seen=odd,
                next_step=f"rename it: cd {shlex.quote(self.path(rel))} && find . -name {shlex.quote(_pattern(odd))}",
            ) from None
        return found

    def delete(self, rel: str) -> None:
        """Removes a file or a folder; it is fine when it is not there."""
        from pyarrow import fs

        kind = self.filesystem.get_file_info(self.path(rel)).type
        if kind == fs.FileType.File:
            self.filesystem.delete_file(self.path(rel))
        elif kind == fs.FileType.Directory:
            self.filesystem.delete_dir(self.path(rel))

    def write_parquet(self, rel: str, table: pa.Table) -> str:
        """Writes a Parquet file (zstd); returns the sha256 of its bytes, which are equal for equal tables."""
        import pyarrow.parquet as pq

        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        return self.write_bytes(rel, buffer.getvalue())

    def read_parquet(self, rel: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Reads a Parquet file."""
        import pyarrow.parquet as pq

        with self.filesystem.open_input_file(self.path(rel)) as file:
            return pq.read_table(file, columns=None if columns is None else [*columns])


def _not_utf8(folder: str) -> Iterator[str]:
    """What lies below a folder under a name that is not UTF-8, relative to it."""
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            try:
                name.encode()
            except UnicodeEncodeError:
                yield os.path.relpath(os.path.join(place, name), folder)


def _pattern(path: str) -> str:
    """A pattern for the last name of a path, with `*` where a shell cannot be given the sign."""
    return re.sub(r"[^\x20-\x7e]+|[*?\[\]\\]", "*", path.rpartition("/")[2])


def _checked(rel: str) -> str:
    """The path back, when it cannot leave the root."""
    if rel.startswith("/") or "\\" in rel or any(part in ("", ".", "..") for part in rel.rstrip("/").split("/")):
        raise ImagoError(
            f"{rel!r} is not a path below the storage root",
            rule="relative path",
            allowed="parts joined by /, without . or ..",
            seen=rel,
            next_step="check the name that this path was made from",
        )
    return rel.rstrip("/")
