"""Imago's tables as Athena and Redshift find them: the SQL, the entries of the Glue catalog, and what keeps them true.

Athena needs its entry once. Redshift needs its own, a manifest for each day and a partition for each day; where the
environment asks for it (`redshift_manifests`), every publish sees to those of its days, and `mend` to all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from imago.environments import Environment
from imago.errors import SettingsError
from imago.names import TABLE_NAMES
from imago.specs import ModelSpec

if TYPE_CHECKING:
    from imago.catalog.external import Reader
    from imago.tables import Table

ALL = "all"


def definitions(env: Environment, spec: ModelSpec, name: str, reader: Reader) -> list[dict[str, Any]]:
    """What a reader has to be told of the table `name` (or of `all` that are published): the SQL statements and the
    entry of the Glue catalog. Nothing is changed. Raises MissingPartition for a table that is not published yet."""
    from imago.tables import manifests

    told = []
    for table in _tables(env, spec, name):
        external = manifests.external(table, reader)
        told.append(
            {
                "table": table.name,
                "database": external.database,
                "statements": external.statements(manifests.live_days(table) if reader == "redshift" else ()),
                "entry": external.entry(),
            }
        )
    return told


def apply(env: Environment, spec: ModelSpec, name: str, reader: Reader, client: Any = None) -> list[dict[str, Any]]:
    """Makes the entries of the table `name` (or of `all` that are published) in the Glue catalog, or brings them up to
    date, and says what was done. For Redshift the manifests first, then the partitions of all days. Safe to repeat.

    Raises ImagoError for an entry that is not ours, SettingsError where Redshift's manifests are not kept.
    """
    from imago import aws
    from imago.catalog import glue
    from imago.tables import manifests

    _check(env, reader)
    client = client or aws.client(env, "glue")
    told = []
    for table in _tables(env, spec, name):
        written = manifests.refresh(table) if reader == "redshift" else ()
        external = manifests.external(table, reader)
        done = glue.apply(client, external, partial(manifests.live_days, table))
        told.append(
            {"table": table.name, "database": external.database, **asdict(done), "manifests_written": list(written)}
        )
    return told


def mend(env: Environment, models: Iterable[ModelSpec]) -> dict[str, list[str]]:
    """Brings every manifest and partition up to date, for attempts that were killed right after their commit; the days
    that had to be mended, by table. Nothing to do where the environment keeps no manifests."""
    from imago.tables import Table, manifests

    if not env.redshift_manifests:
        return {}
    mended: dict[str, list[str]] = {}
    for spec in models:
        for name in TABLE_NAMES:
            table = Table(env, spec.name, name)
            days = manifests.mend(table) if table.open() is not None else ()
            if days:
                mended[f"{spec.name}/{name}"] = list(days)
    return mended


def _tables(env: Environment, spec: ModelSpec, name: str) -> list[Table]:
    from imago.tables import Table

    if name != ALL:
        return [Table(env, spec.name, name)]
    tables = [Table(env, spec.name, one) for one in TABLE_NAMES]
    return [table for table in tables if table.open() is not None]


def _check(env: Environment, reader: Reader) -> None:
    variable = f"IMAGO_{env.name.upper()}_"
    if not env.on_s3:
        raise SettingsError(
            "Athena and Redshift read S3 only",
            environment=env.name,
            rule="external tables lie on S3",
            seen=env.storage_root,
            next_step=f"set {variable}STORAGE_ROOT to s3://bucket/prefix",
        )
    if reader == "redshift" and not env.redshift_manifests:
        raise SettingsError(
            "Redshift would be told of files that nobody keeps up to date",
            environment=env.name,
            rule="Redshift reads manifests, which each publish has to write",
            next_step=f"set {variable}REDSHIFT_MANIFESTS=true wherever this environment's tables are published, "
            "then run it again",
        )
