"""The champion rule.

Who wins, in order; the first sentence that applies is the verdict:

1. A candidate or a baseline that scores beyond `Bar.ceiling` is too good to be true: a leak is suspected, and nobody
   is promoted (`rejected`). It does not matter which contestant found the leak: all of them read the same columns.
2. A declared baseline, or the reigning champion, without a score means that the comparison was not made (`rejected`).
3. No candidate has a score (`rejected`).
4. No candidate is ahead of the best baseline by at least `Bar.smallest_effect`, or, where nobody reigns, beats it
   (`blocked`): the tripwire.
5. None of those that are meets `Bar.floor` (`rejected`).
6. A candidate WINS when it beats its opponent: the reigning champion; where there is none, the best baseline.
7. No winner has passed every gate of `Bar.gates` (`rejected`). A gate that said nothing of a candidate was not passed.
   Otherwise the best of the winners that have is promoted.
8. Without a winner the champion stays (`kept`). A tie, a NaN, a missing score or a missing interval never wins.

To beat is to be better by at least `Bar.smallest_effect` AND to have the lower end of the difference's interval above
0. An effect so small that this holdout can hardly show it is warned about, and so is a winner over the champion whose
lead over the best baseline may be chance: days differ in how well anything can be told, and a lead over a naive rule
differs with them much more than a lead over a like model.

    >>> bar = Bar(metric="roc_auc", higher_is_better=True, smallest_effect=0.01)
    >>> fight = [Contestant("prior", "baseline", 0.50), Contestant("trees", "candidate", 0.74)]
    >>> judge(fight, {("trees", "prior"): Difference(0.24, 0.22, 0.26)}, bar).outcome
    'promoted'
    >>> judge(fight, {("trees", "prior"): Difference(0.24, -0.01, 0.49)}, bar).outcome
    'blocked'
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from imago.selection.terms import Bar, Check, Contestant, Difference, Outcome, Ruling, Standing, Verdict

SURE_ENOUGH = 1.5  # standard errors: an effect below that cannot be told from chance reliably


def judge(
    contestants: Sequence[Contestant],
    differences: Mapping[tuple[str, str], Difference],
    bar: Bar,
    checks: Mapping[str, Sequence[Check]] | None = None,
) -> Verdict:
    """The verdict over one fight; see the module's text for the rule.

    `differences[(candidate, other)]` holds the intervals, against the reigning champion and against the best baseline;
    `checks[candidate]` what the gates found. Contestants with equal scores are ranked by name, so the order in which
    they are given changes nothing. Names are unique and at most one contestant is the champion: anything else is a
    `ValueError`, a mistake of the caller and not a verdict.
    """
    _check(contestants)
    everyone = sorted((replace(c, score=_finite(c.score)) for c in contestants), key=lambda c: c.name)
    champion = next((c for c in everyone if c.role == "champion"), None)
    candidates = [c for c in everyone if c.role == "candidate"]
    baselines = [c for c in everyone if c.role == "baseline"]
    best_baseline = _best([c for c in baselines if c.score is not None], bar)
    opponent = champion or best_baseline
    rulings = {c.name: _ruling(c, opponent, best_baseline, differences, bar) for c in everyone}

    def verdict(outcome: Outcome, gate: str, challenger: Contestant | None, reason: str) -> Verdict:
        return Verdict(
            outcome=outcome,
            gate=gate,
            challenger=challenger.name if challenger else None,
            incumbent=champion.name if champion else None,
            opponent=opponent.name if opponent else None,
            best_baseline=best_baseline.name if best_baseline else None,
            reason=reason,
            bar=bar,
            rulings=tuple(rulings[c.name] for c in contestants),
            warnings=_warnings(challenger, rulings, opponent, best_baseline, differences, bar) if challenger else (),
        )

    worst = _best([c for c in [*candidates, *baselines] if c.score is not None and bar.beyond_ceiling(c.score)], bar)
    if worst is not None:
        return verdict(
            "rejected",
            "leak",
            None,
            f"{worst.name} scores {worst.score:.4f} in {bar.metric}, beyond {bar.ceiling}: "
            "too good to be true, a leak of the label into the features is suspected",
        )
    if not baselines:
        return verdict(
            "rejected", "baselines", None, "no baseline took part, so nothing shows that a model is worth having"
        )
    silent = [c for c in baselines if c.score is None]
    if silent:
        return verdict(
            "rejected", "baselines", None, f"the baseline {silent[0].name} has no score: the comparison was not made"
        )
    assert best_baseline is not None
    if champion is not None and (champion.score is None or champion.fault):
        return verdict(
            "rejected",
            "incumbent",
            None,
            f"the reigning champion {champion.name} cannot be compared: "
            f"{champion.fault or 'it has no score on this holdout'}",
        )
    able = [c for c in candidates if c.score is not None and not c.fault]
    best = _best(able, bar)
    if best is None:
        return verdict("rejected", "candidates", None, "no candidate has a score on this holdout")
    worthy = [
        c for c in able
        if (_beats(c, best_baseline, differences, bar) if champion is None else _is_ahead(c, best_baseline, bar))
    ]  # fmt: skip
    if not worthy:
        sure = "by more than chance and " if champion is None else ""
        return verdict(
            "blocked",
            "tripwire",
            best,
            f"no candidate beats the baseline {best_baseline.name} ({best_baseline.score:.4f}) {sure}by at least "
            f"{bar.smallest_effect}; the best is {best.name} ({best.score:.4f})",
        )
    worthy = [c for c in worthy if not bar.below_floor(_value(c))]
    if not worthy:
        return verdict(
            "rejected",
            "floor",
            best,
            f"no candidate meets the floor of {bar.floor}; the best is {best.name} ({best.score:.4f})",
        )
    winners = [c for c in worthy if rulings[c.name].standing == "WIN"]
    winner = _best(winners, bar)
    if winner is None:
        nearest = _best(worthy, bar)
        assert nearest is not None
        assert opponent is not None
        return verdict("kept", "fight", nearest, f"{opponent.name} is not beaten: {rulings[nearest.name].reason}")
    failures = {c.name: _failures((checks or {}).get(c.name, ()), bar) for c in winners}
    for name, failed in failures.items():
        if failed:
            rulings[name] = replace(rulings[name], standing="OUT", reason="; ".join(check.reason for check in failed))
    passed = _best([c for c in winners if not failures[c.name]], bar)
    if passed is None:
        first = failures[winner.name][0]
        return verdict(
            "rejected", first.gate, winner, f"{winner.name} did not pass the gate {first.gate}: {first.reason}"
        )
    return verdict("promoted", "fight", passed, rulings[passed.name].reason)


def out_of_order(incumbent: str, reason: str, bar: Bar) -> Verdict:
    """The verdict over a training that is older than the reigning champion's: no fight, nothing moves."""
    return Verdict("kept", "order", None, incumbent, incumbent, None, reason, bar)


