"""One Delta table of one model: reading its partitions, in every version that is kept.

Table(env, "flight_delays", "features").require("2013-10-01")     the rows of one published day
Table(env, "flight_delays", "features").publish(rows, ...)        the one way to change it (`publish.py`)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from imago import ledger
from imago.context import RunContext
from imago.days import parse_day
from imago.environments import Environment
from imago.errors import DamagedPartition, MissingPartition
from imago.ledger import pins, publications
from imago.names import check_model_name, check_table_name
from imago.storage import Storage
from imago.tables import commits, files, witness
from imago.tables.infos import PartitionInfo, Publication

__all__ = ["PartitionInfo", "Publication", "Table"]

_WRITTEN_BY = {"features": "feature_refresh", "outcomes": "outcome_refresh", "predictions": "batch_scoring"}


class Table:
    """A table of one model in one environment, partitioned by `ds`."""

    def __init__(self, environment: Environment, model: str, name: str) -> None:
        self.environment = environment
        self.model = check_model_name(model)
        self.name = check_table_name(name)
        self.storage = Storage(environment)

    @property
    def relative(self) -> str:
        """The table's folder below the storage root."""
        return f"tables/{self.model}/{self.name}"

    @property
    def uri(self) -> str:
        """The table's full address, for DuckDB, Spark, Polars or Athena."""
        return self.storage.uri(self.relative)

    @property
    def where(self) -> dict[str, str]:
        """The facts that every refusal of this table carries."""
        return {"environment": self.environment.name, "model": self.model, "table": self.name}

    @cached_property
    def options(self) -> dict[str, str]:
        """The storage options of `deltalake`, after the root's identity was checked."""
        self.storage.filesystem  # noqa: B018 - checks that the root belongs to this environment before anything is touched
        return self.storage.delta_options

    def open(self, version: int | None = None) -> DeltaTable | None:
        """A handle on one version (the newest when None); None before the first publish. Raises DamagedPartition for a
        log that cannot be read."""
        try:
            return DeltaTable(self.uri, version=version, storage_options=self.options)
        except TableNotFoundError:
            return None
        except DeltaError as error:
            if not commits.is_damage(error):
                raise
            raise self._damaged_log(str(error).partition("\n")[0], None) from error

    def version(self) -> int | None:
        """The newest version, None before the first publish."""
        table = self.open()
        return None if table is None else table.version()

    def files(self, days: Iterable[str] | None = None, version: int | None = None) -> list[str]:
        """The addresses of the live Parquet files of these days, ready for DuckDB or pyarrow, their bytes proved.

        Raises DamagedPartition, MissingPartition for files that a vacuum removed.
        """
        table = self.open(version)
        if table is None:
            return []
        days = self._agreed(table, days)
        found = self.live(table, days)
        for uri in found:
            self._bytes(uri, version)
        return found

    def live(self, table: DeltaTable, days: Iterable[str] | None) -> list[str]:
        """The addresses of a handle's files for these days, unproved, in order."""
        if days is None:
            return sorted(table.file_uris())
        quoted = ", ".join(f"'{parse_day(ds)}'" for ds in days)
        return sorted(table.file_uris(file_pruning_predicate=f"ds in ({quoted})")) if quoted else []

    def read(
        self, days: Iterable[str] | None = None, columns: list[str] | None = None, version: int | None = None
    ) -> pa.Table:
        """The rows of these days (all when None), in day order; `ds` is among the columns.

        An unpublished day simply has no rows: use `require` where it must be there. Raises MissingPartition when
        the table does not exist or the version's files were vacuumed, DamagedPartition for a file whose bytes changed.
        """
        table = self.open(version)
        if table is None:
            raise self._missing("the table has no version yet", None)
        return self.rows(table, self._agreed(table, days), columns, version)

    def rows(
        self,
        table: DeltaTable,
        days: Iterable[str] | None,
        columns: list[str] | None = None,
        version: int | None = None,
    ) -> pa.Table:
        """The rows of a handle's files for these days, each file proved."""
        schema = commits.schema_of(table)
        wanted = columns or schema.names
        target = pa.schema([schema.field(name) for name in wanted])
        parts = []
        for uri in self.live(table, days):
            file = pq.ParquetFile(pa.BufferReader(self._bytes(uri, version)))
            rows = file.read(columns=[name for name in wanted if name != "ds"])
            if "ds" in wanted:
                rows = rows.append_column("ds", pa.repeat(files.day_of(uri), rows.num_rows))
            parts.append(rows.select(wanted).cast(target))
        return pa.concat_tables(parts) if parts else target.empty_table()

    def require(self, ds: str, columns: list[str] | None = None) -> pa.Table:
        """The rows of one published day. Raises MissingPartition when it is not published (no other day stands in),
        DamagedPartition when its file does not hold what was published."""
        table = self.open()
        if table is None or commits.fence_of(table, self.name, ds) is None:
            raise self._missing(f"the partition {ds} is not published", ds)
        return self.rows(table, self._agreed(table, [ds]), columns)

    def _agreed(self, table: DeltaTable, days: Iterable[str] | None) -> list[str] | None:
        """The days back, when log and ledger agree on what each of them holds. Raises DamagedPartition."""
        asked = None if days is None else list(days)
        with ledger.connect(self.environment).connect() as connection:
            known = publications.latest(connection, self.model, self.name, asked, until=table.version())
        live: dict[str, list[str]] = {}
        for uri in self.live(table, asked):
            live.setdefault(files.day_of(uri), []).append(uri)
        for ds in sorted(set(live) - set(asked or live)):
            raise self._damaged_log(f"it gives a file of {ds} for {', '.join(asked or ())}", ds)
        fences = {ds: commits.fence_of(table, self.name, ds) or 0 for ds in known}
        for ds, seen in witness.contradicted(known, live, fences):
            raise self._damaged_log(f"it gives {seen} for the rows {known[ds]['digest'][:12]}", ds)
        return asked

    def _bytes(self, uri: str, version: int | None) -> pa.Buffer:
        try:
            return files.proved_bytes(self.storage, uri)
        except FileNotFoundError:
            ds = files.day_of(uri)
            if version is None or version == self.version():
                raise self._damaged("a stored file is gone", ds, uri) from None
            raise MissingPartition(
                f"{self.name}: version {version} of {ds} was vacuumed",
                **self.where,  # type: ignore[arg-type]
                partition=ds,
                rule="versions are kept for a time, and as long as a training pins them",
                file=self.storage.relative(uri),
                next_step="read the newest version, or run what read the old one again for that day",
            ) from None
        except files.ChangedBytes:
            raise self._damaged(
                "a stored file does not hold the bytes that were published", files.day_of(uri), uri
            ) from None

    def _damaged_log(self, seen: str, ds: str | None) -> DamagedPartition:
        return DamagedPartition(
            f"{self.name}: the table's log does not say what was published",
            **self.where,  # type: ignore[arg-type]
            partition=ds,
            rule="the log and the ledger agree on what a day holds",
            file=f"{self.relative}/_delta_log",
            seen=seen,
            next_step="restore the files of that folder from the bucket's versions or a backup; where only the newest "
            f"was hurt, {self._stage} for that day writes the partition anew",
        )

    def _damaged(self, message: str, ds: str, uri: str) -> DamagedPartition:
        return DamagedPartition(
            f"{self.name}: {message}",
            **self.where,  # type: ignore[arg-type]
            partition=ds,
            rule="the sha256 in a file's name is that of its bytes",
            file=self.storage.relative(uri),
            next_step=f"run {self._stage} for that day: it writes the partition anew, from the same inputs",
        )

    def _missing(self, message: str, ds: str | None) -> MissingPartition:
        return MissingPartition(
            f"{self.name}: {message}",
            **self.where,  # type: ignore[arg-type]
            partition=ds,
            next_step=f"run {self._stage} for that day, then this stage again",
        )

    @property
    def _stage(self) -> str:
        return _WRITTEN_BY.get(self.name, "the stage that writes it")

    # --- what stands behind the partitions ---------------------------------------------------------------------

    def published_days(self) -> tuple[str, ...]:
        """The days whose partition was published, in order."""
        with ledger.connect(self.environment).connect() as connection:
            return tuple(sorted(publications.latest(connection, self.model, self.name)))

    def partition(self, ds: str) -> PartitionInfo | None:
        """What stands behind one partition, None when it is not published."""
        with ledger.connect(self.environment).connect() as connection:
            row = publications.latest(connection, self.model, self.name, [ds]).get(ds)
        return None if row is None else PartitionInfo.of(row)

    def partitions(self) -> list[PartitionInfo]:
        """What stands behind every published partition, in day order."""
        with ledger.connect(self.environment).connect() as connection:
            found = publications.latest(connection, self.model, self.name)
        return [PartitionInfo.of(found[ds]) for ds in sorted(found)]

    # --- changing the table ------------------------------------------------------------------------------------

    def draw_fence(self) -> int:
        """The fence of a new attempt. Draw it at the start: whoever draws later, wins."""
        with ledger.connect(self.environment).begin() as connection:
            return publications.draw_fence(connection)

    def publish(
        self,
        data: pa.Table,
        *,
        days: Iterable[str],
        key: tuple[str, ...],
        fence: int,
        context: RunContext,
        inputs: dict[str, Any] | None = None,
        day_inputs: Mapping[str, Mapping[str, Any]] | None = None,
        allow_empty: bool = False,
    ) -> Publication:
        """Makes `data` the whole content of these days, in one commit; days whose content is equal already stay.

        `key` names the columns that order the rows (unique within a day). `inputs` is provenance of all days;
        `day_inputs` adds to it in the ledger row of each day. Raises Fenced when a later attempt published one of the
        days, RefusedPartition for rows outside of `days`, a repeated key, other columns than the table's, or a day
        without rows unless `allow_empty`.
        """
        from imago.tables.publish import Attempt

        attempt = Attempt(self, key=key, fence=fence, context=context, inputs=inputs or {}, day_inputs=day_inputs or {})
        return attempt.publish(data, tuple(sorted(set(days))), allow_empty=allow_empty)

    def vacuum(self, *, older_than: timedelta) -> list[str]:
        """Removes the files that no version of the last `older_than` and no pinned version needs, and those that a
        killed attempt left; returns their names. What is removed can no longer be read at its old version."""
        table = self.open()
        if table is None:
            return []
        with ledger.connect(self.environment).connect() as connection:
            kept = pins.pinned_versions(connection, self.model, self.name)
        rule: dict[str, Any] = {
            "retention_hours": int(older_than.total_seconds() // 3600),
            "enforce_retention_duration": False,
            "full": True,
            "keep_versions": kept,
        }
        # Delta names what it removed before again and again, and each run makes two commits: ask first.
        doomed = [name for name in table.vacuum(dry_run=True, **rule) if self.storage.exists(self._inside(name))]
        if doomed:
            table.vacuum(dry_run=False, **rule)
        return sorted(doomed)

    def _inside(self, name: str) -> str:
        """A file that Delta names, by its full address or below the table, as a path below the storage root."""
        return self.storage.relative(name) if name.startswith(self.uri) else f"{self.relative}/{name}"
