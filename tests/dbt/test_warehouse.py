"""The SQL that a warehouse gets: it parses there, holds nothing of DuckDB's, and means the same.

No warehouse is at hand. What is compiled for one is parsed in its dialect; translated back, the same files give the
same rows as the embedded build.
"""

from __future__ import annotations

import duckdb
import pyarrow.parquet as pq
import pytest
import sqlglot
from sqlglot import exp
from warehouses import compiled, environment

from imago.context import RunContext
from imago.dbt import build
from imago.dbt.project import manifest
from imago.storage import Storage

DAYS = {"first_day": "2013-03-03", "last_day": "2013-03-04"}
WAREHOUSES = ("athena", "redshift")
# Functions of a warehouse that sqlglot does not know by name, looked up in that database's own documentation.
KNOWN = {"athena": {"TO_MILLISECONDS"}, "redshift": set()}
READ = ("stg_airports", "stg_outcomes", "stg_planes", "stg_schedule", "stg_weather", "flight_delays_history")
BUILT = ("flight_delays_features", "flight_delays_outcomes")


@pytest.fixture(scope="module", params=WAREHOUSES)
def statements(request):
    """A warehouse, and all that is compiled for it."""
    return request.param, compiled(request.param, **DAYS)


def test_every_model_and_data_test_is_compiled_for_it(statements):
    target, found = statements

    assert set(found) == {
        node.name for node in manifest(target).nodes.values() if node.resource_type in ("model", "test")
    }


def test_each_statement_parses_in_its_dialect_and_calls_no_function_unknown_there(statements):
    target, found = statements
    unknown = {}
    for name, (_, sql) in found.items():
        (tree,) = sqlglot.parse(sql, read=target, error_level=sqlglot.ErrorLevel.RAISE)
        assert isinstance(tree, exp.Select), name
        calls = {call.name.upper() for call in tree.find_all(exp.Anonymous)}
        if calls - KNOWN[target]:
            unknown[name] = calls - KNOWN[target]

    assert unknown == {}


def test_no_statement_reads_anything_but_the_attempts_schema_and_the_external_tables(statements):
    target, found = statements
    database = {"athena": "awsdatacatalog", "redshift": "warehouse"}[target]
    schemas = set()
    for _, sql in found.values():
        tree = sqlglot.parse_one(sql, read=target)
        named = {table.alias_or_name for table in tree.find_all(exp.CTE)}
        for table in tree.find_all(exp.Table):
            if table.db:
                assert table.catalog == database
                schemas.add(table.db)
            else:
                assert table.name in named

    assert schemas == {"imago_dev__features_2013_03_03_17_2272a7e2", "raw", "imago_tables"}


@pytest.mark.parametrize("word", ["read_parquet", "hive_partitioning", "::", "regexp_full_match", "/nowhere"])
def test_nothing_of_duckdb_is_left(statements, word):
    assert [name for name, (_, sql) in statements[1].items() if word in sql] == []


def test_two_attempts_at_one_day_build_different_tables():
    first, second = (
        compiled("athena", f"s3://lake/dev/staging/flight_delays/features-2013-03-03-{fence}", **DAYS)
        for fence in (17, 18)
    )

    assert "features_2013_03_03_17_" in first["flight_delays_features"][1]
    assert "features_2013_03_03_18_" in second["flight_delays_features"][1]
    assert all("features_2013_03_03_17_" not in sql for _, sql in second.values())


@pytest.fixture(scope="module")
def landed(tmp_path_factory):
    """Four days of raw files in a folder."""
    from imago.jobs.landing import land

    env = environment("dev", storage_root=str(tmp_path_factory.mktemp("storage")))
    land(env, "2013-03-01", DAYS["last_day"], RunContext(run_id="test"))
    return env


@pytest.fixture(scope="module")
def embedded(landed, tmp_path_factory):
    """The tables as the embedded DuckDB builds them."""
    folder = tmp_path_factory.mktemp("embedded")
    storage = Storage(landed)
    files = {
        kind: [storage.uri(name) for name in storage.list(f"raw/{kind}") if name.endswith(".parquet")]
        for kind in ("schedule", "outcomes", "weather", "planes", "airports")
    }
    build(
        landed,
        select=list(BUILT),
        first=DAYS["first_day"],
        last=DAYS["last_day"],
        staging=str(folder),
        variables={"raw_files": files},
    )
    return {name: pq.read_table(folder / f"{name}.parquet") for name in BUILT}


def test_translated_back_the_same_files_give_the_same_rows_and_every_data_test_passes(statements, landed, embedded):
    target, found = statements
    database = {"athena": "awsdatacatalog", "redshift": "warehouse"}[target]
    connection = duckdb.connect()
    connection.execute(f"attach ':memory:' as {database}; use {database}; create schema raw")
    for kind in ("schedule", "outcomes", "weather"):
        connection.execute(
            f"create view raw.{kind} as select * from read_parquet('{landed.storage_root}/raw/{kind}/*/*.parquet', "
            "hive_partitioning = true, hive_types = {'ds': varchar})"
        )
    for kind in ("planes", "airports"):
        connection.execute(
            f"create view raw.{kind} as select * from read_parquet('{landed.storage_root}/raw/{kind}/*.parquet')"
        )
    schema = "imago_dev__features_2013_03_03_17_2272a7e2"
    connection.execute(f"create schema {schema}")
    for name in (*READ, *BUILT):
        connection.execute(f"create table {schema}.{name} as {_translated(found[name][1], target)}")

    for name in BUILT:
        rows = connection.execute(f"select * from {schema}.{name} order by ds, flight_key").to_arrow_table()
        assert rows.num_rows > 1500
        assert rows.equals(embedded[name]), name
    tests = [(name, sql) for name, (kind, sql) in found.items() if kind == "test" and "daily_metrics" not in name]
    assert len(tests) > 20
    for name, sql in tests:
        assert connection.execute(_translated(sql, target)).fetchall() == [], name


def _translated(sql: str, dialect: str) -> str:
    """The statement in DuckDB's dialect. Its `to_milliseconds` makes an interval, Athena's measures one."""

    def measured(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.Anonymous) and node.name.lower() == "to_milliseconds":
            between = node.expressions[0].unnest()
            until, since = (f"cast({part.sql('duckdb')} as timestamp)" for part in (between.this, between.expression))
            return sqlglot.parse_one(f"date_diff('millisecond', {since}, {until})", read="duckdb")
        return node

    return sqlglot.parse_one(sql, read=dialect).transform(measured).sql("duckdb")
