"""Draining the outbox: every pending alert reaches its channel, in order, no faster than the channel takes it.

The unit is an incident with its pending alerts: the first time it is posted, later one reply says what is new and the
head is rewritten. One process at a time serves a channel (an advisory lock that dies with it), and no row is locked
while
Slack is asked, so that a stage that raises an alert never waits for Slack. A message whose fate is unknown is sent
again
with the same id.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, Row, func, select, text

from imago.alerts.rendering import Finding, Incident, Message, head, plain, reply
from imago.alerts.slack import ChannelWaits, MessageRefused, ThreadGone
from imago.ledger.schema import alerts, incidents

log = logging.getLogger(__name__)

_ON_CHANNEL = "channel: "  # how `last_error` begins when the whole channel has to wait
_LEASE = timedelta(seconds=30)  # longer than a call may take: after a crash nobody repeats it while it may be under way
_BROADCAST_AFTER = timedelta(hours=12)  # a thread that was silent for so long is shown in the channel again


class Sender(Protocol):
    """A channel kind."""

    def post(
        self, channel: str, message: Message, *, thread_ts: str | None, broadcast: bool, metadata: dict[str, Any]
    ) -> tuple[str, str]: ...

    def update(self, channel: str, ts: str, message: Message) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Routing:
    """Where a model's alerts go and who answers for them."""

    environment: str
    channel_of: Callable[[str | None], str]
    owner_of: Callable[[str | None, str], str]
    runbook_of: Callable[[str], str | None]


@dataclass(kw_only=True)
class Summary:
    """What one drain did."""

    messages: int = 0
    alerts: int = 0
    failed_calls: int = 0
    problems: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Bundle:
    incident: Row[Any]
    rows: list[Row[Any]]
    channel: str
    wait: float


def drain(
    engine: Engine,
    sender: Sender,
    routing: Routing,
    *,
    seconds: float,
    fold_seconds: float = 300.0,
    pace: float = 1.0,
) -> Summary:
    """Delivers what is due for at most `seconds`; returns early when nothing more falls due in that time.

    `fold_seconds`: news of a known incident waits so long for more, and is told in one reply (escalations and ends do
    not wait). `pace` is the time between two messages of a channel. Whatever goes wrong with a channel is written on
    the row and
    tried later; it raises only when the ledger does.
    """
    summary = Summary()
    deadline = time.monotonic() + seconds
    next_post: dict[str, float] = {}
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as locks:
        mine: dict[str, bool] = {}
        while True:
            with engine.connect() as connection:
                bundles = _due(connection, routing, fold_seconds, next_post)
            bundles = [bundle for bundle in bundles if _is_mine(locks, mine, next_post, bundle.channel, pace)]
            ready = next(
                (b for b in bundles if b.wait <= 0 and next_post.get(b.channel, 0.0) <= time.monotonic()), None
            )
            now = time.monotonic()
            if ready is None:
                soonest = min((max(b.wait, next_post.get(b.channel, 0.0) - now) for b in bundles), default=None)
                if soonest is None or now + soonest > deadline:
                    return summary
                time.sleep(max(0.01, min(soonest, 1.0)))
                continue
            if now > deadline:
                return summary
            _deliver(engine, sender, routing, ready, summary)
            next_post[ready.channel] = time.monotonic() + pace


