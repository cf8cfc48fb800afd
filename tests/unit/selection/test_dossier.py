"""The dossier's words and pictures from plain values, and a page that shows names as they are without letting them be
markup."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from imago.selection import Bar, Check, Contestant, Difference, dossier, judge, pictures, words, worth
from imago.selection.units import Units

BAR = Bar("roc_auc", True, 0.01, floor=0.6, ceiling=0.9)


def fought(gap, *, champion=0.70, score=0.74):
    """A fight of `trees` and `line` against a champion and the baseline `prior`."""
    contestants = [Contestant("prior", "baseline", 0.5), Contestant("trees", "candidate", score),
                   Contestant("line", "candidate", 0.71)]  # fmt: skip
    if champion:
        contestants.append(Contestant("champion v1", "champion", champion))
    sure = Difference(0.2, 0.15, 0.25)
    gaps = {("trees", "champion v1"): gap, ("trees", "prior"): sure, ("line", "prior"): sure,
            ("line", "champion v1"): Difference(0.01, 0.002, 0.018)}  # fmt: skip
    return judge(contestants, gaps, BAR)


WON = fought(Difference(0.04, 0.02, 0.06))


def said_of(verdict, name):
    return words.why(next(one for one in verdict.rulings if one.name == name), verdict)


def test_each_contestant_is_told_why_in_a_sentence_of_its_own():
    assert (
        said_of(WON, "trees")
        == "It beats champion v1 by 0.0400 AUC, surely by more than 0.0200: a lead worth a change."
    )
    assert (
        said_of(WON, "line")
        == "It beats champion v1 by 0.0100 AUC, surely by more than 0.0020, but trees scores higher."
    )
    assert said_of(WON, "champion v1") == "It reigns: the candidates are measured against it."
    assert said_of(WON, "prior") == "A naive rule, here to be beaten; it never reigns."


def test_a_naive_rule_is_called_one_whether_it_was_beaten_or_not():
    first = judge([Contestant("prior", "baseline", 0.5), Contestant("trees", "candidate", 0.7)],
                  {("trees", "prior"): Difference(0.2, 0.15, 0.25)}, BAR)  # fmt: skip
    assert said_of(first, "trees").startswith("It beats the naive rule prior by 0.2000 AUC")
    told = [Contestant("prior", "baseline", 0.6), Contestant("rate", "baseline", 0.4),
            Contestant("trees", "candidate", 0.62)]  # fmt: skip
    chance = judge(told, {("trees", "prior"): Difference(0.02, -0.1, 0.1)}, BAR)
    assert chance.outcome == "blocked"
    assert said_of(chance, "trees").startswith("Its lead over the naive rule prior of 0.0200 may be chance")
    assert "blocks the release" in said_of(chance, "prior")
    assert said_of(chance, "rate") == "A naive rule, here to be beaten; it never reigns."


@pytest.mark.parametrize(
    ("gap", "score", "said"),
    [
        (Difference(0.005, 0.001, 0.009), 0.705, "It is better than champion v1 by 0.0050, less than the 0.01 that"),
        (
            Difference(0.02, -0.01, 0.05),
            0.72,
            "Its lead over champion v1 of 0.0200 may be chance: the truth lies within",
        ),
        (Difference(-0.02, -0.05, 0.01), 0.68, "Its distance to champion v1 of 0.0200 may be chance"),
        (Difference(-0.05, -0.08, -0.02), 0.65, "It is surely worse than champion v1, by 0.0500"),
        (Difference(None, None, None), 0.72, "Its difference to champion v1 has no interval"),
    ],
)
def test_who_did_not_win_is_told_what_was_missing(gap, score, said):
    assert said_of(fought(gap, score=score), "trees").startswith(said)


def test_the_verdict_is_one_sentence_for_each_outcome():
    def sentence(verdict, outcome, **more):
        values = {"effective_ds": "2013-10-02", "days": 30, "money": "", "cause": "", **more}
        return words.summary(verdict, outcome, **values)

    assert sentence(WON, "promoted", money=", and more").startswith("trees scores from 2013-10-02 on: on 30 days")
    assert sentence(WON, "awaiting").startswith("trees would score from 2013-10-02 on")
    kept = fought(Difference(0.015, -0.01, 0.04), champion=0.705, score=0.72)
    assert sentence(kept, "kept").startswith("Nobody moves: trees came closest, and its lead over champion v1")
    blocked = judge([Contestant("prior", "baseline", 0.7), Contestant("trees", "candidate", 0.7)], {}, BAR)
    assert sentence(blocked, "blocked", cause="the label shifted").endswith(
        "naive rule prior; likely cause: the label shifted."
    )
    leaking = judge([Contestant("prior", "baseline", 0.5), Contestant("trees", "candidate", 0.99)], {}, BAR)
    assert "leak" in sentence(leaking, "rejected")


def test_gates_are_told_in_order_and_all_checks_of_the_spec_follow():
    checks = {
        "trees": [Check("calibration", True, "off by 0.01, allowed 0.05"), Check("load", False, "it did not load")]
    }
    told = words.gates(replace(WON, checks=checks))
    assert [one["state"] for one in told] == ["passed"] * 8 + ["failed"]
    assert told[-1] == {"gate": "Load", "who": "trees", "state": "failed", "detail": "It did not load."}
    blocked = judge([Contestant("prior", "baseline", 0.7), Contestant("trees", "candidate", 0.7)], {}, BAR)
    assert [one["state"] for one in words.gates(blocked)] == ["passed"] * 4 + ["failed"] + ["not reached"] * 2


def test_the_worth_of_decisions_and_where_they_flip_can_be_counted_by_hand():
    truth, theirs, ours = np.array([1, 1, 0, 0, 0]), np.array([1, 0, 0, 1, 0]), np.array([1, 1, 1, 0, 0])

    class Prices:
        caught, false_alarm, missed, quiet = 10.0, -5.0, -2.0, 0.0

    before, after = (worth.worth(decided, truth, Prices) for decided in (theirs, ours))
    assert (before.tolist(), after.tolist()) == ([10, -2, 0, -5, 0], [10, 10, -5, 0, 0])
    gate = np.array(["A", "A", "B", "B", "B"], dtype=object)
    found = worth.flips(ours, theirs, truth, {"gate": gate}, after - before)
    assert (found["rows"], found["of"], found["right"], found["was_right"], found["money"]) == (3, 5, 2, 1, 12.0)
    assert [(one["before"], one["after"], one["rows"], one["money"]) for one in found["directions"]] == [
        ("0", "1", 2, 7.0), ("1", "0", 1, 5.0)]  # fmt: skip
    assert [(one["value"], one["rows"], one["of"], one["money"]) for one in worth.top_slices(found["where"])] == [
        ("B", 2, 3, 0.0), ("A", 1, 2, 12.0)]  # fmt: skip


def test_money_has_an_interval_over_days_and_none_on_few_days():
    days = np.repeat([f"2013-01-{day:02d}" for day in range(1, 15)], 10)
    sure = worth.difference(Units.of_days(days), np.full(140, 2.0), seed=1)
    assert (sure.estimate, sure.low, sure.high) == (280.0, 280.0, 280.0)
    mixed = worth.difference(Units.of_days(days), np.where(np.arange(140) // 10 % 2 == 0, 5.0, -5.0), seed=1)
    assert mixed.estimate == 0
    assert mixed.low < -100 < 100 < mixed.high
    assert worth.difference(Units.of_days(days[:30]), np.ones(30), seed=1) == Difference(30.0, None, None)


def test_strips_share_one_scale_that_holds_zero_and_the_marks():
    found = pictures.strips(
        [{"name": "a", "estimate": 0.5, "low": 0.25, "high": 1.0},
         {"name": "b", "estimate": None, "low": None, "high": None}],
        marks={"worth it": 0.1},
    )  # fmt: skip
    assert [tick["text"] for tick in found["ticks"]] == ["0", "+0.25", "+0.5", "+0.75", "+1"]
    assert (found["zero"], found["marks"][0]["at"]) == (0.0, 10.0)
    assert [found["rows"][0][name] for name in ("from", "at", "to", "shown")] == [25.0, 50.0, 100.0, "+0.5000"]
    assert found["rows"][1]["at"] is None
    assert pictures.strips([{"estimate": None, "low": None, "high": None}]) is None


def test_the_cut_is_drawn_to_scale():
    drawn = pictures.timeline([("train", "2013-01-01", "2013-01-05"), ("holdout", "2013-01-07", "2013-01-10")])
    assert [(one["at"], one["width"], one["days"]) for one in drawn] == [(0.0, 50.0, 5), (60.0, 40.0, 4)]


def empty(**changes):
    """What a dossier says at least."""
    nothing = dict.fromkeys(("forest", "money_forest", "slice_forest", "flips", "calibration", "importance", "money"))
    return {
        **nothing, "environment": "dev", "model": "toy", "ds": "2013-10-01", "outcome": "kept", "owner": "ada",
        "headline": "<b>x", "sentence": "<script>alert(1)</script>", "metric": "AUC", "metric_meaning": "", "unit": "",
        "smallest_effect": 0.01, "challenger": "<i>t", "against": "c|d", "approval": "", "money_name": "", "tiles": [],
        "causes": [], "warnings": ["<u>few"], "slices": [], "timeline": [], "tables": [],
        "effective_ds": "",
        "contestants": [{"name": "<i>t", "role": "candidate", "score": None, "range": None, "standing": "OUT",
                         "why": "a|b", "what": "", "money": None}],
        "parts": [{"part": "holdout", "name": "judged on", "first": "a", "last": "b", "rows": 3, "label_mean": None}],
        "drawn": "30 days", "days": [],
        "known_by": "", "outcomes_known_later": 0, "label_delay_days": 1, "snapshot": "", "digest": "",
        "holdout_digest": "", "label": "positive", "address": "/somewhere", "run": "javascript:x", "gates": [],
        **changes,
    }  # fmt: skip


def test_names_of_the_data_are_shown_and_are_no_markup():
    said = empty()
    page = dossier.html(said)
    assert page.startswith("<!doctype html>")
    assert not any(markup in page for markup in ("<b>x", "<script", "<i>t", "<u>few", "{{", "{%"))
    assert "&lt;script&gt;" in page
    text = dossier.markdown(said)
    assert "| <i>t | none | none | not admitted | a\\|b |" in text


def test_the_gates_of_those_who_are_not_compared_are_folded_unless_one_was_not_passed():
    def gate(name, who, state="passed"):
        return {"gate": name, "who": who, "state": state, "detail": ""}

    told = [gate("A candidate was scored", ""), gate("Memory", "<i>t"), gate("Memory", "line"), gate("Memory", "trees"),
            gate("Inputs", "trees", "failed")]  # fmt: skip
    page = dossier.html(empty(gates=told))
    assert page.count("<details>") == 1
    assert "line: all 1 passed" in page
    assert "<details open><summary>trees: <span" in page
    assert "1 of 2 not passed" in page
    assert page.index("A candidate was scored") < page.index("(&lt;i&gt;t)") < page.index("<details")


def test_only_the_address_of_a_web_page_is_a_link():
    assert 'href="http://mlflow/run"' in dossier.html(empty(run="http://mlflow/run"))
    for other in ("runs:/7", "javascript:x"):
        page = dossier.html(empty(run=other))
        assert f"training run <code>{other}</code>" in page
        assert "href" not in page
