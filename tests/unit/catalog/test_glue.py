"""Entries of the Glue catalog: made once, brought up to date, told, and nobody else's touched."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_ddl import FIELDS, table

from imago.catalog import glue as catalog
from imago.errors import ImagoError

DAYS = ("2013-03-01", "2013-03-02")


def days():
    return DAYS


def entry(client, external):
    return client.get_table(DatabaseName=external.database, Name=external.name)["Table"]


def test_what_was_made_is_read_back_and_a_second_time_changes_nothing(glue):
    external = table("athena")
    assert catalog.apply(glue, external, days).state == "created"
    held = entry(glue, external)
    assert held["StorageDescriptor"]["Location"] == "s3://lake/prod/tables/flight_delays/predictions/"
    assert {one["Name"]: one["Type"] for one in held["StorageDescriptor"]["Columns"]} == {
        "flight_key": "string",
        "event_time": "timestamp",
        "score": "double",
        "decision": "boolean",
        "edges": "array<double>",
    }
    assert held["PartitionKeys"] == [{"Name": "ds", "Type": "string"}]
    assert catalog.apply(glue, external, days) == catalog.Applied("unchanged")
    # Athena finds the days in the table's log.
    assert catalog.partitions_of(glue, external.database, external.name) == {}


def test_changed_columns_are_told_and_brought_up_to_date(glue):
    catalog.apply(glue, table("athena"), days)
    fields = (
        {"name": "flight_key", "type": "string"},
        {"name": "score", "type": "float"},
        {"name": "why", "type": "string"},
    )
    wider = replace(table("athena"), fields=fields)  # fmt: skip
    done = catalog.apply(glue, wider, days)
    assert done.state == "updated"
    assert set(done.changes) == {
        "column event_time was timestamp and is gone",
        "column decision was boolean and is gone",
        "column edges was array<double> and is gone",
        "column why is new: string",
        "column score was double and is float",
    }
    assert catalog.apply(glue, wider, days).state == "unchanged"


def test_a_table_that_moved_is_told_with_both_places(glue):
    catalog.apply(glue, table("athena"), days)
    done = catalog.apply(glue, replace(table("athena"), location="s3://other/predictions"), days)
    assert (
        "Location was s3://lake/prod/tables/flight_delays/predictions/ and is s3://other/predictions/" in done.changes
    )


def test_what_an_engine_added_to_an_entry_is_no_difference(glue):
    external = table("athena")
    catalog.apply(glue, external, days)
    more = external.entry()
    more["Parameters"] |= {"delta.lastUpdateVersion": "7"}
    glue.update_table(DatabaseName=external.database, TableInput=more)
    assert catalog.apply(glue, external, days).state == "unchanged"


@pytest.mark.parametrize("parameters", [{}, {"imago.table": "prod/other/predictions"}])
def test_an_entry_of_somebody_else_is_refused_and_stays_as_it_is(glue, parameters):
    external = table("athena")
    glue.create_database(DatabaseInput={"Name": external.database})
    theirs = {"Name": external.name, "Parameters": parameters, "StorageDescriptor": {"Location": "s3://theirs/"}}
    glue.create_table(DatabaseName=external.database, TableInput=theirs)
    with pytest.raises(ImagoError, match="not of this table's making") as refusal:
        catalog.apply(glue, external, days)
    assert "s3://theirs/" in refusal.value.facts["seen"]
    assert entry(glue, external)["StorageDescriptor"]["Location"] == "s3://theirs/"
    assert entry(glue, external).get("Parameters", {}) == parameters


def test_redshift_knows_exactly_the_days_that_have_rows(glue):
    external = table("redshift")
    assert catalog.apply(glue, external, days).days_added == DAYS
    done = catalog.apply(glue, external, lambda: ("2013-03-02", "2013-03-03"))
    assert (done.state, done.days_added, done.days_removed) == ("unchanged", ("2013-03-03",), ("2013-03-01",))
    known = catalog.partitions_of(glue, external.database, external.name)
    assert {ds: one["StorageDescriptor"]["Location"] for ds, one in known.items()} == {
        ds: f"s3://lake/prod/tables/flight_delays/predictions/_symlink_format_manifest/ds={ds}/"
        for ds in ("2013-03-02", "2013-03-03")
    }


def test_a_years_days_are_registered_though_one_request_takes_few(glue):
    from imago.days import days_between

    year = days_between("2013-01-01", "2013-12-31")
    external = table("redshift")
    assert len(catalog.apply(glue, external, lambda: year).days_added) == 365
    assert catalog.apply(glue, external, lambda: year).days_added == ()
    assert len(catalog.apply(glue, external, lambda: ()).days_removed) == 365


def test_the_partitions_follow_when_the_columns_change(glue):
    external = table("redshift")
    catalog.apply(glue, external, days)
    catalog.apply(glue, replace(external, fields=FIELDS[:4]), days)
    known = catalog.partitions_of(glue, external.database, external.name)
    assert {len(one["StorageDescriptor"]["Columns"]) for one in known.values()} == {3}


def test_a_day_that_is_published_while_the_days_are_settled_is_not_taken_away(glue):
    external = table("redshift")
    catalog.apply(glue, external, days)
    where = {"database": external.database, "name": external.name, "mark": external.mark}

    def meanwhile():
        catalog.register_days(glue, **where, present=["2013-03-09"], gone=())
        return (*DAYS, "2013-03-09")

    catalog.apply(glue, external, meanwhile)
    assert set(catalog.partitions_of(glue, external.database, external.name)) == {*DAYS, "2013-03-09"}


def test_days_are_registered_where_an_entry_of_ours_is_and_nowhere_else(glue):
    external = table("redshift")
    where = {"database": external.database, "name": external.name, "mark": external.mark}
    assert not catalog.register_days(glue, **where, present=DAYS, gone=())
    catalog.apply(glue, external, lambda: DAYS[:1])
    assert catalog.register_days(glue, **where, present=DAYS, gone=["2013-01-01"])
    assert set(catalog.partitions_of(glue, external.database, external.name)) == set(DAYS)
    assert not catalog.register_days(glue, **{**where, "mark": "dev/x/y"}, present=["2013-03-09"], gone=DAYS)
    assert set(catalog.partitions_of(glue, external.database, external.name)) == set(DAYS)