def _due(connection: Connection, routing: Routing, fold_seconds: float, next_post: dict[str, float]) -> list[_Bundle]:
    """Pending alerts by incident, oldest first, each with the seconds that it still has to wait."""
    now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    pending = connection.execute(
        select(alerts)
        .where(alerts.c.status == "pending", alerts.c.incident_id.is_not(None))
        .order_by(alerts.c.id)
        .limit(2000)
    ).all()
    if not pending:
        return []
    groups: dict[int, list[Row[Any]]] = defaultdict(list)
    held: dict[str, datetime] = {}
    for row in pending:
        groups[row.incident_id].append(row)
        if (row.last_error or "").startswith(_ON_CHANNEL):
            channel = routing.channel_of(row.model)
            held[channel] = max(held.get(channel, row.not_before), row.not_before)
    known = connection.execute(select(incidents).where(incidents.c.id.in_(groups))).all()
    incident_of = {row.id: row for row in known}
    bundles = []
    for incident_id, rows in groups.items():
        incident, channel = incident_of[incident_id], routing.channel_of(rows[0].model)
        due = max(rows[0].not_before, held.get(channel, rows[0].not_before))
        if incident.thread_ts is not None and all(row.body.get("kind") == "updated" for row in rows):
            due = max(due, rows[0].created_at + timedelta(seconds=fold_seconds))
        bundles.append(_Bundle(incident=incident, rows=rows, channel=channel, wait=(due - now).total_seconds()))
    return bundles


def _is_mine(locks: Connection, mine: dict[str, bool], next_post: dict[str, float], channel: str, pace: float) -> bool:
    """Whether this process serves the channel; the first time it waits as long as the last post of another one asks."""
    if channel not in mine:
        query = text(
            "select pg_try_advisory_lock(hashtextextended(current_schema() || ' delivers to ' || :channel, 0))"
        )
        mine[channel] = bool(locks.execute(query, {"channel": channel}).scalar_one())
        age = locks.execute(
            select(func.extract("epoch", func.clock_timestamp() - func.max(alerts.c.delivered_at)))
        ).scalar()
        if age is not None and float(age) < pace:
            next_post[channel] = time.monotonic() + pace - float(age)
    return mine[channel]


def _deliver(engine: Engine, sender: Sender, routing: Routing, bundle: _Bundle, summary: Summary) -> None:
    rows = _claim(engine, bundle)
    if not rows:
        return
    with engine.connect() as connection:
        incident = connection.execute(select(incidents).where(incidents.c.id == bundle.incident.id)).one()
        opening = connection.execute(
            select(alerts).where(alerts.c.incident_id == incident.id).order_by(alerts.c.id).limit(1)
        ).one()
        last = connection.execute(
            select(func.max(alerts.c.delivered_at), func.clock_timestamp()).where(alerts.c.incident_id == incident.id)
        ).one()
    silent = last[0] is not None and last[1] - last[0] > _BROADCAST_AFTER
    try:
        channel, thread_ts = _send(sender, routing, bundle.channel, incident, opening, rows, silent=silent)
    except ChannelWaits as problem:
        wait = problem.seconds if problem.seconds is not None else min(2.0 ** rows[0].attempts, 300.0)
        _postpone(engine, rows, wait, _ON_CHANNEL + str(problem))
        summary.failed_calls += 1
        summary.problems[bundle.channel] = str(problem)[:300]
        log.warning("%s: %s; tried again in %.0f s", bundle.channel, problem, wait)
        return
    except (MessageRefused, ThreadGone) as problem:
        wait = min(30.0 * 2.0 ** rows[0].attempts, 3600.0)
        _postpone(engine, rows, wait, f"message: {problem}")
        summary.failed_calls += 1
        summary.problems[f"incident {incident.id}"] = str(problem)[:300]
        log.error("incident %s is refused by %s: %s; tried again in %.0f s", incident.id, bundle.channel, problem, wait)
        return
    with engine.begin() as connection:
        connection.execute(
            alerts.update()
            .where(alerts.c.id.in_([row.id for row in rows]))
            .values(status="delivered", delivered_at=func.clock_timestamp(), last_error=None)
        )
        connection.execute(
            incidents.update().where(incidents.c.id == incident.id).values(channel=channel, thread_ts=thread_ts)
        )
    summary.messages += 1
    summary.alerts += len(rows)


