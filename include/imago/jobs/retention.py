"""The job that removes what is kept no longer: old table versions, what failed attempts staged, old audit pages.

Of a table these stay, however old the rest is:

- every version of the last `keep_versions_days`;
- what a training pinned, until its pins are let go, and for good when a champion came of it (`training.pinning`);
- what a stored partition names as its input (`inputs.features.version` of a prediction), for `keep_inputs_days` after
  it was published. The newest version of an input stays anyway; this is for a day that was corrected after it was
  scored, and not scored again: `imago explain` rebuilds its predictions from the rows that were read then.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from imago.environments import Environment
from imago.names import TABLE_NAMES
from imago.specs import ModelSpec

if TYPE_CHECKING:
    from imago.storage import Storage
    from imago.tables.infos import PartitionInfo


def clean(env: Environment, models: Collection[ModelSpec], now: datetime, *, dry_run: bool = False) -> dict[str, Any]:
    """Removes what is older than the environment's `keep_..._days` at `now` (with time zone); returns what it was, and
    which versions were kept for whom. With `dry_run` nothing is touched, and what would go is returned.

    Safe to repeat, and to stop at any moment. The pins of trainings that nobody needs any more are let go last, so that
    their versions go the next time: a dry run tells the whole of what goes.
    """
    from imago.jobs import warehouse_tables
    from imago.storage import Storage
    from imago.tables import Table
    from imago.tables.vacuum import doomed, vacuum
    from imago.training.pinning import releasable, release_pins

    # Whoever follows a manifest must not be led to a file that goes.
    mended = {} if dry_run else warehouse_tables.mend(env, models)
    versions = timedelta(days=env.keep_versions_days)
    # Delta counts from this very moment.
    older_than = max(datetime.now(UTC) - (now - versions), timedelta(0))
    removed: dict[str, int] = {}
    freed = 0
    kept: dict[str, dict[str, list[int]]] = {}
    released: dict[str, list[str]] = {}
    for spec in models:
        named = named_inputs(env, spec, now)
        for name in TABLE_NAMES:
            table = Table(env, spec.name, name)
            gone = (doomed if dry_run else vacuum)(table, older_than=older_than, keep=named.get(name, {}))
            if gone:
                removed[f"{spec.name}/{name}"] = len(gone)
                freed += sum(gone.values())
            holders = _holders(table, named.get(name, {}))
            if holders:
                kept[f"{spec.name}/{name}"] = holders
        days = (releasable if dry_run else release_pins)(env, spec.name, older_than=older_than)
        if days:
            released[spec.name] = days
    storage = Storage(env)
    return {
        "vacuumed_files": removed,
        "freed_bytes": freed,
        "kept_versions": kept,
        "released_trainings": released,
        # staging/{model}/{attempt} and audits/{model}/{table}/{days and fence}
        "staged_attempts": _forget(storage, "staging", 3, now - timedelta(days=env.keep_staging_days), dry_run),
        "audit_pages": _forget(storage, "audits", 4, now - timedelta(days=env.keep_audits_days), dry_run),
        "mended_manifests": mended,
    }


def named_inputs(env: Environment, spec: ModelSpec, now: datetime) -> dict[str, dict[int, str]]:
    """The versions that stored partitions name as their inputs and that are not the newest ones of their day any more:
    for each table version and who named it (one of them)."""
    from imago.tables import Table

    stored = {name: {info.ds: info for info in Table(env, spec.name, name).partitions()} for name in TABLE_NAMES}
    return named(stored, now - timedelta(days=env.keep_inputs_days))


def named(stored: Mapping[str, Mapping[str, PartitionInfo]], since: datetime) -> dict[str, dict[int, str]]:
    """Pure: see `named_inputs`. `stored` is what stands behind each table's partitions, by day."""
    found: dict[str, dict[int, str]] = {}
    for name, partitions in stored.items():
        for ds, info in partitions.items():
            if datetime.fromisoformat(info.published_at) < since:
                continue
            for source in stored:
                said = info.inputs.get(source)
                version = said.get("version") if isinstance(said, Mapping) else None
                newest = stored[source].get(ds)
                if version is not None and (newest is None or newest.version != version):
                    found.setdefault(source, {})[int(version)] = f"{name} {ds}"
    return found


def _holders(table: Any, named: Mapping[int, str]) -> dict[str, list[int]]:
    """Who keeps which versions of a table."""
    from imago import ledger
    from imago.ledger import pins

    holders: dict[str, list[int]] = {}
    with ledger.connect(table.environment).connect() as connection:
        for pin in pins.held(connection, table.model):
            if pin["table_name"] == table.name:
                holders.setdefault(pin["reason"], []).append(pin["version"])
    for version, who in named.items():
        holders.setdefault(who, []).append(version)
    return {who: sorted(versions) for who, versions in sorted(holders.items())}


def _forget(storage: Storage, folder: str, depth: int, before: datetime, dry_run: bool) -> list[str]:
    """Removes the folders at this depth in which nothing changed since; returns them."""
    newest: dict[str, datetime] = {}
    for path, changed in storage.modified(folder).items():
        parts = path.split("/")
        if len(parts) >= depth:
            place = "/".join(parts[:depth])
            newest[place] = max(changed, newest.get(place, changed))
    old = sorted(place for place, changed in newest.items() if changed < before)
    for place in [] if dry_run else old:
        storage.delete(place)
    return old
