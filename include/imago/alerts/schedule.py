"""When which incident is told: what is pending, by incident, each with the time at which it falls due.

At once: the first alert, what a person did, a rise of severity. News waits for more of it. A problem is told at most
twice an hour, so that one that comes and goes does not ring like a bell; what is left over is told together. Of the two
the second is for bad news: that it is back, or lasts. Its end stands in the head at once, and is a message when the
last one is an hour old. While a problem is muted nothing of it falls due; while it is acknowledged only its end and a
rise do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, select

from imago.alerts.channels import Patience
from imago.alerts.rendering import ACTS, Silence
from imago.alerts.rules import get_rule
from imago.alerts.silences import mute_at, silences_of
from imago.ledger.schema import alerts, channels, incidents, messages

PER_HOUR = 2
MOST = 2000  # pending alerts that one look takes in


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """An incident with its pending alerts. `due` is when a message may say them, `rewrite` when the head may be changed
    without one, `hush` whether they are settled without a word, since the problem is muted."""

    incident: Row[Any]
    rows: list[Row[Any]]
    address: str
    due: datetime
    rewrite: datetime
    hush: bool
    silence: Silence | None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What there is to tell at `now`, oldest first, and when each address is free."""

    now: datetime
    bundles: list[Bundle]
    free: dict[str, datetime]


def plan(
    connection: Connection, address_of: Callable[[str | None], str], patience: Patience, *, all_now: bool = False
) -> Plan:
    """The plan as the ledger has it. With `all_now` news waits for nothing but the channels and what was muted."""
    now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    known = silences_of(connection, now)
    muted = [key for key, silence in known.items() if silence.action == "mute"]
    pending = connection.execute(
        select(alerts)
        .where(
            alerts.c.status == "pending",
            alerts.c.incident_id.is_not(None),
            alerts.c.dedup_key.not_in(muted) | alerts.c.body["kind"].astext.in_(ACTS),
        )
        .order_by(alerts.c.id)
        .limit(MOST)
    ).all()
    groups: dict[int, list[Row[Any]]] = defaultdict(list)
    for row in pending:
        groups[row.incident_id].append(row)
    incident_of = {row.id: row for row in connection.execute(select(incidents).where(incidents.c.id.in_(groups))).all()}
    told: dict[str, list[datetime]] = defaultdict(list)
    recent = select(messages.c.dedup_key, messages.c.posted_at).where(
        messages.c.posted_at > now - timedelta(seconds=patience.hour),
        messages.c.dedup_key.in_({row.dedup_key for row in pending}),
    )
    for row in connection.execute(recent.order_by(messages.c.posted_at)).all():
        told[row.dedup_key].append(row.posted_at)
    free = {row.address: row.free_at for row in connection.execute(select(channels)).all()}
    bundles = []
    for incident_id, rows in groups.items():
        incident = incident_of[incident_id]
        silence = known.get(incident.dedup_key)
        first = rows[0].created_at
        kinds = [row.body.get("kind", "opened") for row in rows]
        due = first
        if not all_now:
            due = due_at(
                kinds,
                first,
                told[incident.dedup_key],
                patience,
                is_event=get_rule(incident.rule).kind == "event",
                is_new=incident.told_at is None,
                quiet_until=silence.until if silence and silence.action == "acknowledge" else None,
            )
        bundles.append(
            Bundle(
                incident=incident,
                rows=rows,
                address=address_of(rows[0].model),
                due=max(due, *(row.not_before for row in rows)),
                rewrite=rows[-1].created_at
                if kinds[-1] == "resolved"
                else max(first, incident.told_at or first) + timedelta(seconds=patience.fold),
                hush=_needs_no_word(connection, incident, rows, silence),
                silence=silence,
            )
        )
    return Plan(now=now, bundles=bundles, free=free)


def due_at(
    kinds: Sequence[str],
    first: datetime,
    told: Sequence[datetime],
    patience: Patience,
    *,
    is_event: bool = False,
    is_new: bool = False,
    quiet_until: datetime | None = None,
) -> datetime:
    """When alerts of these `kinds`, the oldest raised at `first`, may be told. `told` is when their problem was told in
    the last hour, `is_new` whether its incident never was."""
    if is_event or any(kind in ("escalated", *ACTS) for kind in kinds):
        return first
    hour = timedelta(seconds=patience.hour)
    due = max(first, told[-PER_HOUR] + hour) if len(told) >= PER_HOUR else first
    if is_new:
        return due
    if kinds[-1] == "resolved":
        # The head says so at once. The message leaves room for the problem to come back, which cannot wait.
        return told[-1] + hour if told else first
    if "reopened" in kinds or "lasting" in kinds:
        return max(due, quiet_until or due)
    # More of the same: the head says so before, where it can be rewritten.
    due = max(first + timedelta(seconds=patience.fold), told[-1] + hour if told else due)
    return max(due, quiet_until or due)


def overdue(connection: Connection, now: datetime, patience: Patience | None = None) -> tuple[int, timedelta | None]:
    """How many alerts should have been told by `now`, and for how long the oldest of them is due."""
    count, oldest = 0, now
    for bundle in plan(connection, lambda model: "", patience or Patience()).bundles:
        # A try that failed moves an alert's time, which makes it no younger.
        since = bundle.rows[0].created_at if bundle.rows[0].attempts else bundle.due
        if since < now and not bundle.hush and bundle.incident.rule != "delivery_stalled":
            count += len(bundle.rows)
            oldest = min(oldest, since)
    return count, now - oldest if count else None


def _needs_no_word(connection: Connection, incident: Row[Any], rows: list[Row[Any]], silence: Silence | None) -> bool:
    """Whether nobody has to hear of it: it was muted before it was ever told, or it ended while it was muted."""
    kinds = [row.body.get("kind") for row in rows]
    if incident.told_at is None and silence is not None and silence.action == "mute":
        return all(kind in ACTS for kind in kinds)
    if incident.status != "resolved" or kinds[-1] != "resolved":
        return False
    return mute_at(connection, incident.dedup_key, rows[-1].created_at)
