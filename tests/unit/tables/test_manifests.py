"""Manifests, on a real S3 server: whoever follows them reads the live rows alone, whatever became of the publishers."""

from __future__ import annotations

import contextlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlglot
import typer
from typer.testing import CliRunner

from imago.catalog import glue as catalog
from imago.cli import tables as verbs
from imago.context import RunContext
from imago.environments import Environment
from imago.errors import Fenced, SettingsError
from imago.jobs import warehouse_tables
from imago.specs import get_model
from imago.tables import Table, manifests
from tests.waiting import HANGS

DAY, OTHER = "2013-01-01", "2013-01-02"
SPEC = get_model("flight_delays")


@pytest.fixture
def env(make_on_s3) -> Environment:
    return make_on_s3("dev", redshift_manifests=True)


@pytest.fixture
def table(env: Environment) -> Table:
    return Table(env, SPEC.name, "predictions")


def rows(ds: str, *values: float) -> pa.Table:
    return pa.table({"key": [f"k{n}" for n in range(len(values))], "ds": [ds] * len(values), "value": list(values)})


def publish(table: Table, ds: str, *values: float, days: tuple[str, ...] = ()) -> None:
    table.publish(
        rows(ds, *values) if values else rows(ds, 0.0).slice(0, 0), days=days or [ds], key=("key",),
        fence=table.draw_fence(), context=RunContext(run_id="run"), allow_empty=not values,
    )  # fmt: skip


def followed(table: Table, ds: str) -> list[float]:
    """What Redshift reads of a day: the files that its manifest names."""
    return sorted(value for uri in manifests.listed(table, ds) for value in _values(table, uri))


def globbed(table: Table, ds: str) -> list[float]:
    """What a reader of the folder would take for the day."""
    found = table.storage.list(f"{table.relative}/ds={ds}")
    return sorted(value for rel in found for value in _values(table, table.storage.uri(rel)))


def _values(table: Table, uri: str) -> list[float]:
    with table.storage.filesystem.open_input_file(uri.removeprefix("s3://")) as file:
        values: list[float] = pq.read_table(file)["value"].to_pylist()
    return values


def test_a_reader_of_the_manifests_sees_the_live_rows_and_one_of_the_folder_dead_ones(table):
    publish(table, DAY, 1.0, 2.0)
    publish(table, OTHER, 9.0)
    publish(table, DAY, 3.0)
    assert (followed(table, DAY), followed(table, OTHER)) == ([3.0], [9.0])
    assert followed(table, DAY) == table.read([DAY])["value"].to_pylist()
    assert globbed(table, DAY) == [1.0, 2.0, 3.0]


def test_the_manifests_that_delta_generates_are_the_same_but_for_days_that_became_empty(table):
    for ds in (DAY, OTHER):
        publish(table, ds, 1.0)
    ours = {ds: manifests.listed(table, ds) for ds in (DAY, OTHER)}
    table.open().generate()
    assert {ds: manifests.listed(table, ds) for ds in (DAY, OTHER)} == ours

    publish(table, OTHER)
    assert followed(table, OTHER) == []
    place = f"{table.relative}/_symlink_format_manifest"
    assert table.storage.list(place) == [f"{place}/ds={DAY}/manifest"]


def test_a_vacuum_leaves_the_manifests_and_what_they_name(table):
    publish(table, DAY, 1.0)
    publish(table, DAY, 2.0)
    assert len(table.vacuum(older_than=timedelta(0))) == 1
    assert followed(table, DAY) == [2.0]


def test_rows_that_come_as_a_stream_are_in_the_manifest_too(table):
    data = rows(DAY, 4.0, 5.0)
    context = RunContext(run_id="run")
    fence = table.draw_fence()
    table.publish_stream(data.to_batches(), data.schema, ds=DAY, key=("key",), fence=fence, context=context)
    assert followed(table, DAY) == [4.0, 5.0]