def _check(contestants: Sequence[Contestant]) -> None:
    names = [c.name for c in contestants]
    if len(set(names)) != len(names):
        raise ValueError(f"contestants must have different names, got {names}")
    if sum(c.role == "champion" for c in contestants) > 1:
        raise ValueError("there is at most one reigning champion")


def _failures(checks: Sequence[Check], bar: Bar) -> list[Check]:
    """What stands between a winner and its promotion: gates that it did not pass, and gates that said nothing."""
    silent = [gate for gate in bar.gates if gate not in {check.gate for check in checks}]
    return [
        *(check for check in checks if not check.passed),
        *(Check(gate, False, f"the gate {gate} was not run") for gate in silent),
    ]


def _warnings(
    challenger: Contestant,
    rulings: Mapping[str, Ruling],
    opponent: Contestant | None,
    best_baseline: Contestant | None,
    differences: Mapping[tuple[str, str], Difference],
    bar: Bar,
) -> tuple[str, ...]:
    found = []
    difference = rulings[challenger.name].difference
    error = difference.error if difference else None
    if error is not None and bar.smallest_effect < SURE_ENOUGH * error:
        found.append(
            f"the smallest worthwhile effect {bar.smallest_effect} is under {SURE_ENOUGH} standard errors "
            f"({error:.4f}) of this holdout: a lead of that size may go unseen; judge on more days, or ask for more"
        )
    rule = best_baseline
    if rule is not None and rule != opponent and challenger.score is not None and _is_ahead(challenger, rule, bar):
        ends = _ends(differences.get((challenger.name, rule.name)))
        if ends is None or ends[0] <= 0:
            span = "without an interval" if ends is None else f"interval {ends[0]:+.4f} to {ends[1]:+.4f}"
            gain = bar.gain(challenger.score, _value(rule))
            found.append(
                f"the lead of {challenger.name} over the baseline {rule.name} may be chance: {gain:+.4f}, {span}; "
                "judge on more days"
            )
    return tuple(found)


