"""The entries of the Glue Data Catalog, which Athena and Redshift read: made, brought up to date, never dropped.

An entry is ours when it carries our mark; any other is left alone, and said so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from botocore.exceptions import ClientError

from imago.aws import code_of
from imago.catalog.external import MARK, ExternalTable
from imago.errors import ImagoError

log = logging.getLogger(__name__)

_ROUNDS = 5
_AT_ONCE = 25  # what Glue deletes with one request; it would add 100


@dataclass(frozen=True)
class Applied:
    """What was done to an entry: `changes` says in words how it differed before; `days_added` and `days_removed` are
    the partitions that Redshift had not known, or knew for nothing."""

    state: Literal["created", "updated", "unchanged"]
    changes: tuple[str, ...] = ()
    days_added: tuple[str, ...] = ()
    days_removed: tuple[str, ...] = ()


def apply(client: Any, table: ExternalTable, days: Callable[[], Collection[str]]) -> Applied:
    """Makes the entry, or brings it up to date; for Redshift also the partitions, so that they are those of `days`.

    Safe to repeat, and beside others that do the same. `days` is asked after the partitions are read, so that a day
    which is published meanwhile is not taken for one that went. Raises ImagoError for an entry that is not ours.
    """
    _make_database(client, table)
    for _ in range(_ROUNDS):
        try:
            done = _apply_entry(client, table)
            if table.reader == "redshift":
                storage = table.entry()["StorageDescriptor"]
                added, removed = _settle(client, table.database, table.name, storage, days)
                done = replace(done, days_added=added, days_removed=removed)
            return done
        except ClientError as error:
            # Somebody else made or changed it this moment: look again at what stands now.
            if code_of(error) not in ("AlreadyExistsException", "ConcurrentModificationException"):
                raise
    raise ImagoError(
        f"{table.database}.{table.name} was changed by others again and again",
        environment=table.environment,
        model=table.model,
        table=table.name,
        next_step="find out who else writes this entry of the Glue catalog, then run it again",
    )


def follow(client: Any, table: ExternalTable) -> tuple[str, ...]:
    """Gives our entry the columns that the table has by now; says in words what changed. No entry, or somebody else's,
    is left alone: nobody asked for one (`imago ddl --apply` makes it)."""
    for _ in range(_ROUNDS):
        if _ours(client, table.database, table.name, table.mark) is None:
            return ()
        try:
            return _apply_entry(client, table).changes
        except ClientError as error:
            if code_of(error) != "ConcurrentModificationException":
                raise
    return ()


def register_days(
    client: Any, *, database: str, name: str, mark: str, present: Iterable[str], gone: Iterable[str]
) -> bool:
    """Tells Redshift's entry of days that were published, and of days that have no rows any more. False when there is
    no entry of ours: nobody asked for one (`imago ddl --apply` makes it)."""
    storage = _ours(client, database, name, mark)
    if storage is None:
        return False
    _add(client, database, name, [_partition(storage, ds) for ds in present])
    _remove(client, database, name, gone)
    return True


def settle_days(
    client: Any, *, database: str, name: str, mark: str, days: Callable[[], Collection[str]]
) -> tuple[str, ...]:
    """Makes the partitions of our entry those of `days`, as `apply` does; the days that had to be added or removed."""
    storage = _ours(client, database, name, mark)
    if storage is None:
        return ()
    added, removed = _settle(client, database, name, storage, days)
    return tuple(sorted({*added, *removed}))


def differences(held: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[str, ...]:
    """In words, how an entry differs from the one that is wanted."""
    found: list[str] = []
    seen, asked = held.get("StorageDescriptor", {}), wanted["StorageDescriptor"]
    before = {one["Name"]: one.get("Type") for one in seen.get("Columns", [])}
    after = {one["Name"]: one["Type"] for one in asked["Columns"]}
    found += [f"column {name} was {kind} and is gone" for name, kind in before.items() if name not in after]
    found += [f"column {name} is new: {kind}" for name, kind in after.items() if name not in before]
    found += [
        f"column {name} was {before[name]} and is {kind}"
        for name, kind in after.items()
        if name in before and before[name] != kind
    ]
    if not found and list(before) != list(after):
        found.append("the columns stand in another order")
    for key in ("Location", "InputFormat", "OutputFormat"):
        if seen.get(key) != asked[key]:
            found.append(f"{key} was {seen.get(key)} and is {asked[key]}")
    if not _holds(seen.get("SerdeInfo", {}), asked["SerdeInfo"]):
        found.append("its SerDe is another one")
    if not _holds(held.get("Parameters", {}), wanted["Parameters"]):
        found.append("its parameters are others")
    if [one["Name"] for one in held.get("PartitionKeys", [])] != [one["Name"] for one in wanted["PartitionKeys"]]:
        found.append("it is partitioned by other columns")
    return tuple(found)


def partitions_of(client: Any, database: str, name: str) -> dict[str, dict[str, Any]]:
    """The partitions of an entry, by day."""
    pages = client.get_paginator("get_partitions").paginate(DatabaseName=database, TableName=name)
    return {one["Values"][0]: one for page in pages for one in page["Partitions"]}


def _holds(seen: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether everything that is wanted is there; what engines add of their own does not matter."""
    return all(
        _holds(seen.get(key, {}), value) if isinstance(value, Mapping) else seen.get(key) == value
        for key, value in wanted.items()
    )


