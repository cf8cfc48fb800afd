"""What has changed since a day was published: which raw files touch it now, and why each of its versions was made.

A publication remembers the raw files of its day by size and time of writing. A listing that says otherwise touches the
day; whether its content differs is found out by building it again, since equal content makes no new version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeGuard

from deltalake.exceptions import DeltaError
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on

from imago import ledger
from imago.contracts import Raw
from imago.days import midnight
from imago.dbt import contract_of
from imago.environments import Environment
from imago.errors import DamagedPartition
from imago.features.deliveries import delivered_at
from imago.features.raw import Seen, day_of, file_days, listing, of_days
from imago.ledger import publications as publishing
from imago.ledger.schema import publications
from imago.specs import ModelSpec
from imago.storage import CHECKSUM, Storage
from imago.tables import Table

# What else a publication says of its inputs, and how a difference reads.
_INPUTS = {
    "contract": "the contract changed",
    "dbt_project": "the dbt project changed",
    "model_version": "the champion changed",
    "reference": "the champion's reference changed",
    "decision_threshold": "the decision threshold changed",
    "features": "the day's features changed",
    "predictions": "the day's predictions changed",
    "outcomes": "the day's outcomes changed",
    "profiles": "the profiles of its window changed",
}
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Change:
    """What touches a published day: the reasons in words, and a fingerprint of its raw files and their checksums."""

    reasons: tuple[str, ...]
    fingerprint: str


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of a partition, and why it was made. `is_readable` says that its files are still there."""

    version: int
    rows: int
    digest: str
    published_at: str
    run_id: str
    mode: str
    code_commit: str
    why: tuple[str, ...]
    is_readable: bool


def touched(env: Environment, spec: ModelSpec, table: Literal["features", "outcomes"]) -> dict[str, tuple[str, ...]]:
    """The published days whose raw files differ from those of their newest publication, with the reasons in words."""
    return {ds: change.reasons for ds, change in changes(env, spec, table).items()}


def changes(env: Environment, spec: ModelSpec, table: Literal["features", "outcomes"]) -> dict[str, Change]:
    """The same with fingerprints, from one listing for each raw kind and one query.

    The features of D hold what was known at 00:00 of D, so what was delivered after that does not touch them. Days
    that were published without a memory of their raw files are left out.
    """
    contract = contract_of(spec.feature_model if table == "features" else spec.outcome_model, env.dbt_target)
    storage = Storage(env)
    found = {raw.kind: listing(storage, raw.kind) for raw in contract.raw}
    checksums = {raw.kind: listing(storage, raw.kind, ending=CHECKSUM) for raw in contract.raw}
    touching = {}
    for ds, (remembered, built_under) in _remembered(env, spec.name, table).items():
        known_by = midnight(ds, spec.timezone) if table == "features" else None
        reasons: list[str] = []
        files: dict[str, Seen] = {}
        for raw in contract.raw:
            then = remembered.get(raw.kind)
            if not is_memory(then):
                continue
            days = _days_of_both(raw, ds, then, same_window=built_under == contract.digest)
            kept = {name: seen for name, seen in then.items() if days is None or day_of(name) in days}
            now = of_days(found[raw.kind], days)
            reasons += differences(kept, now, known_by=known_by)
            files |= {raw.kind: now, raw.kind + CHECKSUM: of_days(checksums[raw.kind], days)}
        if reasons:
            told = json.dumps(files, sort_keys=True).encode()
            touching[ds] = Change(reasons=tuple(reasons), fingerprint=hashlib.sha256(told).hexdigest())
    return touching


def differences(then: Seen, now: Seen, *, known_by: datetime | None) -> tuple[str, ...]:
    """Which files came, changed or went, in words; those that were delivered after `known_by` (UTC) are left out.

    >>> differences({"planes/a.parquet": [1]}, {"planes/a.parquet": [2], "planes/b.parquet": [1]}, known_by=None)
    ('raw/planes/a.parquet changed', 'raw/planes/b.parquet came')
    """
    told = []
    for name in sorted({*then, *now}):
        moment = delivered_at(name)
        if then.get(name) == now.get(name) or (known_by and moment and moment > known_by):
            continue
        told.append(f"raw/{name} " + ("came" if name not in then else "went" if name not in now else "changed"))
    return tuple(told)


