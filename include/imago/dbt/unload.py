"""A build on a warehouse: in a schema of the attempt's own, and unloaded to where DuckDB would have staged it.

Two attempts at one day, and days side by side, never build the same table. A kept manifest has its schemas frozen into
it, so they are set on the run's own copy of it. What was unloaded is put together to the one file
`{staging}/{model}.parquet` that the audit reads; from there on nothing knows where it was built.
"""

from __future__ import annotations

import hashlib
import io
import logging
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from imago.contracts import Contract
from imago.dbt.contracts import contract_of
from imago.dbt.statements import Statements, statements_of
from imago.dbt.warehouse import WAREHOUSES, Warehouse, warehouse_of
from imago.environments import Environment
from imago.errors import ImagoError, SettingsError
from imago.storage import Storage

if TYPE_CHECKING:
    import pyarrow as pa
    from dbt.contracts.graph.manifest import Manifest

log = logging.getLogger(__name__)

# What the columns are cast to while they are unloaded: each database has widths of its own.
_SQL_TYPES = {
    "athena": {"double precision": "double", "timestamp": "timestamp(3)"},
    "redshift": {"varchar": "varchar(65535)"},
}
# Written beside the rows, so that a file that was lost or that stood there before does not go unseen.
_COUNT = "imago_rows_unloaded"
_PARTITIONS_A_STATEMENT = 100


class WarehouseAttempt:
    """One attempt's build on a warehouse: `set_apart`, then dbt, then `unload`, and `end` whatever happened."""

    def __init__(
        self,
        env: Environment,
        staging: str,
        *,
        warehouse: Warehouse | None = None,
        statements: Statements | None = None,
    ) -> None:
        self.env = env
        self.staging = staging.rstrip("/")
        self.warehouse = warehouse or warehouse_of(env)
        self.statements = statements or statements_of(env, self.warehouse, attempt=self.staging)

    @classmethod
    def begin(
        cls, env: Environment, graph: Manifest, wanted: Iterable[str], staging: str, variables: Mapping[str, Any]
    ) -> WarehouseAttempt | None:
        """The attempt of an environment that builds on a warehouse, its schema set in `graph` and its raw days known
        there; None where DuckDB builds."""
        if env.dbt_target not in WAREHOUSES:
            return None
        attempt = cls(env, staging)
        attempt.set_apart(graph, wanted)
        attempt.register_days(variables.get("raw_files", {}))
        return attempt

    @property
    def schema(self) -> str:
        """The attempt's own schema: readable, and of no other attempt in any environment."""
        leaf = re.sub(r"[^a-z0-9]+", "_", posixpath.basename(self.staging).lower())[:40].strip("_")
        return f"{self.warehouse.schema}__{leaf}_{hashlib.sha256(self.staging.encode()).hexdigest()[:8]}"

    def set_apart(self, graph: Manifest, wanted: Iterable[str]) -> None:
        """Puts the models of a manifest into the attempt's schema, and its sources into those of the settings."""
        schemas = {"raw": self.warehouse.raw_schema, "imago": self.warehouse.tables_schema}
        read = {key for name in wanted for key in graph.nodes[name].depends_on_nodes}
        for node in graph.nodes.values():
            node.schema, node.database = self.schema, self.warehouse.database
        for key, source in graph.sources.items():
            schema = schemas.get(source.source_name, source.schema)
            if schema is None and key in read:
                variable = f"IMAGO_{self.env.name.upper()}_WAREHOUSE_TABLES_SCHEMA"
                raise SettingsError(
                    f"{variable} is not set, and {key} is read from there",
                    environment=self.env.name,
                    rule="the settings of a warehouse",
                    next_step=f"set {variable} to the schema of the external tables over Imago's tables",
                )
            source.schema, source.database = schema or source.schema, self.warehouse.database
        graph.build_flat_graph()

    def register_days(self, raw_files: Mapping[str, Sequence[str]]) -> None:
        """Makes the raw days known to Redshift, which else would read those that it does not know as empty. Athena
        works out the partitions itself (partition projection, docs/warehouse.md)."""
        if self.warehouse.kind != "redshift":
            return
        for kind, files in sorted(raw_files.items()):
            folders = sorted({posixpath.dirname(file) for file in files if "/ds=" in file})
            for start in range(0, len(folders), _PARTITIONS_A_STATEMENT):
                added = " ".join(
                    f"partition (ds={_text(folder.rpartition('/ds=')[2])}) location {_text(folder + '/')}"
                    for folder in folders[start : start + _PARTITIONS_A_STATEMENT]
                )
                table = f"{_name(self.warehouse.raw_schema)}.{_name(kind)}"
                self.statements.run(
                    f"alter table {table} add if not exists {added}", what=f"registering the days of {kind}"
                )

    def unload(self, models: Iterable[str], results: Iterable[Any], *, refused: bool) -> None:
        """Brings the models that were built to `{staging}/{model}.parquet`; `results` are those of dbt.

        Raises ImagoError with the warehouse's query id and reason when one cannot be unloaded, or when other rows
        arrived than were unloaded. Of a build that is `refused` anyway what can be had is brought, for the audit and
        for a look, and a failure only logged.
        """
        built = {result.node.name for result in results if str(result.status) == "success"}
        for model in models:
            if model in built:
                try:
                    unload(self, contract_of(model, self.env.dbt_target))
                except ImagoError as error:
                    if not refused:
                        raise
                    log.warning("the refused rows of %s could not be unloaded: %s", model, error)

    def end(self) -> None:
        """Drops the attempt's schema. A failure is only logged: what it leaves is in no one's way."""
        name = f"`{self.schema}`" if self.warehouse.kind == "athena" else _name(self.schema)
        try:
            self.statements.run(f"drop schema if exists {name} cascade", what="the end of the attempt")
        except ImagoError as error:
            log.warning("the schema %s could not be dropped: %s", self.schema, error)


