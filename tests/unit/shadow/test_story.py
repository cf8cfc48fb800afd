"""What days of a shadow tell, by hand."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from champion_world import SPEC

from imago.days import shift
from imago.selection.shadow.choice import choose, unfair
from imago.selection.shadow.story import tell
from imago.selection.shadow.sums import day_sums, pair

FIRST = "2013-02-11"
KEYS = list("abcdef")
GATES = pa.table({"key": KEYS, "gate": list("AAABBB")})


def table(scores):
    return pa.table(
        {"key": KEYS, "score": pa.array(scores, pa.float64()), "decision": [score >= 0.5 for score in scores]}
    )


def day(ds, champion, shadow, labels=None, *, against="1"):
    truth = None if labels is None else pa.table({"key": KEYS, "label": pa.array(labels, pa.int32())})
    rows = pair(SPEC, table(champion), table(shadow), truth, GATES)
    return day_sums(SPEC, ds, "2", against, rows).to_pylist()


# The shadow calls b and c, and no longer d.
CHAMPION, SHADOW = [0.9, 0.4, 0.4, 0.6, 0.2, 0.1], [0.8, 0.6, 0.7, 0.3, 0.2, 0.1]


def test_before_any_outcome_it_tells_flips_and_two_opinions_of_their_worth():
    told = tell(SPEC, day(FIRST, CHAMPION, SHADOW))
    assert (told["rows"], told["known"], told["money"], told["metric"]) == (6, 0, None, None)
    assert [(one["words"], one["rows"]) for one in told["flips"]["directions"]] == [
        ("called, and was not", 2),
        ("no longer called", 1),
    ]
    # A call is worth 15 p - 5: by the champion 2 x 1 for b and c, -4 for d; by the shadow 4 and 5.5, and 0.5 for d.
    assert told["pending"] == pytest.approx({"champion": -2.0, "shadow": 10.0})
    assert [(one["slice"], one["rows"], one["of"]) for one in told["flips"]["where"]] == [
        ("gate=A", 2, 3),
        ("gate=B", 1, 3),
    ]
    assert told["verdict"] == "no outcome is known yet"
    assert told["sentence"] == (
        "It would have decided 3 of 6 rows differently (50.0%); none of these outcomes is known yet."
    )


def test_with_outcomes_it_tells_who_was_right_on_which_flips_and_for_how_much():
    rows = [*day(FIRST, CHAMPION, SHADOW, [1, 1, 0, 0, 0, 0]), *day(shift(FIRST, 1), CHAMPION, SHADOW, against="3")]
    told = tell(SPEC, rows)
    assert (told["days"], told["days_known"], told["against"]) == (2, 1, ["1", "3"])
    called, dropped = told["flips"]["directions"]
    assert (called["rows"], called["known"], called["shadow_right"], called["champion_right"]) == (4, 2, 1, 1)
    assert (called["money"], dropped["money"]) == (5.0, 5.0)  # b 10, c -5; d was a false alarm
    assert told["money"] == {"estimate": 10.0, "low": None, "high": None}
    assert told["pending"] == pytest.approx({"champion": -2.0, "shadow": 10.0})  # of the second day alone
    # 2 positives, 4 negatives: the champion ranks a above all and b above e and f, beside c; the shadow misses c > b.
    assert told["metric"]["champion"] == pytest.approx((4 + 2.5) / 8)
    assert told["metric"]["shadow"] == pytest.approx((4 + 3) / 8)
    assert told["metric"]["estimate"] == pytest.approx(0.5 / 8)
    assert told["verdict"] == "too few days to tell, 7 at least"
    assert "it was right on 2 and the champion on 1: 10 USD more" in told["sentence"]


def test_a_gain_that_comes_on_most_days_is_sure_and_one_lucky_day_is_not():
    steady = [
        row for number in range(10) for row in day(shift(FIRST, number), CHAMPION, SHADOW, [1, 1, number % 2, 0, 0, 0])
    ]
    told = tell(SPEC, steady)
    assert told["money"]["estimate"] == 5 * 10.0 + 5 * 25.0
    assert 0 < told["money"]["low"] < told["money"]["estimate"] < told["money"]["high"]
    assert (told["verdict"], told["tone"]) == ("surely better", "passed")
    lucky = [
        row
        for number in range(10)
        for row in day(
            shift(FIRST, number), CHAMPION, SHADOW, [1, 1, 1, 0, 0, 0] if number == 4 else [0, 0, 0, 1, 0, 0]
        )
    ]
    told = tell(SPEC, lucky)
    assert told["money"]["estimate"] == 25.0 + 9 * -20.0
    assert told["verdict"] != "surely better"


def test_scores_that_move_together_correlate():
    told = tell(SPEC, day(FIRST, [0.1, 0.2, 0.3, 0.4, 0.6, 0.7], [0.2, 0.3, 0.4, 0.5, 0.7, 0.8]))
    assert told["scores"]["correlation"] == pytest.approx(1.0)
    assert told["scores"]["mean_difference"] == pytest.approx(0.1)
    flat = tell(SPEC, day(FIRST, [0.3] * 6, [0.1, 0.2, 0.3, 0.4, 0.6, 0.7]))
    assert flat["scores"]["correlation"] is None


def test_a_shadow_that_decides_alike_says_so():
    told = tell(SPEC, day(FIRST, CHAMPION, CHAMPION, [1, 1, 0, 0, 0, 0]))
    assert told["flips"]["rows"] == 0
    assert told["sentence"] == "It decided all 6 rows as the champion did."
    assert tell(SPEC, []) is None


def shadow(version, *, trained="2013-02-01", first="2013-02-05", number=1):
    from imago.ledger.shadows import Shadow

    return Shadow(
        model="toy", version=version, run_id="r", artifact_uri="u", artifact_sha256="s", artifact_format="onnx",
        artifacts={}, training_ds="2013-02-04", trained_until=trained, effective_ds=first, reason="w", decided_by="me",
        id=number,
    )  # fmt: skip


def test_a_day_is_scored_by_the_standing_and_by_those_that_its_partition_holds():
    ten, nine, gone = shadow("10"), shadow("9"), shadow("3")
    wanted, reasons = choose([ten, nine], [gone, nine], FIRST, "1")
    assert [one.version for one in wanted] == ["3", "9", "10"]
    assert reasons == {}


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (shadow("1"), "is the champion of 2013-02-11"),
        (shadow("2", trained=FIRST), "has learned from 2013-02-11"),
        (shadow("2", first="2013-02-12"), "shadows from 2013-02-12 on"),
    ],
)
def test_who_does_not_score_a_day_is_told_with_the_reason(one, reason):
    wanted, reasons = choose([one], [], FIRST, "1")
    assert wanted == []
    assert reason in reasons[one.version]


def test_only_the_same_inputs_are_held_against_each_other():
    mine = {"shadows": {"2": {"features": "f"}}, "decision_threshold": 0.5}
    champion = {"model_version": "1", "leaking": False, "features": {"digest": "f"}, "decision_threshold": 0.5}
    assert unfair("2", mine, champion) is None
    for change, words in (
        ({"model_version": "2"}, "it is the champion"),
        ({"leaking": True}, "has learned from that day"),
        ({"features": {"digest": "g"}}, "other features"),
        ({"decision_threshold": 0.4}, "another threshold"),
    ):
        assert words in unfair("2", mine, {**champion, **change})


def test_of_numbers_it_tells_who_came_closer_and_no_flips():
    spec = SPEC.model_copy(update={"problem": "regression", "business": None, "primary_metric": "rmse", "slices": ()})

    def rows(scores):
        return pa.table({"key": list("abc"), "score": pa.array(scores, pa.float64())})

    truth = pa.table({"key": list("abc"), "label": pa.array([10.0, 20.0, 30.0])})
    days = [
        row
        for number in range(8)
        for row in day_sums(
            spec, shift(FIRST, number), "2", "1", pair(spec, rows([12, 22, 30]), rows([11, 21, 33]), truth, None)
        ).to_pylist()
    ]
    told = tell(spec, days)
    assert (told["flips"], told["money"], told["pending"]) == (None, None, None)
    assert told["right"] == {"shadow": 16, "champion": 8}
    assert told["metric"]["champion"] == pytest.approx(np.sqrt(8 / 3))
    assert told["metric"]["estimate"] == pytest.approx(np.sqrt(8 / 3) - np.sqrt(11 / 3))  # lower is better
    assert told["verdict"] == "surely worse"
    assert "it came closer on 16 and the champion on 8" in told["sentence"]
