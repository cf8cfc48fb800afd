"""The deployment DAG's tasks: the fair fight, its verdict in the ledger, and the move of the champion.

Everyone who takes part is loaded as production loads it and scored here, on one holdout; a metric that somebody stored
is never looked at. Decision, champion and alert are one transaction. MLflow's aliases follow it.
"""

from __future__ import annotations

import hashlib
import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from imago.context import RunContext
from imago.environments import Environment
from imago.errors import ImagoError, ReleaseBlocked
from imago.specs import ModelSpec

if TYPE_CHECKING:
    from imago.ledger.champions import Champion

log = logging.getLogger(__name__)


def judge(environment: Environment, spec: ModelSpec, ds: str, context: RunContext) -> dict[str, Any]:
    """Judges the training of `ds`. One training is judged once: a retry or a re-run gives the recorded verdict again.

    Outcomes: `promoted`, `kept`, `awaiting` (a person has to approve); `blocked` and `rejected` raise ReleaseBlocked
    after the decision and its alert are committed. In mode backfill the recorded verdict is returned, and nothing is
    decided.
    """
    from imago import ledger
    from imago.jobs import fight, training
    from imago.ledger import champions, decisions

    engine = ledger.connect(environment)
    if context.mode != "live":
        with engine.connect() as connection:
            return _summary(decisions.of_training(connection, spec.name, ds), moved=False, ds=ds)
    word = training.load_manifest(environment, spec, ds)
    name = _fight_name(word)
    with engine.connect() as connection:
        recorded = decisions.of_training(connection, spec.name, ds, name)
        incumbent = champions.reigning(connection, spec.name)
    if recorded is None:
        fought = fight.fight(environment, spec, ds, word, incumbent)
        recorded = _decide(environment, spec, ds, name, fought, incumbent, context)
    else:
        log.info("this training was judged before: decision %s", recorded["id"])
    moved = _project(environment, spec, recorded, context)
    summary = _summary(recorded, moved=moved, ds=ds)
    if recorded["outcome"] in ("blocked", "rejected"):
        raise _blocked(environment, spec, ds, recorded)
    return summary


def promote(
    environment: Environment, spec: ModelSpec, decision_id: int, approved_by: str, context: RunContext
) -> dict[str, Any]:
    """Moves the champion after a person approved an `awaiting` decision. Raises ChampionChanged when the incumbent that
    the verdict was made against no longer reigns. Approving twice moves once."""
    from imago import ledger
    from imago.jobs import approval, shadows
    from imago.jobs.announcements import announce_promotion
    from imago.ledger import champions, decisions

    if not approved_by.strip():
        raise ImagoError(
            "an approval needs a name", rule="who approved", next_step="pass the name of the person who approved"
        )
    with ledger.connect(environment).begin() as connection:
        recorded = decisions.get(connection, decision_id)
        if recorded["model"] != spec.name or recorded["outcome"] != "awaiting":
            raise ImagoError(
                f"decision {decision_id} does not wait for approval",
                environment=environment.name,
                model=recorded["model"],
                allowed="an awaiting decision of this model",
                seen=recorded["outcome"],
                next_step="approve the decision that the latest deployment run names",
            )
        champions.lock(connection, spec.name)
        entry = champions.of_decision(connection, decision_id)
        if entry is None and context.mode != "live":
            return _summary(recorded, moved=False, ds=recorded["training_ds"])
        if entry is None:
            approval.check_open(connection, recorded)
            entry = champions.crown(
                connection, _entry(recorded, decided_by=approved_by.strip()), expected=recorded["incumbent_id"]
            )
            shadows.follow_answer(connection, recorded, by=approved_by.strip(), reason="it reigns now")
            announce_promotion(connection, spec=spec, entry=entry, approved_by=approved_by.strip(), context=context)
    _project(environment, spec, recorded, context)
    _sign(environment, spec, recorded, entry)
    return {
        **_summary(recorded, moved=True, ds=recorded["training_ds"]),
        "outcome": "promoted",
        "approved_by": entry.decided_by,
    }


def _sign(environment: Environment, spec: ModelSpec, recorded: dict[str, Any], entry: Champion) -> None:
    """Writes who approved into the dossier. Comes last: the champion has moved, and a retry ends here again."""
    from imago.jobs import dossiers

    dossiers.approve(environment, spec, recorded, by=entry.decided_by, at=entry.decided_at)


def _blocked(environment: Environment, spec: ModelSpec, ds: str, recorded: dict[str, Any]) -> ReleaseBlocked:
    """The error of a recorded verdict that stops the run: with the likely cause, where one was looked for."""
    from imago.selection.causes import Cause, sentence

    verdict = recorded["verdict"]
    causes = [Cause(**{name: cause[name] for name in ("kind", "weight", "said", "numbers")})
              for cause in verdict.get("causes", ())]  # fmt: skip
    reason = verdict["reason"]
    facts: dict[str, Any] = {}
    if recorded["outcome"] == "blocked":
        reason = f"{reason}; {sentence(causes)}"
    step = f"read the dossier {verdict['facts'].get('page', '')}"
    if causes:
        facts = {"column": next(iter(causes[0].numbers.get("columns", ())), None), "seen": causes[0].title}
        step = f"{causes[0].step}; {step}"
    return ReleaseBlocked(
        f"{recorded['outcome']}: {reason}; the champion stays", environment=environment.name, model=spec.name,
        partition=ds, rule=verdict["gate"], next_step=step, **facts,
    )  # fmt: skip