def test_a_range_of_days_gets_its_manifests_with_one_publish(table):
    both = pa.concat_tables([rows(DAY, 1.0), rows(OTHER, 2.0)])
    context = RunContext(run_id="run")
    table.publish(both, days=[DAY, OTHER], key=("key",), fence=table.draw_fence(), context=context)
    assert (followed(table, DAY), followed(table, OTHER)) == ([1.0], [2.0])


def test_a_publisher_that_slept_before_it_wrote_cannot_put_its_old_files_back(table, monkeypatch):
    asleep, wake = threading.Event(), threading.Event()
    real, lost = manifests._exchange, []

    def slow(client, of, ds, held, wanted):
        if threading.current_thread().name.startswith("ThreadPool") and not asleep.is_set():
            asleep.set()
            assert wake.wait(HANGS)
            won = real(client, of, ds, held, wanted)
            lost.append(not won)
            return won
        return real(client, of, ds, held, wanted)

    publish(table, DAY, 1.0)
    monkeypatch.setattr(manifests, "_exchange", slow)
    sleeper = threading.Thread(target=publish, args=(table, DAY, 2.0))
    sleeper.start()
    assert asleep.wait(HANGS)  # it knows of version 2 and is about to name its files

    publish(table, DAY, 3.0)
    assert followed(table, DAY) == [3.0]
    wake.set()
    sleeper.join()

    assert lost == [True]  # so it would not matter if it were killed right there
    assert followed(table, DAY) == table.read([DAY])["value"].to_pylist() == [3.0]


def test_after_many_publishers_at_once_the_manifests_name_what_is_live(table, env):
    def work(number: int) -> None:
        mine = Table(env, SPEC.name, "predictions")
        for step in range(2):
            for ds in (DAY, OTHER):
                with contextlib.suppress(Fenced):  # a later attempt was faster
                    publish(mine, ds, number + step / 10)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    for ds in (DAY, OTHER):
        assert followed(table, ds) == table.read([ds])["value"].to_pylist()
    assert manifests.refresh(table) == ()