def unload(attempt: WarehouseAttempt, contract: Contract) -> None:
    """Unloads one built model, and puts what arrived together to `{staging}/{model}.parquet`."""
    attempt.statements.run(unload_statement(attempt, contract), what=f"the unload of {contract.model}")
    storage = Storage(attempt.env)
    rows = _gathered(attempt, storage, contract)
    storage.write_parquet(f"{storage.relative(attempt.staging)}/{contract.model}.parquet", rows)


def unload_statement(attempt: WarehouseAttempt, contract: Contract) -> str:
    """The UNLOAD of one model, its columns cast to the contract's types, and their number beside each row."""
    warehouse = attempt.warehouse
    types = _SQL_TYPES[warehouse.kind]
    columns = [
        f"cast({_name(column.name)} as {types.get(column.data_type, column.data_type)}) as {_name(column.name)}"
        for column in contract.columns
    ]
    columns.append(f"count(*) over () as {_name(_COUNT)}")
    table = ".".join(_name(part) for part in (warehouse.database, attempt.schema, contract.model))
    rows = f"select {', '.join(columns)} from {table}"
    place = _text(f"{attempt.staging}/_unloaded/{contract.model}/")
    if warehouse.kind == "athena":
        return f"unload ({rows}) to {place} with (format = 'PARQUET', compression = 'SNAPPY')"
    role = "default" if warehouse.iam_role == "default" else _text(warehouse.iam_role)
    return f"unload ({_text(rows)}) to {place} iam_role {role} format as parquet"


def _gathered(attempt: WarehouseAttempt, storage: Storage, contract: Contract) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from imago.contracts.types import arrow_type

    folder = f"{storage.relative(attempt.staging)}/_unloaded/{contract.model}"
    found = [name for name in storage.list(folder) if not posixpath.basename(name).startswith(("_", "."))]
    wanted = pa.schema([(column.name, arrow_type(column.data_type)) for column in contract.columns])
    parts = [pq.read_table(io.BytesIO(storage.read_bytes(name)), coerce_int96_timestamp_unit="us") for name in found]
    told = {count for part in parts for count in part.column(_COUNT).to_pylist()}
    rows = sum(part.num_rows for part in parts)
    if told != ({rows} if rows else set()):
        raise ImagoError(
            "other rows arrived than were unloaded",
            environment=attempt.env.name,
            table=contract.model,
            rule="all rows that were unloaded arrive",
            allowed=", ".join(map(str, sorted(told))),
            seen=rows,
            next_step=f"look at the files below {storage.uri(folder)}, and run it again",
        )
    if not rows:
        return wanted.empty_table()
    return pa.concat_tables([_settled(part, wanted) for part in parts], promote_options="permissive")


def _settled(part: pa.Table, wanted: pa.Schema) -> pa.Table:
    """The columns in the contract's order and types, where only the width differs; else as they are, for the audit."""
    import pyarrow as pa

    columns = {}
    for field in wanted:
        column = part.column(field.name)
        if _same_kind(column.type, field.type):
            try:
                column = column.cast(field.type)
            except pa.ArrowInvalid:
                log.warning("%s does not fit into %s", field.name, field.type)
        columns[field.name] = column
    return pa.table(columns)


def _same_kind(seen: pa.DataType, wanted: pa.DataType) -> bool:
    import pyarrow as pa

    kinds = (
        lambda kind: pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0),
        lambda kind: pa.types.is_floating(kind) or pa.types.is_decimal(kind),
        lambda kind: pa.types.is_timestamp(kind) and kind.tz is None,
        lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind),
    )
    return any(kind(seen) and kind(wanted) for kind in kinds)


def _name(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
