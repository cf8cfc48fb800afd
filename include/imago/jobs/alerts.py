"""The alert tasks: deliver the outbox, and end backfills with a digest."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Collection
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from imago.environments import Environment
from imago.errors import ImagoError, SpecError

if TYPE_CHECKING:
    from imago.alerts.channels import Patience
    from imago.alerts.telling import Routing

log = logging.getLogger(__name__)

_PLATFORM_OWNER = "platform"


def deliver(
    env: Environment, *, seconds: float = 50.0, all_now: bool = False, patience: Patience | None = None
) -> dict[str, Any]:
    """Hands pending alerts to their channels for at most `seconds`, after raising what lasts too long.

    Never fails because of a channel: what did not go waits, and the summary says why. With `all_now` news waits for
    nothing but the channels.
    """
    from imago.alerts.addresses import channel_at
    from imago.alerts.delivery import drain
    from imago.alerts.lasting import escalate_lasting
    from imago.ledger import pooled

    with pooled(env) as engine:
        with engine.begin() as connection:
            escalated = escalate_lasting(connection)
        summary = drain(
            engine,
            lambda address: channel_at(env, address, patience),
            routing(env),
            seconds=seconds,
            patience=patience,
            all_now=all_now,
        )
        waiting = _waiting(engine)
    note = "; ".join(f"{where}: {problem}" for where, problem in sorted(summary.problems.items()))
    if note:
        log.warning(note)
    return {**asdict(summary), "escalated": escalated, **waiting, "note": note}


def waiting_reasons(env: Environment) -> dict[str, str]:
    """Why alerts to an address wait, by address: a setting that is missing, or what its server said last."""
    from sqlalchemy import select

    from imago.alerts.addresses import channel_at
    from imago.ledger import connect
    from imago.ledger.schema import channels

    with connect(env).connect() as connection:
        failing = select(channels.c.address, channels.c.last_error).where(channels.c.last_error.is_not(None))
        reasons = {row.address: row.last_error for row in connection.execute(failing).all()}
    for address in env.addresses:
        try:
            channel_at(env, address)
        except ImagoError as problem:
            reasons[address] = problem.message
    return reasons


def send_test(env: Environment, *, by: str) -> dict[str, str]:
    """Sends one message to each address of the environment, past the outbox; what came of it, by address."""
    import uuid

    from imago.alerts.addresses import channel_at, kind_of
    from imago.alerts.channels import About
    from imago.alerts.rendering import trial

    came: dict[str, str] = {}
    for address in env.addresses:
        about = About(message_id=str(uuid.uuid4()), incident=0, dedup_key="trial")
        try:
            channel_at(env, address).post(trial(env.name, address, by), about, thread=None, broadcast=False)
        except ImagoError as problem:
            came[address] = problem.message
        else:
            came[address] = f"sent by {kind_of(env, address)}"
    return came


def close_digests(
    env: Environment,
    *,
    quiet_seconds: float = 60.0,
    busy: Callable[[Collection[str]], Collection[str]] | None = None,
    busy_seconds: float = 6 * 3600.0,
) -> dict[str, Any]:
    """One digest for each model whose backfill published or found something, and then was quiet for `quiet_seconds`.

    `busy` says which of some models have backfill runs that wait or work: a backfill whose days take longer than
    `quiet_seconds` is not told in pieces. One that is quiet for `busy_seconds` is told whatever still waits.
    """
    from sqlalchemy import select, union

    from imago.alerts.digest import close_digest
    from imago.ledger import connect
    from imago.ledger.schema import alerts, publications

    engine = connect(env)
    query = union(
        select(publications.c.model).where(publications.c.mode == "backfill"),
        select(alerts.c.model).where(alerts.c.status == "digest", alerts.c.model.is_not(None)),
    )
    with engine.connect() as connection:
        models: list[str] = sorted(connection.execute(query).scalars())
    at_work = frozenset(busy(models)) if busy and models else frozenset()
    closed = []
    for model in models:
        quiet = max(quiet_seconds, busy_seconds) if model in at_work else quiet_seconds
        with engine.begin() as connection:
            digest = close_digest(connection, model, quiet_seconds=quiet)
        if digest is not None:
            closed.append(digest)
    return {"digests": closed, **({"backfills": sorted(at_work)} if at_work else {})}


def _waiting(engine: Any) -> dict[str, Any]:
    from sqlalchemy import func, select

    from imago.ledger.schema import alerts

    age = func.extract("epoch", func.clock_timestamp() - func.min(alerts.c.created_at))
    with engine.connect() as connection:
        count, oldest = connection.execute(select(func.count(), age).where(alerts.c.status == "pending")).one()
    return {"waiting": count, "oldest_seconds": round(float(oldest or 0))}


def routing(env: Environment) -> Routing:
    """Where alerts go by the environment's settings, the owner of each model's from its spec, and where a person reads
    on."""
    from imago.alerts.links import incident_address, run_links
    from imago.alerts.rules import RULES
    from imago.alerts.telling import Routing
    from imago.specs import get_model

    docs = os.environ.get("IMAGO_DOCS_URL", "").rstrip("/")

    def owner_of(model: str | None, rule: str) -> str:
        is_platforms = rule in RULES and RULES[rule].owner == "platform"
        try:
            return _PLATFORM_OWNER if model is None or is_platforms else get_model(model).owner
        except SpecError:
            return _PLATFORM_OWNER

    def links_of(run_id: str, task_id: str | None) -> dict[str, str]:
        # A run of Airflow is named by its DAG as well; what a person ran by hand has no page.
        dag_id, _, run = run_id.partition("/")
        return run_links(env, dag_id=dag_id, run_id=run, task_id=task_id) if run else {}

    return Routing(
        environment=env.name,
        address_of=env.address_of,
        owner_of=owner_of,
        runbook_of=lambda rule: f"{docs}/{RULES[rule].runbook}" if docs and rule in RULES else None,
        stakes_of=functools.cache(lambda model: _stakes(env, model)),
        page_of=lambda incident: incident_address(env, incident),
        links_of=links_of,
    )


def _stakes(env: Environment, model: str | None) -> str:
    """What a model's decisions are worth, as a sentence; nothing where nobody knows."""
    from imago.amounts import amount
    from imago.ledger import connect, worth

    if model is None:
        return ""
    with connect(env).connect() as connection:
        usual = worth.usual(connection, model)
    if usual is None:
        return ""
    days = f"the {usual.days} days known last" if usual.days > 1 else "the one day that is known"
    words = f"{model} scores about {round(usual.decisions):,} rows a day"
    if usual.value is None:
        return f"{words} (mean of {days})."
    return f"{words}, worth about {amount(_round(usual.value), usual.unit or '')} a day (mean of {days})."


def _round(value: float) -> int | float:
    """Two leading digits: a mean of some days is no more exact."""
    return float(f"{value:.2g}") if abs(value) < 10 else int(float(f"{value:.2g}"))