@pytest.mark.parametrize("how", ["its retry", "the night"])
def test_what_an_attempt_left_that_died_after_its_commit_is_mended_by(table, env, monkeypatch, how):
    publish(table, DAY, 1.0)
    with monkeypatch.context() as patched:
        patched.setattr(manifests, "after_publish", lambda table, days: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            publish(table, DAY, 2.0)
    assert followed(table, DAY) == [1.0]  # the day before the commit, and whole
    if how == "its retry":
        version = table.version()
        publish(table, DAY, 2.0)
        assert table.version() == version
    else:
        assert warehouse_tables.mend(env, [SPEC]) == {"flight_delays/predictions": [DAY]}
        assert warehouse_tables.mend(env, [SPEC]) == {}
    assert followed(table, DAY) == [2.0]


def test_an_environment_that_did_not_ask_gets_no_manifests(make_on_s3):
    quiet = Table(make_on_s3("dev"), SPEC.name, "predictions")
    publish(quiet, DAY, 1.0)
    assert quiet.storage.list(f"{quiet.relative}/_symlink_format_manifest") == []
    assert warehouse_tables.mend(quiet.environment, [SPEC]) == {}


def test_manifests_on_a_folder_are_refused_since_nobody_could_read_them(make_environment):
    with pytest.raises(ValueError, match="Redshift reads S3 alone"):
        make_environment("dev", redshift_manifests=True)


def test_a_day_that_is_published_is_registered_for_redshift(make_on_s3, glue, monkeypatch):
    env = make_on_s3("dev", redshift_manifests=True, glue_database="imago_dev")
    table = Table(env, SPEC.name, "predictions")
    publish(table, DAY, 1.0)  # before anybody asked for an entry
    assert [one["state"] for one in warehouse_tables.apply(env, SPEC, "all", "redshift")] == ["created"]
    known = lambda: set(catalog.partitions_of(glue, "imago_dev_flight_delays_redshift", "predictions"))  # noqa: E731
    assert known() == {DAY}

    publish(table, OTHER, 1.0)
    assert known() == {DAY, OTHER}
    publish(table, DAY)  # the day has no rows any more
    assert known() == {OTHER}

    with monkeypatch.context() as patched:
        patched.setattr(manifests, "_register", lambda table, days: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            publish(table, DAY, 5.0)
    assert known() == {OTHER}
    assert warehouse_tables.mend(env, [SPEC]) == {"flight_delays/predictions": [DAY]}
    assert known() == {DAY, OTHER}


def test_the_entries_carry_the_columns_of_the_stored_table(env, table, glue):
    publish(table, DAY, 1.0)
    done = warehouse_tables.apply(env, SPEC, "predictions", "athena")
    assert [(one["database"], one["state"]) for one in done] == [("imago_dev_flight_delays", "created")]
    held = glue.get_table(DatabaseName="imago_dev_flight_delays", Name="predictions")["Table"]
    columns = {one["Name"]: one["Type"] for one in held["StorageDescriptor"]["Columns"]}
    assert columns == {"key": "string", "value": "double"}
    assert held["StorageDescriptor"]["Location"] == f"{table.uri}/"
    told = warehouse_tables.definitions(env, SPEC, "predictions", "redshift")
    assert (
        f"partition (ds='{DAY}') location '{table.uri}/_symlink_format_manifest/ds={DAY}/'" in told[0]["statements"][-1]
    )


def test_a_column_that_joins_or_widens_is_in_the_entries_of_both_readers_with_the_next_publish(make_on_s3, glue):
    env = make_on_s3("dev", redshift_manifests=True, glue_database="imago_dev")
    table = Table(env, SPEC.name, "predictions")
    publish(table, DAY, 1.0)
    for reader in ("athena", "redshift"):
        warehouse_tables.apply(env, SPEC, "predictions", reader)
    wider = rows(OTHER, 2.0).append_column("reason", pa.array(["odd"]))
    table.publish(wider, days=[OTHER], key=("key",), fence=table.draw_fence(), context=RunContext(run_id="run"))
    for database in ("imago_dev_flight_delays", "imago_dev_flight_delays_redshift"):
        held = glue.get_table(DatabaseName=database, Name="predictions")["Table"]["StorageDescriptor"]["Columns"]
        assert "reason" in {one["Name"] for one in held}


def test_redshift_is_not_told_of_tables_whose_manifests_nobody_keeps(make_on_s3, glue):
    env = make_on_s3("dev")
    publish(Table(env, SPEC.name, "predictions"), DAY, 1.0)
    with pytest.raises(SettingsError, match="nobody keeps up to date") as refusal:
        warehouse_tables.apply(env, SPEC, "predictions", "redshift")
    assert "IMAGO_DEV_REDSHIFT_MANIFESTS=true" in refusal.value.next_step
    assert glue.get_databases()["DatabaseList"] == []


def test_tables_in_a_folder_are_nothing_for_a_warehouse(dev, glue):
    with pytest.raises(SettingsError, match="S3 only"):
        warehouse_tables.apply(dev, SPEC, "predictions", "athena")


def test_the_command_prints_what_can_be_pasted_and_tells_what_it_did(env, table, glue, monkeypatch):
    app = typer.Typer()
    verbs.register(app)
    monkeypatch.setattr(verbs, "environment", lambda name: env)

    def said(*words: str) -> str:
        done = CliRunner().invoke(app, ["ddl", "predictions", SPEC.name, *words])
        return done.output if done.exit_code == 0 else str(done.exception)

    assert "no version yet" in said("--for", "athena")
    publish(table, DAY, 1.0)
    statements = sqlglot.parse(said("--for", "athena").split("create external table")[0], dialect="athena")
    assert statements[0].sql("athena") == "CREATE DATABASE IF NOT EXISTS `imago_dev_flight_delays`"
    assert "tblproperties ('table_type' = 'DELTA');" in said("--for", "athena")
    assert json.loads(said("--for", "redshift", "--json"))[0]["entry"]["PartitionKeys"][0]["Name"] == "ds"
    assert "imago_dev_flight_delays_redshift.predictions created" in said("--for", "redshift", "--apply")
    assert "unchanged" in said("--for", "redshift", "--apply")
    assert "'presto' is not a reader" in said("--for", "presto")
