"""The watchdog's task: what should have happened and did not, written down as alerts, and ended when it happened
after all."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from imago.context import Mode, RunContext
from imago.environments import Environment
from imago.names import STAGES, dag_id

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from imago.alerts.outbox import Alert
    from imago.specs import ModelSpec

PLATFORM_DAGS = ("alert_delivery", "watchdog")
# Of each model. The shadows may be paused or fail without anybody being called: their own callback warns.
WATCHED = (*(stage for stage in STAGES if stage != "shadow_scoring"), "corrections", "backfill")


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """One DAG run, as Airflow knows it. `ds` is its partition key, None for a run without one."""

    dag_id: str
    run_id: str
    ds: str | None
    state: str
    ended_at: datetime | None = None
    mode: Mode = "live"


class AirflowFacts(Protocol):
    """What the watchdog asks of Airflow; the caller answers from the API or the session that it has."""

    def paused_dags(self) -> Collection[str]:
        """The ids of paused DAGs."""

    def runs_since(self, since: datetime) -> Iterable[RunFacts]:
        """The runs that were queued, started or ended since then, of any state."""


def check(
    env: Environment,
    models: Iterable[ModelSpec],
    now: datetime,
    airflow: AirflowFacts,
    *,
    grace: timedelta = timedelta(hours=2),
    stall: timedelta = timedelta(minutes=15),
    look_back_days: int = 3,
    context: RunContext | None = None,
) -> dict[str, Any]:
    """Compares what should be with what is at `now` (with time zone), and keeps the incidents in step.

    Features and outcomes of a day fall due at their cron time plus `grace`; days outside a spec's first and last day
    do not. Only the last `look_back_days` are looked at. Alerts that wait longer than `stall` say that delivery is
    stalled. A
    failed run of which no alert speaks is reported (a killed task calls no callback).
    """
    from imago.alerts.outbox import raise_alerts, resolve
    from imago.alerts.watch import due_partitions, late_alert, paused_alert, stalled_alert
    from imago.ledger import connect

    context = context or RunContext(run_id=f"watchdog__{now:%Y-%m-%dT%H:%M:%S}")
    models = tuple(models)
    paused = set(airflow.paused_dags())
    runs = list(airflow.runs_since(now - timedelta(days=look_back_days + 1)))
    started = {(run.dag_id, run.ds) for run in runs}
    found: list[Alert] = []
    ended = 0
    with connect(env).begin() as connection:
        awake = [spec for spec in models if due_partitions(spec, now, grace=timedelta(0), look_back_days=1)]
        for spec in awake:
            for due in due_partitions(spec, now, grace=grace, look_back_days=look_back_days):
                dag = dag_id(env.name, spec.name, due.stage)
                if _is_published(connection, spec.name, due):
                    for rule, subject in (("partition_late", due.table), ("run_missing", dag)):
                        ended += resolve(connection, spec.name, rule, subject, context, ds=due.ds)
                else:
                    found.append(
                        late_alert(spec, due, dag, was_started=(dag, due.ds) in started, is_paused=dag in paused)
                    )
        expected: list[tuple[str | None, str]] = [
            (spec.name, dag_id(env.name, spec.name, stage)) for spec in awake for stage in WATCHED
        ]
        expected += [(None, dag_id(env.name, None, name)) for name in PLATFORM_DAGS]
        for model, dag in expected:
            if dag in paused:
                found.append(paused_alert(model, dag))
            else:
                ended += resolve(connection, model, "dag_paused", dag, context)
        waiting, oldest = _waiting(connection, now)
        if oldest is not None and now - oldest > stall:
            found.append(stalled_alert(waiting, now - oldest))
        else:
            ended += resolve(connection, None, "delivery_stalled", "outbox", context)
        raised = raise_alerts(connection, found, context)
        raised += _report_failed_runs(connection, env, models, runs)
    return {
        "late": sum(alert.rule in ("partition_late", "run_missing") for alert in found),
        "paused": sum(alert.rule == "dag_paused" for alert in found),
        "stalled": any(alert.rule == "delivery_stalled" for alert in found),
        "waiting": waiting,
        "new_alerts": len(raised),
        "resolved": ended,
        "awake": [spec.name for spec in awake],
    }


def _report_failed_runs(
    connection: Connection, env: Environment, models: tuple[ModelSpec, ...], runs: list[RunFacts]
) -> list[int]:
    from imago.alerts.outbox import is_reported, raise_alert
    from imago.alerts.watch import unreported_alert

    model_of = {dag_id(env.name, spec.name, stage): spec.name for spec in models for stage in WATCHED}
    platform = {dag_id(env.name, None, name) for name in PLATFORM_DAGS}
    written = []
    for run in sorted(runs, key=lambda run: (run.dag_id, run.ds or "", run.run_id)):
        ours = run.dag_id in model_of or run.dag_id in platform
        if run.state != "failed" or not ours or is_reported(connection, run.run_id):
            continue
        alert = unreported_alert(model_of.get(run.dag_id), run.dag_id, run.run_id, run.ds)
        alert_id = raise_alert(connection, alert, RunContext(run_id=run.run_id, mode=run.mode))
        if alert_id is not None:
            written.append(alert_id)
    return written


def _is_published(connection: Connection, model: str, due: Any) -> bool:
    from sqlalchemy import select

    from imago.ledger.schema import publications

    query = select(publications.c.id).where(
        publications.c.model == model, publications.c.table_name == due.table, publications.c.ds == due.ds
    )
    return connection.execute(query.limit(1)).first() is not None


def _waiting(connection: Connection, now: datetime) -> tuple[int, datetime | None]:
    """How many alerts wait, and since when the oldest. The alert that delivery is stalled does not count: it waits
    too."""
    from sqlalchemy import func, select

    from imago.ledger.schema import alerts

    query = select(func.count(), func.min(alerts.c.created_at)).where(
        alerts.c.status == "pending", alerts.c.rule != "delivery_stalled"
    )
    row = connection.execute(query).one()
    return row[0], row[1]
