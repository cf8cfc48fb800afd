"""The Delta log of a table: who holds a day, and the commit that exchanges days.

The files are written by us and committed as they are. A commit on a handle that went stale is refused by Delta: for the
same day always (its application transaction, and the removed file), for another day only where that commit removed
files, since a commit of ready files says nothing of what it read. The publish then opens the table again, judges again
and commits the same files: no lock, and some writer always gets through.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Field, Schema, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction

from imago.storage import Storage
from imago.tables.files import DataFile

PROVENANCE = "imago"
_CONFIGURATION = {
    # Every version stays readable: a checkpoint must not drop the log of versions that a training pinned.
    "delta.enableExpiredLogCleanup": "false",
    # To open a table reads the commits since its last checkpoint; with the usual 100 that is most of a small publish.
    "delta.checkpointInterval": "10",
}


def create(uri: str, schema: pa.Schema, options: dict[str, str]) -> DeltaTable:
    """The table, made when it is not there yet."""
    return DeltaTable.create(
        uri, schema=schema, mode="ignore", partition_by=["ds"], configuration=_CONFIGURATION, storage_options=options
    )


def fence_of(table: DeltaTable, name: str, ds: str) -> int | None:
    """The fence of the commit that last changed a day, None when it was never published."""
    return table.transaction_version(f"{name}/{ds}")


def holder(table: DeltaTable, ds: str, fence: int) -> str:
    """Who committed a day with this fence, in words."""
    for commit in table.history(200):
        provenance = json.loads(commit.get(PROVENANCE, "{}"))
        if provenance.get("fence") == fence and ds in provenance.get("days", {}):
            return f"run {provenance['run_id']} (attempt {provenance['attempt']})"
    return "another run"


def schema_of(table: DeltaTable) -> pa.Schema:
    """The table's columns, as Arrow knows them."""
    return pa.schema(table.schema().to_arrow())


def exchange(
    table: DeltaTable,
    name: str,
    days: Iterable[str],
    files: Iterable[DataFile],
    *,
    fence: int,
    provenance: dict[str, Any],
    columns: pa.Schema | None = None,
) -> None:
    """Makes `files` the whole content of `days` in one commit, and `columns` those of the table where they are given.
    Raises CommitFailedError. Its version is told by `version_of`: a handle does not know which commits came between."""
    days = list(days)
    schema = table.schema() if columns is None else Schema([Field.from_arrow(field) for field in columns])
    now = int(time.time() * 1000)
    table.create_write_transaction(
        [
            AddAction(
                path=file.path,
                size=file.size,
                partition_values={"ds": file.ds},
                modification_time=now,
                data_change=True,
                stats=json.dumps({"numRecords": file.rows}),
            )
            for file in files
        ],
        mode="overwrite",
        schema=schema,
        partition_by=["ds"],
        partition_filters=[("ds", "in", days)],
        commit_properties=CommitProperties(
            custom_metadata={PROVENANCE: json.dumps(provenance, sort_keys=True)},
            app_transactions=[Transaction(f"{name}/{ds}", fence) for ds in days],
            max_commit_retries=15,
        ),
    )


def version_of(storage: Storage, folder: str, provenance: dict[str, Any], *, after: int) -> int:
    """The version of the commit with this provenance, the first after `after` that carries it.

    Read from the log itself: to bring the handle up to date costs twenty times as much.
    """
    said, version = json.dumps(provenance, sort_keys=True), after + 1
    while True:
        log = storage.read_bytes(f"{folder}/_delta_log/{version:020d}.json").decode()
        if any(json.loads(line).get("commitInfo", {}).get(PROVENANCE) == said for line in log.splitlines()):
            return version
        version += 1


def is_conflict(error: Exception) -> bool:
    """Whether another writer came first."""
    text = str(error).lower()
    return isinstance(error, CommitFailedError) or "conflict" in text or "already exists" in text


def is_damage(error: Exception) -> bool:
    """Whether Delta read the log and could not make sense of it. A store that does not answer is an OSError."""
    text = str(error)
    return text.startswith("Kernel error: ") and "the specified end version" not in text
