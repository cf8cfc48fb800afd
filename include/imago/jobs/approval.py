"""What becomes of a verdict that waits for a person: approved, declined, unanswered, or overtaken.

Each ends in the ledger, with who and when. An unanswered one may still be approved by hand as long as the champion that
the verdict was made against reigns; a declined or overtaken one may not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from imago.context import RunContext
from imago.environments import Environment
from imago.errors import ChampionChanged, ImagoError
from imago.specs import ModelSpec

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from imago.ledger.decisions import Answer

_WORDS: dict[str, tuple[str, str]] = {  # what happened, what can be done
    "declined": ("{by} declined version {version}", "train again when something has changed; this verdict is closed"),
    "expired": (
        "nobody answered in time whether version {version} may reign",
        "`imago champion approve {id}` promotes it as long as the champion stays the same; else train again",
    ),
    "voided": (
        "{by} approved version {version}, but another champion has begun to reign since the verdict",
        "train again: the challenger has to beat the champion that reigns now",
    ),
}


def approve(
    environment: Environment, spec: ModelSpec, decision_id: int, approved_by: str, context: RunContext
) -> dict[str, Any]:
    """Promotes the challenger of an `awaiting` decision; its model is loaded first. Approving twice moves once.

    Raises ChampionChanged after the verdict was voided in the ledger, when another champion reigns by now; ImagoError
    when the decision waits for nobody; ModelRefused when the model's files are not whole.
    """
    from imago import ledger
    from imago.jobs import deployment
    from imago.ledger import decisions
    from imago.registry import load_model

    with ledger.connect(environment).connect() as connection:
        recorded = decisions.get(connection, decision_id)
    if recorded["model"] == spec.name and recorded["outcome"] == "awaiting":
        load_model(environment, recorded["verdict"]["entry"])
    try:
        return deployment.promote(environment, spec, decision_id, approved_by, context)
    except ChampionChanged:
        close(environment, spec, decision_id, "voided", by=approved_by, context=context)
        raise


def close(
    environment: Environment, spec: ModelSpec, decision_id: int, outcome: Answer, *, by: str, context: RunContext
) -> dict[str, Any]:
    """Writes down that an `awaiting` decision was declined, not answered, or overtaken, and tells it once.

    Nothing moves. A decision that has promoted, or was declined or voided before, keeps its first answer.
    """
    from imago import ledger
    from imago.jobs import dossiers
    from imago.ledger import decisions

    with ledger.connect(environment).begin() as connection:
        told = _close(connection, environment, spec, decision_id, outcome, by=by, context=context)
        recorded = decisions.get(connection, decision_id)
    if told["outcome"] != "promoted":
        dossiers.close(environment, spec, recorded, told["reason"])
    return told


def _close(
    connection: Connection, environment: Environment, spec: ModelSpec, decision_id: int, outcome: Answer, *, by: str,
    context: RunContext,
) -> dict[str, Any]:  # fmt: skip
    from imago.alerts.outbox import Alert, raise_alert, resolve
    from imago.jobs import shadows
    from imago.jobs.announcements import SUBJECT
    from imago.ledger import champions, decisions

    champions.lock(connection, spec.name)
    recorded = decisions.get(connection, decision_id)
    if recorded["model"] != spec.name or recorded["outcome"] != "awaiting":
        raise ImagoError(
            f"decision {decision_id} does not wait for approval",
            environment=environment.name,
            model=recorded["model"],
            allowed="an awaiting decision of this model",
            seen=recorded["outcome"],
            next_step="name the decision that the alert names",
        )
    former = decisions.answer_to(connection, decision_id)
    entry = champions.of_decision(connection, decision_id)
    summary = {"ds": recorded["training_ds"], "decision_id": decision_id, "moved": False,
               "version": recorded["challenger_version"]}  # fmt: skip
    if entry is not None:
        return {**summary, "outcome": "promoted", "reason": f"{entry.decided_by} approved it before"}
    if former is not None and (former["outcome"] != "expired" or outcome == "expired"):
        return {**summary, "outcome": former["outcome"], "reason": former["verdict"]["reason"]}
    happened, step = (
        text.format(by=by, version=recorded["challenger_version"], id=decision_id) for text in _WORDS[outcome]
    )
    reason = f"{happened}; the champion stays"
    decisions.answer(connection, recorded, outcome, by=by, reason=reason)
    shadows.follow_answer(connection, recorded, by=by, reason=happened)
    alert = Alert(
        model=spec.name,
        rule="approval_ended",
        subject=SUBJECT,
        ds=recorded["training_ds"],
        occurrence=f"decision {decision_id} {outcome}",
        title=f"{spec.name}: {happened}",
        why="a challenger had won its fight, and an older model goes on scoring",
        did="left the champion where it is, and wrote the answer into the ledger",
        next_step=step,
        facts={"decision": decision_id, "answer": outcome, "by": by},
        links=_links(recorded["verdict"]),
    )
    raise_alert(connection, alert, context)
    resolve(connection, spec.name, "approval_awaited", SUBJECT, context, ds=recorded["training_ds"])
    return {**summary, "outcome": outcome, "reason": reason, "next_step": step}


def check_open(connection: Connection, recorded: Mapping[str, Any]) -> None:
    """Raises ImagoError when a decision was declined or voided: an approval cannot take that back."""
    from imago.ledger import decisions

    former = decisions.answer_to(connection, recorded["id"])
    if former is not None and former["outcome"] != "expired":
        raise ImagoError(
            f"decision {recorded['id']} is closed: {former['verdict']['reason']}",
            model=recorded["model"],
            allowed="an awaiting decision that nobody declined and no other champion overtook",
            seen=former["outcome"],
            next_step="train again, and let the challenger fight again",
        )


def _links(verdict: Mapping[str, Any]) -> dict[str, str]:
    links = {"Dossier": verdict["facts"].get("page"), "Training run": verdict["facts"].get("link")}
    return {name: link for name, link in links.items() if link}
