"""Telling one incident: what is said, in which thread, and that it was said."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, select

from imago.alerts.channels import About, Channel, MessageRefused, Patience, Thread, ThreadGone
from imago.alerts.line import Line
from imago.alerts.pictures import Picture
from imago.alerts.rendering import ACTS, Finding, Incident, Message, Silence, escape, head, plain, reply
from imago.alerts.schedule import Bundle
from imago.errors import ImagoError
from imago.ledger.schema import alerts, incidents, messages

log = logging.getLogger(__name__)

_BROADCAST_AFTER = timedelta(hours=12)  # a thread that was silent for so long is shown in the channel again
_HEADS = ("opened", "reopened", "event")


@dataclass(frozen=True, kw_only=True)
class Routing:
    """Where a model's alerts go, who answers for them, and where a person reads on."""

    environment: str
    address_of: Callable[[str | None], str]
    owner_of: Callable[[str | None, str], str]
    runbook_of: Callable[[str], str | None]
    stakes_of: Callable[[str | None], str] = lambda model: ""
    page_of: Callable[[int], str | None] = lambda incident: None
    links_of: Callable[[str, str | None], Mapping[str, str]] = lambda run_id, task: {}


class Teller:
    """Tells the incidents of one address."""

    def __init__(self, engine: Engine, channel: Channel, address: str, routing: Routing, patience: Patience) -> None:
        self.engine = engine
        self.channel = channel
        self.address = address
        self.routing = routing
        self.line = Line(engine, address, patience)

    def tell(self, bundle: Bundle) -> int:
        """Says what is pending; how many alerts that were. Raises what the channel refuses."""
        with self.engine.begin() as connection:
            rows = _claimed(connection, bundle)
            incident, opening, silent = _state(connection, bundle.incident.id)
        if not rows:
            return 0
        if bundle.hush:
            self._settle(incident, rows, None, status="muted")
            if self._thread(incident) is not None and self.channel.rewrites:
                self._rewrite(incident, opening, bundle.silence)
            return 0
        about = About(message_id=str(rows[0].message_id), incident=incident.id, dedup_key=incident.dedup_key)
        thread = self._thread(incident)
        if thread is not None:
            try:
                self._answer(incident, opening, rows, thread, about, bundle.silence, silent=silent)
            except ThreadGone as problem:
                log.warning("the thread of incident %s is gone (%s); it gets a new one", incident.id, problem)
                thread = None
        if thread is None:
            told = _incident(incident, self.routing, bundle.silence)
            message = _rendered(lambda: head(told, self._finding(opening)), opening)
            thread = self._post(message, about, thread=None, broadcast=False)
        self._settle(incident, rows, thread, status="delivered")
        return len(rows)

    def may_rewrite(self, bundle: Bundle) -> bool:
        """Whether the head of the incident's thread can say what is new before a message does."""
        incident = bundle.incident
        is_behind = incident.told_at is not None and incident.updated_at > incident.told_at
        return self.channel.rewrites and is_behind and not bundle.hush and self._thread(incident) is not None

    def rewrite(self, bundle: Bundle) -> int:
        """Brings the head up to date, which disturbs nobody."""
        with self.engine.connect() as connection:
            incident, opening, _ = _state(connection, bundle.incident.id)
        self._rewrite(incident, opening, bundle.silence)
        return 0

    def postpone(self, bundle: Bundle, problem: ImagoError) -> None:
        """A message that is refused alone is tried again later, and lets the others pass."""
        wait = min(30.0 * 2.0 ** min(bundle.rows[0].attempts, 20), 3600.0)
        with self.engine.begin() as connection:
            connection.execute(
                alerts.update()
                .where(alerts.c.id.in_([row.id for row in bundle.rows]))
                .values(
                    not_before=func.clock_timestamp() + timedelta(seconds=wait), last_error=f"message: {problem}"[:500]
                )
            )

    def _thread(self, incident: Row[Any]) -> Thread | None:
        """The incident's thread, where it lies here."""
        if incident.thread_ts is None or incident.address not in (None, self.address):
            return None
        return Thread(incident.channel, incident.thread_ts, incident.picture)

    def _answer(
        self,
        incident: Row[Any],
        opening: Row[Any],
        rows: list[Row[Any]],
        thread: Thread,
        about: About,
        silence: Silence | None,
        *,
        silent: bool,
    ) -> None:
        if self.channel.rewrites:
            # The head first: rewriting twice does no harm, answering twice would.
            self._rewrite(incident, opening, silence)
        told = _incident(incident, self.routing, silence)
        news = [self._finding(row) for row in rows]
        message = _rendered(
            lambda: reply(told, news, opening=self._finding(opening), alone=not self.channel.threads), rows[-1]
        )
        broadcast = silent or any(finding.kind in ("escalated", "lasting") for finding in news)
        self._post(message, about, thread=thread, broadcast=broadcast)

    def _rewrite(self, incident: Row[Any], opening: Row[Any], silence: Silence | None) -> None:
        thread = self._thread(incident)
        assert thread is not None
        told = _incident(incident, self.routing, silence)
        message = _rendered(lambda: head(told, self._finding(opening)), opening)
        self._tolerant(lambda words: self.channel.rewrite(thread, words), message)
        with self.engine.begin() as connection:
            connection.execute(
                incidents.update().where(incidents.c.id == incident.id).values(told_at=func.clock_timestamp())
            )

    def _post(self, message: Message, about: About, *, thread: Thread | None, broadcast: bool) -> Thread:
        return self._tolerant(
            lambda words: self.channel.post(words, about, thread=thread, broadcast=broadcast), message
        )

    def _tolerant(self, call: Callable[[Message], Any], message: Message) -> Any:
        """The call with the message; without its picture (a fresh file may not be shown yet, so once more before that)
        or without its blocks where they are refused: plain words are better than none."""
        pictured = [message, replace(message, picture=None)] if message.picture else []
        for attempt in (message, *pictured):
            try:
                return self.line.call(lambda words=attempt: call(words))  # type: ignore[misc]
            except MessageRefused as problem:
                log.warning("the message is refused (%s); sent again, plainer", problem)
        return self.line.call(lambda: call(plain(message)))

    def _finding(self, row: Row[Any]) -> Finding:
        body = row.body
        found = self.routing.links_of(row.run_id, body.get("task"))
        links = dict(body.get("links", ()))
        known = {name.lower() for name in links}
        return Finding(
            title=row.title,
            severity=row.severity,
            kind=body.get("kind", "opened"),
            ds=row.ds,
            why=body.get("why", ""),
            did=body.get("did", ""),
            next_step=body.get("next_step", ""),
            facts=dict(body.get("facts", ())),
            links={**links, **{name: to for name, to in found.items() if name not in known}},
            well_ds=body.get("well_ds"),
            picture=Picture.from_json(body.get("picture")),
        )

    def _settle(self, incident: Row[Any], rows: list[Row[Any]], thread: Thread | None, *, status: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(
                alerts.update()
                .where(alerts.c.id.in_([row.id for row in rows]))
                .values(
                    status=status,
                    delivered_at=func.clock_timestamp() if thread else None,
                    last_error=None,
                )
            )
            if thread is None:
                return
            connection.execute(
                incidents.update()
                .where(incidents.c.id == incident.id)
                .values(
                    address=self.address,
                    channel=thread.channel,
                    thread_ts=thread.ts,
                    picture=thread.picture,
                    told_at=func.clock_timestamp(),
                )
            )
            connection.execute(
                messages.insert().values(
                    incident_id=incident.id,
                    dedup_key=incident.dedup_key,
                    message_id=rows[0].message_id,
                    address=self.address,
                )
            )


def _claimed(connection: Connection, bundle: Bundle) -> list[Row[Any]]:
    """All that is pending of the incident by now, each try counted; of a muted one what a person did."""
    pending = (alerts.c.incident_id == bundle.incident.id) & (alerts.c.status == "pending")
    if bundle.silence is not None and bundle.silence.action == "mute":
        pending &= alerts.c.body["kind"].astext.in_(ACTS)
    tried = alerts.update().where(pending).values(attempts=alerts.c.attempts + 1).returning(alerts)
    return sorted(connection.execute(tried).all(), key=lambda row: row.id)


def _state(connection: Connection, incident_id: int) -> tuple[Row[Any], Row[Any], bool]:
    """The incident as it is now, the alert that opened it last, and whether it was silent for long."""
    incident = connection.execute(select(incidents).where(incidents.c.id == incident_id)).one()
    opening = connection.execute(
        select(alerts)
        .where(alerts.c.incident_id == incident_id)
        .order_by(alerts.c.body["kind"].astext.in_(_HEADS).desc(), alerts.c.id.desc())
        .limit(1)
    ).one()
    posted = select(func.clock_timestamp() - func.max(messages.c.posted_at))
    age: timedelta | None = connection.execute(posted.where(messages.c.incident_id == incident_id)).scalar_one()
    return incident, opening, age is not None and age > _BROADCAST_AFTER


def _rendered(draw: Callable[[], Message], row: Row[Any]) -> Message:
    """The message; its bare title where drawing it fails: one alert that cannot be drawn must not be lost for that."""
    try:
        return draw()
    except Exception:  # whatever an alert's content may provoke
        log.exception("alert %s cannot be drawn", row.id)
        return Message(text=escape(row.title) or "An alert that cannot be shown", blocks=[], subject=row.title)


def _incident(row: Row[Any], routing: Routing, silence: Silence | None) -> Incident:
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
        stakes=routing.stakes_of(row.model),
        page=routing.page_of(row.id),
        silence=silence,
    )
