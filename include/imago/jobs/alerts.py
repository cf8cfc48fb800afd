"""The alert tasks: deliver the outbox, end backfills with a digest, and write down that a task failed."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from imago.environments import Environment, load_environment
from imago.errors import ImagoError, SettingsError, SpecError

if TYPE_CHECKING:
    from imago.context import RunContext
    from imago.specs import ModelSpec

log = logging.getLogger(__name__)

_CREDENTIALS = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]*(?=@)")
_PLATFORM_OWNER = "platform"


def deliver(env: Environment, *, seconds: float = 50.0, fold_seconds: float = 300.0) -> dict[str, Any]:
    """Hands pending alerts to Slack for at most `seconds`. Never fails because of Slack: what did not go waits.

    Without a Slack token all alerts stay pending, and the summary says so.
    """
    from imago.alerts.delivery import Summary, drain
    from imago.alerts.slack import Slack
    from imago.ledger import connect

    engine = connect(env)
    if env.slack_token is None:
        note = f"no Slack token for {env.name}: set IMAGO_{env.name.upper()}_SLACK_TOKEN; alerts stay pending"
        log.warning(note)
        return {**asdict(Summary()), **_waiting(engine), "note": note}
    sender = Slack(token=env.slack_token, base_url=env.slack_base_url)
    summary = drain(engine, sender, _routing(env), seconds=seconds, fold_seconds=fold_seconds)
    return {**asdict(summary), **_waiting(engine), "note": ""}


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


def task_failed(
    env_name: str,
    spec: ModelSpec | None,
    dag_id: str,
    run_id: str,
    task_id: str | None,
    ds: str | None,
    error: BaseException | str | None,
    links: Mapping[str, str],
    context: RunContext,
) -> dict[str, Any]:
    """Writes the alert of a failed task or run; called by failure callbacks, so it never raises because of the ledger.

    The callbacks of the task and of its DAG make one alert. A run whose stage already alerted what it refused needs
    no second one. When the ledger cannot be reached that is logged, and the original error stays the one that people
    see.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from imago.alerts.outbox import is_reported, raise_alert
    from imago.alerts.rules import RULES
    from imago.ledger import connect

    try:
        env = load_environment(env_name)
        with connect(env).begin() as connection:
            if is_reported(connection, context.run_id, *(name for name, rule in RULES.items() if rule.fails_run)):
                return {"alert": None, "note": "the stage has alerted what it refused"}
            alert = _failure(spec, dag_id, run_id, task_id, ds, error, links)
            return {"alert": raise_alert(connection, alert, context), "note": ""}
    except (SQLAlchemyError, SettingsError) as problem:
        note = _words(problem)
        log.error("the failure of %s in %s could not be written down: %s", task_id or "a task", dag_id, note)
        return {"alert": None, "note": note}


def run_succeeded(
    env_name: str, spec: ModelSpec | None, dag_id: str, run_id: str, ds: str | None, context: RunContext
) -> dict[str, Any]:
    """Ends what an earlier failed run of the same DAG and day had opened; called by success callbacks, and never
    raises."""
    from sqlalchemy.exc import SQLAlchemyError

    from imago.alerts.outbox import resolve
    from imago.ledger import connect

    model = spec.name if spec is not None else None
    try:
        with connect(load_environment(env_name)).begin() as connection:
            ended = [
                rule
                for rule in ("task_failed", "run_unreported", "run_missing", "shadow_failed")
                if resolve(connection, model, rule, dag_id, context, ds=ds)
            ]
        return {"resolved": ended}
    except (SQLAlchemyError, SettingsError) as problem:
        log.error("the success of %s (%s) could not be written down: %s", dag_id, run_id, _words(problem))
        return {"resolved": []}


def _failure(
    spec: ModelSpec | None,
    dag_id: str,
    run_id: str,
    task_id: str | None,
    ds: str | None,
    error: BaseException | str | None,
    links: Mapping[str, str],
) -> Any:
    from imago.alerts.outbox import Alert

    stage = dag_id.rsplit("__", 1)[-1].replace("_", " ")
    when = f" for {ds}" if ds else ""
    facts: dict[str, Any] = {"task": task_id} if task_id else {}
    next_step = "open the log, mend the cause, then clear the failed task; a second run changes nothing that is right"
    if isinstance(error, ImagoError):
        facts |= {name: value for name, value in error.facts.items() if name not in ("environment", "model")}
        next_step = error.next_step or next_step
        facts["error"] = _words(error.message)
    elif error is not None:
        facts["error"] = _words(error)
    harmless = stage == "shadow scoring"
    return Alert(
        model=spec.name if spec is not None else None,
        rule="shadow_failed" if harmless else "task_failed",
        subject=dag_id,
        title=f"{stage.capitalize()} failed{when}" + (f" at task {task_id}" if task_id else ""),
        why="challengers are not compared on that day; nothing waits for them"
        if harmless
        else "what comes after it in the day waits, or works with the version published before",
        did="all retries were used; nothing half-done was published, the previous version stays",
        next_step=next_step,
        ds=ds,
        facts={**facts, "run": run_id},
        links=links,
        occurrence=ds or run_id,
    )


def _words(error: BaseException | str) -> str:
    """An error's first line, without credentials of addresses and short enough for a message."""
    lines = str(error).strip().splitlines()
    first = lines[0] if lines else type(error).__name__
    if isinstance(error, BaseException) and not isinstance(error, ImagoError):
        first = f"{type(error).__name__}: {first}"
    return _CREDENTIALS.sub("•••", first)[:300]


def _waiting(engine: Any) -> dict[str, Any]:
    from sqlalchemy import func, select

    from imago.ledger.schema import alerts

    age = func.extract("epoch", func.clock_timestamp() - func.min(alerts.c.created_at))
    with engine.connect() as connection:
        count, oldest = connection.execute(select(func.count(), age).where(alerts.c.status == "pending")).one()
    return {"waiting": count, "oldest_seconds": round(float(oldest or 0))}


def _routing(env: Environment) -> Any:
    """The channel of the environment, and the owner of each model's alerts from its spec."""
    from imago.alerts.delivery import Routing
    from imago.alerts.rules import RULES
    from imago.specs import get_model

    docs = os.environ.get("IMAGO_DOCS_URL", "").rstrip("/")

    def spec_of(model: str | None) -> ModelSpec | None:
        try:
            return None if model is None else get_model(model)
        except SpecError:
            return None

    def channel_of(model: str | None) -> str:
        return env.alert_channel

    def owner_of(model: str | None, rule: str) -> str:
        spec = spec_of(model)
        is_platforms = rule in RULES and RULES[rule].owner == "platform"
        return _PLATFORM_OWNER if spec is None or is_platforms else spec.owner

    def runbook_of(rule: str) -> str | None:
        return f"{docs}/{RULES[rule].runbook}" if docs and rule in RULES else None

    return Routing(environment=env.name, channel_of=channel_of, owner_of=owner_of, runbook_of=runbook_of)
