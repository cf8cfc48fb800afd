"""A vacuum takes what nobody needs, and nothing that is pinned, young, live or on its way."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from imago import ledger
from imago.context import RunContext
from imago.environments import Environment
from imago.errors import MissingPartition
from imago.ledger import pins
from imago.tables import Table

DAY, OTHER = "2013-01-01", "2013-01-02"
NOW = timedelta(0)


@pytest.fixture
def table(dev: Environment) -> Table:
    """Three versions of one day (values 1, 2, 3) and one of another."""
    table = Table(dev, "flight_delays", "features")
    for day, value in ((DAY, 1.0), (OTHER, 9.0), (DAY, 2.0), (DAY, 3.0)):
        publish(table, day, value)
    return table


def publish(table: Table, ds: str, value: float) -> int:
    data = pa.table({"flight_key": ["a"], "ds": [ds], "value": [value]})
    context = RunContext(run_id="run")
    done = table.publish(data, days=[ds], key=("flight_key",), fence=table.draw_fence(), context=context)
    assert done.version is not None
    return done.version


def value(table: Table, ds: str, version: int | None = None) -> list[float]:
    found: list[float] = table.read([ds], version=version)["value"].to_pylist()
    return found


def test_a_pinned_version_stays_readable_and_the_others_say_that_they_were_vacuumed(dev, table: Table) -> None:
    first, second = table.version() - 3, table.version() - 1
    with ledger.connect(dev).begin() as connection:
        pins.pin(
            connection, model=table.model, table=table.name, version=first, run_id="run", reason="training 2013-01-09"
        )

    gone = table.vacuum(older_than=NOW)

    assert len(gone) == 1
    assert value(table, DAY, first) == [1.0]
    assert (value(table, DAY), value(table, OTHER)) == ([3.0], [9.0])
    with pytest.raises(MissingPartition, match=f"version {second} of {DAY} was vacuumed") as refusal:
        table.read([DAY], version=second)
    assert refusal.value.next_step

    with ledger.connect(dev).begin() as connection:
        pins.release(connection, model=table.model, reason="training 2013-01-09")
    assert len(table.vacuum(older_than=NOW)) == 1
    with pytest.raises(MissingPartition, match="was vacuumed"):
        table.read([DAY], version=first)


def test_every_version_stays_readable_until_it_is_old_enough(table: Table) -> None:
    assert table.vacuum(older_than=timedelta(days=30)) == []
    newest = table.version()
    assert [value(table, DAY, version) for version in range(newest - 3, newest + 1)] == [[1.0], [1.0], [2.0], [3.0]]


def test_what_a_killed_attempt_left_goes_when_it_is_old_and_what_is_being_written_stays(table: Table) -> None:
    folder = Path(table.uri) / f"ds={DAY}"
    old, temporary, young = (folder / name for name in ("old.parquet", "x.parquet.17.tmp", "young.parquet"))
    for path in (old, temporary, young):
        path.write_bytes(b"x")
    for path in (old, temporary):
        os.utime(path, (time.time() - 40 * 86400,) * 2)

    table.vacuum(older_than=timedelta(days=30))

    assert [path.exists() for path in (old, temporary, young)] == [False, False, True]


def test_publishing_goes_on_after_a_vacuum(table: Table) -> None:
    table.vacuum(older_than=NOW)
    publish(table, DAY, 4.0)
    publish(table, DAY, 3.0)
    assert value(table, DAY) == [3.0]
    table.vacuum(older_than=NOW)
    assert value(table, DAY) == [3.0]
