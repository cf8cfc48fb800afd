"""A whole fight from scores: what was stored is not believed, and a slice that got worse is found and named."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from imago.selection import Bar, Check, Contestant, decide
from imago.selection.bootstrap import differences
from imago.selection.slices import check_slices
from imago.selection.units import Units

RANDOM = np.random.default_rng(11)
DAYS = np.repeat([f"2013-09-{day:02d}" for day in range(1, 11)], 300)
UNITS = Units.of_days(DAYS)
ROWS = len(DAYS)
RISK = RANDOM.normal(size=ROWS)
TRUTH = (RANDOM.random(ROWS) < 1 / (1 + np.exp(-RISK))).astype(float)
GATE = np.where(RANDOM.random(ROWS) < 0.25, "A", "B")
GATE[:150] = ""
NOISE = RANDOM.normal(size=ROWS)
SCORES = {
    "prior": np.full(ROWS, 0.5),
    "king": RISK + 1.4 * NOISE,
    "trees": RISK,
    "twin": RISK + 1.4 * NOISE,
    # better by far, except that it knows nothing at gate A
    "lopsided": np.where(GATE == "A", RANDOM.normal(size=ROWS), RISK),
}
BAR = Bar("roc_auc", True, 0.005)
FEW = DAYS < "2013-09-07"


def fought(*candidates, champion="king", stored=None, rows=slice(None), scores=SCORES, **options):
    contestants = [Contestant("prior", "baseline", None)]
    contestants += [Contestant(name, "candidate", stored) for name in candidates]
    contestants += [Contestant(champion, "champion", stored)] if champion else []
    held = {name: values[rows] for name, values in scores.items()}
    return decide(
        contestants,
        bar=BAR,
        units=UNITS.at(rows),
        truth=TRUTH[rows],
        scores=held,
        seed=1,
        resamples=500,
        **options,
    )


def test_the_better_one_wins_by_its_scores():
    verdict = fought("trees")
    assert (verdict.outcome, verdict.challenger, verdict.opponent) == ("promoted", "trees", "king")
    assert verdict.rulings[1].score == pytest.approx(roc_auc_score(TRUTH, RISK))


def test_the_first_champion_is_measured_against_the_best_baseline():
    assert fought("trees", champion=None).opponent == "prior"


@pytest.mark.parametrize(("champion", "opponent", "sure"), [("king", "king", 0.99), (None, "prior", 0.975)])
def test_a_champion_is_beaten_more_surely_than_a_baseline(champion, opponent, sure):
    verdict = fought("trees", "lopsided", champion=champion)
    expected = differences(metric="roc_auc", higher_is_better=True, units=UNITS, truth=TRUTH, scores=SCORES, seed=1,
                           pairs=[("trees", opponent), ("lopsided", opponent)], resamples=500,
                           confidence=sure)  # fmt: skip
    found = {ruling.name: ruling.difference for ruling in verdict.rulings if ruling.role == "candidate"}
    assert found == {name: expected[name, opponent] for name in ("trees", "lopsided")}


@pytest.mark.parametrize("stored", [0.0, 0.99, float("nan"), float("inf")])
def test_a_stored_metric_changes_nothing(stored):
    assert fought("trees", stored=stored) == fought("trees")


def test_a_contestant_without_scores_has_no_metric():
    scores = {name: values for name, values in SCORES.items() if name != "trees"}
    assert fought("trees", stored=0.7, scores=scores).gate == "candidates"


def test_the_twin_of_the_champion_does_not_win():
    verdict = fought("twin")
    assert (verdict.outcome, verdict.rulings[1].difference.high) == ("kept", 0.0)


def test_better_overall_and_worse_on_a_slice_is_refused_with_the_slice_named():
    assert fought("lopsided").outcome == "promoted"
    verdict = fought("lopsided", slices={"gate": GATE}, allowed_loss=0.02)
    assert (verdict.outcome, verdict.gate, verdict.challenger) == ("rejected", "slices", "lopsided")
    assert "gate=A: worse than king by 0." in verdict.reason
    assert "gate=B" not in verdict.reason


def test_no_slice_worse_is_promoted_and_few_rows_are_named():
    verdict = fought("trees", slices={"gate": GATE}, allowed_loss=0.02)
    assert (verdict.outcome, verdict.bar.gates) == ("promoted", ("slices",))
    assert verdict.warnings[1:] == ("too few rows to judge the slices gate=(missing) (150 rows)",)


def test_checks_of_other_gates_are_heard_beside_the_slices():
    verdict = fought(
        "trees", slices={"gate": GATE}, allowed_loss=0.02, checks={"trees": [Check("memory", False, "9 GB")]}
    )
    assert (verdict.outcome, verdict.gate) == ("rejected", "memory")


def test_on_six_days_nobody_wins():
    verdict = fought("trees", rows=FEW)
    assert verdict.outcome == "kept"
    assert verdict.rulings[1].difference.estimate is None


def test_shuffled_labels_block_and_name_the_baseline():
    shuffled = RANDOM.permutation(TRUTH)
    contestants = [Contestant("prior", "baseline", None), Contestant("trees", "candidate", None)]
    verdict = decide(contestants, bar=BAR, units=UNITS, truth=shuffled, scores=SCORES, seed=1, resamples=500)
    assert (verdict.outcome, verdict.gate, verdict.best_baseline) == ("blocked", "tripwire", "prior")


def checked(values, *, metric="roc_auc", higher=True, truth=TRUTH, scores=SCORES, names=("lopsided",), loss=0.02):
    return check_slices(
        metric=metric, higher_is_better=higher, units=UNITS, truth=truth, scores=scores, slices={"gate": values},
        candidates=list(names), opponent="king", allowed_loss=loss, seed=1, resamples=500,
    )  # fmt: skip


def test_a_loss_within_what_is_allowed_passes():
    (check,) = checked(GATE, loss=0.5)[0]["lopsided"]
    assert (check.gate, check.passed) == ("slices", True)


def test_a_loss_that_may_be_chance_passes():
    """Two noisy ways to be equally good: on 200 rows one lies behind by more than 0.01, but not surely."""
    tiny = np.where(np.arange(ROWS) % 15 == 4, "S", "L")
    rows = tiny == "S"
    scores = {**SCORES, "other": RISK + 1.2 * RANDOM.normal(size=ROWS)}
    gap = differences(metric="roc_auc", higher_is_better=True, units=UNITS.at(rows), truth=TRUTH[rows],
                      scores={name: scores[name][rows] for name in ("other", "king")},
                      pairs=[("other", "king")], seed=1)["other", "king"]  # fmt: skip
    assert gap.low < 0 < gap.high
    (check,) = checked(tiny, scores=scores, names=("other",), loss=0.0)[0]["other"]
    assert check.passed


def test_a_slice_on_which_nothing_can_be_told_is_not_passed():
    scores = {**SCORES, "lopsided": np.where(GATE == "A", np.nan, RISK)}
    (check,) = checked(GATE, scores=scores)[0]["lopsided"]
    assert not check.passed
    assert "gate=A: no difference to king could be told" in check.reason


@pytest.mark.parametrize(
    ("rows", "positives", "days", "judged"),
    [(200, 20, 7, True), (199, 20, 7, False), (200, 19, 7, False), (200, 181, 7, False), (200, 180, 7, True),
     (200, 20, 6, False)],
)  # fmt: skip
def test_what_enough_rows_are(rows, positives, days, judged):
    day = np.array([f"2013-09-{place % days + 1:02d}" for place in range(rows)])
    truth = (np.arange(rows) < positives).astype(float)
    scores = {name: RANDOM.random(rows) for name in ("a", "king")}
    checks, few = check_slices(
        metric="roc_auc", higher_is_better=True, units=Units.of_days(day), truth=truth, scores=scores,
        slices={"c": np.full(rows, "x")},
        candidates=["a"], opponent="king", allowed_loss=1.0, seed=1, resamples=50,
    )  # fmt: skip
    assert (not few) is judged
    assert checks["a"][0].passed


def test_a_number_needs_no_classes_to_be_judged_on_a_slice():
    truth = np.full(ROWS, 3.0)
    scores = {"king": np.full(ROWS, 3.0), "lopsided": np.where(GATE == "A", 4.0, 3.0)}
    (check,) = checked(GATE, metric="rmse", higher=False, truth=truth, scores=scores)[0]["lopsided"]
    assert "gate=A: worse than king by 1.0000 rmse" in check.reason


def test_more_candidates_do_not_loosen_the_gate():
    alone = checked(GATE)[0]["lopsided"]
    names = ("lopsided", *(f"c{place}" for place in range(20)))
    scores = {**SCORES, **{name: RISK for name in names if name != "lopsided"}}
    assert checked(GATE, scores=scores, names=names)[0]["lopsided"] == alone


def test_a_slice_without_a_loss_says_so():
    checks, _ = checked(np.full(ROWS, "all"), names=("trees",))
    assert checks["trees"] == [Check("slices", True, "no slice is worse than allowed")]


def test_a_candidate_without_scores_is_not_passed():
    (check,) = checked(np.full(ROWS, "all"), names=("nobody",))[0]["nobody"]
    assert (check.passed, "no difference to king could be told" in check.reason) == (False, True)


def on_numbers(gap, **limits):
    """The check of a candidate whose error is larger by `gap` (per row) than that of a flawless champion."""
    checks, _ = checked(np.full(ROWS, "all"), metric="mae", higher=False, truth=np.zeros(ROWS),
                        scores={"king": np.zeros(ROWS), "lopsided": gap}, **limits)  # fmt: skip
    return checks["lopsided"][0]


def test_a_loss_of_exactly_what_is_allowed_passes():
    assert on_numbers(np.full(ROWS, 0.25), loss=0.25).passed
    assert not on_numbers(np.full(ROWS, 0.25), loss=0.2499).passed


def test_a_loss_on_a_single_day_is_not_sure():
    """Many draws lack that day, so the upper bound is exactly 0."""
    assert on_numbers(np.where(DAYS == "2013-09-03", 5.0, 0.0)).passed


def test_a_slice_is_judged_as_if_each_candidate_stood_alone():
    """The loss is sure at 95%, and would not be at 97.5%."""
    daily = np.array([-0.9, -0.6, -0.1, 0.2, 0.5, 0.7, 0.9, 1.1, 1.4, 1.2])
    for lift in np.arange(0.0, 1.0, 0.01):
        gap = np.repeat(daily + lift, 300) + 5
        found = {
            many: differences(metric="mae", higher_is_better=False, units=UNITS, truth=np.zeros(ROWS), seed=1,
                              resamples=500, scores={"king": np.full(ROWS, 5.0), "lopsided": gap},
                              pairs=[("lopsided", "king")],
                              confidence=1 - 0.05 / many)["lopsided", "king"].high
            for many in (1, 2)
        }  # fmt: skip
        if found[1] < 0 <= found[2]:
            break
    assert found[1] < 0 <= found[2]
    checks, _ = checked(np.full(ROWS, "all"), metric="mae", higher=False, truth=np.zeros(ROWS),
                        scores={"king": np.full(ROWS, 5.0), "lopsided": gap}, loss=0.0)  # fmt: skip
    assert not checks["lopsided"][0].passed


def test_without_a_word_no_loss_on_a_slice_is_allowed():
    assert fought("lopsided", slices={"gate": GATE}).gate == "slices"
    assert fought("lopsided", slices={"gate": GATE}, allowed_loss=1.0).gate != "slices"
