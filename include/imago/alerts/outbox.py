"""The outbox: an alert is a row of the ledger, written in the transaction of the result that it speaks of.

One open incident exists per environment, model, rule and subject. What is found again counts up that incident; what the
same occurrence (a day, else a run) says twice is written once, so a retry never alerts twice. What comes back soon
after its end is the same incident, open again. A backfill opens no incident: what it would have alerted waits for its
digest.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, or_, select

from imago.alerts.alert import Alert, body_of, measured, plain
from imago.alerts.rules import SEVERITIES, Rule, get_rule
from imago.context import RunContext
from imago.ledger.schema import alerts, environment_identity, incidents
from imago.texts import LONGEST_NAME

REOPENS_WITHIN = timedelta(hours=6)


def raise_alert(connection: Connection, alert: Alert, context: RunContext) -> int | None:
    """Writes the alert in the caller's transaction; the id of its row, or None when the same was already said.

    Sends nothing and waits for nobody but another transaction that raises the same incident at this moment. A warning
    or worse of a run by hand is handed to the person who runs it (`context.unsent`) and not written; news is.
    """
    if context.unsent is not None and alert.severity != "info":
        context.unsent.append(alert)
        return None
    rule = get_rule(alert.rule)
    key = _lock_key(connection, alert.model, alert.rule, alert.subject)
    if context.mode != "live" and alert.model is not None:  # an alert of the platform has no model's digest to wait for
        return _note_for_digest(connection, alert, key, context)
    occurrence = alert.occurrence or alert.ds or ""
    incident = _live_incident(connection, key)
    if rule.kind == "event":
        if _is_told(connection, occurrence, context, alerts.c.dedup_key == key):
            return None
        incident_id = _open(connection, alert, key, rule)
        return _write(connection, alert, key, context, incident_id=incident_id, kind="event", occurrence=occurrence)
    if incident is None:
        incident_id = _open(connection, alert, key, rule)
        return _write(connection, alert, key, context, incident_id=incident_id, kind="opened", occurrence=occurrence)
    if incident.status == "resolved":
        kind = "escalated" if _count_up(connection, incident, alert, occurrence) else "reopened"
        return _write(connection, alert, key, context, incident_id=incident.id, kind=kind, occurrence=occurrence)
    was_mended = occurrence in (incident.worst or {}).get("cleared", ())
    since = _last_end(connection, incident.id)
    if not was_mended and _is_told(
        connection, occurrence, context, alerts.c.incident_id == incident.id, alerts.c.id > since
    ):
        return None
    kind = "escalated" if _count_up(connection, incident, alert, occurrence) else "updated"
    return _write(connection, alert, key, context, incident_id=incident.id, kind=kind, occurrence=occurrence)


def _count_up(connection: Connection, incident: Row[Any], alert: Alert, occurrence: str) -> bool:
    """Notes one more finding of the incident, which is open from now on; whether its severity rose. It never falls: a
    problem that wavers between two rises once."""
    escalated = SEVERITIES.index(str(alert.severity)) > SEVERITIES.index(incident.severity)
    known = incident.worst or {} if incident.status == "open" else {**(incident.worst or {}), "cleared": []}
    worst = _worse_of(get_rule(alert.rule), known, measured(alert))
    connection.execute(
        incidents.update()
        .where(incidents.c.id == incident.id)
        .values(
            status="open",
            resolved_at=None,
            count=incidents.c.count + 1,
            updated_at=func.clock_timestamp(),
            severity=alert.severity if escalated else incident.severity,
            worst=_without_cleared(worst, occurrence),
        )
    )
    return escalated


def raise_alerts(connection: Connection, found: Iterable[Alert], context: RunContext) -> list[int]:
    """Writes several alerts, always in the same order, so that two transactions cannot wait for each other in a
    circle."""
    ordered = sorted(found, key=lambda alert: (alert.model or "", alert.rule, alert.subject, alert.ds or ""))
    written = (raise_alert(connection, alert, context) for alert in ordered)
    return [alert_id for alert_id in written if alert_id is not None]


def resolve(
    connection: Connection, model: str | None, rule: str, subject: str, context: RunContext, *, ds: str | None = None
) -> bool:
    """Ends the open incident, if the good news is good enough; whether it did.

    With `ds`, that one day is well: an incident that heals per day ends when each of its days is, one that heals with
    the latest ends when `ds` is not before the last alerted day (so that a backfill of an old day ends nothing).
    Without
    `ds` it ends.
    """
    key = _lock_key(connection, model, rule, subject)
    incident = _open_incident(connection, key)
    if incident is None:
        return False
    told = select(alerts.c.ds, alerts.c.body["occurrence"].astext.label("occurrence")).where(
        alerts.c.incident_id == incident.id, alerts.c.id > _last_end(connection, incident.id)
    )
    rows = connection.execute(told).all()
    days = {row.occurrence for row in rows if row.occurrence}
    last_day = max((row.ds for row in rows if row.ds), default="")
    worst = dict(incident.worst or {})
    if ds is not None and get_rule(rule).heals == "latest" and ds < last_day:
        return False
    if ds is not None and get_rule(rule).heals == "day":
        cleared = set(worst.get("cleared", ())) | {ds}
        if days - cleared:
            worst["cleared"] = sorted(cleared & days)
            connection.execute(incidents.update().where(incidents.c.id == incident.id).values(worst=worst))
            return False
    connection.execute(
        incidents.update()
        .where(incidents.c.id == incident.id)
        .values(status="resolved", resolved_at=func.clock_timestamp(), updated_at=func.clock_timestamp())
    )
    connection.execute(
        alerts.insert().values(
            incident_id=incident.id,
            dedup_key=key,
            model=model,
            rule=rule,
            subject=plain(subject, LONGEST_NAME),
            severity="info",
            title=f"Resolved: {get_rule(rule).summary}",
            body={"kind": "resolved", "occurrence": "", "well_ds": ds},
            mode=context.mode,
            ds=ds,
            run_id=context.run_id,
            status="pending",
        )
    )
    return True


def _lock_key(connection: Connection, model: str | None, rule: str, subject: str) -> str:
    """The deduplication key, held until the transaction ends: two findings of one incident are counted one by one."""
    rest = ":".join((plain(model or "-", LONGEST_NAME), rule, plain(subject, LONGEST_NAME)))
    key = environment_identity.c.name + ":" + rest
    taken = connection.execute(select(key, func.pg_advisory_xact_lock(func.hashtextextended(key, 0)))).one()
    return str(taken[0])


def _open_incident(connection: Connection, key: str) -> Row[Any] | None:
    query = select(incidents).where(incidents.c.dedup_key == key, incidents.c.status == "open").with_for_update()
    return connection.execute(query).one_or_none()


def _live_incident(connection: Connection, key: str) -> Row[Any] | None:
    """The open incident of this problem, else the one that ended last, if that is not long ago."""
    is_open = incidents.c.status == "open"
    query = (
        select(incidents)
        .where(
            incidents.c.dedup_key == key,
            is_open | (incidents.c.resolved_at > func.clock_timestamp() - REOPENS_WITHIN),
        )
        .order_by(is_open.desc(), incidents.c.id.desc())
        .limit(1)
    )
    return connection.execute(query.with_for_update()).one_or_none()


def _last_end(connection: Connection, incident_id: int) -> int:
    """The alert that ended the incident last; 0 when it never ended. What was said before is over."""
    query = select(func.coalesce(func.max(alerts.c.id), 0)).where(
        alerts.c.incident_id == incident_id, alerts.c.body["kind"].astext == "resolved"
    )
    return int(connection.execute(query).scalar_one())


def _open(connection: Connection, alert: Alert, key: str, rule: Rule) -> int:
    """A new incident. An event is over as soon as it is told, so that the next one gets a thread of its own."""
    event = rule.kind == "event"
    row = connection.execute(
        incidents.insert()
        .values(
            dedup_key=key,
            model=alert.model,
            rule=alert.rule,
            subject=alert.subject,
            severity=alert.severity,
            status="resolved" if event else "open",
            resolved_at=func.clock_timestamp() if event else None,
            count=1,
            worst=measured(alert),
        )
        .returning(incidents.c.id)
    )
    return row.scalar_one()


def _is_told(connection: Connection, occurrence: str, context: RunContext, *where: Any) -> bool:
    """Whether this occurrence was alerted already. The run that says it again is noted, so that its failure counts as
    reported."""
    query = select(alerts.c.id, alerts.c.run_id, alerts.c.body).where(
        *where,
        alerts.c.incident_id.is_not(None),
        alerts.c.body["occurrence"].astext == occurrence,
        alerts.c.body["kind"].astext != "resolved",
    )
    told = connection.execute(query.order_by(alerts.c.id.desc()).limit(1)).one_or_none()
    if told is None:
        return False
    runs = told.body.get("runs", [])
    if context.run_id != told.run_id and context.run_id not in runs:
        body = {**told.body, "runs": [*runs[-19:], context.run_id]}
        connection.execute(alerts.update().where(alerts.c.id == told.id).values(body=body))
    return True


def last_title(connection: Connection, model: str, rule: str, subject: str, ds: str) -> str | None:
    """What was last told of a day by this rule, while its incident is open."""
    query = (
        select(alerts.c.title)
        .join(incidents, alerts.c.incident_id == incidents.c.id)
        .where(
            alerts.c.model == model,
            alerts.c.rule == rule,
            alerts.c.subject == subject,
            alerts.c.ds == ds,
            incidents.c.status == "open",
        )
        .order_by(alerts.c.id.desc())
        .limit(1)
    )
    return connection.execute(query).scalar_one_or_none()


def is_reported(connection: Connection, run_id: str, *rules: str) -> bool:
    """Whether that run already alerted (by one of the rules, where some are named), whatever became of the alert."""
    query = select(alerts.c.id).where(or_(alerts.c.run_id == run_id, alerts.c.body["runs"].contains([run_id])))
    if rules:
        query = query.where(alerts.c.rule.in_(rules))
    return connection.execute(query.limit(1)).first() is not None


def _write(
    connection: Connection,
    alert: Alert,
    key: str,
    context: RunContext,
    *,
    incident_id: int | None,
    kind: str,
    occurrence: str,
) -> int:
    row = connection.execute(
        alerts.insert()
        .values(
            incident_id=incident_id,
            dedup_key=key,
            model=alert.model,
            rule=alert.rule,
            subject=alert.subject,
            severity=alert.severity,
            title=plain(alert.title),
            body=body_of(alert, kind, occurrence, task=context.task_id),
            mode=context.mode,
            ds=alert.ds,
            run_id=context.run_id,
            status="digest" if incident_id is None else "pending",
        )
        .returning(alerts.c.id)
    )
    return row.scalar_one()


def _note_for_digest(connection: Connection, alert: Alert, key: str, context: RunContext) -> int | None:
    occurrence = alert.occurrence or alert.ds or ""
    noted = connection.execute(
        alerts.update()
        .where(alerts.c.dedup_key == key, alerts.c.status == "digest", alerts.c.body["occurrence"].astext == occurrence)
        .values(title=plain(alert.title), severity=alert.severity, body=body_of(alert, "digest", occurrence))
    )
    if noted.rowcount:
        return None
    return _write(connection, alert, key, context, incident_id=None, kind="digest", occurrence=occurrence)


def _worse_of(rule: Rule, known: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Whichever of two findings is worse by its value; the known one when they cannot be compared."""
    values: list[Any] = [known.get("value"), new.get("value")]
    if not all(isinstance(value, int | float) for value in values):
        return dict(known)
    is_worse = values[1] > values[0] if rule.worse == "higher" else values[1] < values[0]
    return {**new, "cleared": known.get("cleared", [])} if is_worse else dict(known)


def _without_cleared(worst: dict[str, Any], occurrence: str) -> dict[str, Any]:
    """A day that fails again after it was mended is open again."""
    return {**worst, "cleared": [day for day in worst.get("cleared", ()) if day != occurrence]}
