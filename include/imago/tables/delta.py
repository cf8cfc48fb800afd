"""One Delta table of one model: reading partitions, and publishing them with a fence.

Why a fence: a scheduler runs tasks at least once, and two attempts can run side by side. Each attempt draws a rising
fence; the table remembers the fence of each partition's last publish as a Delta application transaction. On one handle,
a higher fence in the table means that this attempt was overtaken. A handle that went stale in between is refused by
Delta itself for the same day (a concurrent overwrite), and the publish judges again.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from imago import ledger
from imago.context import RunContext
from imago.days import parse_day
from imago.environments import Environment
from imago.errors import Fenced, MissingPartition, RefusedPartition
from imago.ledger import publications
from imago.names import check_model_name, check_table_name
from imago.storage import Storage
from imago.tables.digest import content_digest

PROVENANCE = "imago"
# Every version stays readable: a checkpoint must not drop the log of versions that a training pinned.
_CONFIGURATION = {"delta.enableExpiredLogCleanup": "false"}
_ATTEMPTS = 20


@dataclass(frozen=True)
class Publication:
    """What one publish did: the table's `version` after it, the days that `changed` and those that were equal already
    (`unchanged`), the `rows` and the content `digests` of all of them."""

    version: int | None
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    rows: int
    digests: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PartitionInfo:
    """What stands behind one published partition. `version` is the commit that last changed it."""

    ds: str
    rows: int
    digest: str
    version: int
    fence: int
    run_id: str
    mode: str
    code_commit: str
    inputs: dict[str, Any]
    published_at: str


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

    @cached_property
    def _options(self) -> dict[str, str]:
        self.storage.filesystem  # noqa: B018 - checks that the root belongs to this environment before anything is touched
        return self.storage.delta_options

    def _open(self, version: int | None = None) -> DeltaTable | None:
        try:
            return DeltaTable(self.uri, version=version, storage_options=self._options)
        except TableNotFoundError:
            return None

    # --- reading -----------------------------------------------------------------------------------------------

    def version(self) -> int | None:
        """The newest version, None before the first publish."""
        table = self._open()
        return None if table is None else table.version()

    def files(self, days: Iterable[str] | None = None, version: int | None = None) -> list[str]:
        """The addresses of the live Parquet files of these days, ready for DuckDB or pyarrow."""
        table = self._open(version)
        return [] if table is None else self._files(table, days)

    def _files(self, table: DeltaTable, days: Iterable[str] | None) -> list[str]:
        if days is None:
            return sorted(table.file_uris())
        quoted = ", ".join(f"'{parse_day(ds)}'" for ds in days)
        return sorted(table.file_uris(file_pruning_predicate=f"ds in ({quoted})")) if quoted else []

    def read(
        self, days: Iterable[str] | None = None, columns: list[str] | None = None, version: int | None = None
    ) -> pa.Table:
        """The rows of these days (all when None), in day order; `ds` is among the columns.

        An unpublished day simply has no rows: use `require` where it must be there. Raises MissingPartition when
        the table does not exist.
        """
        table = self._open(version)
        if table is None:
            raise self._missing("the table has no version yet", None)
        return self._read(table, days, columns)

    def _read(self, table: DeltaTable, days: Iterable[str] | None, columns: list[str] | None = None) -> pa.Table:
        import pyarrow.parquet as pq

        schema = pa.schema(table.schema().to_arrow())
        wanted = columns or schema.names
        parts = []
        for uri in self._files(table, days):
            with self.storage.filesystem.open_input_file(uri.removeprefix("s3://")) as file:
                rows = pq.ParquetFile(file).read(columns=[name for name in wanted if name != "ds"])
            if "ds" in wanted:
                rows = rows.append_column("ds", pa.repeat(_day_of(uri), rows.num_rows))
            parts.append(rows.select(wanted))
        target = pa.schema([schema.field(name) for name in wanted])
        return pa.concat_tables([part.cast(target) for part in parts]) if parts else target.empty_table()

    def require(self, ds: str, columns: list[str] | None = None) -> pa.Table:
        """The rows of one published day. Raises MissingPartition when it is not published; no other day stands in."""
        table = self._open()
        if table is None or table.transaction_version(self._transaction(ds)) is None:
            raise self._missing(f"the partition {ds} is not published", ds)
        return self._read(table, [ds], columns)

    def _missing(self, message: str, ds: str | None) -> MissingPartition:
        stage = {"features": "feature_refresh", "outcomes": "outcome_refresh", "predictions": "batch_scoring"}
        return MissingPartition(
            f"{self.name}: {message}",
            environment=self.environment.name,
            model=self.model,
            table=self.name,
            partition=ds,
            next_step=f"run {stage.get(self.name, 'the stage that writes it')} for that day, then this stage again",
        )

    def published_days(self) -> tuple[str, ...]:
        """The days whose partition was published, in order."""
        with ledger.connect(self.environment).connect() as connection:
            return tuple(sorted(publications.latest(connection, self.model, self.name)))

    def partition(self, ds: str) -> PartitionInfo | None:
        """What stands behind one partition, None when it is not published."""
        with ledger.connect(self.environment).connect() as connection:
            row = publications.latest(connection, self.model, self.name, [ds]).get(ds)
        return None if row is None else _info(row)

    def partitions(self) -> list[PartitionInfo]:
        """What stands behind every published partition, in day order."""
        with ledger.connect(self.environment).connect() as connection:
            found = publications.latest(connection, self.model, self.name)
        return [_info(found[ds]) for ds in sorted(found)]

    # --- publishing --------------------------------------------------------------------------------------------

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
        allow_empty: bool = False,
    ) -> Publication:
        """Makes `data` the whole content of these days, in one commit; days whose content is equal already stay.

        `key` names the columns that order the rows (unique within a day). `inputs` is provenance. Raises Fenced
        when a later attempt published one of the days, RefusedPartition for rows outside of `days`, a repeated key,
        or a day without rows unless `allow_empty`.
        """
        days = tuple(sorted(set(days)))
        parts = self._split(data, days, key, allow_empty)
        digests = {ds: content_digest(part, key) for ds, part in parts.items()}
        for attempt in range(_ATTEMPTS):
            try:
                table = self._open() or self._create(data.schema)
                changed = tuple(ds for ds in days if self._stored_digest(table, ds, key) != digests[ds])
                # An overtaken attempt with equal rows has nothing to lose and is not refused.
                self._check_fences(table, changed, fence)
                version = table.version()
                if changed:
                    version = self._commit(table, parts, changed, digests, fence=fence, context=context, inputs=inputs)
            except DeltaError as error:
                # Another writer came first: look again at what stands now, and let the fences decide.
                if attempt == _ATTEMPTS - 1 or not _is_conflict(error):
                    raise
                time.sleep(random.uniform(0.01, 0.05) * (attempt + 1))
                continue
            self._record(parts, digests, changed, version, fence=fence, context=context, inputs=inputs)
            unchanged = tuple(ds for ds in days if ds not in changed)
            rows = sum(part.num_rows for part in parts.values())
            return Publication(version, changed, unchanged, rows, digests)
        raise AssertionError("unreachable")

    def _split(
        self, data: pa.Table, days: tuple[str, ...], key: tuple[str, ...], allow_empty: bool
    ) -> dict[str, pa.Table]:
        where: dict[str, Any] = {"environment": self.environment.name, "model": self.model, "table": self.name}
        foreign = sorted(set(pc.unique(data.column("ds")).to_pylist()) - set(days), key=str)
        if foreign:
            raise RefusedPartition(
                "rows of other days", **where, column="ds", rule="only the asked days",
                allowed=f"{days[0]} to {days[-1]}", seen=", ".join(map(str, foreign[:5])),
                next_step="filter the staged data to the asked days",
            )  # fmt: skip
        order = [("ds", "ascending"), *((name, "ascending") for name in key if name != "ds")]
        ordered = data.sort_by(order).combine_chunks()
        column = ordered.column("ds").combine_chunks()
        parts: dict[str, pa.Table] = {}
        for ds in days:
            mask = pc.equal(column, ds)
            part = ordered.filter(mask) if len(days) > 1 else ordered
            if not part.num_rows and not allow_empty:
                raise RefusedPartition(
                    "the partition has no rows", **where, partition=ds, rule="rows > 0", seen=0, rows=0,
                    next_step="check that the day's raw files have landed",
                )  # fmt: skip
            repeated = part.num_rows - part.group_by(list(key), use_threads=False).aggregate([]).num_rows
            if repeated:
                raise RefusedPartition(
                    "keys stand twice", **where, partition=ds, column=", ".join(key), rule="unique key", rows=repeated,
                    next_step="remove the duplicates where the rows are made",
                )  # fmt: skip
            parts[ds] = part
        return parts

    def _create(self, schema: pa.Schema) -> DeltaTable:
        return DeltaTable.create(
            self.uri,
            schema=schema,
            mode="ignore",
            partition_by=["ds"],
            configuration=_CONFIGURATION,
            storage_options=self._options,
        )

    def _transaction(self, ds: str) -> str:
        return f"{self.name}/{ds}"

    def _check_fences(self, table: DeltaTable, days: tuple[str, ...], fence: int) -> None:
        if not days:
            return
        # The table knows who changed a day; the ledger also knows who found it equal, later, from newer inputs.
        with ledger.connect(self.environment).connect() as connection:
            seen = publications.highest_fences(connection, self.model, self.name, days)
        for ds in days:
            held = max(table.transaction_version(self._transaction(ds)) or 0, seen.get(ds, 0))
            if held > fence:
                raise Fenced(
                    f"a newer attempt owns this partition: fence {held} is above {fence}, "
                    f"drawn by {self._holder(table, ds, held)}",
                    environment=self.environment.name,
                    model=self.model,
                    table=self.name,
                    partition=ds,
                    rule="a later attempt wins",
                    allowed=f"fence >= {held}",
                    seen=fence,
                    next_step="nothing: the newer attempt's partition stands",
                )

    def _holder(self, table: DeltaTable, ds: str, fence: int) -> str:
        for commit in table.history(200):
            provenance = json.loads(commit.get(PROVENANCE, "{}"))
            if provenance.get("fence") == fence and ds in provenance.get("days", {}):
                return f"run {provenance['run_id']} (attempt {provenance['attempt']})"
        return "another run"

    def _stored_digest(self, table: DeltaTable, ds: str, key: tuple[str, ...]) -> str | None:
        """The digest of what the table holds for a day, from the rows themselves; None when the day was never
        published."""
        if table.transaction_version(self._transaction(ds)) is None:
            return None
        return content_digest(self._read(table, [ds]), key)

    def _commit(
        self,
        table: DeltaTable,
        parts: dict[str, pa.Table],
        changed: tuple[str, ...],
        digests: dict[str, str],
        *,
        fence: int,
        context: RunContext,
        inputs: dict[str, Any] | None,
    ) -> int:
        provenance = {
            "run_id": context.run_id,
            "attempt": context.attempt,
            "mode": context.mode,
            "code_commit": context.code_commit,
            "fence": fence,
            "days": {ds: {"rows": parts[ds].num_rows, "digest": digests[ds]} for ds in changed},
            "inputs": inputs or {},
        }
        quoted = ", ".join(f"'{ds}'" for ds in changed)
        write_deltalake(
            table,
            pa.concat_tables([parts[ds] for ds in changed]),
            mode="overwrite",
            predicate=f"ds in ({quoted})",
            commit_properties=CommitProperties(
                custom_metadata={PROVENANCE: json.dumps(provenance, sort_keys=True)},
                app_transactions=[Transaction(self._transaction(ds), fence) for ds in changed],
                max_commit_retries=15,
            ),
        )
        return table.version()

    def _record(
        self,
        parts: dict[str, pa.Table],
        digests: dict[str, str],
        changed: tuple[str, ...],
        version: int,
        *,
        fence: int,
        context: RunContext,
        inputs: dict[str, Any] | None,
    ) -> None:
        with ledger.connect(self.environment).begin() as connection:
            known = publications.latest(connection, self.model, self.name, parts)
            publications.record(
                connection,
                [
                    {
                        "model": self.model,
                        "table_name": self.name,
                        "ds": ds,
                        "version": version,
                        "fence": fence,
                        # A row that a killed attempt could not write after its commit is made up for here.
                        "changed": ds in changed or ds not in known or known[ds]["digest"] != digests[ds],
                        "rows": part.num_rows,
                        "digest": digests[ds],
                        "run_id": context.run_id,
                        "mode": context.mode,
                        "code_commit": context.code_commit,
                        "inputs": inputs or {},
                    }
                    for ds, part in parts.items()
                ],
            )


def _day_of(uri: str) -> str:
    return uri.rsplit("/ds=", 1)[1].split("/", 1)[0]


def _is_conflict(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, CommitFailedError) or "conflict" in text or "already exists" in text


def _info(row: Any) -> PartitionInfo:
    names = ("ds", "rows", "digest", "version", "fence", "run_id", "mode", "code_commit", "inputs")
    return PartitionInfo(**{name: row[name] for name in names}, published_at=row["published_at"].isoformat())