def _finite(score: float | None) -> float | None:
    return None if score is None or not math.isfinite(score) else score


def _value(contestant: Contestant) -> float:
    assert contestant.score is not None
    return contestant.score


def _best(contestants: Sequence[Contestant], bar: Bar) -> Contestant | None:
    """The first among equals; all have a score."""
    return max(contestants, key=lambda c: _value(c) if bar.higher_is_better else -_value(c), default=None)


def _at_least(gain: float, smallest_effect: float) -> bool:
    """The allowance lets 0.71 - 0.70 count as 0.01 in floating point."""
    return gain >= smallest_effect - 1e-12


def _is_ahead(ours: Contestant, theirs: Contestant, bar: Bar) -> bool:
    return _at_least(bar.gain(_value(ours), _value(theirs)), bar.smallest_effect)


def _beats(ours: Contestant, theirs: Contestant, differences: Mapping[tuple[str, str], Difference], bar: Bar) -> bool:
    ends = _ends(differences.get((ours.name, theirs.name)))
    return ends is not None and ends[0] > 0 and _is_ahead(ours, theirs, bar)


def _ends(difference: Difference | None) -> tuple[float, float] | None:
    """An interval's ends, None unless both are finite: half an interval proves nothing."""
    if difference is None:
        return None
    low, high = _finite(difference.low), _finite(difference.high)
    return None if low is None or high is None else (low, high)


def _ruling(
    contestant: Contestant,
    opponent: Contestant | None,
    best_baseline: Contestant | None,
    differences: Mapping[tuple[str, str], Difference],
    bar: Bar,
) -> Ruling:
    def say(standing: Standing, reason: str, difference: Difference | None = None) -> Ruling:
        return Ruling(contestant.name, contestant.role, contestant.score, standing, reason, difference)

    score = contestant.score
    if contestant.fault:
        return say("OUT", contestant.fault)
    if score is None:
        return say("OUT", "it has no score on this holdout")
    if contestant.role != "champion" and bar.beyond_ceiling(score):
        return say("OUT", f"it scores beyond {bar.ceiling}: a leak is suspected")
    if contestant.role == "champion":
        return say("TIE", "it reigns, and is what the candidates are measured against")
    if contestant.role == "baseline":
        return say("LOSE", "a baseline is compared and never promoted")
    if bar.below_floor(score):
        return say("OUT", f"it does not meet the floor of {bar.floor}")
    if opponent is None or opponent.score is None:
        return say("OUT", "there is no opponent with a score")
    return _compare(say, contestant, opponent, best_baseline, differences, bar)


def _compare(
    say: Any,
    contestant: Contestant,
    opponent: Contestant,
    best_baseline: Contestant | None,
    differences: Mapping[tuple[str, str], Difference],
    bar: Bar,
) -> Ruling:
    difference = differences.get((contestant.name, opponent.name))
    ends = _ends(difference)
    if ends is None:
        return say("TIE", f"its difference to {opponent.name} has no interval, so nothing is proved", difference)
    low, high = ends
    gain = bar.gain(_value(contestant), _value(opponent))
    span = f"{gain:+.4f} against {opponent.name}, interval {low:+.4f} to {high:+.4f}"
    if high < 0:
        return say("LOSE", f"it is worse: {span}", difference)
    if best_baseline is not None and best_baseline != opponent and not _is_ahead(contestant, best_baseline, bar):
        return say("LOSE", f"it does not beat the baseline {best_baseline.name}: {span}", difference)
    if low > 0 and _at_least(gain, bar.smallest_effect):
        return say("WIN", f"it is better by more than chance and by at least {bar.smallest_effect}: {span}", difference)
    if low > 0:
        small = f"it is better by less than the smallest worthwhile effect {bar.smallest_effect}"
        return say("TIE", f"{small}: {span}", difference)
    return say("TIE", f"the difference may be chance: {span}", difference)
