"""What was published, when, by which run and from what: one row for each partition of each publish."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, func, select
from sqlalchemy.dialects.postgresql import distinct_on

from imago.ledger.schema import fence_sequence, publications, table_drops


def draw_fence(connection: Connection) -> int:
    """The next fence: higher than every one drawn before it in this environment."""
    return connection.execute(select(fence_sequence.next_value())).scalar_one()


def record(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """Writes publication rows."""
    if rows:
        connection.execute(publications.insert(), rows)


def record_drop(connection: Connection, *, model: str, table: str, days: int, actor: str, forced: bool) -> int:
    """Writes down that a table is dropped; returns the fence below which nothing of it stands any more."""
    fence = draw_fence(connection)
    values = {"model": model, "table_name": table, "fence": fence, "days": days, "actor": actor, "forced": forced}
    connection.execute(table_drops.insert().values(**values))
    return fence


def standing() -> ColumnElement[bool]:
    """The condition of a query over `publications` that leaves out what was published of a table before its drop."""
    dropped = select(func.max(table_drops.c.fence)).where(
        table_drops.c.model == publications.c.model, table_drops.c.table_name == publications.c.table_name
    )
    return publications.c.fence > func.coalesce(dropped.scalar_subquery(), 0)


def latest(
    connection: Connection, model: str, table: str, days: Iterable[str] | None = None, *, until: int | None = None
) -> dict[str, RowMapping]:
    """The row that last changed each partition, by day; all days when none are named. `until`: as of this version.

    By fence, not by time: an attempt may be overtaken between its commit and its row.
    """
    query = _newest(publications, model=model, table=table).where(publications.c.changed)
    if days is not None:
        query = query.where(publications.c.ds.in_(list(days)))
    if until is not None:
        query = query.where(publications.c.version <= until)
    return {row["ds"]: row for row in connection.execute(query).mappings()}


def last_told(connection: Connection, model: str, table: str, days: Iterable[str]) -> dict[str, datetime]:
    """When each day was last published, whether that changed it or found it equal. By fence, as `latest`."""
    query = _newest(publications.c.ds, publications.c.published_at, model=model, table=table)
    return {row.ds: row.published_at for row in connection.execute(query.where(publications.c.ds.in_(list(days))))}


def _newest(*columns: Any, model: str, table: str) -> Select[Any]:
    """The row with the highest fence of each day, among those that further conditions leave."""
    return (
        select(*columns)
        .ext(distinct_on(publications.c.ds))
        .where(publications.c.model == model, publications.c.table_name == table, standing())
        .order_by(publications.c.ds, publications.c.fence.desc(), publications.c.id.desc())
    )


def highest_fences(connection: Connection, model: str, table: str, days: Iterable[str]) -> dict[str, int]:
    """The highest fence that published each day, whether it changed something or found it equal; a drop of the table
    is one, too: an attempt that began before it publishes nothing."""
    days = list(days)
    drops = select(func.max(table_drops.c.fence)).where(table_drops.c.model == model, table_drops.c.table_name == table)
    dropped: int | None = connection.execute(drops).scalar_one()
    query = (
        select(publications.c.ds, func.max(publications.c.fence))
        .where(publications.c.model == model, publications.c.table_name == table, publications.c.ds.in_(days))
        .group_by(publications.c.ds)
    )
    fences = {} if dropped is None else dict.fromkeys(days, dropped)
    return {**fences, **{row[0]: max(row[1], dropped or 0) for row in connection.execute(query)}}


def history(connection: Connection, model: str, table: str, ds: str) -> list[RowMapping]:
    """Every publish of one partition, oldest first."""
    query = (
        select(publications)
        .where(publications.c.model == model, publications.c.table_name == table, publications.c.ds == ds, standing())
        .order_by(publications.c.id)
    )
    return list(connection.execute(query).mappings())


def days_made_with(connection: Connection, model: str, version: str, *, since: datetime) -> list[str]:
    """The days whose stored predictions this model version made, if they were published after `since`."""
    found = latest(connection, model, "predictions")
    return [
        ds
        for ds, row in sorted(found.items())
        if row["inputs"].get("model_version") == version and row["published_at"] >= since
    ]