def reasons(row: Mapping[str, Any], before: Mapping[str, Any] | None, *, known_by: datetime | None) -> tuple[str, ...]:
    """Why a publish could make another version than the one before it: all that differs between what the two were made
    of. Both are rows of the ledger (`inputs`, `code_commit`)."""
    if before is None:
        return ("first build",)
    then, now = before["inputs"], row["inputs"]
    told: list[str] = []
    for kind, seen in (now.get("raw") or {}).items():
        earlier = (then.get("raw") or {}).get(kind)
        if is_memory(seen) and is_memory(earlier):
            told += differences(earlier, seen, known_by=known_by)
    if len(told) > _SHOWN:
        told = [*told[:_SHOWN], f"and {len(told) - _SHOWN} more raw files"]
    for name, words in _INPUTS.items():
        if name in then and name in now and _identity(then[name]) != _identity(now[name]):
            versions = f": version {then[name]} to {now[name]}" if name == "model_version" else ""
            told.append(words + versions)
    if row["code_commit"] != before["code_commit"]:
        told.append(f"the code changed: {before['code_commit'][:12]} to {row['code_commit'][:12]}")
    return tuple(told) or ("nothing that was written down differs: compare the two runs",)


def versions(env: Environment, spec: ModelSpec, name: str, ds: str) -> list[Version]:
    """Every version of one partition, newest first."""
    table = Table(env, spec.name, name)
    with ledger.connect(env).connect() as connection:
        rows = [dict(row) for row in publishing.history(connection, spec.name, name, ds)]
    # By fence: an attempt may be overtaken between its commit and its row.
    rows.sort(key=lambda row: (row["fence"], row["id"]))
    known_by = midnight(ds, spec.timezone) if name == "features" else None
    told = [
        Version(
            **{part: row[part] for part in ("version", "rows", "digest", "run_id", "mode", "code_commit")},
            published_at=row["published_at"].isoformat(),
            why=reasons(row, before, known_by=known_by),
            is_readable=_is_readable(table, ds, row["version"]),
        )
        for before, row in zip([None, *rows], rows, strict=False)
        if row["changed"]
    ]
    return told[::-1]


def version_counts(env: Environment, model: str, table: str) -> dict[str, int]:
    """How many versions each published day has."""
    query = (
        select(publications.c.ds, func.count())
        .where(publications.c.model == model, publications.c.table_name == table, publications.c.changed)
        .where(publishing.standing())
        .group_by(publications.c.ds)
    )
    with ledger.connect(env).connect() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


def is_memory(seen: Any) -> TypeGuard[Seen]:
    """Whether a publication remembers the single files of a kind; old ones hold only their number and digest."""
    return isinstance(seen, dict) and all(isinstance(value, list) for value in seen.values())


def _remembered(env: Environment, model: str, table: str) -> dict[str, tuple[dict[str, Any], Any]]:
    """Of the newest publish of each day, whether or not it changed anything: its raw files, its contract's digest."""
    query = (
        select(publications.c.ds, publications.c.inputs["raw"], publications.c.inputs["contract"])
        .ext(distinct_on(publications.c.ds))
        .where(publications.c.model == model, publications.c.table_name == table, publishing.standing())
        .order_by(publications.c.ds, publications.c.fence.desc(), publications.c.id.desc())
    )
    with ledger.connect(env).connect() as connection:
        return {row[0]: (row[1], row[2]) for row in connection.execute(query) if isinstance(row[1], dict)}


def _days_of_both(raw: Raw, ds: str, then: Seen, *, same_window: bool) -> frozenset[str] | None:
    """The days of files that the contract asks for now and asked for then: another window is not another delivery.
    Under the same contract a file that is older than all of then is a delivery, too: history that came late."""
    days: Iterable[str] | None = file_days(raw, ds, ds)
    if days is None:
        return None
    if same_window:
        return frozenset(days)
    known = sorted(filter(None, map(day_of, then)))
    return frozenset(day for day in days if known and known[0] <= day <= known[-1])


def _identity(value: Any) -> Any:
    """What makes an input the same: its digest where it has one; a table's number moves with every other day."""
    return value["digest"] if isinstance(value, dict) and "digest" in value else value


def _is_readable(table: Table, ds: str, version: int) -> bool:
    try:
        files = table.files([ds], version=version)
    except (DeltaError, DamagedPartition):
        return False
    return all(table.storage.exists(table.storage.relative(uri)) for uri in files)
