"""Publishing: write the files of the changed days, commit them at once, write down what was done.

Why a fence: a scheduler runs tasks at least once, and two attempts can run side by side. Each attempt draws a rising
fence; the table remembers the fence of each partition's last publish as a Delta application transaction. On one handle,
a higher fence in the table means that this attempt was overtaken. A handle that went stale in between is refused by
Delta itself for the same day, and the publish judges again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from sqlalchemy import Connection

from imago import ledger
from imago.context import RunContext
from imago.errors import DamagedPartition, Fenced
from imago.ledger import publications
from imago.storage import Storage
from imago.tables import commits, files
from imago.tables.digest import content_digest
from imago.tables.evolution import check_columns, evolved
from imago.tables.infos import Publication
from imago.tables.parts import by_day, in_turn, no_rows
from imago.tables.spool import Spool

if TYPE_CHECKING:
    from imago.tables.delta import Table

# Each lost round means that another writer got through, so this many writers may come at once.
_ROUNDS = 60


class Content(Protocol):
    """What a day is to hold: how many rows, their digest, and the file that they can be stored as."""

    @property
    def rows(self) -> int: ...
    @property
    def digest(self) -> str: ...
    def store(self, folder: str, *, ds: str, fence: int) -> files.DataFile: ...


@dataclass(frozen=True)
class InMemory:
    """The content of a day whose rows are at hand, in key order."""

    storage: Storage
    table: pa.Table
    digest: str

    @property
    def rows(self) -> int:
        return self.table.num_rows

    def store(self, folder: str, *, ds: str, fence: int) -> files.DataFile:
        return files.write(self.storage, folder, self.table, ds=ds, digest=self.digest, fence=fence)


@dataclass
class Attempt:
    """One publish of one attempt."""

    table: Table
    key: tuple[str, ...]
    fence: int
    context: RunContext
    inputs: Mapping[str, Any]
    day_inputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    written: dict[str, files.DataFile] = field(default_factory=dict)

    def publish(self, data: pa.Table, days: tuple[str, ...], *, allow_empty: bool) -> Publication:
        """See `Table.publish`."""
        check_columns(data.schema, self.key, self.table.where)
        parts = by_day(data, days, self.key, allow_empty=allow_empty, where=self.table.where)
        storage = self.table.storage
        contents = {ds: InMemory(storage, part, content_digest(part, self.key)) for ds, part in parts.items()}
        return self._publish(contents, data.schema)

    def publish_stream(
        self, batches: Iterable[pa.RecordBatch], schema: pa.Schema, ds: str, *, allow_empty: bool
    ) -> Publication:
        """See `Table.publish_stream`."""
        check_columns(schema, self.key, self.table.where)
        with Spool(self.table.storage, schema) as spool:
            spool.fill(in_turn(batches, ds, self.key, self.table.where))
            if not spool.rows and not allow_empty:
                raise no_rows(ds, self.table.where)
            return self._publish({ds: spool}, schema)

    def _publish(self, contents: Mapping[str, Content], schema: pa.Schema) -> Publication:
        # One connection for the few questions of a publish: to connect costs more than to ask.
        with ledger.connect(self.table.environment).connect() as connection:
            version, changed = self._settle(connection, contents, schema)
            self._record(connection, contents, changed, version)
        unchanged = tuple(ds for ds in contents if ds not in changed)
        digests = {ds: content.digest for ds, content in contents.items()}
        return Publication(version, changed, unchanged, sum(content.rows for content in contents.values()), digests)

    def _settle(
        self, connection: Connection, contents: Mapping[str, Content], schema: pa.Schema
    ) -> tuple[int, tuple[str, ...]]:
        """Commits the days whose content differs, as often as another writer comes first."""
        for again in range(_ROUNDS):
            try:
                handle = self.table.open() or commits.create(self.table.delta_uri, schema, self.table.options)
                changed = tuple(ds for ds in contents if not self._holds(handle, ds, contents[ds].digest))
                # An overtaken attempt with equal rows has nothing to lose and is not refused.
                self._check_fences(connection, handle, changed)
                if not changed:
                    return handle.version(), ()
                return self._commit(handle, {ds: contents[ds] for ds in changed}, schema), changed
            except DeltaError as error:
                # Another writer came first: look again at what stands now, and let the fences decide.
                if again == _ROUNDS - 1 or not commits.is_conflict(error):
                    raise
                time.sleep(random.uniform(0, 0.01) * min(again + 1, 10))
        raise AssertionError("unreachable")

    def _holds(self, handle: DeltaTable, ds: str, digest: str) -> bool:
        """Whether the table holds exactly these rows for a day, proved by the stored bytes. A damaged file does not
        count: it is written anew."""
        if commits.fence_of(handle, self.table.name, ds) is None:
            return False
        stored = self.table.live(handle, [ds])
        promised = [files.digest_of(uri) for uri in stored]
        if len(stored) == 1 and promised != [None] and promised != [digest]:
            return False
        try:
            if promised == [digest]:
                files.prove(self.table.storage, stored[0])
                return True
            # Nothing is stored (an empty day), or another writer's files: only the rows can tell.
            return content_digest(self.table.own_rows(handle, ds), self.key) == digest
        except (files.ChangedBytes, FileNotFoundError, DamagedPartition):
            return False

    def _check_fences(self, connection: Connection, handle: DeltaTable, days: tuple[str, ...]) -> None:
        if not days:
            return
        # The table knows who changed a day; the ledger also knows who found it equal, later, from newer inputs.
        with connection.begin():
            seen = publications.highest_fences(connection, self.table.model, self.table.name, days)
        for ds in days:
            held = max(commits.fence_of(handle, self.table.name, ds) or 0, seen.get(ds, 0))
            if held > self.fence:
                raise Fenced(
                    f"a newer attempt owns this partition: fence {held} is above {self.fence}, "
                    f"drawn by {commits.holder(handle, ds, held)}",
                    **self.table.where,  # type: ignore[arg-type]
                    partition=ds,
                    rule="a later attempt wins",
                    allowed=f"fence >= {held}",
                    seen=self.fence,
                    next_step="nothing: the newer attempt's partition stands",
                )

    def _commit(self, handle: DeltaTable, contents: Mapping[str, Content], schema: pa.Schema) -> int:
        for ds, content in contents.items():
            if content.rows and ds not in self.written:
                self.written[ds] = content.store(self.table.relative, ds=ds, fence=self.fence)
        mine = {ds: self.written[ds] for ds in contents if ds in self.written}
        provenance = {
            "run_id": self.context.run_id,
            "attempt": self.context.attempt,
            "mode": self.context.mode,
            "code_commit": self.context.code_commit,
            "fence": self.fence,
            "days": {
                ds: {
                    "rows": content.rows,
                    "digest": content.digest,
                    "files": {mine[ds].path: mine[ds].sha256} if ds in mine else {},
                }
                for ds, content in contents.items()
            },
            "inputs": self.inputs,
        }
        before = handle.version()
        columns = evolved(commits.schema_of(handle), schema)
        commits.exchange(
            handle, self.table.name, contents, mine.values(),
            fence=self.fence, provenance=provenance, columns=columns,
        )  # fmt: skip
        return commits.version_of(self.table.storage, self.table.relative, provenance, after=before)

    def _record(
        self, connection: Connection, contents: Mapping[str, Content], changed: tuple[str, ...], version: int
    ) -> None:
        model, table = self.table.model, self.table.name
        with connection.begin():
            known = publications.latest(connection, model, table, contents)
            publications.record(
                connection,
                [
                    {
                        "model": model,
                        "table_name": table,
                        "ds": ds,
                        "version": version,
                        "fence": self.fence,
                        # A row that a killed attempt could not write after its commit is made up for here.
                        "changed": ds in changed or ds not in known or known[ds]["digest"] != content.digest,
                        "rows": content.rows,
                        "digest": content.digest,
                        "run_id": self.context.run_id,
                        "mode": self.context.mode,
                        "code_commit": self.context.code_commit,
                        "inputs": {**self.inputs, **self.day_inputs.get(ds, {})},
                    }
                    for ds, content in contents.items()
                ],
            )
