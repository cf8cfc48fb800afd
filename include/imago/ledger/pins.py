"""Versions of tables that a vacuum may not take away, and who asked for it.

    pins.pin(connection, model="flight_delays", table="features", version=7, run_id=..., reason="training 2013-10-01")
    pins.release(connection, model="flight_delays", reason="training 2013-10-01")

A pin is never erased: its release is written beside it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, RowMapping, func, select

from imago.ledger.schema import pins


def pin(connection: Connection, *, model: str, table: str, version: int, run_id: str, reason: str) -> int:
    """Keeps one version until its release; the pin's id. The same version held for the same reason stays one pin."""
    held = select(pins.c.id).where(
        pins.c.model == model,
        pins.c.table_name == table,
        pins.c.version == version,
        pins.c.reason == reason,
        pins.c.released_at.is_(None),
    )
    found = connection.execute(held.limit(1)).scalar_one_or_none()
    if found is not None:
        return int(found)
    values: dict[str, Any] = {
        "model": model,
        "table_name": table,
        "version": version,
        "run_id": run_id,
        "reason": reason,
    }
    return int(connection.execute(pins.insert().values(**values).returning(pins.c.id)).scalar_one())


def release(connection: Connection, *, model: str, reason: str) -> int:
    """Lets go of everything that was pinned for this reason; how many pins it were."""
    let_go = (
        pins.update()
        .where(pins.c.model == model, pins.c.reason == reason, pins.c.released_at.is_(None))
        .values(released_at=func.clock_timestamp())
    )
    return connection.execute(let_go).rowcount


def release_table(connection: Connection, model: str, table: str) -> int:
    """Lets go of every version of a table, which is dropped; how many pins it were."""
    let_go = (
        pins.update()
        .where(pins.c.model == model, pins.c.table_name == table, pins.c.released_at.is_(None))
        .values(released_at=func.clock_timestamp())
    )
    return connection.execute(let_go).rowcount


def pinned_versions(connection: Connection, model: str, table: str) -> list[int]:
    """The versions of a table that somebody holds, in order."""
    query = (
        select(pins.c.version)
        .where(pins.c.model == model, pins.c.table_name == table, pins.c.released_at.is_(None))
        .distinct()
        .order_by(pins.c.version)
    )
    return list(connection.execute(query).scalars())


def held(connection: Connection, model: str) -> list[RowMapping]:
    """The pins of a model that stand, oldest first: what keeps files from a vacuum, and why."""
    query = select(pins).where(pins.c.model == model, pins.c.released_at.is_(None)).order_by(pins.c.id)
    return list(connection.execute(query).mappings())
