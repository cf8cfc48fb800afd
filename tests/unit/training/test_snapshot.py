"""The frozen data of a training."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from toy_world import DAYS, LIVE, line, make_spec, publish, rows

from imago.errors import ImagoError, MissingPartition
from imago.storage import Storage
from imago.tables import Table
from imago.training import fitting, snapshot

DS = "2013-02-27"


def test_freezing_twice_gives_the_same_folder_and_writes_once(world, spec):
    first = snapshot.freeze(world, spec, DS)
    files = Storage(world).list("snapshots")
    assert snapshot.freeze(world, spec, DS).folder == first.folder
    assert Storage(world).list("snapshots") == files


def test_a_day_outside_of_the_cut_changes_nothing_and_a_day_inside_makes_a_new_snapshot(world, spec):
    first = snapshot.freeze(world, spec, DS)
    features, _outcomes = rows(seed=6)
    for day, same in ((DAYS[-1], True), ("2013-01-05", False)):
        table = Table(world, "toy", "features")
        part = features.filter(pa.compute.equal(features["ds"], day))
        table.publish(part, days=[day], key=("key",), fence=table.draw_fence(), context=LIVE)
        assert (snapshot.freeze(world, spec, DS).digest == first.digest) is same


def test_rows_without_an_outcome_take_no_part(world, spec):
    frozen = snapshot.freeze(world, spec, DS)
    assert frozen.rows.column("label").null_count == 0
    assert frozen.rows.num_rows < len(DAYS) * 30


def test_an_unpublished_day_is_named(dev, spec):
    features, outcomes = rows(days=DAYS[:40])
    publish(dev, features, outcomes, days=DAYS[:40])
    with pytest.raises(MissingPartition, match="2013-02-10"):
        snapshot.freeze(dev, spec, DS)


def test_one_class_only_is_refused_with_the_part_named(dev, spec):
    features, outcomes = rows()
    ones = outcomes.set_column(
        outcomes.schema.get_field_index("label"), "label", pa.array([1] * outcomes.num_rows, pa.int32())
    )
    publish(dev, features, ones)
    with pytest.raises(ImagoError, match="train part needs both outcomes"):
        snapshot.freeze(dev, spec, DS)


def test_a_changed_file_is_refused(world, spec):
    frozen = snapshot.freeze(world, spec, DS)
    Storage(world).write_bytes(f"{frozen.folder}/rows.parquet", b"PAR1 something else")
    with pytest.raises(ImagoError, match="changed after it was written"):
        snapshot.load(world, frozen.folder)


def test_the_same_snapshot_and_seed_give_the_same_scores_bit_by_bit_in_any_row_order_of_the_tables():
    spec = make_spec(line)
    features, outcomes = rows()
    mixed = features.take(np.random.default_rng(1).permutation(features.num_rows))
    found = []
    for one in (features, mixed):
        joined = snapshot.join(one, outcomes, spec)
        where = snapshot.cut(spec, DS)
        frozen = snapshot.Snapshot("", {"cut": where.as_dict(), "digest": ""}, joined)
        found.append(fitting.fit(spec, frozen, spec.candidates[0]).scores.tobytes())
    assert found[0] == found[1]
