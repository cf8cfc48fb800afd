"""The frozen data of a training."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from toy_world import CONTRACT, DAYS, LIVE, line, make_spec, publish, rows

from imago.contracts import Contract
from imago.days import shift
from imago.errors import ImagoError, MissingPartition, RefusedPartition
from imago.storage import Storage
from imago.tables import Table
from imago.training import fitting, snapshot
from imago.training.cut import training_moment

DS = "2013-02-27"


def freeze(environment, spec, ds=DS, contract=CONTRACT):
    return snapshot.freeze(environment, spec, ds, contract=contract, run_id="test")


def test_freezing_twice_gives_the_same_folder_and_writes_once(world, spec):
    first = freeze(world, spec)
    files = Storage(world).list("snapshots")
    assert freeze(world, spec).folder == first.folder
    assert Storage(world).list("snapshots") == files


def test_a_day_outside_of_the_cut_changes_nothing_and_a_day_inside_makes_a_new_snapshot(world, spec):
    first = freeze(world, spec)
    features, _outcomes = rows(seed=6)
    for day, same in ((DAYS[-1], True), ("2013-01-05", False)):
        table = Table(world, "toy", "features")
        part = features.filter(pc.equal(features["ds"], day))
        table.publish(part, days=[day], key=("key",), fence=table.draw_fence(), context=LIVE)
        assert (freeze(world, spec).digest == first.digest) is same


def test_rows_without_an_outcome_take_no_part(world, spec):
    frozen = freeze(world, spec)
    assert frozen.rows.column("label").null_count == 0
    assert frozen.rows.num_rows < len(DAYS) * 30


def test_an_unpublished_day_is_named(dev, spec):
    features, outcomes = rows(days=DAYS[:40])
    publish(dev, features, outcomes, days=DAYS[:40])
    with pytest.raises(MissingPartition, match="2013-02-10"):
        freeze(dev, spec)


def test_one_class_only_is_refused_with_the_part_named(dev, spec):
    features, outcomes = rows()
    ones = outcomes.set_column(
        outcomes.schema.get_field_index("label"), "label", pa.array([1] * outcomes.num_rows, pa.int32())
    )
    publish(dev, features, ones)
    with pytest.raises(ImagoError, match="train part needs both outcomes"):
        freeze(dev, spec)


def test_a_changed_file_is_refused(world, spec):
    frozen = freeze(world, spec)
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


def corrected(outcomes, days, known_at, **values):
    """The outcomes of these days as a later delivery tells them."""
    part = outcomes.filter(pc.is_in(outcomes["ds"], pa.array(days)))
    values = {"known_at": pa.array([known_at] * part.num_rows, pa.timestamp("us")), **values}
    for name, column in values.items():
        part = part.set_column(part.schema.get_field_index(name), name, column)
    return part


def publish_outcomes(environment, part):
    days = pc.unique(part["ds"]).to_pylist()
    table = Table(environment, "toy", "outcomes")
    table.publish(part, days=days, key=("key",), fence=table.draw_fence(), context=LIVE)


def days_of(frozen):
    return set(pc.unique(frozen.rows["ds"]).to_pylist())


def test_an_outcome_that_was_delivered_five_days_late_is_learned_from_only_by_trainings_after_that(world, spec):
    _, outcomes = rows()
    late = "2013-02-12"  # in the holdout of both trainings; told on the 18th at noon instead of on the 13th
    publish_outcomes(world, corrected(outcomes, [late], datetime(2013, 2, 18, 12)))

    before, after = freeze(world, spec, "2013-02-17"), freeze(world, spec, "2013-02-18")

    assert late in before.cut.days("holdout")
    assert late not in days_of(before)
    assert late in days_of(after)
    assert (before.manifest["outcomes_known_later"], after.manifest["outcomes_known_later"]) == (30, 0)


def test_what_became_known_at_the_very_training_moment_counts_and_a_microsecond_later_it_does_not(world, spec):
    berlin = spec.model_copy(update={"timezone": "Europe/Berlin"})
    moment = datetime(2013, 2, 27, 23)  # 00:00 of the 28th there
    assert training_moment(berlin, DS) == moment
    _, outcomes = rows()
    publish_outcomes(world, corrected(outcomes, ["2013-02-20"], moment))
    publish_outcomes(world, corrected(outcomes, ["2013-02-21"], moment + timedelta(microseconds=1)))

    frozen = freeze(world, berlin)

    assert "2013-02-20" in days_of(frozen)
    assert "2013-02-21" not in days_of(frozen)


def test_what_became_known_after_the_holdout_began_teaches_nothing_and_what_tuning_could_not_know_teaches_the_last_fit(
    world, spec
):
    began = training_moment(spec, "2013-02-12")  # the holdout is 2013-02-13 to 26
    tuned = training_moment(spec, shift(snapshot.cut(spec, DS).tuning_first, -1))
    _, outcomes = rows()
    late = {"2013-01-05": began, "2013-01-06": began + timedelta(microseconds=1), "2013-01-07": tuned}
    late["2013-01-08"] = tuned + timedelta(microseconds=1)
    for day, known_at in late.items():
        publish_outcomes(world, corrected(outcomes, [day], known_at))

    frozen = freeze(world, spec)

    def taken(part):
        return set(late) & set(pc.unique(frozen.part(part)["ds"]).to_pylist())

    assert taken("fit") == {"2013-01-05", "2013-01-07", "2013-01-08"}
    assert taken("train") == {"2013-01-07"}
    assert frozen.manifest["outcomes_known_later"] == 30


def test_outcomes_that_do_not_say_when_they_became_known_teach_nothing(dev, spec):
    features, outcomes = rows()
    publish(dev, features, outcomes.drop_columns(["known_at"]))
    with pytest.raises(ImagoError, match="which labels a training may see") as refused:
        freeze(dev, spec)
    assert refused.value.facts["column"] == "known_at"


def test_after_a_correction_the_pinned_versions_still_give_the_very_rows(world, spec):
    before = freeze(world, spec)
    _, outcomes = rows()
    flipped = pa.array([1] * 30, pa.int32())
    publish_outcomes(world, corrected(outcomes, ["2013-01-05"], datetime(2013, 3, 20), label=flipped))

    again = freeze(world, spec)
    remade, _ = snapshot.rows_of(world, spec, DS, before.manifest["versions"])

    # The newest version of those labels was not known then, and the one that was is not in the newest table.
    assert "2013-01-05" not in days_of(again)
    assert remade.equals(before.rows)
    assert snapshot.load(world, before.folder).rows.equals(before.rows)


def test_published_features_that_break_todays_contract_are_not_learned_from(world, spec):
    narrow = replace(CONTRACT, columns=(replace(CONTRACT.columns[0], values=("A", "B")), *CONTRACT.columns[1:]))
    with pytest.raises(RefusedPartition, match="gate: allowed values") as refused:
        freeze(world, spec, contract=narrow)
    facts = refused.value.facts
    assert (facts["column"], facts["seen"], facts["environment"]) == ("gate", "'C'", "dev")
    assert facts["partition"] == "2013-01-01..2013-02-26"
    assert facts["rows"] > 100


def test_the_contract_is_frozen_with_the_rows_and_a_moved_one_is_another_fit(world, spec):
    wide = replace(CONTRACT, columns=(replace(CONTRACT.columns[0], values=("A", "B", "C", "D")), *CONTRACT.columns[1:]))
    first = freeze(world, spec)
    second = freeze(world, spec, contract=wide)

    assert Contract.from_dict(first.manifest["contract"]) == CONTRACT
    assert Contract.from_dict(second.manifest["contract"]) == wide
    assert first.folder == second.folder
    one = spec.candidates[0]
    assert fitting.identity(spec, first, one, "abc") != fitting.identity(spec, second, one, "abc")
