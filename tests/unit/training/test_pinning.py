"""Pinned versions: what a vacuum leaves alone, and when a training lets go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow.compute as pc
import pytest
from sqlalchemy import update
from toy_world import CONTRACT, DAYS, LIVE, rows, train

from imago import ledger
from imago.errors import MissingPartition
from imago.jobs import deployment
from imago.ledger import pins
from imago.ledger.schema import pins as pin_rows
from imago.tables import Table
from imago.training import snapshot
from imago.training.pinning import release_pins

DS = "2013-02-27"
NO_TIME, MONTH = timedelta(0), timedelta(days=30)


def freeze(environment, spec, ds=DS):
    return snapshot.freeze(environment, spec, ds, contract=CONTRACT, run_id="test")


def pinned(environment, table="features"):
    with ledger.connect(environment).connect() as connection:
        return pins.pinned_versions(connection, "toy", table)


def move_on(environment, seed):
    """Every day of the features gets other rows: no file of the version before is needed by the newest one."""
    features, _ = rows(seed=seed)
    table = Table(environment, "toy", "features")
    table.publish(features, days=DAYS, key=("key",), fence=table.draw_fence(), context=LIVE)
    return table


def as_of(environment, days_ago):
    """Makes the pins that stand so old."""
    with ledger.connect(environment).begin() as connection:
        connection.execute(update(pin_rows).values(pinned_at=datetime.now(UTC) - timedelta(days=days_ago)))


def test_a_vacuum_leaves_what_a_training_pinned_and_takes_what_nobody_did(world, spec):
    frozen = freeze(world, spec)
    kept = frozen.manifest["versions"]["features"]
    dropped = move_on(world, seed=6).version()
    table = move_on(world, seed=7)
    before = table.read(DAYS, version=dropped)

    removed = table.vacuum(older_than=NO_TIME)

    assert removed
    assert pinned(world) == [kept]
    remade, _ = snapshot.rows_of(world, spec, DS, frozen.manifest["versions"])
    assert remade.equals(frozen.rows)
    assert before.num_rows == table.read(DAYS).num_rows
    with pytest.raises(MissingPartition, match="was vacuumed"):
        table.read(DAYS, version=dropped)


def test_a_training_that_was_let_go_holds_nothing_and_its_snapshot_stays(world, spec):
    frozen = freeze(world, spec)
    table = move_on(world, seed=6)
    assert release_pins(world, "toy", older_than=NO_TIME) == [DS]

    table.vacuum(older_than=NO_TIME)

    assert pinned(world) == []
    with pytest.raises(MissingPartition, match="was vacuumed"):
        table.read(DAYS, version=frozen.manifest["versions"]["features"])
    assert snapshot.load(world, frozen.folder).rows.equals(frozen.rows)


def test_a_training_holds_its_versions_for_the_retention_counted_from_its_newest_freeze(world, spec):
    freeze(world, spec)
    as_of(world, days_ago=31)
    move_on(world, seed=6)
    freeze(world, spec)
    assert release_pins(world, "toy", older_than=MONTH) == []
    assert len(pinned(world)) == 2
    as_of(world, days_ago=31)
    assert release_pins(world, "toy", older_than=MONTH) == [DS]


def test_what_a_champion_was_made_from_is_never_let_go(world, spec):
    train(world, spec, DS)
    assert deployment.judge(world, spec, DS, LIVE)["outcome"] == "promoted"
    freeze(world, spec, "2013-02-26")
    as_of(world, days_ago=1000)
    assert release_pins(world, "toy", older_than=MONTH) == ["2013-02-26"]
    assert pinned(world) == pinned(world, "outcomes") == [1]


def test_freezing_again_pins_once_and_names_the_versions_of_the_last_freeze(world, spec):
    first = freeze(world, spec)
    assert freeze(world, spec).manifest == first.manifest
    assert pinned(world) == [1]
    other, _ = rows(seed=6)
    last = other.filter(pc.equal(other["ds"], DAYS[-1]))  # a day that this training does not read
    table = Table(world, "toy", "features")
    table.publish(last, days=[DAYS[-1]], key=("key",), fence=table.draw_fence(), context=LIVE)

    again = freeze(world, spec)

    assert again.folder == first.folder
    assert again.manifest["versions"] == {"features": 2, "outcomes": 1}
    assert pinned(world) == [1, 2]
