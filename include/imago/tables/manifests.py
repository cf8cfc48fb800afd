"""The manifests by which Redshift Spectrum reads a table: for each day one file that names the day's live files.

    tables/{model}/{table}/_symlink_format_manifest/ds=2013-10-01/manifest

`DeltaTable.generate()` writes them too, but leaves that of a day without rows as it was, and lets whoever writes last
win, also with what an older version held. Here a manifest is written only if it is still the one that was read before
the table was looked at (a conditional request). So each manifest that comes to stand was made from the table as it was
after the one before it, and an attempt that slept cannot put an older version back. Whoever published looks once more
at the end, so the last commit's files are what remains. An attempt that dies in between is made up for by its retry, by
the next publish of that day, and every night (`imago.jobs.retention`).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from imago import aws
from imago.catalog import glue
from imago.catalog.external import MANIFESTS, ExternalTable, Reader, catalog_database
from imago.environments import Environment
from imago.errors import ImagoError
from imago.tables import files

if TYPE_CHECKING:
    from imago.tables.delta import Table

# Each lost round means that another publisher of the same day got through.
_ROUNDS = 30
_THREADS = 8
_CAME_FIRST = ("PreconditionFailed", "ConditionalRequestConflict")
_MISSING = ("NoSuchKey", "404")


@dataclass(frozen=True)
class _Manifest:
    etag: str
    text: str


def after_publish(table: Table, days: Iterable[str]) -> None:
    """What an environment with `redshift_manifests` does after each publish, also one that found its rows equal: a
    killed attempt may have come no further than its commit."""
    days = tuple(days)
    refresh(table, days)
    if table.environment.glue_database:
        _register(table, days)


def mend(table: Table) -> tuple[str, ...]:
    """Brings all manifests and partitions up to date; the days that some attempt had left behind."""
    left = set(refresh(table))
    if table.environment.glue_database:
        client = aws.client(table.environment, "glue")
        left |= set(glue.settle_days(client, **_entry(table), days=lambda: live_days(table)))
    return tuple(sorted(left))


def refresh(table: Table, days: Iterable[str] | None = None) -> tuple[str, ...]:
    """Brings the manifests of these days (all when None) up to date; returns those that had to be changed."""
    client = _s3(table.environment)
    waiting = set(days) if days is not None else {*live_days(table), *_known(client, table)}
    changed: set[str] = set()
    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in range(_ROUNDS):
            order = sorted(waiting)
            # First what stands, then the table: see the module.
            held = list(pool.map(functools.partial(_read, client, table), order))
            wanted = _wanted(table, order)
            stale = [
                (ds, stands, wanted.get(ds))
                for ds, stands in zip(order, held, strict=True)
                if (stands.text if stands else None) != wanted.get(ds)
            ]
            done = list(pool.map(lambda one: (one[0], _exchange(client, table, *one)), stale))
            changed |= {ds for ds, won in done if won}
            waiting = {ds for ds, won in done if not won}
            if not waiting:
                return tuple(sorted(changed))
    raise ImagoError(
        "a manifest was changed by others again and again",
        **table.where,  # type: ignore[arg-type]
        partition=min(waiting),
        next_step="find out who else publishes this day without an end, then run it again",
    )


def live_days(table: Table) -> tuple[str, ...]:
    """The days that have rows."""
    handle = table.open()
    return () if handle is None else tuple(sorted({files.day_of(uri) for uri in table.live(handle, None)}))


def listed(table: Table, ds: str) -> list[str]:
    """The files that a day's manifest names, as a reader that follows it finds them; empty without a manifest."""
    held = _read(_s3(table.environment), table, ds)
    return held.text.split() if held else []


def external(table: Table, reader: Reader) -> ExternalTable:
    """The table as `athena` or `redshift` is told of it, with the columns of its log. Raises MissingPartition before
    the first publish."""
    settings, handle = table.environment, table.require_open()
    return ExternalTable(
        reader=reader,
        environment=settings.name,
        model=table.model,
        name=table.name,
        location=table.uri,
        fields=tuple(json.loads(handle.schema().to_json())["fields"]),
        schema=settings.glue_database or f"imago_{settings.name}",
        region=settings.s3_region,
    )


@functools.lru_cache(maxsize=8)
def _s3(env: Environment) -> Any:
    # To make a client costs more than all its requests for one day.
    return aws.client(env, "s3")


def _entry(table: Table) -> dict[str, str]:
    settings = table.environment
    assert settings.glue_database is not None
    return {
        "database": catalog_database(settings.glue_database, table.model, "redshift"),
        "name": table.name,
        "mark": f"{settings.name}/{table.model}/{table.name}",
    }


def _register(table: Table, days: tuple[str, ...]) -> None:
    client = aws.client(table.environment, "glue")
    readers: tuple[Reader, ...] = ("athena", "redshift")
    for reader in readers:
        glue.follow(client, external(table, reader))
    present = set(_wanted(table, days))
    gone = set(days) - present
    glue.register_days(client, **_entry(table), present=sorted(present), gone=sorted(gone))
    back = set(_wanted(table, gone)) if gone else set()
    if back:  # published anew while its partition was taken away
        glue.register_days(client, **_entry(table), present=sorted(back), gone=())


def _wanted(table: Table, days: Iterable[str]) -> dict[str, str]:
    """What the manifest of each day has to say; a day without rows has none."""
    handle, days = table.open(), list(days)
    found: dict[str, list[str]] = {}
    for uri in table.live(handle, days) if handle is not None and days else []:
        found.setdefault(files.day_of(uri), []).append(uri)
    return {ds: "".join(f"{uri}\n" for uri in uris) for ds, uris in found.items()}


def _place(table: Table, ds: str | None = None) -> dict[str, str]:
    bucket, _, key = table.storage.path(f"{table.relative}/{MANIFESTS}").partition("/")
    return {"Bucket": bucket, **({"Key": f"{key}/ds={ds}/manifest"} if ds else {"Prefix": f"{key}/"})}


def _known(client: Any, table: Table) -> set[str]:
    pages = client.get_paginator("list_objects_v2").paginate(**_place(table))
    keys = [one["Key"] for page in pages for one in page.get("Contents", [])]
    return {files.day_of(key) for key in keys if key.endswith("/manifest")}


def _read(client: Any, table: Table, ds: str) -> _Manifest | None:
    try:
        answer = client.get_object(**_place(table, ds))
    except ClientError as error:
        if aws.code_of(error) not in _MISSING:
            raise
        return None
    return _Manifest(answer["ETag"], answer["Body"].read().decode())


def _exchange(client: Any, table: Table, ds: str, held: _Manifest | None, wanted: str | None) -> bool:
    """Puts `wanted` in the place of `held`; False when something else stands there by now."""
    condition = {"IfMatch": held.etag} if held else {"IfNoneMatch": "*"}
    try:
        if wanted is not None:
            client.put_object(**_place(table, ds), Body=wanted.encode(), ContentType="text/plain", **condition)
        else:
            client.delete_object(**_place(table, ds), **condition)
    except ClientError as error:
        # Taken away meanwhile counts as changed too.
        if aws.code_of(error) not in (*_CAME_FIRST, *_MISSING):
            raise
        return False
    return True
