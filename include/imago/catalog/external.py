"""One table as Athena or Redshift is told of it: the SQL that makes it, and the entry of the Glue catalog. Pure.

Athena reads the Delta table itself, and finds its columns and days in the table's log. Redshift Spectrum cannot: it
reads, for each day, a manifest that names the day's live files (`imago.tables.manifests`). The two entries differ, so
they stand in two databases of the catalog, under the same name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from imago.catalog.columns import hive_type, redshift_type
from imago.errors import ImagoError

Reader = Literal["athena", "redshift"]
READERS: tuple[Reader, ...] = ("athena", "redshift")
MANIFESTS = "_symlink_format_manifest"
MARK = "imago.table"  # the parameter by which an entry is known as ours

# So many may be added by one statement.
PARTITIONS_AT_ONCE = 100
_PARQUET = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
_SYMLINKS = "org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat"
_NO_OUTPUT = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"
# What engines write for a Delta table, whose files no Hive reader is meant to open.
_UNREAD = ("org.apache.hadoop.mapred.SequenceFileInputFormat",
           "org.apache.hadoop.hive.ql.io.HiveSequenceFileOutputFormat",
           "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ExternalTable:
    """A published table for one reader. `fields` are those of the Delta log (`name`, `type`), `ds` among them;
    `location` is the table's folder; `schema` begins the names of its databases."""

    reader: Reader
    environment: str
    model: str
    name: str
    location: str
    fields: tuple[Mapping[str, Any], ...]
    schema: str
    region: str

    @property
    def database(self) -> str:
        """The database of the Glue catalog."""
        return catalog_database(self.schema, self.model, self.reader)

    @property
    def mark(self) -> str:
        return f"{self.environment}/{self.model}/{self.name}"

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """Name and Hive type of each column but `ds`, which partitions the table."""
        return tuple((one["name"], hive_type(one["type"])) for one in self.fields if one["name"] != "ds")

    def statements(self, days: Iterable[str] = ()) -> list[str]:
        """The SQL that makes it; for Redshift with the partitions of these days."""
        return _for_athena(self) if self.reader == "athena" else _for_redshift(self, sorted(days))

    def entry(self) -> dict[str, Any]:
        """The `TableInput` of the Glue catalog."""
        parameters = {"EXTERNAL": "TRUE", MARK: self.mark}
        if self.reader == "athena":
            parameters |= {"table_type": "DELTA", "spark.sql.sources.provider": "delta"}
        return {
            "Name": self.name,
            "Description": f"{self.name} of {self.model} in {self.environment}, published by Imago",
            "TableType": "EXTERNAL_TABLE",
            "Parameters": parameters,
            "PartitionKeys": [{"Name": "ds", "Type": "string"}],
            "StorageDescriptor": self._storage(),
        }

    def _storage(self) -> dict[str, Any]:
        columns = [{"Name": name, "Type": kind} for name, kind in self.columns]
        if self.reader == "redshift":
            return {
                "Columns": columns,
                "Location": f"{self.location}/{MANIFESTS}/",
                "InputFormat": _SYMLINKS,
                "OutputFormat": _NO_OUTPUT,
                "SerdeInfo": {"SerializationLibrary": _PARQUET, "Parameters": {"serialization.format": "1"}},
            }
        reads, writes, serde = _UNREAD
        place = f"{self.location}/"
        return {
            "Columns": columns,
            "Location": place,
            "InputFormat": reads,
            "OutputFormat": writes,
            "SerdeInfo": {
                "SerializationLibrary": serde,
                "Parameters": {"serialization.format": "1", "path": place},
            },
        }


def check_reader(name: str) -> Reader:
    """The name back, when it is that of a reader."""
    for reader in READERS:
        if name == reader:
            return reader
    raise ImagoError(
        f"{name!r} is not a reader",
        rule="readers of external tables",
        allowed=", ".join(READERS),
        seen=name,
        next_step="name one of them",
    )


def catalog_database(schema: str, model: str, reader: Reader) -> str:
    """The database that holds a model's tables for one reader.

    >>> catalog_database("imago_prod", "flight_delays", "redshift")
    'imago_prod_flight_delays_redshift'
    """
    return f"{schema}_{model}" + ("_redshift" if reader == "redshift" else "")


def _for_athena(table: ExternalTable) -> list[str]:
    # Athena refuses the statement when it names columns: it finds them in the table's log.
    read = "\n".join(f"--   {name} {kind}" for name, kind in (*table.columns, ("ds", "string, the partition")))
    return [
        f"create database if not exists `{table.database}`",
        f"-- Athena finds the columns in the table's own log:\n{read}\n"
        f"create external table `{table.database}`.`{table.name}`\n"
        f"location {_text(table.location + '/')}\n"
        "tblproperties ('table_type' = 'DELTA')",
    ]


def _for_redshift(table: ExternalTable, days: list[str]) -> list[str]:
    place, schema = f"{table.location}/{MANIFESTS}/", f"{table.schema}_{table.model}"
    name = f"{_name(schema)}.{_name(table.name)}"
    columns = ",\n".join(
        f"  {_name(one['name'])} {redshift_type(one['type'])}" for one in table.fields if one["name"] != "ds"
    )
    made = [
        f"create external schema if not exists {_name(schema)}\n"
        f"from data catalog database {_text(table.database)} region {_text(table.region)}\n"
        "iam_role default\ncreate external database if not exists",
        f"create external table {name} (\n{columns}\n)\n"
        'partitioned by ("ds" varchar(10))\n'
        f"row format serde {_text(_PARQUET)}\n"
        f"stored as inputformat {_text(_SYMLINKS)}\n"
        f"outputformat {_text(_NO_OUTPUT)}\n"
        f"location {_text(place)}",
    ]
    for start in range(0, len(days), PARTITIONS_AT_ONCE):
        added = "\n".join(
            f"partition (ds={_text(ds)}) location {_text(f'{place}ds={ds}/')}"
            for ds in days[start : start + PARTITIONS_AT_ONCE]
        )
        made.append(f"alter table {name} add if not exists\n{added}")
    return made


def _name(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
