"""A failure becomes an alert in the ledger, and a success ends it.

A failure is told twice where it can be: by the task, which knows the error, and by its run, which also ends when a task
was killed and could say nothing. The ledger makes one alert of both.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from imago.errors import FitFailed, ImagoError
from imago.texts import line

log = logging.getLogger(__name__)


def task_failed(context: Mapping[str, Any]) -> None:
    """Airflow's callback for a task that has failed for good."""
    ti = context["ti"]
    error = context.get("exception")
    cause = getattr(error, "__cause__", None)  # the refusal, with its facts, inside of Airflow's own exception
    if isinstance(cause, FitFailed) and ti.map_index is not None and ti.map_index >= 0:
        log.info("the report of the training alerts that %s", cause.message)
        return
    _failed(context, dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id, error=_first(cause, error))


def attempt_failed(context: Mapping[str, Any]) -> None:
    """Airflow's callback for an attempt that is followed by another. It pages nobody, unless it was no exception that
    ended the attempt: then Airflow speaks for a process that is gone."""
    from imago.alerts.links import run_links
    from imago.jobs import failures
    from imago_airflow.connections import environment_for

    ti = context["ti"]
    about = _about(context, dag_id=ti.dag_id, run_id=ti.run_id)
    error = context.get("exception")
    links = run_links(environment_for(about["env_name"]), dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id)
    failures.attempt_failed(
        **about,
        task_id=ti.task_id,
        map_index=ti.map_index if ti.map_index is not None else -1,
        number=ti.try_number,
        of=(getattr(ti, "max_tries", None) or ti.try_number) + 1,
        error=_first(getattr(error, "__cause__", None), error),
        links=links,
    )


def dag_run_failed(context: Mapping[str, Any]) -> None:
    """Airflow's callback for a run that has failed."""
    dag_run = context["dag_run"]
    last = context.get("ti")
    _failed(context, dag_id=dag_run.dag_id, run_id=dag_run.run_id, task_id=getattr(last, "task_id", None), error=None)


def run_succeeded(context: Mapping[str, Any]) -> None:
    """Called by the last task of a run. Airflow's own success callback costs a parse of the DAG file for each run."""
    from imago.jobs import failures

    ti = context["ti"]
    about = _about(context, dag_id=ti.dag_id, run_id=ti.run_id)
    failures.run_succeeded(**about)


def _failed(
    context: Mapping[str, Any], *, dag_id: str, run_id: str, task_id: str | None, error: BaseException | str | None
) -> None:
    from imago.alerts.links import run_links
    from imago.jobs import failures
    from imago_airflow.connections import environment_for

    about = _about(context, dag_id=dag_id, run_id=run_id)
    links = run_links(environment_for(about["env_name"]), dag_id=dag_id, run_id=run_id, task_id=task_id)
    summary = failures.task_failed(**about, task_id=task_id, error=error, links=links)
    log.info("The failure of %s %s: %s", dag_id, line(run_id), line(summary))


def _about(context: Mapping[str, Any], *, dag_id: str, run_id: str) -> dict[str, Any]:
    """What the ledger wants to know of a run, whoever calls back: a task's process or the DAG processor."""
    from imago.context import RunContext, code_commit, mode_of
    from imago.names import run_name
    from imago_airflow.connections import environment_for

    environment, _, rest = dag_id.partition("__")
    model = rest.rpartition("__")[0]
    environment_for(environment)
    dag_run = context["dag_run"]
    conf = getattr(dag_run, "conf", None) or {}
    mode = mode_of(
        run_type=str(getattr(dag_run.run_type, "value", dag_run.run_type)),
        triggering_extras=[event.extra for event in getattr(dag_run, "consumed_asset_events", ())],
        # Whoever fills in the form of a backfill looks at it: a failure of its plan pages nobody either.
        asked="backfill" if dag_id.endswith("__backfill") else conf.get("mode"),
    )
    return {
        "env_name": environment,
        "model": model or None,
        "dag_id": dag_id,
        "run_id": run_id,
        "ds": getattr(dag_run, "partition_key", None) or conf.get("ds"),
        "context": RunContext(run_id=run_name(dag_id, run_id), mode=mode, code_commit=code_commit()),
    }


def _first(cause: BaseException | None, error: BaseException | str | None) -> BaseException | str | None:
    return cause if isinstance(cause, ImagoError) else error
