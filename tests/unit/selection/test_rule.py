"""The champion rule by value: who is promoted, and who is not."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import permutations

import pytest

from imago.selection import Bar, Check, Contestant, Difference, judge

AUC = Bar("roc_auc", True, 0.01, floor=0.6, ceiling=0.8)
LOSS = Bar("log_loss", False, 0.01, floor=0.6, ceiling=0.1)
SURE = Difference(0.02, 0.01, 0.03)
KING = {("trees", "king"): SURE}


def judged(contestants, differences, bar):
    """The verdict, where every candidate is surely better than every baseline unless the test says otherwise."""
    names = {one.name: one.role for one in contestants}
    sure = {(a, b): SURE for a in names for b in names if names[a] == "candidate" and names[b] == "baseline"}
    return judge(contestants, {**sure, **differences}, bar)


def fight(champion=None, baseline=0.6, **candidates):
    found = [Contestant("prior", "baseline", baseline)]
    found += [Contestant(name, "candidate", score) for name, score in candidates.items()]
    return found + ([Contestant("king", "champion", champion)] if champion is not None else [])


def test_first_champion_has_to_beat_the_best_baseline():
    verdict = judged(fight(trees=0.72), {("trees", "prior"): SURE}, AUC)
    assert (verdict.outcome, verdict.challenger, verdict.opponent) == ("promoted", "trees", "prior")


def test_a_better_candidate_dethrones_the_champion():
    verdict = judged(fight(champion=0.70, trees=0.72), {("trees", "king"): SURE}, AUC)
    assert (verdict.outcome, verdict.challenger, verdict.incumbent) == ("promoted", "trees", "king")


def test_a_tie_keeps_the_champion():
    verdict = judged(fight(champion=0.72, trees=0.72), {("trees", "king"): Difference(0.0, -0.01, 0.01)}, AUC)
    assert verdict.outcome == "kept"


def test_a_lead_within_chance_keeps_the_champion():
    verdict = judged(fight(champion=0.70, trees=0.72), {("trees", "king"): Difference(0.02, -0.001, 0.04)}, AUC)
    assert (verdict.outcome, verdict.rulings[1].standing) == ("kept", "TIE")


def test_a_sure_lead_below_the_smallest_effect_keeps_the_champion():
    verdict = judged(fight(champion=0.70, trees=0.705), {("trees", "king"): Difference(0.005, 0.001, 0.009)}, AUC)
    assert verdict.outcome == "kept"


def test_a_lead_of_exactly_the_smallest_effect_counts_in_floating_point():
    verdict = judged(fight(champion=0.70, trees=0.71), {("trees", "king"): Difference(0.01, 0.001, 0.02)}, AUC)
    assert verdict.outcome == "promoted"


def test_a_missing_interval_never_wins():
    assert judged(fight(champion=0.70, trees=0.75), {}, AUC).outcome == "kept"


def test_a_baseline_that_is_best_blocks_and_never_reigns():
    verdict = judged(fight(champion=0.70, baseline=0.74, trees=0.72), {("trees", "king"): SURE}, AUC)
    assert (verdict.outcome, verdict.gate, verdict.best_baseline) == ("blocked", "tripwire", "prior")


def test_a_candidate_just_above_the_baseline_is_blocked():
    assert judged(fight(baseline=0.70, trees=0.705), {("trees", "prior"): SURE}, AUC).outcome == "blocked"


@pytest.mark.parametrize("score", [None, math.nan, math.inf, -math.inf])
def test_a_candidate_without_a_finite_score_never_wins(score):
    verdict = judged(fight(champion=0.70, trees=score), {("trees", "king"): SURE}, AUC)
    assert (verdict.outcome, verdict.gate) == ("rejected", "candidates")


def test_a_baseline_without_a_score_means_that_nothing_was_compared():
    assert judged(fight(baseline=math.nan, trees=0.72), {}, AUC).gate == "baselines"


def test_a_champion_without_a_score_cannot_be_beaten():
    verdict = judged(fight(champion=math.nan, trees=0.72), {("trees", "king"): SURE}, AUC)
    assert (verdict.outcome, verdict.gate) == ("rejected", "incumbent")


def test_a_score_beyond_the_ceiling_stops_everyone():
    verdict = judged(fight(champion=0.70, trees=0.72, oracle=0.97), {("trees", "king"): SURE}, AUC)
    assert (verdict.outcome, verdict.gate) == ("rejected", "leak")
    assert "oracle" in verdict.reason


def test_a_baseline_beyond_the_ceiling_is_a_leak_too():
    assert judged(fight(baseline=0.95, trees=0.72), {}, AUC).gate == "leak"


def test_a_reigning_champion_beyond_the_ceiling_does_not_stop_a_fight():
    assert (
        judged(fight(champion=0.81, trees=0.79), {("trees", "king"): Difference(-0.02, -0.03, -0.01)}, AUC).outcome
        == "kept"
    )


def test_no_candidate_above_the_floor_is_rejected():
    assert judged(fight(baseline=0.50, trees=0.55), {("trees", "prior"): SURE}, AUC).gate == "floor"


def test_where_nobody_reigns_a_lead_over_the_baseline_that_may_be_chance_is_blocked():
    for span in (Difference(0.03, -0.01, 0.07), Difference(0.03, 0.0, 0.07), Difference(None, None, None)):
        verdict = judged(fight(baseline=0.60, trees=0.63), {("trees", "prior"): span}, AUC)
        assert (verdict.outcome, verdict.gate) == ("blocked", "tripwire")
        assert "by more than chance and by at least 0.01" in verdict.reason
        assert verdict.warnings == ()


@pytest.mark.parametrize(
    ("span", "warned"),
    [
        (Difference(0.03, -0.01, 0.07), "+0.0300, interval -0.0100 to +0.0700"),
        (Difference(0.03, 0.0, 0.07), "+0.0300, interval +0.0000 to +0.0700"),
        (Difference(None, None, None), "+0.0300, without an interval"),
        (Difference(0.03, 0.001, 0.07), None),
    ],
)
def test_whoever_beats_the_champion_is_warned_of_a_lead_over_the_baseline_that_may_be_chance(span, warned):
    verdict = judged(fight(champion=0.61, baseline=0.60, trees=0.63), {("trees", "prior"): span, **KING}, AUC)
    assert (verdict.outcome, verdict.challenger) == ("promoted", "trees")
    if warned is None:
        assert verdict.warnings == ()
    else:
        (warning,) = verdict.warnings
        assert f"the lead of trees over the baseline prior may be chance: {warned}; judge" in warning


def test_a_lead_over_the_baseline_below_the_smallest_effect_is_blocked_and_not_warned_about():
    spans = {("trees", "prior"): Difference(0.009, -0.01, 0.02), **KING}
    verdict = judged(fight(champion=0.59, baseline=0.62, trees=0.629), spans, AUC)
    assert (verdict.outcome, verdict.gate, verdict.warnings) == ("blocked", "tripwire", ())
    assert "chance" not in verdict.reason
    unsure = {("trees", "prior"): Difference(0.03, -0.01, 0.07), **KING}
    lossy = judged(fight(champion=0.55, baseline=0.50, trees=0.47), unsure, LOSS)
    assert "+0.0300" in lossy.warnings[0]


def test_shuffled_labels_name_the_baseline_and_not_the_floor():
    verdict = judged(fight(baseline=0.50, trees=0.498), {("trees", "prior"): SURE}, AUC)
    assert (verdict.outcome, verdict.best_baseline) == ("blocked", "prior")


def test_the_best_of_two_winners_is_promoted():
    sure = {("trees", "king"): SURE, ("line", "king"): SURE}
    assert judged(fight(champion=0.65, line=0.71, trees=0.73), sure, AUC).challenger == "trees"


def test_equal_winners_are_ranked_by_name():
    sure = {("trees", "king"): SURE, ("line", "king"): SURE}
    assert judged(fight(champion=0.65, line=0.73, trees=0.73), sure, AUC).challenger == "line"


def test_with_a_loss_smaller_is_better():
    verdict = judged(fight(champion=0.40, baseline=0.50, trees=0.35), {("trees", "king"): SURE}, LOSS)
    assert verdict.outcome == "promoted"
    assert judged(fight(baseline=0.50, trees=0.05), {}, LOSS).gate == "leak"


def test_a_faulty_candidate_does_not_win_although_it_scores():
    found = [*fight(champion=0.70), Contestant("trees", "candidate", 0.75, fault="it has seen the holdout")]
    assert judged(found, {("trees", "king"): SURE}, AUC).outcome == "rejected"


def test_two_champions_are_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="at most one"):
        judged([Contestant("a", "champion", 0.7), Contestant("b", "champion", 0.7)], {}, AUC)


def test_no_contestants_at_all_promotes_nobody():
    assert judged([], {}, AUC).outcome == "rejected"


def gated(checks, **candidates):
    """The verdict over candidates who all surely beat champion and baseline, behind the gate `slices`."""
    contestants = fight(champion=0.65, **candidates)
    sure = {(name, other): SURE for name in candidates for other in ("king", "prior")}
    return judge(contestants, sure, replace(AUC, gates=("slices",)), checks)


PASSED = [Check("slices", True, "fine")]
FAILED = [Check("slices", False, "carrier=EV: worse by 0.1")]


def test_a_winner_that_passed_every_gate_is_promoted():
    assert gated({"trees": PASSED}, trees=0.72).outcome == "promoted"


def test_a_winner_that_failed_a_gate_is_refused_and_the_gate_says_why():
    verdict = gated({"trees": FAILED}, trees=0.72)
    assert (verdict.outcome, verdict.gate, verdict.challenger) == ("rejected", "slices", "trees")
    assert "carrier=EV" in verdict.reason
    assert verdict.rulings[1].standing == "OUT"
    assert verdict.rulings[1].reason == "carrier=EV: worse by 0.1"


@pytest.mark.parametrize("checks", [None, {}, {"trees": []}, {"trees": [Check("other", True, "fine")]}])
def test_a_gate_that_said_nothing_was_not_passed(checks):
    verdict = gated(checks, trees=0.72)
    assert (verdict.outcome, verdict.gate) == ("rejected", "slices")
    assert "was not run" in verdict.reason


def test_a_failed_check_stops_although_nobody_declared_its_gate():
    verdict = gated({"trees": [*PASSED, Check("memory", False, "9 GB")]}, trees=0.72)
    assert (verdict.outcome, verdict.gate) == ("rejected", "memory")


def test_the_next_best_winner_is_promoted_when_the_best_fails_a_gate():
    verdict = gated({"trees": FAILED, "line": PASSED}, trees=0.74, line=0.72)
    assert (verdict.outcome, verdict.challenger) == ("promoted", "line")
    assert [ruling.standing for ruling in verdict.rulings] == ["LOSE", "OUT", "WIN", "TIE"]


def test_when_all_winners_fail_the_best_of_them_is_named():
    assert gated({"trees": FAILED, "line": FAILED}, line=0.72, trees=0.74).challenger == "trees"


def test_gates_are_asked_only_of_winners():
    verdict = judged(fight(champion=0.72, trees=0.72), {}, replace(AUC, gates=("slices",)))
    assert (verdict.outcome, verdict.gate) == ("kept", "fight")


def test_the_order_of_the_contestants_changes_nothing():
    contestants = fight(champion=0.65, line=0.73, trees=0.73)
    sure = {("trees", "king"): SURE, ("line", "king"): SURE}
    assert {judged(order, sure, AUC).challenger for order in permutations(contestants)} == {"line"}


@pytest.mark.parametrize(("error", "warned"), [(0.0070, True), (0.0066, False), (None, False)])
def test_an_effect_that_the_holdout_can_hardly_show_is_warned_about(error, warned):
    spans = {("trees", "king"): Difference(0.02, 0.01, 0.03, error)}
    verdict = judged(fight(champion=0.70, trees=0.72), spans, AUC)
    assert bool(verdict.warnings) is warned
    assert not warned or "0.0070" in verdict.warnings[0]


def test_an_effect_of_exactly_one_and_a_half_standard_errors_is_not_warned_about():
    spans = {("trees", "king"): Difference(0.5, 0.1, 0.9, 0.5)}
    bar = Bar("rmse", False, 0.75)
    assert judged(fight(champion=3.0, baseline=9.0, trees=2.0), spans, bar).warnings == ()


@pytest.mark.parametrize(
    "changed",
    [{"smallest_effect": 0.0}, {"smallest_effect": math.nan}, {"floor": math.nan}, {"ceiling": math.inf}],
)
def test_a_bar_that_would_stop_nobody_is_refused(changed):
    with pytest.raises(ValueError, match="finite"):
        replace(AUC, **changed)