def _apply_entry(client: Any, table: ExternalTable) -> Applied:
    held, wanted = _held(client, table.database, table.name), table.entry()
    if held is None:
        client.create_table(DatabaseName=table.database, TableInput=wanted)
        return Applied("created")
    _check_ours(held, table)
    changes = differences(held, wanted)
    if not changes:
        return Applied("unchanged")
    # Only in the place of the version that was looked at.
    seen = {"VersionId": held["VersionId"]} if held.get("VersionId") else {}
    client.update_table(DatabaseName=table.database, TableInput=wanted, **seen)
    return Applied("updated", changes)


def _make_database(client: Any, table: ExternalTable) -> None:
    try:
        client.create_database(
            DatabaseInput={
                "Name": table.database,
                "Description": f"Tables of {table.model} in {table.environment}, for {table.reader}",
            }
        )
    except ClientError as error:
        if code_of(error) != "AlreadyExistsException":
            raise


def _held(client: Any, database: str, name: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = client.get_table(DatabaseName=database, Name=name)["Table"]
    except ClientError as error:
        if code_of(error) != "EntityNotFoundException":
            raise
        return None
    return found


def _check_ours(held: Mapping[str, Any], table: ExternalTable) -> None:
    mark = held.get("Parameters", {}).get(MARK)
    if mark != table.mark:
        raise ImagoError(
            f"{table.database}.{table.name} is there already, and is not of this table's making",
            environment=table.environment,
            model=table.model,
            table=table.name,
            rule="nobody else's entry is changed",
            allowed=f"the parameter {MARK} = {table.mark}",
            seen=f"{mark or 'no such parameter'}, location {held.get('StorageDescriptor', {}).get('Location')}",
            next_step="drop it yourself if it is not needed (the data stays), or choose another name with "
            f"IMAGO_{table.environment.upper()}_GLUE_DATABASE",
        )


def _ours(client: Any, database: str, name: str, mark: str) -> dict[str, Any] | None:
    """How the files of our entry are read; None where there is no entry of ours."""
    held = _held(client, database, name)
    if held is None or held.get("Parameters", {}).get(MARK) != mark:
        log.info("%s.%s is not an entry of ours: its partitions are left alone", database, name)
        return None
    storage: dict[str, Any] = held["StorageDescriptor"]
    return storage


def _partition(storage: Mapping[str, Any], ds: str) -> dict[str, Any]:
    return {"Values": [ds], "StorageDescriptor": {**storage, "Location": f"{storage['Location']}ds={ds}/"}}


def _settle(
    client: Any, database: str, name: str, storage: Mapping[str, Any], days: Callable[[], Collection[str]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    known = partitions_of(client, database, name)
    wanted = {ds: _partition(storage, ds) for ds in sorted(days())}
    for ds in sorted(known.keys() & wanted.keys()):
        if not _holds(known[ds].get("StorageDescriptor", {}), wanted[ds]["StorageDescriptor"]):
            client.update_partition(
                DatabaseName=database, TableName=name, PartitionValueList=[ds], PartitionInput=wanted[ds]
            )
    added = tuple(ds for ds in wanted if ds not in known)
    removed = tuple(sorted(set(known) - set(wanted)))
    _add(client, database, name, [wanted[ds] for ds in added])
    _remove(client, database, name, removed)
    return added, removed


def _add(client: Any, database: str, name: str, partitions: list[dict[str, Any]]) -> None:
    for some in _portions(partitions):
        told = client.batch_create_partition(DatabaseName=database, TableName=name, PartitionInputList=some)
        _check_told(told, "AlreadyExistsException", database, name)


def _remove(client: Any, database: str, name: str, days: Iterable[str]) -> None:
    for some in _portions([{"Values": [ds]} for ds in days]):
        told = client.batch_delete_partition(DatabaseName=database, TableName=name, PartitionsToDelete=some)
        _check_told(told, "EntityNotFoundException", database, name)


def _portions(things: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(things), _AT_ONCE):
        yield things[start : start + _AT_ONCE]


def _check_told(told: Mapping[str, Any], harmless: str, database: str, name: str) -> None:
    wrong = [one for one in told.get("Errors", []) if one.get("ErrorDetail", {}).get("ErrorCode") != harmless]
    if wrong:
        detail = wrong[0].get("ErrorDetail", {})
        raise ImagoError(
            f"Glue refused a partition of {database}.{name}: {detail.get('ErrorMessage') or detail.get('ErrorCode')}",
            partition=str(wrong[0].get("PartitionValues")),
            next_step="mend what Glue names (usually a permission), then run it again",
        )
