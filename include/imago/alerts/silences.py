"""Muting and acknowledging: a person asks for quiet, with a name, a reason and an end. The ledger keeps each row.

A mute is about the problem (environment, model, rule, subject), so that the same problem under a new incident stays
quiet too: nothing of it is posted until the end, and then what is still open is told. An acknowledgement says that
somebody is at work: only the end and a rise of severity are told.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, Row, func, select

from imago.alerts.rendering import Silence
from imago.errors import ImagoError
from imago.ledger.numbers import check_number
from imago.ledger.schema import alerts, incidents, silences
from imago.texts import line

Action = Literal["mute", "acknowledge", "lift"]
LONGEST = timedelta(days=90)
_SPAN = re.compile(r"(\d{1,4})\s*(m|min|h|d)")
_UNITS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days"}
_KIND = {"mute": "muted", "acknowledge": "acknowledged", "lift": "lifted"}


def silence(
    connection: Connection,
    incident_id: int,
    action: Action,
    *,
    until: datetime | None = None,
    by: str,
    reason: str,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Writes that `by` mutes or acknowledges the incident until then, or lifts what was asked before; the channel is
    told who did. Raises ImagoError when there is no such open incident, no name, no reason or no sensible end."""
    now = now or connection.execute(select(func.clock_timestamp())).scalar_one()
    check_number(incident_id, "incident", next_step="see `imago alerts incidents`")
    incident = connection.execute(
        select(incidents).where(incidents.c.id == incident_id).with_for_update()
    ).one_or_none()
    if incident is None:
        raise ImagoError(f"there is no incident {incident_id}", next_step="see `imago alerts incidents`")
    by, reason = line(" ".join(by.split()), 100), line(" ".join(reason.split()), 500)
    if not by or not reason:
        raise ImagoError(
            f"whoever asks to {action} an incident says who and why",
            rule="a name and a reason",
            next_step="give --by and --reason",
        )
    if action == "lift":
        if silences_of(connection, now).get(incident.dedup_key) is None:
            raise ImagoError(f"incident {incident_id} is neither muted nor acknowledged", next_step="nothing to do")
    elif incident.status != "open" and action == "acknowledge":
        raise ImagoError(
            f"incident {incident_id} is over", seen="resolved", allowed="an open incident", next_step="nothing to do"
        )
    elif until is None or until <= now or until > now + LONGEST:
        raise ImagoError(
            f"no sensible end: {until:%Y-%m-%d %H:%M} UTC" if until else "there is no end",
            rule="quiet ends by itself",
            allowed=f"a time in the next {LONGEST.days} days",
            next_step="name one, as 4h, 3d, 2026-02-28 or 2026-02-28T09:00",
        )
    connection.execute(
        silences.insert().values(
            incident_id=incident_id, dedup_key=incident.dedup_key, action=action, until=until, by_name=by, reason=reason
        )
    )
    end = f" until {until:%Y-%m-%d %H:%M} UTC" if until else ""
    words = {"mute": f"Muted{end}", "acknowledge": f"Acknowledged{end}", "lift": "Heard again"}[action]
    connection.execute(
        alerts.insert().values(
            incident_id=incident_id,
            dedup_key=incident.dedup_key,
            model=incident.model,
            rule=incident.rule,
            subject=incident.subject,
            severity="info",
            title=f"{words} by {by}: {reason}",
            body={"kind": _KIND[action], "occurrence": ""},
            mode="live",
            run_id="person",
            status="pending",
        )
    )
    return {"incident": incident_id, "action": action, "until": until, "by": by, "reason": reason}


def silences_of(connection: Connection, now: datetime) -> dict[str, Silence]:
    """What is quiet at `now`, by deduplication key."""
    newest = select(func.max(silences.c.id)).group_by(silences.c.dedup_key)
    rows = connection.execute(
        select(silences).where(silences.c.id.in_(newest), silences.c.action != "lift", silences.c.until > now)
    ).all()
    return {row.dedup_key: _silence(row) for row in rows}


def mute_at(connection: Connection, dedup_key: str, moment: datetime) -> bool:
    """Whether the problem was muted at that moment."""
    row = connection.execute(
        select(silences)
        .where(silences.c.dedup_key == dedup_key, silences.c.created_at <= moment)
        .order_by(silences.c.id.desc())
        .limit(1)
    ).one_or_none()
    return row is not None and row.action == "mute" and row.until > moment


def parse_until(words: str, now: datetime) -> datetime:
    """An end that a person names: a span from now (`30m`, `4h`, `3d`), a day (which it includes) or a time, in UTC
    unless it says otherwise.

    >>> parse_until("4h", datetime(2026, 1, 1, tzinfo=UTC)).isoformat()
    '2026-01-01T04:00:00+00:00'
    >>> parse_until("2026-01-02", datetime(2026, 1, 1, tzinfo=UTC)).isoformat()
    '2026-01-03T00:00:00+00:00'
    """
    words = words.strip()
    span = _SPAN.fullmatch(words)
    if span:
        return now + timedelta(**{_UNITS[span.group(2)]: int(span.group(1))})
    try:
        found = datetime.fromisoformat(words)
    except ValueError:
        raise ImagoError(
            f"{words!r} is not a time",
            allowed="4h, 3d, 2026-02-28 or 2026-02-28T09:00",
            seen=words,
            next_step="name one of these",
        ) from None
    if len(words) == 10 and found.date() < date.max:
        found = datetime.combine(found.date() + timedelta(days=1), time())
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _silence(row: Row[Any]) -> Silence:
    return Silence(action=row.action, until=row.until, by=row.by_name, reason=row.reason)
