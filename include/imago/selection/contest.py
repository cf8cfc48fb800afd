"""One fight from the contestants' scores on one holdout to the verdict: measured, compared, put through the gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from imago.selection.bootstrap import CONFIDENCE, RESAMPLES, differences, score
from imago.selection.gates import BUSINESS, check_business
from imago.selection.rule import judge
from imago.selection.slices import GATE as SLICES
from imago.selection.slices import check_slices
from imago.selection.terms import Bar, Check, Contestant, Difference, Verdict
from imago.selection.units import Units

# The days of a holdout are not all that luck has: what a fit happened to learn from counts as well. At 97.5%, retrains
# of one model on days drawn anew dethrone each other in 8.5% of fights. Baselines learn too little for that.
DETHRONING = 0.99


def confidence(opponent: str, champion: str | None) -> float:
    """How sure a lead over an opponent has to be (one-sided), where `champion` reigns."""
    return DETHRONING if opponent == champion else CONFIDENCE


def decide(
    contestants: Sequence[Contestant],
    *,
    bar: Bar,
    units: Units,
    truth: np.ndarray,
    scores: Mapping[str, np.ndarray],
    slices: Mapping[str, np.ndarray] | None = None,
    allowed_loss: float = 0.0,
    worths: Mapping[str, np.ndarray] | None = None,
    allowed_cost: float = 0.0,
    unit: str = "",
    seed: int,
    resamples: int = RESAMPLES,
    checks: Mapping[str, Sequence[Check]] | None = None,
) -> Verdict:
    """The verdict over contestants whose `scores` on the holdout's rows (aligned with `units` and `truth`) are given.

    Each contestant's metric is computed here, from these scores: whatever `Contestant.score` says is dropped, so a
    number that somebody stored is never used. One without scores has no metric. `slices` are the columns that a winner
    must not be worse on by more than `allowed_loss`, see `slices`; `worths` the money of each contestant's decisions by
    row, in `unit`, of which a winner's must not be less by more than `allowed_cost`, see `gates.check_business`;
    `checks` are what other gates found.
    """
    entered = [replace(one, score=score(bar.metric, truth, scores[one.name]) if one.name in scores else None)
               for one in contestants]  # fmt: skip
    # The rule needs intervals against the opponent and the best baseline; who these are, it says when asked without
    # any.
    first = judge(entered, {}, bar)
    others = [name for name in dict.fromkeys((first.opponent, first.best_baseline)) if name is not None]
    candidates = sorted(one.name for one in entered if one.role == "candidate")
    spans: dict[tuple[str, str], Difference] = {}
    for other in others:
        spans |= differences(
            metric=bar.metric,
            higher_is_better=bar.higher_is_better,
            units=units,
            truth=truth,
            scores=scores,
            pairs=[(name, other) for name in candidates],
            seed=seed,
            resamples=resamples,
            confidence=confidence(other, first.incumbent),
        )
    found = {name: list((checks or {}).get(name, ())) for name in candidates}
    warnings = [text for text in (units.warning, units.fault and f"no interval: {units.fault}") if text]
    if worths:
        bar = replace(bar, gates=tuple(dict.fromkeys((*bar.gates, BUSINESS))))
        for name in candidates if first.opponent in worths else ():
            if name in worths:
                theirs = worths[str(first.opponent)]
                found[name].append(
                    check_business(
                        units,
                        worths[name],
                        theirs,
                        opponent=str(first.opponent),
                        allowed=allowed_cost,
                        seed=seed,
                        resamples=resamples,
                        unit=unit,
                    )
                )
    if slices:
        bar = replace(bar, gates=tuple(dict.fromkeys((*bar.gates, SLICES))))
        if first.opponent in scores:
            seen, unjudged = check_slices(
                metric=bar.metric,
                higher_is_better=bar.higher_is_better,
                units=units,
                truth=truth,
                scores=scores,
                slices=slices,
                candidates=candidates,
                opponent=str(first.opponent),
                allowed_loss=allowed_loss,
                seed=seed,
                resamples=resamples,
            )
            warnings += unjudged
            for name, said in seen.items():
                found[name] += said
    verdict = judge(entered, spans, bar, found)
    told = {name: tuple(said) for name, said in found.items() if said}
    return replace(verdict, warnings=(*verdict.warnings, *warnings), checks=told, drawn=units.words)
