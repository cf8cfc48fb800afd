"""The SQL by which Athena and Redshift are told of a table, from the columns of its Delta log."""

from __future__ import annotations

import pytest
import sqlglot

from imago.catalog.columns import hive_type, redshift_type
from imago.catalog.external import ExternalTable
from imago.errors import ImagoError

FIELDS = (
    {"name": "flight_key", "type": "string"},
    {"name": "ds", "type": "string"},
    {"name": "event_time", "type": "timestamp_ntz"},
    {"name": "score", "type": "double"},
    {"name": "decision", "type": "boolean"},
    {"name": "edges", "type": {"type": "array", "elementType": "double", "containsNull": True}},
)
DAYS = [f"2013-{month:02d}-{day:02d}" for month in range(1, 6) for day in range(1, 25)]  # 120 of them


def table(reader) -> ExternalTable:
    return ExternalTable(
        reader=reader,
        environment="prod",
        model="flight_delays",
        name="predictions",
        location="s3://lake/prod/tables/flight_delays/predictions",
        fields=FIELDS,
        schema="imago_prod",
        region="eu-west-1",
    )


@pytest.mark.parametrize(
    ("delta", "hive", "redshift"),
    [
        ("string", "string", "varchar(65535)"),
        ("long", "bigint", "bigint"),
        ("integer", "int", "integer"),
        ("timestamp", "timestamp", "timestamp"),
        ("timestamp_ntz", "timestamp", "timestamp"),
        ("decimal(38,0)", "decimal(38,0)", "decimal(38,0)"),
        ({"type": "array", "elementType": "string", "containsNull": True}, "array<string>", "array<varchar(65535)>"),
        (
            {"type": "struct", "fields": [{"name": "a", "type": "date"}, {"name": "b", "type": "float"}]},
            "struct<a:date,b:float>",
            "struct<a:date,b:real>",
        ),
        ({"type": "map", "keyType": "date", "valueType": "byte"}, "map<date,tinyint>", "map<date,smallint>"),
    ],
)  # fmt: skip
def test_a_type_of_the_log_has_its_name_in_each_reader(delta, hive, redshift):
    assert (hive_type(delta), redshift_type(delta)) == (hive, redshift)


def test_a_type_that_nobody_reads_is_refused_with_what_is_allowed():
    with pytest.raises(ImagoError, match="variant") as refusal:
        hive_type("variant")
    assert "double" in str(refusal.value.facts["allowed"])


def test_athena_is_told_the_place_and_the_format_alone_since_it_refuses_more():
    database, made = table("athena").statements()
    assert database == "create database if not exists `imago_prod_flight_delays`"
    said = "\n".join(line for line in made.splitlines() if not line.startswith("--"))
    assert said == (
        "create external table `imago_prod_flight_delays`.`predictions`\n"
        "location 's3://lake/prod/tables/flight_delays/predictions/'\n"
        "tblproperties ('table_type' = 'DELTA')"
    )
    assert "--   event_time timestamp\n" in made


def test_redshift_is_told_every_column_and_every_day():
    schema, made, first, second = table("redshift").statements(DAYS)
    assert "database 'imago_prod_flight_delays_redshift' region 'eu-west-1'" in schema
    parsed = sqlglot.parse_one(made.split("\nrow format")[0], dialect="redshift")
    columns = {column.name: column.kind.sql("redshift") for column in parsed.find_all(sqlglot.exp.ColumnDef)}
    assert columns == {
        "flight_key": "VARCHAR(65535)",
        "event_time": "TIMESTAMP",
        "score": "DOUBLE PRECISION",
        "decision": "BOOLEAN",
        "edges": "DOUBLE PRECISION[]",  # an array, as sqlglot writes it
        "ds": "VARCHAR(10)",
    }
    assert "SymlinkTextInputFormat" in made
    assert made.endswith("location 's3://lake/prod/tables/flight_delays/predictions/_symlink_format_manifest/'")
    # One statement adds at most 100 partitions.
    assert [statement.count("partition (ds=") for statement in (first, second)] == [100, 20]
    assert "partition (ds='2013-01-01') location 's3://lake/prod/tables/flight_delays/predictions/" in first
    assert second.endswith("/_symlink_format_manifest/ds=2013-05-24/'")


def test_a_quote_in_a_name_cannot_end_it():
    odd = ExternalTable(**{**table("redshift").__dict__, "fields": ({"name": 'a"b', "type": "long"},)})
    assert '"a""b" bigint' in odd.statements()[1]


def test_the_two_readers_have_a_database_of_their_own_since_they_read_other_files():
    athena, redshift = table("athena").entry(), table("redshift").entry()
    assert athena["StorageDescriptor"]["Columns"] == redshift["StorageDescriptor"]["Columns"]
    assert athena["Parameters"]["table_type"] == "DELTA"
    assert "table_type" not in redshift["Parameters"]
    assert table("athena").database != table("redshift").database
