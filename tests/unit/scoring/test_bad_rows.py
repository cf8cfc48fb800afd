"""What becomes of rows that should not be there, under each policy of the spec."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from champion_world import CONTRACT, FIRST, LIVE, ROWS, SPEC, publish, world_rows

from imago.errors import RefusedPartition
from imago.jobs import metrics, scoring
from imago.scoring.judging import Judge, Tally, not_finite
from imago.specs import Scoring
from imago.tables import Table

NAMES = ("gate", "risk", "noise")
STRICT_GATE = CONTRACT.columns[0]


def batch(**columns) -> pa.RecordBatch:
    """Three rows; row 0 is always good."""
    told = {"gate": ["A", "B", "C"], "risk": [0.0, 1.0, 2.0], "noise": [0.0, None, 1.0], **columns}
    types = {"gate": pa.string(), "risk": pa.float64(), "noise": pa.float64()}
    return pa.RecordBatch.from_arrays([pa.array(told[name], types[name]) for name in NAMES], names=list(NAMES))


def verdict(policy: Scoring, rows: pa.RecordBatch, scores=None, categories=None):
    judge = Judge(policy, CONTRACT, NAMES, categories or {})
    checks, broken = judge.look(rows)
    return judge.verdict(rows.num_rows, checks, [*broken, *(not_finite(np.array(scores)) if scores else [])])


def test_each_bad_row_has_the_code_of_the_first_rule_that_it_breaks():
    rows = batch(gate=["A", "Z", "C"], risk=[0.0, 99.0, -99.0])
    told = verdict(Scoring(bad_rows="null", max_bad_rate=1.0), rows)
    assert told.reasons.to_pylist() == [None, "unseen:gate", "range:risk"]
    assert told.nulled.to_pylist() == [False, True, True]
    assert told.tally.reasons == {"unseen:gate": 1, "range:risk": 1}
    assert (told.tally.bad, told.tally.nulled, told.tally.stops) == (2, 2, False)


def test_a_nan_and_a_score_that_is_no_number_are_bad_too():
    told = verdict(Scoring(bad_rows="null"), batch(risk=[0.0, float("nan"), 1.0]), scores=[0.1, 0.2, float("inf")])
    assert told.reasons.to_pylist() == [None, "range:risk", "not_finite:score"]


def test_the_same_rows_are_judged_alike_when_their_texts_are_dictionaries():
    rows = batch(gate=["A", "Z", None])
    coded = rows.set_column(0, "gate", rows.column("gate").dictionary_encode())
    policy = Scoring(bad_rows="null")
    assert verdict(policy, coded).tally == verdict(policy, rows).tally


def test_a_category_that_the_training_never_held_follows_a_policy_of_its_own():
    known = {"gate": ["A", "B"]}
    scored = verdict(Scoring(), batch(), categories=known)
    assert (scored.tally.stops, scored.nulled, scored.tally.bad) == (False, None, 0)
    assert scored.tally.reasons == {"unseen:gate": 1}
    nulled = verdict(Scoring(unseen="null"), batch(), categories=known)
    assert nulled.nulled.to_pylist() == [False, False, True]
    assert verdict(Scoring(unseen="stop"), batch(), categories=known).tally.stops


def test_tallies_of_batches_add_up_and_travel_as_json():
    policy = Scoring(bad_rows="null")
    parts = [verdict(policy, batch(gate=["A", "Z", "Z"])).tally, verdict(policy, batch(gate=["Q", "B", "C"])).tally]
    both = parts[0].plus(Tally.from_dict(parts[1].as_dict()))
    assert (both.rows, both.bad, both.reasons) == (6, 3, {"unseen:gate": 3})
    assert [(fault.column, fault.rows, fault.seen) for fault in both.faults] == [("gate", 3, "'Z'")]


@pytest.fixture
def spoiled(reign):
    """Of the day's 40 rows, two have a gate that nobody promised."""
    rows, _ = world_rows([FIRST])
    gates = rows["gate"].to_pylist()
    publish(reign, "features", rows.set_column(3, "gate", pa.array(["Z", "Z", *gates[2:]])), [FIRST])
    return reign


def with_policy(**policy):
    return SPEC.model_copy(update={"scoring": Scoring(**policy)})


def test_bad_rows_are_published_without_a_score_or_with_one_and_always_accounted_for(spoiled):
    plain = scoring.score(spoiled, with_policy(bad_rows="score", max_bad_rate=0.05), FIRST, LIVE)
    assert (plain["rows"], plain["unscored"], plain["bad_rows"]) == (ROWS, 0, {"unseen:gate": 2})
    table = Table(spoiled, "toy", "predictions")
    assert "reason" not in table.require(FIRST).column_names

    told = scoring.score(spoiled, with_policy(bad_rows="null", max_bad_rate=0.05), FIRST, LIVE)

    rows = table.require(FIRST).sort_by("key").to_pylist()
    assert [row["reason"] for row in rows] == ["unseen:gate", "unseen:gate", *[None] * 38]
    assert all((row["score"] is None) == (row["decision"] is None) == (row["reason"] is not None) for row in rows)
    assert (told["rows"], told["unscored"], sum(told["decisions"].values())) == (ROWS, 2, 38)
    info = table.partition(FIRST)
    assert info.inputs["bad_rows"] == {
        "policy": "null", "unseen": "score", "unscored": 2, "reasons": {"unseen:gate": 2},
    }  # fmt: skip
    assert scoring.score(spoiled, with_policy(bad_rows="null"), FIRST, LIVE)["changed"] is False
    # The rows of before the column was there, and the metrics, go on.
    back = scoring.score(spoiled, with_policy(bad_rows="score"), FIRST, LIVE)
    assert back["digest"] == plain["digest"]
    scoring.score(spoiled, with_policy(bad_rows="null"), FIRST, LIVE)
    assert metrics.refresh(spoiled, with_policy(bad_rows="null"), FIRST, LIVE)["rows"] <= 38


def test_a_day_with_more_bad_rows_than_the_rate_is_refused_with_its_rate(spoiled):
    for policy in ("score", "null"):
        with pytest.raises(RefusedPartition, match=r"2 of 40 rows are bad \(5.00%\): unseen:gate 2") as refused:
            scoring.score(spoiled, with_policy(bad_rows=policy, max_bad_rate=0.049), FIRST, LIVE)
        facts = refused.value.facts
        assert (facts["column"], facts["allowed"], facts["seen"], facts["rows"]) == (
            "gate", "4.90% of the day's rows", "'Z'", 2,
        )  # fmt: skip
        assert "max_bad_rate" in refused.value.next_step
    assert Table(spoiled, "toy", "predictions").version() is None
