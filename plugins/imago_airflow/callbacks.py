"""A failure becomes an alert in the ledger. The run's own callback also fires when a task was killed and could say nothing."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

log = logging.getLogger(__name__)


def task_failed(context: Mapping[str, Any]) -> None:
    """Airflow's callback for a task that has failed for good."""
    ti = context["ti"]
    _tell(context, dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id, error=context.get("exception"))


def dag_run_failed(context: Mapping[str, Any]) -> None:
    """Airflow's callback for a run that has failed; the same failure told twice is one alert (deduplicated in the ledger)."""
    dag_run = context["dag_run"]
    last = context.get("ti")
    _tell(
        context,
        dag_id=dag_run.dag_id,
        run_id=dag_run.run_id,
        task_id=getattr(last, "task_id", None),
        error=context.get("exception") or context.get("reason"),
    )


def _tell(context: Mapping[str, Any], *, dag_id: str, run_id: str, task_id: str | None, error: Any) -> None:
    from imago.context import RunContext, code_commit
    from imago.jobs import alerts

    from imago_airflow.connections import environment_for
    from imago_airflow.run import mode_of

    environment, _, rest = dag_id.partition("__")
    model, _, stage = rest.rpartition("__")
    dag_run = context["dag_run"]
    conf = getattr(dag_run, "conf", None) or {}
    mode = mode_of(
        run_type=str(getattr(dag_run.run_type, "value", dag_run.run_type)),
        triggering_extras=[event.extra for event in getattr(dag_run, "consumed_asset_events", ())],
        asked=conf.get("mode"),
    )
    alerts.task_failed(
        environment_for(environment),
        model=model or None,
        stage=stage,
        dag_id=dag_id,
        task_id=task_id,
        ds=getattr(dag_run, "partition_key", None) or conf.get("ds"),
        error=str(error) if error is not None else None,
        context=RunContext(run_id=f"{dag_id}/{run_id}", mode=mode, code_commit=code_commit()),
    )
    log.info("Wrote the failure of %s %s into the ledger.", dag_id, run_id)
