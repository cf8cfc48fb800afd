"""The ledger's migrations: frozen statements that end where the code expects them, and old ledgers that follow."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, String, TypeDecorator, text
from sqlalchemy.exc import DBAPIError

from imago import ledger
from imago.environments import Environment
from imago.ledger import migrate, pins, publications
from imago.ledger.engine import _engine
from imago.ledger.schema import Line, metadata

# What Postgres knows of a schema, each as rows of text without the schema's name.
CATALOG = {
    "columns": """
        select table_name, column_name, ordinal_position, data_type, is_nullable, column_default, is_identity,
               identity_generation
        from information_schema.columns where table_schema = current_schema()""",
    "indexes": "select indexname, indexdef from pg_indexes where schemaname = current_schema()",
    "constraints": """
        select conrelid::regclass::text, conname, pg_get_constraintdef(oid)
        from pg_constraint where connamespace = current_schema()::regnamespace""",
    "sequences": "select sequencename, data_type::text from pg_sequences where schemaname = current_schema()",
}


def catalog(connection: Connection) -> dict[str, set[tuple[Any, ...]]]:
    schema = connection.execute(text("select current_schema()")).scalar_one()
    return {
        kind: {
            tuple(str(cell).replace(f"{schema}.", "") for cell in row)
            for row in connection.execute(text(query))
            if "ledger_version" not in str(row[0]) and "ledger_version" not in str(row[1])
        }
        for kind, query in CATALOG.items()
    }


def publication(ds: str) -> dict[str, Any]:
    words = {"model": "m", "table_name": "features", "digest": "d", "run_id": "r", "mode": "live", "code_commit": "c"}
    return {**words, "ds": ds, "version": 3, "fence": 1, "changed": True, "rows": 5, "inputs": {"raw": "x"}}


@pytest.fixture
def empty(make_environment, postgres_url) -> Environment:
    """An environment whose schema is not made yet."""
    made: Environment = make_environment("staging")
    return made.model_copy(update={"ledger_schema": made.ledger_schema + "_empty"})


def test_the_migrations_end_in_exactly_the_schema_that_the_code_uses(dev, empty):
    with _engine(empty).begin() as connection:
        connection.execute(text(f'create schema "{empty.ledger_schema}"'))
        metadata.create_all(connection)
        declared = catalog(connection)
    with ledger.connect(dev).connect() as connection:
        migrated = catalog(connection)

    assert {row[0] for row in declared["columns"]} >= {"publications", "champions", "pins", "alerts"}
    for kind, rows in declared.items():
        assert migrated[kind] == rows, kind


def test_a_ledger_of_the_first_version_keeps_its_rows_and_gets_pins(empty):
    migrate(empty, "0001")
    with ledger.connect(empty).begin() as connection:
        publications.record(connection, [publication("2013-01-01")])
        tables = {row[0] for row in catalog(connection)["columns"]}
    assert "pins" not in tables

    migrate(empty)

    with ledger.connect(empty).begin() as connection:
        assert publications.latest(connection, "m", "features")["2013-01-01"]["version"] == 3
        pins.pin(connection, model="m", table="features", version=3, run_id="r", reason="training 2013-01-09")
        assert pins.pinned_versions(connection, "m", "features") == [3]


def test_what_is_migrated_stays_append_only(empty):
    migrate(empty, "0001")
    migrate(empty)
    for table in ("champions", "decisions"):
        with pytest.raises(DBAPIError, match="append-only"), ledger.connect(empty).begin() as connection:
            connection.execute(text(f"delete from {table}"))


def test_migrating_again_changes_nothing(dev):
    with ledger.connect(dev).connect() as connection:
        before = catalog(connection)
    migrate(dev)
    with ledger.connect(dev).connect() as connection:
        assert catalog(connection) == before


def test_every_text_is_bounded_and_one_line_but_the_users_keys():
    free = {
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, String | TypeDecorator) and not isinstance(column.type, Line)
    }
    assert free == {"online_scores.key"}
