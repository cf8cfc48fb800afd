"""What Airflow's callbacks write down: that a task, an attempt or a run failed, and that a run ended well after all."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from imago.environments import load_environment
from imago.errors import ImagoError, SettingsError
from imago.texts import as_text, line

if TYPE_CHECKING:
    from imago.context import RunContext

log = logging.getLogger(__name__)


def task_failed(
    env_name: str,
    model: str | None,
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
            alert = _failure(model, dag_id, run_id, task_id, ds, error, links)
            return {"alert": raise_alert(connection, alert, context), "note": ""}
    except (SQLAlchemyError, SettingsError) as problem:
        note = _words(problem)
        log.error("the failure of %s in %s could not be written down: %s", task_id or "a task", dag_id, note)
        return {"alert": None, "note": note}


def attempt_failed(
    env_name: str,
    model: str | None,
    dag_id: str,
    run_id: str,
    ds: str | None,
    context: RunContext,
    *,
    task_id: str,
    map_index: int,
    number: int,
    of: int,
    error: BaseException | str | None,
    links: Mapping[str, str],
) -> dict[str, Any]:
    """Notes why an attempt failed that is followed by another, so that the watchdog can tell it from one that was
    killed; where Airflow speaks for a process that is gone (no exception, but a word of its own), that is alerted.
    Never raises because of the ledger."""
    import dataclasses

    from sqlalchemy.dialects.postgresql import insert
    from sqlalchemy.exc import SQLAlchemyError

    from imago.alerts.outbox import raise_alert
    from imago.alerts.watch import killed_alert
    from imago.ledger import connect
    from imago.ledger.schema import failed_attempts

    said = {
        "run_id": context.run_id,
        "task_id": task_id,
        "map_index": map_index,
        "try_number": number,
        "error": _words(error or "no reason given"),
    }
    try:
        with connect(load_environment(env_name)).begin() as connection:
            connection.execute(insert(failed_attempts).values(said).on_conflict_do_nothing())
            if isinstance(error, BaseException):
                return {"alert": None, "note": said["error"]}
            killed = killed_alert(model, dag_id, context.run_id, task_id, ds, number=number, of=of)
            killed = dataclasses.replace(killed, links=links)
            return {"alert": raise_alert(connection, killed, context), "note": said["error"]}
    except (SQLAlchemyError, ImagoError) as problem:
        log.error("the failed attempt of %s in %s could not be written down: %s", task_id, dag_id, _words(problem))
        return {"alert": None, "note": _words(problem)}


def run_succeeded(
    env_name: str, model: str | None, dag_id: str, run_id: str, ds: str | None, context: RunContext
) -> dict[str, Any]:
    """Ends what an earlier failed run of the same DAG and day had opened; called by success callbacks, and never
    raises."""
    from sqlalchemy.exc import SQLAlchemyError

    from imago.alerts.outbox import resolve
    from imago.ledger import connect

    try:
        with connect(load_environment(env_name)).begin() as connection:
            ended = [
                rule
                for rule in ("task_failed", "task_killed", "run_unreported", "run_missing", "shadow_failed")
                if resolve(connection, model, rule, dag_id, context, ds=ds)
            ]
        return {"resolved": ended}
    except (SQLAlchemyError, SettingsError) as problem:
        log.error("the success of %s (%s) could not be written down: %s", dag_id, line(run_id), _words(problem))
        return {"resolved": []}


def _failure(
    model: str | None,
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
        model=model,
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
    from imago.alerts.alert import plain

    lines = as_text(error).strip().splitlines()
    first = lines[0] if lines else type(error).__name__
    if isinstance(error, BaseException) and not isinstance(error, ImagoError) and first != type(error).__name__:
        first = f"{type(error).__name__}: {first}"
    return plain(first)[:300]
