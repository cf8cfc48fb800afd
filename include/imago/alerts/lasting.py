"""Escalating what lasts: an open incident is told again, louder, when its rule's time has passed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, select

from imago.alerts.rendering import lasted
from imago.alerts.rules import RULES, SEVERITIES, Rule
from imago.alerts.silences import silences_of
from imago.ledger.schema import alerts, incidents


def escalate_lasting(connection: Connection, now: datetime | None = None) -> list[int]:
    """Raises what is open for longer than its rule allows; the incidents that were. What somebody muted or acknowledged
    rests until that ends."""
    now = now or connection.execute(select(func.clock_timestamp())).scalar_one()
    quiet = silences_of(connection, now)
    found = connection.execute(
        select(incidents)
        .where(incidents.c.status == "open", incidents.c.dedup_key.not_in(list(quiet)))
        .order_by(incidents.c.id)
        .with_for_update(skip_locked=True)
    ).all()
    raised = []
    for incident in found:
        rule = RULES.get(incident.rule)
        if rule is not None and is_due(rule, now - incident.opened_at, incident.escalations):
            _escalate(connection, incident, rule, now)
            raised.append(incident.id)
    return raised


def is_due(rule: Rule, age: timedelta, told: int) -> bool:
    """Whether an incident of that age, of which it was told so often that it lasts, is to be told again."""
    return told < len(rule.lasts) and age >= timedelta(hours=rule.lasts[told])


def _escalate(connection: Connection, incident: Row[Any], rule: Rule, now: datetime) -> None:
    opening = connection.execute(
        select(alerts)
        .where(alerts.c.incident_id == incident.id, alerts.c.body["kind"].astext.in_(("opened", "reopened")))
        .order_by(alerts.c.id.desc())
        .limit(1)
    ).one()
    step = SEVERITIES.index(incident.severity) + 1
    severity = SEVERITIES[min(step, SEVERITIES.index(rule.at_most))]
    rises = SEVERITIES.index(severity) > SEVERITIES.index(incident.severity)
    connection.execute(
        incidents.update()
        .where(incidents.c.id == incident.id)
        .values(
            severity=severity if rises else incident.severity,
            escalations=incidents.c.escalations + 1,
            updated_at=func.clock_timestamp(),
        )
    )
    connection.execute(
        alerts.insert().values(
            incident_id=incident.id,
            dedup_key=incident.dedup_key,
            model=incident.model,
            rule=incident.rule,
            subject=incident.subject,
            severity=severity if rises else incident.severity,
            title=f"Open for {lasted(now - incident.opened_at)}: {opening.title}"[:2000],
            body={
                "kind": "escalated" if rises else "lasting",
                "occurrence": f"lasting {incident.escalations + 1}",
                "next_step": opening.body.get("next_step", ""),
            },
            mode="live",
            ds=opening.ds,
            run_id=opening.run_id,
            status="pending",
        )
    )
