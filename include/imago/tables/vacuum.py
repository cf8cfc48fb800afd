"""What a table needs no longer: the files of old versions that nobody holds, and what killed attempts left."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from imago import ledger
from imago.ledger import pins

if TYPE_CHECKING:
    from imago.tables.delta import Table


def doomed(table: Table, *, older_than: timedelta, keep: Collection[int] = ()) -> dict[str, int]:
    """The files that a vacuum would remove now, and how large they are: path below the storage root, bytes.

    Kept is what the versions of the last `older_than` need, every pinned version, and the versions in `keep`.
    """
    handle = table.open()
    if handle is None:
        return {}
    found = handle.vacuum(dry_run=True, **_rule(table, older_than, keep))
    paths = sorted(table.inside(name) for name in found)
    # Delta names what it removed before again and again.
    return {path: size for path, size in table.storage.sizes(paths).items() if size is not None}


def vacuum(table: Table, *, older_than: timedelta, keep: Collection[int] = ()) -> dict[str, int]:
    """Removes what `doomed` names, and returns it. What is removed can no longer be read at its old version."""
    gone = doomed(table, older_than=older_than, keep=keep)
    if gone:  # each run makes two commits
        table.require_open().vacuum(dry_run=False, **_rule(table, older_than, keep))
    return gone


def _rule(table: Table, older_than: timedelta, keep: Collection[int]) -> dict[str, Any]:
    with ledger.connect(table.environment).connect() as connection:
        pinned = pins.pinned_versions(connection, table.model, table.name)
    newest = table.version() or 0  # a version of before the table was dropped is no version of it
    return {
        "retention_hours": int(older_than.total_seconds() // 3600),
        "enforce_retention_duration": False,
        "full": True,
        "keep_versions": sorted(version for version in {*pinned, *keep} if version <= newest),
    }
