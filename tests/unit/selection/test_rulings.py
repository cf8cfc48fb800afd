"""What the champion rule says of each contestant, and of fights that are out of the ordinary."""

from __future__ import annotations

import math

import pytest

from imago.selection import Bar, Contestant, Difference, judge, out_of_order

AUC = Bar("roc_auc", True, 0.01, floor=0.6, ceiling=0.8)
LOSS = Bar("log_loss", False, 0.01, floor=0.6, ceiling=0.1)
SURE = Difference(0.02, 0.01, 0.03)


def fight(champion=None, baseline=0.6, **candidates):
    found = [Contestant("prior", "baseline", baseline)]
    found += [Contestant(name, "candidate", score) for name, score in candidates.items()]
    return found + ([Contestant("king", "champion", champion)] if champion is not None else [])


def judged(contestants, spans, bar=AUC):
    """The verdict, where every candidate is surely better than the baseline `prior`."""
    sure = {(one.name, "prior"): SURE for one in contestants if one.role == "candidate"}
    return judge(contestants, {**sure, **spans}, bar)


def ruled(contestants, spans, bar=AUC):
    """{name: (standing, reason)}, with these intervals and no others."""
    return {ruling.name: (ruling.standing, ruling.reason) for ruling in judge(contestants, spans, bar).rulings}


@pytest.mark.parametrize(
    ("contestants", "name", "standing", "reason"),
    [
        ([Contestant("a", "candidate", 0.7, "it did not load")], "a", "OUT", "it did not load"),
        ([Contestant("a", "candidate", None)], "a", "OUT", "no score"),
        ([Contestant("a", "candidate", 0.7)], "a", "OUT", "no opponent"),
        (fight(champion=None, baseline=math.nan, a=0.7), "a", "OUT", "no opponent"),
        (fight(champion=math.nan, a=0.7), "a", "OUT", "no opponent"),
        (fight(a=0.59), "a", "OUT", "floor of 0.6"),
        (fight(a=0.81), "a", "OUT", "beyond 0.8"),
        (fight(champion=0.81, a=0.7), "king", "TIE", "it reigns"),
        (fight(champion=0.5, a=0.7), "king", "TIE", "it reigns"),
        (fight(a=0.7), "prior", "LOSE", "never promoted"),
    ],
)
def test_what_is_said_of_one_who_cannot_be_compared(contestants, name, standing, reason):
    said = ruled(contestants, {})[name]
    assert said[0] == standing
    assert reason in said[1]


@pytest.mark.parametrize(
    ("score", "span", "standing", "reason"),
    [
        (0.72, SURE, "WIN", "more than chance"),
        (0.72, Difference(0.02, 0.0, 0.04), "TIE", "may be chance"),
        (0.72, Difference(0.02, -0.01, 0.04), "TIE", "may be chance"),
        (0.705, Difference(0.005, 0.001, 0.01), "TIE", "less than the smallest"),
        (0.70, Difference(0.0, -0.01, 0.0), "TIE", "may be chance"),
        (0.68, Difference(-0.02, -0.03, -0.01), "LOSE", "worse"),
        (0.72, Difference(0.02, 0.01, None), "TIE", "no interval"),
        (0.72, Difference(0.02, 0.01, math.inf), "TIE", "no interval"),
        (0.72, Difference(0.02, None, 0.03), "TIE", "no interval"),
        (0.72, Difference(0.02, math.nan, 0.03), "TIE", "no interval"),
        (0.72, None, "TIE", "no interval"),
    ],
)
def test_what_is_said_of_a_candidate_against_the_champion(score, span, standing, reason):
    spans = {("a", "prior"): SURE} | ({("a", "king"): span} if span else {})
    said = ruled(fight(champion=0.70, a=score), spans)["a"]
    assert said[0] == standing
    assert reason in said[1]


def test_who_is_not_ahead_of_the_baseline_by_the_smallest_effect_loses_although_it_beats_the_champion():
    contestants, spans = fight(champion=0.55, a=0.605), {("a", "king"): SURE, ("a", "prior"): SURE}
    assert ruled(contestants, spans)["a"] == ("LOSE", "it does not beat the baseline prior: +0.0550 against king, "
                                              "interval +0.0100 to +0.0300")  # fmt: skip
    assert judge(contestants, spans, AUC).gate == "tripwire"


def test_without_a_champion_a_tie_with_the_baseline_is_a_tie():
    assert ruled(fight(a=0.605), {("a", "prior"): Difference(0.005, -0.01, 0.02)})["a"][0] == "TIE"


def test_without_a_baseline_the_champion_is_still_compared():
    contestants = [Contestant("king", "champion", 0.7), Contestant("a", "candidate", 0.72)]
    verdict = judge(contestants, {("a", "king"): SURE}, AUC)
    assert (verdict.gate, verdict.best_baseline, verdict.rulings[1].standing) == ("baselines", None, "WIN")


def test_only_a_champion_is_the_incumbent_whatever_the_names_are():
    contestants = [Contestant("a", "baseline", 0.6), Contestant("b", "candidate", 0.72)]
    spans = {("b", "a"): SURE, ("b", "z"): SURE}
    assert judge(contestants, spans, AUC).incumbent is None
    verdict = judge([*contestants, Contestant("z", "champion", 0.7)], spans, AUC)
    assert (verdict.incumbent, verdict.opponent, verdict.best_baseline) == ("z", "z", "a")


def test_the_best_has_the_smallest_loss():
    contestants = [
        Contestant("a", "candidate", 0.40), Contestant("b", "candidate", 0.35), Contestant("p", "baseline", 0.50),
        Contestant("q", "baseline", 0.55),
    ]  # fmt: skip
    verdict = judge(contestants, {(name, "p"): SURE for name in "ab"}, LOSS)
    assert (verdict.outcome, verdict.challenger, verdict.best_baseline) == ("promoted", "b", "p")


def test_the_champion_with_a_fault_cannot_be_beaten():
    contestants = [*fight(trees=0.75), Contestant("king", "champion", 0.70, "it has seen the holdout")]
    verdict = judged(contestants, {("trees", "king"): SURE}, AUC)
    assert (verdict.outcome, verdict.gate) == ("rejected", "incumbent")
    assert "it has seen the holdout" in verdict.reason


def test_two_contestants_of_one_name_are_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="different names"):
        judge([Contestant("a", "champion", 0.7), Contestant("a", "candidate", 0.7)], {}, AUC)


def test_a_training_older_than_the_champions_moves_nothing_and_has_no_challenger():
    verdict = out_of_order("champion v3", "it is older", AUC)
    assert (verdict.outcome, verdict.gate, verdict.challenger) == ("kept", "order", None)
    assert (verdict.incumbent, verdict.opponent, verdict.best_baseline) == ("champion v3", "champion v3", None)


def test_scores_of_exactly_the_floor_and_the_ceiling_are_within_bounds():
    assert judged(fight(baseline=0.5, a=0.6), {}, AUC).outcome == "promoted"
    assert judged(fight(baseline=0.5, a=0.8), {}, AUC).outcome == "promoted"


def test_a_verdict_as_plain_data_holds_what_was_said():
    said = judged(fight(a=0.7), {}, AUC).as_dict()
    assert (said["outcome"], said["bar"]["metric"]) == ("promoted", "roc_auc")
    assert [ruling["name"] for ruling in said["rulings"]] == ["prior", "a"]
