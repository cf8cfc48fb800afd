"""One Delta table of one model: reading its partitions, in every version that is kept.

Table(env, "flight_delays", "features").require("2013-10-01")     the rows of one published day
Table(env, "flight_delays", "features").publish(rows, ...)        the one way to change it (`publish.py`)
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import cached_property
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from imago import casts, ledger
from imago.addresses import delta_uri
from imago.context import RunContext
from imago.days import parse_day
from imago.environments import Environment
from imago.ledger import publications
from imago.names import check_model_name, check_table_name
from imago.storage import Storage
from imago.tables import commits, files, witness
from imago.tables.days import DayInFile, DayInMemory, StoredDay
from imago.tables.infos import PartitionInfo, Publication
from imago.tables.order import in_order
from imago.tables.refusals import Refusals

__all__ = ["PartitionInfo", "Publication", "Table"]


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
    def delta_uri(self) -> str:
        """The same as `deltalake` wants it."""
        return delta_uri(self.uri)

    @property
    def where(self) -> dict[str, str]:
        """The facts that every refusal of this table carries."""
        return {"environment": self.environment.name, "model": self.model, "table": self.name}

    @property
    def refusals(self) -> Refusals:
        """What this table says when it refuses."""
        return Refusals(self.storage, self.where, self.relative)

    @cached_property
    def options(self) -> dict[str, str]:
        """The storage options of `deltalake`, after the root's identity was checked."""
        self.storage.filesystem  # noqa: B018 - checks that the root belongs to this environment before anything is touched
        return self.storage.delta_options

    def open(self, version: int | None = None) -> DeltaTable | None:
        """A handle on one version (the newest when None); None before the first publish. Raises DamagedPartition for a
        log that cannot be read."""
        try:
            with self._reading_log():
                return DeltaTable(self.delta_uri, version=version, storage_options=self.options)
        except TableNotFoundError:
            return None

    def require_open(self) -> DeltaTable:
        """A handle on the newest version. Raises MissingPartition before the first publish."""
        found = self.open()
        if found is None:
            raise self.refusals.missing("the table has no version yet", None)
        return found

    def version(self) -> int | None:
        """The newest version, None before the first publish."""
        table = self.open()
        return None if table is None else table.version()

    def schema(self, version: int | None = None) -> pa.Schema:
        """The columns of one version (the newest when None). Raises MissingPartition before the first publish."""
        table = self.open(version)
        if table is None:
            raise self.refusals.missing("the table has no version yet", None)
        return commits.schema_of(table)

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
            with self._refusing(uri, version):
                files.prove(self.storage, uri)
        return found

    def live(self, table: DeltaTable, days: Iterable[str] | None) -> list[str]:
        """The addresses of a handle's files for these days, unproved, in order."""
        if days is None:
            return sorted(self._address(table, uri) for uri in table.file_uris())
        quoted = ", ".join(f"'{parse_day(ds)}'" for ds in days)
        if not quoted:
            return []
        return sorted(self._address(table, uri) for uri in table.file_uris(file_pruning_predicate=f"ds in ({quoted})"))

    def _address(self, table: DeltaTable, uri: str) -> str:
        """Delta names a file by its percent-encoded URL, behind the links of the root: no path that can be opened."""
        base = table.table_uri.removeprefix("file://").rstrip("/") + "/"
        return f"{self.uri}/{unquote(uri[len(base) :])}" if uri.startswith(base) else unquote(uri)

    def read(
        self, days: Iterable[str] | None = None, columns: list[str] | None = None, version: int | None = None
    ) -> pa.Table:
        """The rows of these days (all when None), in day order; `ds` is among the columns.

        An unpublished day simply has no rows: use `require` where it must be there. Raises MissingPartition when
        the table does not exist or the version's files were vacuumed, DamagedPartition for a file whose bytes changed.
        """
        table = self.open(version)
        if table is None:
            raise self.refusals.missing("the table has no version yet", None)
        return self.rows(table, self._agreed(table, days), columns, version)

    def rows(
        self,
        table: DeltaTable,
        days: Iterable[str] | None,
        columns: list[str] | None = None,
        version: int | None = None,
    ) -> pa.Table:
        """The rows of a handle's files for these days, each file proved, in the columns of the handle's version."""
        schema = commits.schema_of(table)
        wanted = columns or schema.names
        lacking = [name for name in wanted if name not in schema.names]
        if lacking:
            raise self.refusals.no_column(lacking[0], schema.names, table.version())
        target = pa.schema([schema.field(name) for name in wanted])
        parts, lossy = [], {}
        for uri in self.live(table, days):
            with self._refusing(uri, version):
                data = files.proved_bytes(self.storage, uri)
            file = pq.ParquetFile(pa.BufferReader(data))
            self._check_columns(file, schema, uri)
            rows = file.read(columns=[name for name in wanted if name != "ds"])
            for name in wanted:
                if name == "ds":
                    rows = rows.append_column("ds", pa.repeat(files.day_of(uri), rows.num_rows))
                elif name not in rows.column_names:  # it joined later, or has left
                    rows = rows.append_column(name, pa.nulls(rows.num_rows, target.field(name).type))
            try:
                parts.append(casts.retyped(rows.select(wanted), target))
            except casts.LossyCast as lost:
                lossy[files.day_of(uri)] = lost
        if lossy:
            raise self.refusals.lossy(lossy)
        return pa.concat_tables(parts) if parts else target.empty_table()

    def as_published(self, ds: str, version: int | None = None) -> pa.Table:
        """The rows of one day in the columns that it was published with, whatever others the table had or was given.
        Raises as `read` does."""
        table = self.open(version)
        if table is None:
            raise self.refusals.missing("the table has no version yet", None)
        self._agreed(table, [ds])
        return self.own_rows(table, ds, version)

    def own_rows(self, table: DeltaTable, ds: str, version: int | None = None) -> pa.Table:
        """The same of a handle."""
        rows = self.rows(table, [ds], version=version)  # proves the files, which are only looked into after it
        own = self.columns_of(table, [ds], version).get(ds, frozenset(rows.column_names))
        return rows.select([name for name in rows.column_names if name == "ds" or name in own])

    def columns_of(
        self, table: DeltaTable, days: Iterable[str] | None, version: int | None = None
    ) -> dict[str, frozenset[str]]:
        """The columns that the files of each day hold, without `ds`; a day without rows has no file."""
        found: dict[str, frozenset[str]] = {}
        for uri in self.live(table, days):
            with self._refusing(uri, version), files.opened(self.storage, uri) as file:
                names = frozenset(pq.read_schema(file).names) - {"ds"}
            found[files.day_of(uri)] = found.get(files.day_of(uri), names) | names
        return found

    @contextmanager
    def stream(
        self,
        ds: str,
        *,
        key: tuple[str, ...],
        version: int | None = None,
        dictionaries: Collection[str] = (),
        known: Mapping[str, Any] | None = None,
    ) -> Iterator[StoredDay]:
        """The rows of one day for whoever reads them batch by batch, ordered by `key`, their bytes proved.

        The columns in `dictionaries` may come dictionary-encoded. `known` is what the ledger holds of the day at
        `version` (`digest`, `rows`), for workers that cannot ask it. Memory is flat for a day as `publish` stored it;
        one of another writer, or of other types than the table's, is held as a whole. Raises as `read` does.
        """
        table = self.open(version)
        if table is None:
            raise self.refusals.missing("the table has no version yet", None)
        witness = None if known is None else {ds: {**known, "fence": math.inf}}
        schema, uris = commits.schema_of(table), self.live(table, self._agreed(table, [ds], witness))
        if len(uris) != 1 or files.digest_of(uris[0]) is None:
            yield self._in_memory(table, ds, key, version)
            return
        with ExitStack() as opened:
            with self._refusing(uris[0], version):
                file = opened.enter_context(files.proved_file(self.storage, uris[0]))
            held = pq.ParquetFile(file)
            self._check_columns(held, schema, uris[0])
            if any(
                casts.type_name(field.type) != casts.type_name(schema.field(field.name).type)
                for field in held.schema_arrow
            ):
                yield self._in_memory(table, ds, key, version)
                return
            yield DayInFile(file, ds, schema, [name for name in dictionaries if name in schema.names])

    def _in_memory(self, table: DeltaTable, ds: str, key: tuple[str, ...], version: int | None) -> StoredDay:
        rows = in_order(self.rows(table, [ds], version=version), key)
        return DayInMemory(rows, self.columns_of(table, [ds], version).get(ds, frozenset(rows.column_names)))

    def require(self, ds: str, columns: list[str] | None = None) -> pa.Table:
        """The rows of one published day. Raises MissingPartition when it is not published (no other day stands in),
        DamagedPartition when its file does not hold what was published."""
        table = self.open()
        if table is None or self._fence(table, ds) is None:
            raise self.refusals.missing(f"the partition {ds} is not published", ds)
        return self.rows(table, self._agreed(table, [ds]), columns)

    def _agreed(
        self, table: DeltaTable, days: Iterable[str] | None, known: Mapping[str, Mapping[str, Any]] | None = None
    ) -> list[str] | None:
        """The days back, when log and ledger (or what is `known` of it) agree on what each of them holds. Raises
        DamagedPartition."""
        asked = None if days is None else list(days)
        if known is None:
            with ledger.connect(self.environment).connect() as connection:
                rows = publications.latest(connection, self.model, self.name, asked, until=table.version())
            known = {ds: dict(row) for ds, row in rows.items()}
        live: dict[str, list[str]] = {}
        with self._reading_log():
            found = self.live(table, asked)
        for uri in found:
            if not files.is_of_a_day(uri):
                raise self.refusals.log(f"it gives the file {self.storage.relative(uri)}", None)
            live.setdefault(files.day_of(uri), []).append(uri)
        for ds in sorted(set(live) - set(asked or live)):
            raise self.refusals.log(f"it gives a file of {ds} for {', '.join(asked or ())}", ds)
        fences = {ds: self._fence(table, ds) or 0 for ds in known}
        for ds, seen in witness.contradicted(known, live, fences):
            raise self.refusals.log(f"it gives {seen} for the rows {known[ds]['digest'][:12]}", ds)
        return asked

    def _fence(self, table: DeltaTable, ds: str) -> int | None:
        with self._reading_log():
            return commits.fence_of(table, self.name, ds)

    @contextmanager
    def _reading_log(self) -> Iterator[None]:
        """Delta reads some of a log only when it is asked for it, so it may find a damage late."""
        try:
            yield
        except DeltaError as error:
            if not commits.is_damage(error):
                raise
            raise self.refusals.log(str(error).partition("\n")[0], None) from error

    def _check_columns(self, file: pq.ParquetFile, schema: pa.Schema, uri: str) -> None:
        """A table may be given columns, and loses none: one that only the file has was another in the log."""
        lost = sorted(set(file.schema_arrow.names) - {"ds", *schema.names})
        if lost:
            raise self.refusals.log(f"it has no column {lost[0]}", files.day_of(uri))

    @contextmanager
    def _refusing(self, uri: str, version: int | None) -> Iterator[None]:
        """Says of a file that is gone or changed which partition it was, and what to do."""
        try:
            yield
        except FileNotFoundError:
            ds = files.day_of(uri)
            if version is None or version == self.version():
                raise self.refusals.damaged("a stored file is gone", ds, uri) from None
            raise self.refusals.vacuumed(version, ds, uri) from None
        except files.ChangedBytes:
            raise self.refusals.damaged(
                "a stored file does not hold the bytes that were published", files.day_of(uri), uri
            ) from None

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
        days, RefusedPartition for rows outside of `days`, a repeated key, columns that no table can have, or a day
        without rows unless `allow_empty`. Columns may join, leave and change their type (see `evolution`).
        """
        from imago.tables.publish import Attempt

        attempt = Attempt(self, key=key, fence=fence, context=context, inputs=inputs or {}, day_inputs=day_inputs or {})
        return self._told(attempt.publish(data, tuple(sorted(set(days))), allow_empty=allow_empty))

    def publish_stream(
        self,
        batches: Iterable[pa.RecordBatch],
        schema: pa.Schema,
        *,
        ds: str,
        key: tuple[str, ...],
        fence: int,
        context: RunContext,
        inputs: dict[str, Any] | None = None,
        allow_empty: bool = False,
    ) -> Publication:
        """Like `publish`, of one day whose rows come in batches of `schema`, in key order: memory stays flat.

        `inputs` is asked for after the last batch, so that it may be filled while they come. Raises RefusedPartition
        also when a key does not rise above the one before it.
        """
        from imago.tables.publish import Attempt

        given = {} if inputs is None else inputs
        attempt = Attempt(self, key=key, fence=fence, context=context, inputs=given)
        return self._told(attempt.publish_stream(batches, schema, ds, allow_empty=allow_empty))

    def _told(self, done: Publication) -> Publication:
        """Tells those who cannot read the table's log."""
        if self.environment.redshift_manifests:
            from imago.tables import manifests

            manifests.after_publish(self, done.digests)
        return done

    def vacuum(self, *, older_than: timedelta, keep: Collection[int] = ()) -> list[str]:
        """Removes the files that no version of the last `older_than`, no pinned version and none in `keep` needs, and
        those that a killed attempt left; returns their paths. They can no longer be read at their old version."""
        from imago.tables.vacuum import vacuum

        return [*vacuum(self, older_than=older_than, keep=keep)]

    def inside(self, name: str) -> str:
        """A file that Delta names, by its full address or below the table, as a path below the storage root."""
        return self.storage.relative(name) if name.startswith(self.uri) else f"{self.relative}/{name}"
