"""One fight: load everyone, score everyone on the same holdout, and let the rule speak. Writes the dossier, decides
nothing."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from imago.days import shift
from imago.environments import Environment
from imago.errors import ModelRefused
from imago.jobs import diagnosing, dossiers
from imago.ledger.champions import Champion
from imago.registry import load_model
from imago.registry.inputs import columns_of
from imago.selection import Bar, Contestant, Verdict, judge, out_of_order
from imago.selection.bootstrap import differences
from imago.selection.causes import Cause
from imago.specs import ModelSpec
from imago.training import snapshot
from imago.training.cut import Cut
from imago.training.evaluation import metric, telling_columns

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fought:
    """A fight's result. `entry` holds what the champion's row would need, for the challenger; None when there is
    none."""

    verdict: Verdict
    outcome: str  # the verdict's; `awaiting` where the environment wants a person's approval first
    holdout_digest: str
    entry: dict[str, Any] | None
    facts: dict[str, Any]
    scores: dict[str, float | None]
    links: dict[str, str]
    markdown: str
    causes: tuple[Cause, ...] = ()  # why no candidate beat the baselines, the likeliest first


def fight(
    environment: Environment, spec: ModelSpec, ds: str, word: dict[str, Any], incumbent: Champion | None
) -> Fought:
    """Fights out the training that left `word` (see `training.report`) against the reigning champion."""
    frozen = snapshot.load(environment, word["snapshot"])
    holdout, cut = frozen.part("holdout"), frozen.cut
    truth = snapshot.labels(holdout, spec)
    bar = bar_of(spec)
    title = f"champion v{incumbent.version}" if incumbent else None
    predictions: dict[str, np.ndarray] = {}
    contestants: list[Contestant] = []

    def enter(name: str, role: Any, artifact: Any, fault: str | None = None) -> None:
        try:
            values = load_model(environment, artifact).predict(holdout)
        except ModelRefused as error:
            log.warning("%s does not take part: %s", name, error)
            contestants.append(Contestant(name, role, None, fault or f"it was not loaded: {error.message}"))
            return
        predictions[name] = values
        contestants.append(Contestant(name, role, metric(spec.primary_metric, truth, values), fault))

    if incumbent is not None and title is not None:
        seen = incumbent.trained_until >= shift(cut.holdout_first, -spec.label_delay_days)
        fault = f"it has learned until {incumbent.trained_until}, so it knows days of this holdout" if seen else None
        enter(title, "champion", incumbent, fault)
    for one in word["contestants"]:
        enter(one["contestant"], one["role"], one["artifact"])

    if incumbent is not None and title is not None and incumbent.training_ds > ds:
        verdict = out_of_order(
            title, f"the reigning champion comes from the later training {incumbent.training_ds}", bar
        )
    else:
        verdict = _verdict(spec, contestants, predictions, truth, holdout, bar)
    if verdict.gate == "leak":
        verdict = _naming_columns(verdict, spec, holdout, truth)
    outcome = "awaiting" if verdict.outcome == "promoted" and environment.requires_approval else str(verdict.outcome)
    causes = diagnosing.causes_of(spec, frozen, verdict, predictions)
    page = dossiers.write(environment, spec, ds, word, frozen, verdict, outcome, predictions, causes=causes)
    return Fought(
        verdict=verdict,
        outcome=outcome,
        holdout_digest=frozen.holdout_digest(spec),
        entry=_entry(word, verdict, cut),
        facts=page.facts,
        scores={one.name: None if one.score is None else round(one.score, 4) for one in contestants},
        links=page.links,
        markdown=page.markdown,
        causes=causes,
    )


def bar_of(spec: ModelSpec) -> Bar:
    return Bar(
        spec.primary_metric,
        not spec.lower_is_better,
        spec.smallest_effect,
        spec.guardrails.floor,
        spec.guardrails.ceiling,
    )


def _verdict(
    spec: ModelSpec,
    contestants: list[Contestant],
    predictions: dict[str, np.ndarray],
    truth: np.ndarray,
    holdout: pa.Table,
    bar: Bar,
) -> Verdict:
    """The rule needs intervals against the champion and the best baseline; who these are, it says when asked without
    any."""
    first = judge(contestants, {}, bar)
    others = dict.fromkeys(
        name for name in (first.opponent, first.best_baseline) if name is not None and name in predictions
    )
    pairs = [(one.name, other) for one in contestants if one.role == "candidate" for other in others]
    found = differences(
        metric=spec.primary_metric,
        higher_is_better=not spec.lower_is_better,
        days=holdout.column("ds").to_numpy(),
        truth=truth,
        scores=predictions,
        pairs=pairs,
        seed=spec.training.seed,
    )
    return judge(contestants, found, bar)


def _naming_columns(verdict: Verdict, spec: ModelSpec, holdout: pa.Table, truth: np.ndarray) -> Verdict:
    if spec.problem != "binary":
        return verdict
    beyond = spec.guardrails.ceiling if spec.primary_metric == "roc_auc" else 0.8
    columns = columns_of(holdout, [(feature.name, feature.kind) for feature in spec.features])
    telling = telling_columns(columns, truth, beyond)
    named = ", ".join(f"{name} (AUC {auc:.3f} alone)" for name, auc in list(telling.items())[:5])
    where = (
        f"; look at {named}" if named else "; no single column explains it, so look for a join or a split that leaks"
    )
    return replace(verdict, reason=verdict.reason + where)


def _entry(word: dict[str, Any], verdict: Verdict, cut: Cut) -> dict[str, Any] | None:
    chosen = next((one for one in word["contestants"] if one["contestant"] == verdict.challenger), None)
    if chosen is None:
        return None
    return {
        "version": chosen["version"],
        "run_id": chosen["run_id"],
        **chosen["artifact"],
        "trained_until": cut.trained_until,
        "effective_ds": cut.effective_ds,
    }
