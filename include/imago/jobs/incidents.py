"""What a person sees of incidents and does about them, from the command line and from Airflow's UI."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from imago.environments import Environment
from imago.errors import ImagoError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from imago.alerts.rendering import Silence
    from imago.alerts.silences import Action


def overview(
    env: Environment, *, everything: bool = False, model: str | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """The open incidents, the worst first; with `everything` those that are over as well, newest first."""
    from sqlalchemy import case, func, select

    from imago.alerts.silences import silences_of
    from imago.ledger import connect
    from imago.ledger.schema import incidents

    query = select(incidents).limit(limit)
    if model is not None:
        query = query.where(incidents.c.model == model)
    if everything:
        query = query.order_by(incidents.c.updated_at.desc())
    else:
        rank = case({"critical": 0, "warning": 1}, value=incidents.c.severity, else_=2)
        query = query.where(incidents.c.status == "open").order_by(rank, incidents.c.opened_at.desc())
    with connect(env).connect() as connection:
        now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        quiet = silences_of(connection, now)
        rows = connection.execute(query).all()
        titles = _titles(connection, [row.id for row in rows])
    return [_told(row, titles.get(row.id, row.subject), quiet.get(row.dedup_key)) for row in rows]


def detail(env: Environment, incident_id: int) -> dict[str, Any]:
    """One incident with everything that was said of it, newest first, and who asked for quiet when. Raises ImagoError
    when there is none."""
    from sqlalchemy import func, select

    from imago.alerts.silences import silences_of
    from imago.ledger import connect
    from imago.ledger.numbers import check_number
    from imago.ledger.schema import alerts, incidents, silences

    check_number(incident_id, "incident", next_step="see `imago alerts incidents`")
    with connect(env).connect() as connection:
        row = connection.execute(select(incidents).where(incidents.c.id == incident_id)).one_or_none()
        if row is None:
            raise ImagoError(
                f"there is no incident {incident_id}", environment=env.name, next_step="see `imago alerts incidents`"
            )
        now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        silence = silences_of(connection, now).get(row.dedup_key)
        said = connection.execute(
            select(alerts).where(alerts.c.incident_id == incident_id).order_by(alerts.c.id.desc()).limit(200)
        )
        told = [{**one, "links": _links(env, dict(one))} for one in said.mappings()]
        asked = connection.execute(
            select(silences).where(silences.c.dedup_key == row.dedup_key).order_by(silences.c.id.desc()).limit(50)
        )
        quiet = [dict(one) for one in asked.mappings()]
        title = _titles(connection, [row.id]).get(row.id, row.subject)
    return {**_told(row, title, silence), "alerts": told, "silences": quiet}


def quieten(
    env: Environment, incident_id: int, action: Action, *, until: str | None, by: str, reason: str
) -> dict[str, Any]:
    """Mutes or acknowledges an incident until then, or lifts what was asked before; what was written."""
    from sqlalchemy import func, select

    from imago.alerts.silences import parse_until, silence
    from imago.ledger import connect

    with connect(env).begin() as connection:
        now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        end = parse_until(until, now) if until else None
        return silence(connection, incident_id, action, until=end, by=by, reason=reason, now=now)


def picture(env: Environment, incident_id: int) -> bytes | None:
    """The newest picture of an incident as a PNG file; None where no alert of it has one."""
    from sqlalchemy import select

    from imago.alerts.pictures import Picture, png
    from imago.ledger import connect
    from imago.ledger.numbers import check_number
    from imago.ledger.schema import alerts

    check_number(incident_id, "incident", next_step="see `imago alerts incidents`")
    query = (
        select(alerts.c.body["picture"])
        .where(alerts.c.incident_id == incident_id, alerts.c.body.has_key("picture"))
        .order_by(alerts.c.id.desc())
        .limit(1)
    )
    with connect(env).connect() as connection:
        found = Picture.from_json(connection.execute(query).scalar_one_or_none())
    return png(found) if found else None


def _links(env: Environment, alert: Mapping[str, Any]) -> dict[str, str]:
    """Where to read on: what the alert names, and the run that raised it."""
    from imago.jobs.alerts import routing

    body = alert["body"]
    named = {name.lower(): to for name, to in body.get("links", ())}
    return {**routing(env).links_of(alert["run_id"], body.get("task")), **named}


def _titles(connection: Connection, ids: list[int]) -> dict[int, str]:
    """What each incident's newest finding says."""
    from sqlalchemy import func, select

    from imago.alerts.rendering import ACTS
    from imago.ledger.schema import alerts

    newest = (
        select(func.max(alerts.c.id))
        .where(alerts.c.incident_id.in_(ids), alerts.c.body["kind"].astext.not_in(("resolved", *ACTS)))
        .group_by(alerts.c.incident_id)
    )
    query = select(alerts.c.incident_id, alerts.c.title).where(alerts.c.id.in_(newest))
    return {row.incident_id: row.title for row in connection.execute(query).all()}


def _told(row: Row[Any], title: str, silence: Silence | None) -> dict[str, Any]:
    from imago.alerts.rendering import quiet_words

    return {
        **row._mapping,
        "title": title,
        "silence": {
            "action": silence.action,
            "until": silence.until,
            "by": silence.by,
            "reason": silence.reason,
            "words": quiet_words(silence),
        }
        if silence
        else None,
    }
