"""A verdict in plain words, for people who do not read code. Pure."""

from __future__ import annotations

from imago.amounts import figure
from imago.selection.terms import Difference, Ruling, Verdict

# name: (how people call it, what it says)
METRICS = {
    "roc_auc": (
        "AUC",
        "how often a row with the outcome is ranked above one without it; 0.5 is guessing, 1 is perfect",
    ),
    "average_precision": ("average precision", "how pure the list stays as it is read from the top; 1 is perfect"),
    "log_loss": ("log loss", "how surprised the model is by what happens; smaller is better"),
    "accuracy": ("accuracy", "the share of rows that are told right; 1 is perfect"),
    "macro_f1": ("macro F1", "how well each class is found, rare ones counting as much as frequent ones; 1 is perfect"),
    "r2": ("R²", "the share of what varies in the label that is explained; 0 is the mean, 1 is perfect"),
    "rmse": ("RMSE", "the typical error, in the label's unit, large errors counting more; smaller is better"),
    "mae": ("MAE", "the mean error, in the label's unit; smaller is better"),
}
HEADLINES = {
    "promoted": "{challenger} is the new champion",
    "awaiting": "{challenger} has won, and waits for approval",
    "kept": "The champion stays",
    "blocked": "Release blocked: the naive rule {best_baseline} is not beaten",
    "rejected": "Release refused",
}
TONES = {"promoted": "passed", "awaiting": "warned", "kept": "calm", "blocked": "refused", "rejected": "refused"}
# What decides, in the order in which it is asked; the verdict's gate is the one that decided.
STAGES = {
    "order": "The training is not older than the champion's",
    "leak": "No score is too good to be true",
    "baselines": "Every baseline was scored",
    "incumbent": "The reigning champion was scored",
    "candidates": "A candidate was scored",
    "tripwire": "A candidate beats the best naive rule",
    "floor": "It meets the floor that the spec asks for",
    "fight": "It beats the one that it had to beat",
}


def metric_words(metric: str) -> tuple[str, str]:
    return METRICS.get(metric, (metric.replace("_", " "), ""))


def headline(verdict: Verdict, outcome: str) -> str:
    return HEADLINES[outcome].format(challenger=verdict.challenger, best_baseline=verdict.best_baseline)


def summary(verdict: Verdict, outcome: str, *, effective_ds: str, days: int, money: str, cause: str) -> str:
    """The verdict in one sentence. `money` says what the winner's decisions would have been worth, `cause` why nobody
    beat the baselines; either may be empty."""
    ruling = next((one for one in verdict.rulings if one.name == verdict.challenger), None)
    if outcome in ("promoted", "awaiting") and ruling is not None:
        does = "scores" if outcome == "promoted" else "would score"
        where = f"on {days} days that nobody had learned from"
        return f"{ruling.name} {does} from {effective_ds} on: {where} it {_lead(ruling, verdict)}{money}."
    if outcome == "kept" and ruling is not None and verdict.gate == "fight":
        return f"Nobody moves: {ruling.name} came closest, and {_lower(why(ruling, verdict))}"
    if outcome == "blocked":
        likely = f"; likely cause: {cause}" if cause else ""
        return f"Nobody is promoted: no candidate {_beats(verdict)} the naive rule {verdict.best_baseline}{likely}."
    return f"Nobody is promoted: {verdict.reason}."