def _send(
    sender: Sender,
    routing: Routing,
    channel: str,
    incident: Row[Any],
    opening: Row[Any],
    rows: list[Row[Any]],
    *,
    silent: bool,
) -> tuple[str, str]:
    """Posts the head, or rewrites it and replies; the channel's id and the thread."""
    told = _incident(incident, routing)
    first, news = _finding(opening), [_finding(row) for row in rows]
    metadata = {
        "event_type": "imago_alert",
        "event_payload": {
            "message_id": str(rows[0].message_id),
            "incident": incident.id,
            "dedup_key": incident.dedup_key,
        },
    }
    if incident.thread_ts is not None:
        try:
            # The head first: rewriting twice does no harm, replying twice would.
            _tolerant(lambda message: sender.update(incident.channel, incident.thread_ts, message), head(told, first))
            broadcast = silent or any(finding.kind == "escalated" for finding in news)
            _tolerant(
                lambda message: sender.post(
                    incident.channel, message, thread_ts=incident.thread_ts, broadcast=broadcast, metadata=metadata
                ),
                reply(told, news),
            )
            return incident.channel, incident.thread_ts
        except ThreadGone as problem:
            log.warning("the thread of incident %s is gone (%s); it gets a new one", incident.id, problem)
    shown = first if incident.thread_ts is None else next((f for f in reversed(news) if f.kind != "resolved"), first)
    posted: list[tuple[str, str]] = []
    _tolerant(
        lambda message: posted.append(
            sender.post(channel, message, thread_ts=None, broadcast=False, metadata=metadata)
        ),
        head(told, shown),
    )
    return posted[0]


def _tolerant(call: Callable[[Message], Any], message: Message) -> None:
    """The call with the message, or without its blocks where Slack refuses them: plain words are better than none."""
    try:
        call(message)
    except MessageRefused as problem:
        log.warning("Slack refuses the blocks (%s); sent as text", problem)
        call(plain(message))


def _claim(engine: Engine, bundle: _Bundle) -> list[Row[Any]]:
    """Marks the rows as under way. Empty when another process was quicker or holds one of them."""
    ids = [row.id for row in bundle.rows]
    with engine.begin() as connection:
        rows = connection.execute(
            select(alerts)
            .where(alerts.c.id.in_(ids), alerts.c.status == "pending")
            .order_by(alerts.c.id)
            .with_for_update(skip_locked=True)
        ).all()
        if len(rows) < len(ids):
            return []
        connection.execute(
            alerts.update()
            .where(alerts.c.id.in_(ids))
            .values(attempts=alerts.c.attempts + 1, not_before=func.clock_timestamp() + _LEASE)
        )
    return list(rows)


def _postpone(engine: Engine, rows: list[Row[Any]], seconds: float, problem: str) -> None:
    with engine.begin() as connection:
        connection.execute(
            alerts.update()
            .where(alerts.c.id.in_([row.id for row in rows]))
            .values(not_before=func.clock_timestamp() + timedelta(seconds=seconds), last_error=problem[:500])
        )


def _incident(row: Row[Any], routing: Routing) -> Incident:
    return Incident(
        id=row.id,
        environment=routing.environment,
        model=row.model,
        rule=row.rule,
        subject=row.subject,
        severity=row.severity,
        status=row.status,
        opened_at=row.opened_at,
        resolved_at=row.resolved_at,
        count=row._mapping["count"],  # `count` is a method of tuples too
        worst=row.worst or {},
        owner=routing.owner_of(row.model, row.rule),
        runbook_url=routing.runbook_of(row.rule),
    )


def _finding(row: Row[Any]) -> Finding:
    body = row.body
    return Finding(
        title=row.title,
        severity=row.severity,
        kind=body.get("kind", "opened"),
        ds=row.ds,
        why=body.get("why", ""),
        did=body.get("did", ""),
        next_step=body.get("next_step", ""),
        facts=dict(body.get("facts", ())),
        links=dict(body.get("links", ())),
        well_ds=body.get("well_ds"),
    )
