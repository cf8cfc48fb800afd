"""One fight: load everyone, score everyone on the same holdout, and let the rule speak. Writes the dossier, decides
nothing."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from imago.contracts import Contract
from imago.contracts.inputs import as_promised
from imago.days import shift
from imago.environments import Environment
from imago.errors import ModelRefused
from imago.jobs import diagnosing, dossiers, gates
from imago.ledger.champions import Champion
from imago.measures import decided
from imago.registry import Scorer, load_model
from imago.registry.inputs import columns_of
from imago.registry.outputs import check_outputs
from imago.selection import Bar, Contestant, Verdict, decide, out_of_order
from imago.selection.association import associations, targets_of
from imago.selection.causes import Cause
from imago.selection.gates import OF_A_MODEL
from imago.selection.units import Units
from imago.selection.worth import worth
from imago.specs import ModelSpec
from imago.training import snapshot
from imago.training.cut import Cut
from imago.training.evaluation import telling_columns

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
    frozen = snapshot.load(environment, word["snapshot"]).of(spec)
    holdout, cut = frozen.part("holdout"), frozen.cut
    truth = snapshot.labels(holdout, spec)
    bar = bar_of(spec)
    title = f"champion v{incumbent.version}" if incumbent else None
    scorers: dict[str, Scorer] = {}
    predictions: dict[str, np.ndarray] = {}
    contestants: list[Contestant] = []

    def enter(name: str, role: Any, artifact: Any) -> None:
        fault = None
        try:
            scorer = load_model(environment, artifact)
            check_outputs(spec, scorer.card)
            lacking = [feature for feature, _ in scorer.features if feature not in holdout.column_names]
            if lacking:
                raise ModelRefused(f"it was trained with {', '.join(lacking)}, which the features no longer have")
            predictions[name] = scorer.predict(as_trained(scorer.contract, holdout, scorer.features))
            scorers[name] = scorer
            fault = _has_seen(spec, cut, str(scorer.card["trained_until"]))
        except ModelRefused as error:
            log.warning("%s does not take part: %s", name, error)
            fault = f"it was not loaded: {error.message}"
        contestants.append(Contestant(name, role, None, fault))

    if incumbent is not None and title is not None:
        enter(title, "champion", incumbent)
    for one in word["contestants"]:
        enter(one["contestant"], one["role"], one["artifact"])
    for one in word.get("failed", ()):
        contestants.append(Contestant(one["contestant"], one["role"], None, f"it was not trained: {one['failed']}"))

    if incumbent is not None and title is not None and incumbent.training_ds > ds:
        verdict = out_of_order(
            title, f"the reigning champion comes from the later training {incumbent.training_ds}", bar
        )
    else:
        candidates = {one["contestant"]: one["artifact"] for one in word["contestants"] if one["role"] == "candidate"}
        verdict = decide(
            contestants,
            bar=bar,
            units=Units.of_rows(spec, holdout),
            truth=truth,
            scores=predictions,
            slices=snapshot.slice_values(spec, holdout),
            allowed_loss=spec.guardrails.max_slice_loss,
            worths=_worths(spec, truth, predictions),
            allowed_cost=spec.guardrails.max_business_loss,
            unit=spec.business.unit if spec.business else "",
            seed=spec.training.seed,
            checks=gates.checks_of(environment, spec, candidates, scorers, truth, predictions),
        )
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
        scores={one.name: None if one.score is None else round(one.score, 4) for one in verdict.rulings},
        links=page.links,
        markdown=page.markdown,
        causes=causes,
    )


def as_trained(contract: Contract | None, rows: pa.Table, features: Iterable[tuple[str, Any]]) -> pa.Table:
    """The holdout in the types that a model was trained with: a column may have changed its type since."""
    if contract is None:
        return rows
    names = [name for name, _ in features]
    batches = [as_promised(contract, batch, names) for batch in rows.combine_chunks().to_batches()]
    return pa.Table.from_batches(batches) if batches else rows


def bar_of(spec: ModelSpec) -> Bar:
    return Bar(
        spec.primary_metric,
        not spec.lower_is_better,
        spec.smallest_effect,
        spec.guardrails.floor,
        spec.guardrails.ceiling,
        OF_A_MODEL,
    )


def _has_seen(spec: ModelSpec, cut: Cut, trained_until: str) -> str | None:
    """Why a model that learned until this day may not be judged on this holdout."""
    if trained_until < shift(cut.holdout_first, -spec.label_delay_days):
        return None
    return f"it has learned until {trained_until}, so it knows days of this holdout"


def _worths(spec: ModelSpec, truth: np.ndarray, predictions: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
    """The money of each contestant's decisions by row; None where decisions have no price."""
    if spec.business is None:
        return None
    return {name: worth(decided(scores, spec.decision_threshold), truth, spec.business)
            for name, scores in predictions.items()}  # fmt: skip


def _naming_columns(verdict: Verdict, spec: ModelSpec, holdout: pa.Table, truth: np.ndarray) -> Verdict:
    columns = columns_of(holdout, [(feature.name, feature.kind) for feature in spec.features])
    if spec.problem == "binary":
        beyond = spec.guardrails.ceiling if spec.primary_metric == "roc_auc" else 0.8
        said = [f"{name} (AUC {auc:.3f} alone)" for name, auc in telling_columns(columns, truth, beyond).items()]
    else:
        told = associations(columns, targets_of(truth, np.arange(len(spec.classes)) if spec.classes else None))
        strong = sorted((name for name in told if told[name].share > 0.5), key=lambda name: -told[name].share)
        said = [f"{name} (explains {told[name].share:.0%} of the label alone)" for name in strong]
    named = ", ".join(said[:5])
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
