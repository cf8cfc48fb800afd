"""A dropped table is gone with all of its versions, begins anew with other columns, and takes nothing else along."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pytest
import typer
from sqlalchemy import select
from typer.testing import CliRunner

from imago import ledger
from imago.cli import tables as verbs
from imago.context import RunContext
from imago.errors import Fenced, ImagoError, MissingPartition
from imago.ledger import pins, publications
from imago.ledger.schema import table_drops
from imago.tables import Table
from imago.tables.dropping import drop

DAY, KEY, RUN = "2013-03-01", ("customer",), RunContext(run_id="test")


def publish(table: Table, fence: int | None = None, **columns):
    data = pa.table({"customer": pa.array([1], pa.int64()), "ds": [DAY], **columns})
    return table.publish(data, days=[DAY], key=KEY, fence=fence or table.draw_fence(), context=RUN)


@pytest.fixture
def tables(dev) -> dict[str, Table]:
    made = {name: Table(dev, *name.split("/")) for name in ("shop/features", "shop/outcomes", "rides/features")}
    for table in made.values():
        publish(table, spent=[1.5])
    return made


def test_a_dropped_table_has_no_day_and_begins_anew_with_other_columns(tables):
    table = tables["shop/features"]
    assert drop(table, actor="ada")["days"] == 1

    assert (table.published_days(), table.version(), table.partition(DAY)) == ((), None, None)
    with pytest.raises(MissingPartition):
        table.require(DAY)
    again = publish(table, visits=["three"])
    assert (again.version, again.changed) == (1, (DAY,))
    assert table.require(DAY).column_names == ["customer", "ds", "visits"]
    assert [row["version"] for row in _history(table)] == [1]
    table.vacuum(older_than=timedelta(0), keep=[7])
    assert table.require(DAY).num_rows == 1


def test_other_tables_and_models_keep_their_days(tables):
    drop(tables["shop/features"], actor="ada")
    for name in ("shop/outcomes", "rides/features"):
        assert tables[name].require(DAY).column("spent").to_pylist() == [1.5]


def test_an_attempt_that_began_before_the_drop_publishes_nothing_after_it(tables):
    table = tables["shop/features"]
    fence = table.draw_fence()
    drop(table, actor="ada")
    with pytest.raises(Fenced):
        publish(table, fence, spent=[2.0])
    assert table.published_days() == ()


def test_what_a_training_was_made_from_is_dropped_by_force_alone_and_its_pins_go(tables):
    table = tables["shop/features"]
    with ledger.connect(table.environment).begin() as connection:
        pins.pin(connection, model="shop", table="features", version=1, run_id="r", reason="training 2013-10-01")
    with pytest.raises(ImagoError, match="training 2013-10-01") as refused:
        drop(table, actor="ada")
    assert "imago tables drop features shop --env dev --yes --force" in refused.value.next_step
    assert table.require(DAY).num_rows == 1

    assert drop(table, actor="ada", force=True)["dropped"]
    with ledger.connect(table.environment).connect() as connection:
        assert pins.pinned_versions(connection, "shop", "features") == []
        (row,) = connection.execute(select(table_drops)).mappings()
    assert (row["model"], row["table_name"], row["days"], row["actor"], row["forced"]) == (
        "shop", "features", 1, "ada", True,
    )  # fmt: skip
    assert drop(table, actor="ada")["dropped"] is False


def test_a_drop_that_was_killed_between_ledger_and_files_is_finished_by_the_next(tables):
    table = tables["shop/features"]
    with ledger.connect(table.environment).begin() as connection:
        publications.record_drop(connection, model="shop", table="features", days=1, actor="ada", forced=False)
    assert (table.published_days(), table.version()) == ((), 1)
    assert drop(table, actor="ada")["files"] > 0
    assert table.version() is None


def test_the_command_asks_and_names_what_would_go(tables, dev, monkeypatch):
    app = typer.Typer()
    verbs.register(app)
    monkeypatch.setattr(verbs, "environment", lambda name: dev)
    kept = CliRunner().invoke(app, ["tables", "drop", "features", "shop"], input="n\n")
    assert (kept.exit_code, tables["shop/features"].published_days()) == (1, (DAY,))
    assert "features (1 days)" in kept.output
    done = CliRunner().invoke(app, ["tables", "drop", "all", "shop", "--yes"])
    assert (done.exit_code, "features of shop in dev: 1 days" in done.output) == (0, True)
    assert [tables[name].published_days() for name in tables] == [(), (), (DAY,)]


def _history(table: Table):
    with ledger.connect(table.environment).connect() as connection:
        return publications.history(connection, table.model, table.name, DAY)