def why(ruling: Ruling, verdict: Verdict) -> str:
    """Why one contestant won, lost or neither."""
    if ruling.role == "champion" and ruling.standing != "OUT":
        return "It reigns: the candidates are measured against it."
    if ruling.role == "baseline" and verdict.outcome == "blocked" and ruling.name == verdict.best_baseline:
        return f"A naive rule that no candidate {_beats(verdict)}: that blocks the release."
    if ruling.role == "baseline" and ruling.standing != "OUT":
        return "A naive rule, here to be beaten; it never reigns."
    gap = ruling.difference
    if ruling.standing == "OUT" or gap is None or gap.estimate is None or gap.low is None or gap.high is None:
        return sentence(ruling.reason)
    if ruling.standing == "WIN" and ruling.name != verdict.challenger:
        return f"It {_lead(ruling, verdict)}, but {verdict.challenger} scores higher."
    if ruling.standing == "WIN":
        return f"It {_lead(ruling, verdict)}: a lead worth a change."
    opponent = _opponent(verdict)
    if ruling.standing == "LOSE" and gap.high < 0:
        return f"It is surely worse than {opponent}, by {figure(-gap.estimate)} ({span(gap)})."
    if ruling.standing == "LOSE":
        return f"It does not beat the naive rule {verdict.best_baseline} by what is worthwhile, so it cannot reign."
    if gap.low > 0:
        least = verdict.bar.smallest_effect
        return f"It is better than {opponent} by {figure(gap.estimate)}, less than the {least} that a change is worth."
    way = "lead over" if gap.estimate >= 0 else "distance to"
    return f"Its {way} {opponent} of {figure(abs(gap.estimate))} may be chance: the truth lies within {span(gap)}."


def _beats(verdict: Verdict) -> str:
    return "surely beats" if verdict.incumbent is None else "beats by what is worthwhile"


def gates(verdict: Verdict) -> list[dict[str, str]]:
    """What was asked, in order, and how it was answered; then what the gates of the spec found of each candidate."""
    stages = [name for name in STAGES if name != "order" or verdict.gate == "order"]
    decided = stages.index(verdict.gate) if verdict.gate in stages else len(stages)
    passed_all = verdict.outcome == "promoted"
    seen = _seen(verdict)
    told = []
    for place, name in enumerate(stages):
        passed = passed_all or place < decided
        state = "passed" if passed else "failed" if place == decided else "not reached"
        detail = sentence(verdict.reason) if state == "failed" else seen.get(name, "") if passed else ""
        told.append({"gate": STAGES[name], "who": "", "state": state, "detail": detail})
    for name, found in verdict.checks.items():
        told += [{"gate": check.gate.replace("_", " ").capitalize(), "who": name,
                  "state": "passed" if check.passed else "failed", "detail": sentence(check.reason)}
                 for check in found]  # fmt: skip
    return told


def _seen(verdict: Verdict) -> dict[str, str]:
    """What was seen where a gate held."""
    bar, name = verdict.bar, metric_words(verdict.bar.metric)[0]
    scored = [one.score for one in verdict.rulings if one.score is not None]
    winner = next((one for one in verdict.rulings if one.name == verdict.challenger and one.score is not None), None)
    seen = {"incumbent": verdict.incumbent or "Nobody reigns yet."}
    if scored and bar.ceiling is not None:
        best = max(scored) if bar.higher_is_better else min(scored)
        seen["leak"] = f"The best {name} is {figure(best)}; a leak is suspected beyond {bar.ceiling}."
    seen["baselines"] = f"{sum(one.role == 'baseline' for one in verdict.rulings)} naive rules."
    seen["candidates"] = f"{sum(one.role == 'candidate' for one in verdict.rulings)} candidates."
    if winner is not None and winner.score is not None:
        seen["tripwire"] = f"{winner.name}, against {verdict.best_baseline}."
        seen["floor"] = f"{figure(winner.score)}; the floor is {bar.floor}." if bar.floor is not None else ""
        seen["fight"] = why(winner, verdict)
    return seen


def span(gap: Difference) -> str:
    return " to ".join("unknown" if bound is None else figure(bound, sign=True) for bound in (gap.low, gap.high))


def _lead(ruling: Ruling, verdict: Verdict) -> str:
    gap = ruling.difference
    if gap is None or gap.estimate is None:
        return f"won against {_opponent(verdict)}"
    name = metric_words(verdict.bar.metric)[0]
    sure = f", surely by more than {figure(gap.low)}" if gap.low is not None and gap.low > 0 else ""
    return f"beats {_opponent(verdict)} by {figure(gap.estimate)} {name}{sure}"


def _opponent(verdict: Verdict) -> str:
    rule = verdict.incumbent is None and verdict.opponent == verdict.best_baseline
    return f"the naive rule {verdict.opponent}" if rule else str(verdict.opponent)


def sentence(text: str) -> str:
    """
    >>> sentence("it did not load")
    'It did not load.'
    """
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
