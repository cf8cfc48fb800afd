"""What is said about a verdict: one alert for each outcome, worded from the verdict itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from imago import ledger
from imago.alerts.outbox import Alert, raise_alert, raise_alerts, resolve
from imago.context import RunContext
from imago.environments import Environment
from imago.ledger.champions import Champion
from imago.selection import Verdict
from imago.selection.causes import Cause, sentence
from imago.specs import ModelSpec

SUBJECT = "fair fight"
_TROUBLES = ("baseline_not_beaten", "leak_suspected", "release_rejected")


def announce(
    connection: Connection,
    *,
    spec: ModelSpec,
    ds: str,
    outcome: str,
    verdict: Verdict,
    facts: Mapping[str, Any],
    links: Mapping[str, str],
    context: RunContext,
    causes: Sequence[Cause] = (),
) -> None:
    """Writes the alert of an outcome in the decision's own transaction; a good outcome ends what was open before.
    `causes` are those of a blocked release, the likeliest first."""
    raise_alert(connection, _alert(spec, ds, outcome, verdict, facts, links, causes), context)
    if outcome in ("promoted", "awaiting", "kept"):
        for rule in _TROUBLES:
            resolve(connection, spec.name, rule, SUBJECT, context, ds=ds)


def announce_promotion(
    connection: Connection, *, spec: ModelSpec, entry: Champion, approved_by: str, context: RunContext
) -> None:
    """What is said when a person approved."""
    alert = Alert(
        model=spec.name,
        rule="champion_promoted",
        subject=SUBJECT,
        ds=entry.training_ds,
        occurrence=f"decision {entry.decision_id} approved",
        title=f"{spec.name}: version {entry.version} reigns from {entry.effective_ds}",
        why=entry.reason,
        did=f"{approved_by} approved, and the champion was moved",
        next_step=f"nothing; `imago champion rollback --model {spec.name}` returns to the one before",
    )
    raise_alert(connection, alert, context)
    resolve(connection, spec.name, "approval_awaited", SUBJECT, context, ds=entry.training_ds)


def announce_rollback(connection: Connection, *, spec: ModelSpec, entry: Champion, context: RunContext) -> None:
    alert = Alert(
        model=spec.name,
        rule="champion_rolled_back",
        subject=SUBJECT,
        occurrence=f"row {entry.id}",
        title=f"{spec.name}: version {entry.version} reigns again from {entry.effective_ds}",
        why=entry.reason,
        did=f"{entry.decided_by} rolled back; days that were scored already keep their scores",
        next_step="find out what was wrong with the version that left, before it is trained again",
    )
    raise_alert(connection, alert, context)


def announce_failed_fits(
    environment: Environment,
    spec: ModelSpec,
    ds: str,
    done: Sequence[Mapping[str, Any]],
    failed: Sequence[Mapping[str, Any]],
    link: str,
    context: RunContext,
) -> None:
    """One alert for each candidate that could not be trained; one that was trained ends its own."""
    found = [
        Alert(
            model=spec.name,
            rule="candidate_failed",
            subject=result["contestant"],
            ds=ds,
            title=f"{spec.name}: the candidate {result['contestant']} could not be trained on {ds}",
            why=result["failed"],
            did=f"the other {len(done)} candidates and baselines were trained and are judged without it",
            next_step=result.get("next_step") or "correct it in include/imago_models, then train again",
            facts=dict(result.get("facts", {})),
            links={"Training run": link, **({"Its run": result["link"]} if result.get("link") else {})},
        )
        for result in failed
    ]
    with ledger.connect(environment).begin() as connection:
        raise_alerts(connection, found, context)
        if context.mode == "live":
            for result in done:
                resolve(connection, spec.name, "candidate_failed", result["contestant"], context, ds=ds)


def _alert(
    spec: ModelSpec,
    ds: str,
    outcome: str,
    verdict: Verdict,
    facts: Mapping[str, Any],
    links: Mapping[str, str],
    causes: Sequence[Cause],
) -> Alert:
    rule, title, did, step = _words(spec, outcome, verdict)
    why = verdict.reason
    if outcome == "blocked":
        why = f"{why}; {sentence(causes)}"
    if verdict.warnings:
        facts = {"warning": verdict.warnings[0], **facts}
    if causes:
        # A message shows ten facts: the numbers of the cause come before the scores.
        facts = {"likely cause": causes[0].title, **causes[0].numbers, **facts}
        step = causes[0].step
    return Alert(
        model=spec.name,
        rule=rule,
        subject=SUBJECT,
        ds=ds,
        title=title,
        why=why,
        did=did,
        next_step=step,
        facts=facts,
        links=links,
    )


def _words(spec: ModelSpec, outcome: str, verdict: Verdict) -> tuple[str, str, str, str]:
    """(rule, title, what was done, next step)"""
    if outcome == "promoted":
        return (
            "champion_promoted", f"{spec.name}: {verdict.challenger} is the new champion", "the champion was moved",
            f"nothing; `imago champion rollback --model {spec.name}` returns to the one before",
        )  # fmt: skip
    if outcome == "awaiting":
        return (
            "approval_awaited", f"{spec.name}: {verdict.challenger} has won and waits for approval",
            "the champion stays until a person approves", "read the dossier, then approve or reject in Airflow",
        )  # fmt: skip
    if outcome == "kept":
        return (
            "champion_kept", f"{spec.name}: {verdict.incumbent or 'the champion'} stays",
            "nothing was moved", "nothing",
        )  # fmt: skip
    if outcome == "blocked":
        return (
            "baseline_not_beaten", f"{spec.name}: release blocked, the baseline {verdict.best_baseline} is not beaten",
            "nobody was promoted, and the deployment run failed on purpose",
            "read the dossier, and look at the exploration report of this training",
        )  # fmt: skip
    if verdict.gate == "leak":
        return (
            "leak_suspected", f"{spec.name}: release refused, a score is too good to be true",
            "nobody was promoted, and the deployment run failed on purpose",
            "check how the named columns are made: they must not know anything of the day's outcome",
        )  # fmt: skip
    return (
        "release_rejected", f"{spec.name}: release refused at the gate '{verdict.gate}'",
        "nobody was promoted, and the deployment run failed on purpose", "read the dossier of this training",
    )  # fmt: skip
