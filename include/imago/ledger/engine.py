"""Connecting to the ledger, and bringing its schema to the newest version."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, inspect, select, text
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.pool import NullPool, QueuePool

from imago.environments import Environment
from imago.errors import EnvironmentMismatch, LedgerUnavailable, SettingsError
from imago.ledger.schema import environment_identity
from imago.texts import to_json


@functools.cache
def connect(environment: Environment) -> Engine:
    """An engine on the environment's schema, its identity checked.

    Connections are not pooled: tasks are short, and a forked process must not inherit one.
    Raises LedgerUnavailable when the server does not answer, SettingsError without a schema, EnvironmentMismatch when
    the schema belongs to another environment.
    """
    engine = _engine(environment)
    try:
        with engine.connect() as connection:
            owner = connection.execute(select(environment_identity.c.name)).scalar_one_or_none()
    except OperationalError as error:
        raise LedgerUnavailable(
            f"the ledger does not answer: {_first_line(error)}",
            environment=environment.name,
            next_step="check that Postgres runs (`imago status`) and the variable "
            f"IMAGO_{environment.name.upper()}_LEDGER_URL",
        ) from error
    except ProgrammingError as error:
        raise SettingsError(
            f"the ledger has no schema yet: {_first_line(error)}",
            environment=environment.name,
            next_step="run `imago ledger migrate`",
        ) from error
    if owner != environment.name:
        raise EnvironmentMismatch(
            f"the ledger schema {environment.ledger_schema} belongs to {owner}",
            environment=environment.name,
            rule="a ledger schema serves one environment",
            next_step=f"set IMAGO_{environment.name.upper()}_LEDGER_SCHEMA to a schema of its own",
        )
    return engine


@contextmanager
def pooled(environment: Environment, *, size: int = 5) -> Iterator[Engine]:
    """As `connect`, with connections that are kept until the block ends: for work of many small transactions in several
    threads of a process that forks nobody meanwhile."""
    connect(environment)
    engine = _engine(environment, poolclass=QueuePool, pool_size=size, max_overflow=-1, pool_pre_ping=True)
    try:
        yield engine
    finally:
        engine.dispose()


def migrate(environment: Environment, revision: str = "head") -> None:
    """Brings the environment's schema to the newest version (or to `revision`), and writes its identity on first
    use."""
    from alembic import command
    from alembic.config import Config

    engine = _engine(environment)
    with engine.begin() as connection:
        # One migration at a time: two processes that start together would both create the tables.
        connection.execute(
            text("select pg_advisory_xact_lock(hashtext(:schema))"), {"schema": environment.ledger_schema}
        )
        # Asked first: `create schema if not exists` wants the right to create, which an environment's role need not
        # have.
        if not inspect(connection).has_schema(environment.ledger_schema):
            connection.execute(text(f'create schema "{environment.ledger_schema}"'))
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        config.attributes["schema"] = environment.ledger_schema
        command.upgrade(config, revision)
        if connection.execute(select(environment_identity.c.name)).first() is None:
            connection.execute(environment_identity.insert().values(name=environment.name))
    connect.cache_clear()
    connect(environment)


def _engine(environment: Environment, **pool: Any) -> Engine:
    url = environment.ledger_url.get_secret_value()
    engine = create_engine(url, json_serializer=to_json, **(pool or {"poolclass": NullPool}))

    @event.listens_for(engine, "connect")
    def _use_schema(dbapi_connection, _record) -> None:
        with dbapi_connection.cursor() as cursor:
            cursor.execute(f'set search_path to "{environment.ledger_schema}"')
        dbapi_connection.commit()

    return engine


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
