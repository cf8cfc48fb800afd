"""A feature joins, leaves or changes its type while a champion reigns: it scores on, or says why it does not."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from champion_world import CONTRACT, DAYS, FIRST, LIVE, SPEC, TRAINED, crown, publish, world_rows

from imago.contracts import Column, Contract
from imago.days import shift
from imago.errors import ImagoError, RefusedPartition
from imago.jobs import metrics, monitoring, scoring, serving
from imago.jobs.explaining import explain
from imago.specs import Feature
from imago.tables import Table
from imago.training import snapshot

SECOND = shift(FIRST, 1)
WIDER = SPEC.model_copy(update={"features": (*SPEC.features, Feature(name="visits", kind="numeric"))})
WIDER_CONTRACT = Contract.from_dict(
    {
        **CONTRACT.as_dict(),
        "columns": [
            *CONTRACT.as_dict()["columns"],
            vars(Column(name="visits", data_type="integer", nullable=False, at_least=0, at_most=9)),
        ],
    }
)


def visits(rows: pa.Table) -> pa.Table:
    return rows.append_column("visits", pa.array([n % 7 for n in range(rows.num_rows)], pa.int32()))


def scores(env, ds: str) -> dict[str, float]:
    rows = Table(env, "toy", "predictions").require(ds)
    return dict(zip(rows["key"].to_pylist(), rows["score"].to_pylist(), strict=True))


@pytest.fixture
def joined(reign):
    """The first scored day as it was; on the second the feature `visits` joins."""
    scoring.score(reign, SPEC, FIRST, LIVE)
    scoring.score(reign, SPEC, SECOND, LIVE)
    features, _ = world_rows()
    publish(reign, "features", visits(features.filter(pc.equal(features["ds"], SECOND))), [SECOND])
    return reign


def test_a_champion_that_does_not_know_a_new_feature_scores_on_with_the_same_scores(joined):
    before = scores(joined, SECOND)
    told = scoring.score(joined, WIDER, SECOND, LIVE)
    assert (told["rows"], scores(joined, SECOND)) == (40, before)
    assert scoring.score(joined, WIDER, FIRST, LIVE)["changed"] is False
    assert explain(joined, WIDER, f"{SECOND}-003", SECOND)["equal"] is True
    assert explain(joined, WIDER, f"{FIRST}-003", FIRST)["equal"] is True


def test_monitoring_says_which_features_are_new_and_which_are_gone(joined):
    for ds in (FIRST, SECOND):
        scoring.score(joined, WIDER, ds, LIVE)
    told = monitoring.monitor(joined, WIDER, SECOND, LIVE)
    assert (told["new"], told["gone"]) == (["visits"], [])
    narrower = SPEC.model_copy(update={"features": SPEC.features[:2]})
    told = monitoring.monitor(joined, narrower, SECOND, LIVE)
    assert (told["new"], told["gone"]) == ([], ["noise"])


def test_metrics_of_a_day_from_before_a_slice_joined_leave_that_slice_out(joined):
    sliced = WIDER.model_copy(update={"slices": ("gate", "visits"), "metrics_model": None})
    assert "skipped" not in metrics.refresh(joined, sliced, FIRST, LIVE)
    found = Table(joined, "toy", "metrics").require(FIRST)
    assert {name.split("=")[0] for name in found["slice"].to_pylist()} <= {"all", "gate"}


def test_a_feature_that_left_is_refused_by_name_and_never_taken_for_missing(reign):
    features, _ = world_rows()
    publish(reign, "features", features.filter(pc.equal(features["ds"], FIRST)).drop_columns(["noise"]), [FIRST])
    assert Table(reign, "toy", "features").require(FIRST)["noise"].null_count == 40

    with pytest.raises(
        RefusedPartition, match=f"version 1 was trained with noise, which the features of {FIRST}"
    ) as no:
        scoring.score(reign, SPEC, FIRST, LIVE)
    assert (no.value.facts["column"], no.value.facts["partition"]) == ("noise", FIRST)
    assert "imago run training toy" in no.value.next_step
    assert scoring.score(reign, SPEC, SECOND, LIVE)["rows"] == 40


@pytest.mark.parametrize("kind", [pa.int64(), pa.int32(), pa.float32(), pa.decimal128(12, 2)])
def test_a_number_in_another_type_gives_the_same_scores_where_its_values_are_the_same(reign, kind):
    features, _ = world_rows()
    day = features.filter(pc.equal(features["ds"], FIRST))
    place = day.column_names.index("risk")
    whole = day.set_column(place, "risk", pc.round(day["risk"]))
    publish(reign, "features", whole, [FIRST])
    scoring.score(reign, SPEC, FIRST, LIVE)
    expected = scores(reign, FIRST)

    publish(reign, "features", whole.set_column(place, "risk", whole["risk"].cast(kind)), [FIRST])
    scoring.score(reign, SPEC, FIRST, LIVE)
    assert scores(reign, FIRST) == expected
    assert explain(reign, SPEC, f"{FIRST}-007", FIRST)["equal"] is True


def test_the_next_training_learns_the_new_feature_and_says_since_when_it_exists(reign):
    features, _ = world_rows()
    since = "2013-01-20"
    later = [ds for ds in DAYS if ds >= since]
    publish(reign, "features", visits(features.filter(pc.greater_equal(features["ds"], since))), later)
    old = snapshot.freeze(reign, SPEC, TRAINED, contract=CONTRACT, run_id="old")

    frozen = snapshot.freeze(reign, WIDER, TRAINED, contract=WIDER_CONTRACT, run_id="new")

    assert frozen.manifest["joined"] == {"visits": since}
    early = frozen.rows.filter(pc.less(frozen.rows["ds"], since))
    late = frozen.rows.filter(pc.greater_equal(frozen.rows["ds"], since))
    assert (early["visits"].null_count, late["visits"].null_count) == (early.num_rows, 0)
    again = snapshot.load(reign, old.folder)
    assert (again.digest, again.rows.column_names) == (old.digest, old.rows.column_names)
    assert old.manifest["joined"] == {}
    assert again.of(SPEC) is again
    with pytest.raises(ImagoError, match=f"snapshot of {TRAINED} was frozen before visits stood in the spec"):
        again.of(WIDER)


def test_a_feature_of_the_spec_that_no_day_has_is_named_with_the_side_that_lacks_it(reign):
    with pytest.raises(RefusedPartition, match="the spec names visits, which no published day of features has"):
        snapshot.freeze(reign, WIDER, TRAINED, contract=WIDER_CONTRACT, run_id="new")


def test_the_reference_of_a_champion_is_of_the_features_that_it_was_trained_with(dev):
    features, outcomes = world_rows()
    publish(dev, "features", features, DAYS)
    publish(dev, "outcomes", outcomes, DAYS)
    champion = crown(dev)
    assert set(monitoring.reference_of(dev, WIDER, champion, LIVE).features) == {"gate", "risk", "noise"}


def test_an_endpoint_is_not_deployed_on_a_day_that_lacks_a_feature_of_its_champion(reign):
    features, _ = world_rows()
    last = DAYS[-1]
    publish(reign, "features", features.filter(pc.equal(features["ds"], last)).drop_columns(["noise"]), [last])
    with pytest.raises(RefusedPartition, match="version 1 was trained with noise"):
        serving.deploy(reign, SPEC, LIVE)
    publish(reign, "features", visits(features.filter(pc.equal(features["ds"], last))), [last])
    assert serving.deploy(reign, WIDER, LIVE)["ds"] == last
