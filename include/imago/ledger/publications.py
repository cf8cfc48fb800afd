"""What was published, when, by which run and from what: one row for each partition of each publish."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, RowMapping, select
from sqlalchemy.dialects.postgresql import distinct_on

from imago.ledger.schema import fence_sequence, publications


def draw_fence(connection: Connection) -> int:
    """The next fence: higher than every one drawn before it in this environment."""
    return connection.execute(select(fence_sequence.next_value())).scalar_one()


def record(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """Writes publication rows."""
    if rows:
        connection.execute(publications.insert(), rows)


def latest(connection: Connection, model: str, table: str, days: Iterable[str] | None = None) -> dict[str, RowMapping]:
    """The newest row that changed each partition, by day; all days when none are named."""
    query = (
        select(publications)
        .ext(distinct_on(publications.c.ds))
        .where(publications.c.model == model, publications.c.table_name == table, publications.c.changed)
        .order_by(publications.c.ds, publications.c.id.desc())
    )
    if days is not None:
        query = query.where(publications.c.ds.in_(list(days)))
    return {row["ds"]: row for row in connection.execute(query).mappings()}


def history(connection: Connection, model: str, table: str, ds: str) -> list[RowMapping]:
    """Every publish of one partition, oldest first."""
    query = (
        select(publications)
        .where(publications.c.model == model, publications.c.table_name == table, publications.c.ds == ds)
        .order_by(publications.c.id)
    )
    return list(connection.execute(query).mappings())
