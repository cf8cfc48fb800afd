"""The online table: the answers of the endpoint, one row a key, exchanged as a whole in one transaction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, create_engine, func, select, text
from sqlalchemy.dialects.postgresql import insert

from imago.environments import Environment
from imago.ledger.engine import connect
from imago.ledger.schema import online_requests, online_scores, online_state
from imago.texts import to_json


def pooled(environment: Environment, *, size: int = 4) -> Engine:
    """An engine for a process that lives long: connections are kept, and mended when the server went away."""
    connect(environment)  # checks that the schema belongs to this environment
    return create_engine(
        environment.ledger_url.get_secret_value(),
        json_serializer=to_json,
        pool_size=size,
        max_overflow=size,
        pool_pre_ping=True,
        connect_args={"options": f"-csearch_path={environment.ledger_schema}"},
    )


def lock(connection: Connection, model: str) -> None:
    """One swap of a model at a time, until the transaction ends. The schema's name keeps environments apart."""
    connection.execute(
        text("select pg_advisory_xact_lock(hashtextextended(current_schema() || ':online:' || :model, 0))"),
        {"model": model},
    )


def state(connection: Connection, model: str) -> RowMapping | None:
    """What the online table holds now: champion, day, rows; None before the first swap."""
    query = select(online_state).where(online_state.c.model == model)
    return connection.execute(query).mappings().one_or_none()


def lookup(connection: Connection, model: str, key: str) -> RowMapping | None:
    """The row of one key."""
    query = select(online_scores).where(online_scores.c.model == model, online_scores.c.key == key)
    return connection.execute(query).mappings().one_or_none()


def some_key(connection: Connection, model: str) -> str | None:
    """The first key, to ask the endpoint for."""
    query = select(online_scores.c.key).where(online_scores.c.model == model).order_by(online_scores.c.key).limit(1)
    return connection.execute(query).scalar_one_or_none()


def swap(connection: Connection, model: str, *, champion_id: int, ds: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Exchanges all rows of a model, in the caller's transaction: readers see the old answers until it commits.

    Whether anything changed: the same rows of the same champion are left alone.
    """
    lock(connection, model)
    digest = hashlib.sha256(json.dumps(list(rows), sort_keys=True, default=str).encode()).hexdigest()
    now = state(connection, model)
    if now is not None and (now["champion_id"], now["ds"], now["digest"]) == (champion_id, ds, digest):
        return False
    connection.execute(online_scores.delete().where(online_scores.c.model == model))
    if rows:
        connection.execute(online_scores.insert(), [{"model": model, **row} for row in rows])
    values = {
        "champion_id": champion_id,
        "ds": ds,
        "rows": len(rows),
        "digest": digest,
        "swapped_at": func.clock_timestamp(),
    }
    statement = insert(online_state).values(model=model, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=[online_state.c.model], set_=values))
    return True


def log_requests(connection: Connection, entries: Sequence[Mapping[str, Any]]) -> None:
    """Writes what was asked and answered; of a key as much as tells it from others."""
    if entries:
        connection.execute(online_requests.insert(), [dict(entry) for entry in entries])