def _fight_name(word: dict[str, Any]) -> str:
    """The digest of who fights on what, so that one and the same training is judged once."""
    files = {one["contestant"]: one["artifact"]["artifact_sha256"] for one in word["contestants"]}
    return hashlib.sha256(json.dumps([word["digest"], files], sort_keys=True).encode()).hexdigest()


def _decide(
    environment: Environment,
    spec: ModelSpec,
    ds: str,
    name: str,
    fought: Any,
    incumbent: Champion | None,
    context: RunContext,
) -> dict[str, Any]:
    """One transaction: the decision, the champion's row if it moved, the alert. Another attempt's decision is taken
    over."""
    from imago import ledger
    from imago.jobs import shadows
    from imago.jobs.announcements import announce
    from imago.ledger import champions, decisions

    with ledger.connect(environment).begin() as connection:
        champions.lock(connection, spec.name)
        recorded = decisions.of_training(connection, spec.name, ds, name)
        if recorded is not None:
            return recorded
        verdict = {**fought.verdict.as_dict(), "fight": name, "facts": fought.facts, "entry": fought.entry,
                   "markdown": fought.markdown, "causes": [cause.as_dict() for cause in fought.causes]}  # fmt: skip
        decision_id = decisions.record(
            connection,
            model=spec.name,
            training_ds=ds,
            run_id=context.run_id,
            outcome=fought.outcome,
            incumbent_id=incumbent.id if incumbent else None,
            challenger_version=fought.entry["version"] if fought.entry else None,
            holdout_digest=fought.holdout_digest,
            verdict=_json(verdict),
        )
        recorded = decisions.get(connection, decision_id)
        if fought.outcome == "promoted":
            entry = _entry(recorded, decided_by=f"fair fight ({context.actor})")
            champions.crown(connection, entry, expected=incumbent.id if incumbent else None)
        shadows.follow_verdict(connection, spec, recorded)
        announce(connection, spec=spec, ds=ds, outcome=fought.outcome, verdict=fought.verdict, causes=fought.causes,
                 facts={**fought.scores, "decision": decision_id}, links=fought.links, context=context)  # fmt: skip
    return recorded


def _entry(recorded: dict[str, Any], *, decided_by: str) -> Champion:
    from imago.ledger.champions import Champion

    values = recorded["verdict"]["entry"]
    return Champion(
        model=recorded["model"],
        action="promote",
        training_ds=recorded["training_ds"],
        decided_at=datetime.now(UTC),
        decided_by=decided_by,
        decision_id=recorded["id"],
        reason=recorded["verdict"]["reason"],
        **values,
    )


def _project(environment: Environment, spec: ModelSpec, recorded: dict[str, Any], context: RunContext) -> bool:
    """Lets MLflow follow the ledger; whether this decision is the one that the reigning champion came from.

    Comes after the commit: when MLflow is down, the champion has moved, the task fails, and its retry ends here again.
    """
    from imago import ledger
    from imago.jobs import monitoring
    from imago.jobs.projection import follow
    from imago.ledger import champions

    with ledger.connect(environment).connect() as connection:
        now = champions.reigning(connection, spec.name)
    follow(environment, spec, context)
    moved = now is not None and now.decision_id == recorded["id"]
    if now is not None and moved:
        # What drift is measured against; written here so that the first day that is scored does not pay for it.
        monitoring.reference_of(environment, spec, now, context)
    return moved


def _summary(recorded: dict[str, Any] | None, *, moved: bool, ds: str) -> dict[str, Any]:
    if recorded is None:
        return {
            "ds": ds,
            "outcome": "none",
            "moved": False,
            "reason": f"the training of {ds} was never judged; a backfill decides nothing",
        }
    verdict = recorded["verdict"]
    return {
        "ds": ds,
        "outcome": recorded["outcome"],
        "moved": moved,
        "decision_id": recorded["id"],
        "challenger": verdict["challenger"],
        "version": recorded["challenger_version"],
        "incumbent": verdict["incumbent"],
        "best_baseline": verdict["best_baseline"],
        "reason": verdict["reason"],
        "scores": {ruling["name"]: ruling["score"] for ruling in verdict["rulings"]},
        "standings": {ruling["name"]: ruling["standing"] for ruling in verdict["rulings"]},
        "markdown": verdict["markdown"],
        **verdict["facts"],
    }


def _json(value: Any) -> Any:
    """Plain JSON: tuples become lists, and a number that is not finite becomes null, which JSONB can hold."""
    return json.loads(json.dumps(value, default=str), parse_constant=lambda _: None)
