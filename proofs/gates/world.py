"""A whole year in an environment of its own: landed, refreshed and published, and put right again after each case."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from imago.context import RunContext
from imago.environments import Environment
from imago.jobs import features, outcomes
from imago.specs import ModelSpec, get_model
from imago.storage import Storage, checksum_of
from imago.tables import Table
from imago.tables.digest import content_digest
from proofs.postgres import new_environment

FIRST, LAST = "2013-01-01", "2013-12-31"
TABLES = ("features", "outcomes")
CONTEXT = RunContext(run_id="proof", code_commit="proof")
_JOBS = {"features": features.refresh, "outcomes": outcomes.refresh}


@dataclass(frozen=True)
class State:
    """What a reader of one day sees, and the table's version."""

    version: int | None
    rows: int
    digest: str | None
    published: int | None


@dataclass
class World:
    """One environment with the flights of 2013. Files that a case changes come back by `putting_back`."""

    env: Environment
    spec: ModelSpec = field(default_factory=lambda: get_model("flight_delays"))
    _before: dict[str, tuple[bytes, int] | None] | None = None

    @property
    def storage(self) -> Storage:
        """The environment's storage."""
        return Storage(self.env)

    def table(self, name: str) -> Table:
        """A published table."""
        return Table(self.env, self.spec.name, name)

    def refresh(self, name: str, first: str, last: str | None = None, env: Environment | None = None) -> dict[str, Any]:
        """The real refresh, by its job."""
        return _JOBS[name](env or self.env, self.spec, first, last or first, CONTEXT)

    def state(self, name: str, ds: str) -> State:
        """What readers see of a day, from the stored rows themselves and from the ledger."""
        table = self.table(name)
        info = table.partition(ds)
        version = table.version()
        if version is None:
            return State(None, 0, None, None)
        rows = table.read([ds])
        digest = content_digest(rows, self.spec.entity_keys)
        return State(version, rows.num_rows, digest, None if info is None else info.version)

    def publish_again(self, name: str, ds: str, rows: pa.Table) -> None:
        """Publishes rows that were read before, past the gate: only to end a case where it began."""
        table = self.table(name)
        key = self.spec.entity_keys
        table.publish(rows, days=[ds], key=key, fence=table.draw_fence(), context=CONTEXT)

    # --- raw files ---------------------------------------------------------------------------------------------------

    def raw(self, kind: str, ds: str | None = None) -> str:
        """The first delivery of a kind (and day), below the storage root."""
        folder = f"raw/{kind}" if ds is None else f"raw/{kind}/ds={ds}"
        return next(name for name in self.storage.list(folder) if name.endswith(".parquet"))

    def read(self, rel: str) -> pa.Table:
        """The rows of a raw file, without the day of its path."""
        return pq.ParquetFile(io.BytesIO(self._path(rel).read_bytes())).read()

    def deliver(self, rel: str, rows: pa.Table, **options: Any) -> None:
        """A raw file as its deliverer writes it, with its checksum; `options` are Parquet's."""
        buffer = io.BytesIO()
        pq.write_table(rows, buffer, **{"compression": "zstd", **options})
        self.deliver_bytes(rel, buffer.getvalue())

    def deliver_bytes(self, rel: str, data: bytes) -> None:
        """Any bytes as a raw file, with the checksum of these bytes."""
        self.write(rel, data)
        self.write(checksum_of(rel), hashlib.sha256(data).hexdigest().encode())

    def write(self, rel: str, data: bytes) -> None:
        """Bytes at a place below the storage root."""
        self._keep(rel)
        path = self._path(rel)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def remove(self, rel: str) -> None:
        """A file away."""
        self._keep(rel)
        self._path(rel).unlink()

    @contextmanager
    def putting_back(self) -> Iterator[None]:
        """Every file that is written or removed inside is as it was before, with its time, at the end."""
        if self._before is not None:  # inside of another one, which puts back
            yield
            return
        self._before = {}
        try:
            yield
        finally:
            for rel, kept in self._before.items():
                path = self._path(rel)
                if kept is None:
                    path.unlink(missing_ok=True)
                    continue
                path.write_bytes(kept[0])
                os.utime(path, ns=(kept[1], kept[1]))
            self._before = None
            shutil.rmtree(self._path("staging"), ignore_errors=True)

    def _keep(self, rel: str) -> None:
        assert self._before is not None, "files are changed inside of putting_back"
        path = self._path(rel)
        if rel not in self._before:
            self._before[rel] = (path.read_bytes(), path.stat().st_mtime_ns) if path.is_file() else None

    def _path(self, rel: str) -> Path:
        return Path(self.env.storage_root) / rel


def make_world(url: str, folder: Path, *, name: str = "dev") -> World:
    """An empty environment: a ledger schema and a storage root of its own."""
    return World(new_environment(url, folder, name))
