"""What people are told of an audit: one alert for what was refused, one for each rule that warns, and their end.

All of it is said by the facts of the refusal itself, which are completed here: the exception, the task log, the alert
and the run's summary then hold the same.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, select
from sqlalchemy.exc import SQLAlchemyError

from imago import ledger
from imago.alerts.links import run_links
from imago.alerts.outbox import Alert, raise_alert, raise_alerts, resolve
from imago.context import RunContext
from imago.days import days_between
from imago.environments import Environment
from imago.errors import ImagoError, SettingsError, shown
from imago.features import audit_docs
from imago.ledger.schema import alerts, incidents, publications
from imago.specs import ModelSpec

if TYPE_CHECKING:
    from imago.features.findings import Finding

log = logging.getLogger(__name__)

REFUSED, WARNING = "partition_refused", "audit_warning"
_WAITS = {
    "features": "scoring of these days waits, or works with what was published before",
    "outcomes": "metrics and training miss the truth of these days",
}


def tell_refused(
    env: Environment,
    spec: ModelSpec,
    table: str,
    days: tuple[str, ...],
    error: ImagoError,
    context: RunContext,
    *,
    docs: str | None = None,
    staged: str | None = None,
) -> None:
    """Completes the facts of the refusal, and raises its one alert.

    `docs` is the path of the audit's page, `staged` the folder of the rows that were turned down. Never raises because
    of the ledger: the refusal stays the error that people see.
    """
    error.complete(
        environment=env.name,
        model=spec.name,
        table=table,
        partition=_span(days),
        audit=audit_docs.address(env, docs) if docs else None,
    )
    links = _links(env, context, docs)
    kept = f"; the staged rows are kept at {staged}" if staged else ""
    alert = Alert(
        model=spec.name,
        rule=REFUSED,
        subject=table,
        title=f"{table.capitalize()} of {_span(days)} were refused: {error.message}",
        why=_WAITS[table],
        did=f"published nothing: what was published before stands{kept}",
        next_step=error.next_step
        or "look at the audit, correct the raw file or the contract, then clear the failed task",
        ds=days[-1],
        occurrence=_span(days),
        facts={name: value for name, value in error.facts.items() if name != "audit" or "audit" not in links},
        links=links,
    )
    try:
        with ledger.connect(env).begin() as connection:
            raise_alert(connection, alert, context)
    except (SQLAlchemyError, SettingsError) as problem:
        log.error("the refusal of %s could not be written down: %s", _span(days), type(problem).__name__)


def tell_published(env: Environment, spec: ModelSpec, table: str, days: tuple[str, ...], context: RunContext) -> None:
    """Ends the refusals that this publish has mended: those each of whose days was published after it was refused."""
    with ledger.connect(env).begin() as connection:
        for occurrence, since in _refusals(connection, spec.name, table):
            first, _, last = occurrence.partition("..")
            wanted = days_between(first, last or first)
            if set(wanted).isdisjoint(days):
                continue
            published = select(publications.c.ds).where(
                publications.c.model == spec.name,
                publications.c.table_name == table,
                publications.c.ds.between(wanted[0], wanted[-1]),
                publications.c.published_at > since,
            )
            if set(wanted) <= set(connection.execute(published).scalars()):
                resolve(connection, spec.name, REFUSED, table, context, ds=occurrence)


def tell_warnings(
    env: Environment,
    spec: ModelSpec,
    table: str,
    days: tuple[str, ...],
    warnings: Iterable[Finding],
    context: RunContext,
    docs: str | None = None,
) -> None:
    """Raises an alert for each column and rule that warns, and ends those that do not warn any more.

    Called after each publish, with no warnings too: a healthy later day is what ends a warning.
    """
    found = [_warning(env, spec, table, days, finding, context, docs) for finding in warnings]
    warned = {(alert.subject, alert.ds) for alert in found}
    with ledger.connect(env).begin() as connection:
        raise_alerts(connection, found, context)
        query = select(incidents.c.subject).where(
            incidents.c.model == spec.name, incidents.c.rule == WARNING, incidents.c.status == "open"
        )
        subjects: list[str] = sorted(connection.execute(query).scalars())
        for subject in subjects:
            healthy = [ds for ds in days if (subject, ds) not in warned]
            if subject.split(".", 1)[0] == table and healthy:
                resolve(connection, spec.name, WARNING, subject, context, ds=max(healthy))


def _warning(
    env: Environment,
    spec: ModelSpec,
    table: str,
    days: tuple[str, ...],
    finding: Finding,
    context: RunContext,
    docs: str | None,
) -> Alert:
    ds, column = finding.partition or days[-1], finding.column or "rows"
    links = _links(env, context, docs)
    facts: dict[str, Any] = {
        "environment": env.name,
        "model": spec.name,
        "table": table,
        "partition": ds,
        "column": finding.column,
        "rule": finding.rule,
        "allowed": shown(finding.allowed),
        "seen": shown(finding.seen),
        "rows": finding.rows,
        "audit": audit_docs.address(env, docs) if docs and "audit" not in links else None,
    }
    return Alert(
        model=spec.name,
        rule=WARNING,
        subject=f"{table}.{column}: {finding.rule}",
        title=f"{table.capitalize()} of {ds}: {column} leaves what is usual ({finding.rule} {shown(finding.seen)})",
        why="the day was published; a little more of this would stop one",
        did="published the day: a warning stops nothing",
        next_step="compare the day's raw files with those of the same weekday before; if the world has changed, "
        "change the contract",
        ds=ds,
        facts={name: value for name, value in facts.items() if value is not None},
        links=links,
    )


def _refusals(connection: Connection, model: str, table: str) -> list[tuple[str, Any]]:
    """The refused days or ranges of the open incident, each with the time when it was last refused."""
    occurrence = alerts.c.body["occurrence"].astext
    query = (
        select(occurrence, alerts.c.created_at)
        .join(incidents, incidents.c.id == alerts.c.incident_id)
        .where(
            incidents.c.model == model,
            incidents.c.rule == REFUSED,
            incidents.c.subject == table,
            incidents.c.status == "open",
            occurrence != "",
        )
        .order_by(alerts.c.id)
    )
    return list({row[0]: row[1] for row in connection.execute(query)}.items())


def _links(env: Environment, context: RunContext, docs: str | None) -> Mapping[str, str]:
    """Web addresses of the audit, the run and its log, as far as there are any."""
    links = {"audit": audit_docs.address(env, docs)} if docs and env.airflow_url else {}
    dag_id, _, run_id = context.run_id.partition("/")
    if run_id:  # a person's own run has no page
        links |= run_links(env, dag_id=dag_id, run_id=run_id, task_id=context.task_id)
    return links


def _span(days: tuple[str, ...]) -> str:
    return days[0] if len(days) == 1 else f"{days[0]}..{days[-1]}"
