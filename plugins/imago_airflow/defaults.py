"""What all DAGs of Imago share, in one place, so that none can forget it: owner, retries, time-outs, alerts, forms."""

from __future__ import annotations

import datetime
from typing import Any

from airflow.sdk import DAG, Param

from imago.days import midnight
from imago.names import AS_WAS, CHAMPION_PATTERN, REPROCESS, STAGES, TODAY, dag_id
from imago.specs import Calendar, ModelSpec
from imago_airflow.callbacks import attempt_failed, dag_run_failed, task_failed
from imago_airflow.timetable import DayAssetTimetable, DayPartitionTimetable

POOLS = {
    "dbt": "imago_dbt",
    "train": "imago_train",
    "score": "imago_score",
    "shadow": "imago_shadow",
    "deliver": "imago_deliver",
}


def default_args(owner: str) -> dict[str, Any]:
    """The arguments of every task. Retries are for what passes by itself; a refusal is not retried (operators/base)."""
    return {
        "owner": owner,
        "retries": 2,
        "retry_delay": datetime.timedelta(seconds=10),
        "retry_exponential_backoff": True,
        "max_retry_delay": datetime.timedelta(minutes=5),
        "execution_timeout": datetime.timedelta(hours=1),
        "on_failure_callback": task_failed,
        "on_retry_callback": attempt_failed,
    }


def stage_dag(
    environment: str,
    spec: ModelSpec,
    stage: str,
    *,
    doc_md: str | None,
    schedule: Any,
    params: dict[str, Param] | None = None,
    max_active_runs: int = 4,
) -> DAG:
    """A DAG of one model's stage. Days are independent of one another, so several may run at once, in any order.

    It starts unpaused: a spec in MODELS is live, and its first and last day bound what the clock may fire.
    """
    return DAG(
        dag_id=dag_id(environment, spec.name, stage),
        description=f"{stage.replace('_', ' ')} of {spec.name} in {environment}",
        doc_md=doc_md,
        schedule=schedule,
        start_date=midnight(spec.first_day, spec.timezone).replace(tzinfo=datetime.UTC),
        catchup=False,
        default_args=default_args(spec.owner),
        max_active_runs=max_active_runs,
        params=day_params() if params is None else params,
        tags=["imago", environment, spec.name, stage],
        owner_links={},
        on_failure_callback=dag_run_failed,
        is_paused_upon_creation=False,
        render_template_as_native_obj=False,
    )


def upkeep_dag(environment: str, name: str, *, doc_md: str | None, schedule: str) -> DAG:
    """A DAG that serves all models of an environment, by the clock alone."""
    return DAG(
        dag_id=dag_id(environment, None, name),
        description=f"{name.replace('_', ' ')} in {environment}",
        doc_md=doc_md,
        schedule=schedule,
        start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        catchup=False,
        default_args=default_args("imago"),
        max_active_runs=1,
        tags=["imago", environment, name],
        on_failure_callback=dag_run_failed,
        is_paused_upon_creation=False,
    )


def by_clock(spec: ModelSpec, cron: str, *, days_back: int, closed_too: bool = False) -> DayPartitionTimetable:
    """The spec's `cron`, in its time zone and within its world, for the day `days_back` before each tick. A closed day
    has no run, unless `closed_too`: a training may look back from any day."""
    return DayPartitionTimetable(cron, days_back=days_back, **_world(spec, closed_too))


def by_asset(spec: ModelSpec, asset: Any, cron: str, *, days_back: int, closed_too: bool = False) -> DayAssetTimetable:
    """Each day that `asset` announces; backfills offer the days of `cron`, closed ones only where `closed_too`."""
    return DayAssetTimetable(asset=asset, cron=cron, days_back=days_back, **_world(spec, closed_too))


def _world(spec: ModelSpec, closed_too: bool) -> dict[str, Any]:
    calendar = Calendar() if closed_too else spec.calendar
    return {
        "timezone": spec.timezone,
        "first_day": spec.first_day,
        "last_day": spec.last_day,
        "closed_weekdays": calendar.closed_weekdays,
        "closed_days": calendar.closed_days,
    }


def outcome_days_back(spec: ModelSpec) -> int:
    """How long after a day its outcomes are complete: they arrive until the end of the day `label_delay_days` later."""
    return spec.label_delay_days + 1


def day_params() -> dict[str, Param]:
    """The trigger form of a DAG that works on one day."""
    return {
        "ds": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Day",
            description_md="The day to work on. A partition key says the same: give one of the two.",
        ),
        "mode": Param(
            "auto",
            enum=["auto", "live", "backfill"],
            title="Mode",
            description_md="*backfill* pages nobody and moves no champion. "
            "*auto*: backfill for a backfill and for what it starts downstream, else live.",
        ),
    }


def champion_param() -> Param:
    """Which champion scores, in a trigger form or a backfill's."""
    return Param(
        AS_WAS,
        type="string",
        pattern=CHAMPION_PATTERN,
        examples=[AS_WAS, TODAY],
        title="Champion",
        description_md="Who scores: *as-was* (who scored that day, else who reigned then), *today*, or a version "
        "such as *3*.",
    )


def backfill_params() -> dict[str, Param]:
    """The trigger form of a backfill with its plan."""
    day: dict[str, Any] = {"type": "string", "format": "date"}
    return {
        "from_day": Param(**day, title="From", description_md="First day."),
        "to_day": Param(**day, title="To", description_md="Last day, included."),
        "stage": Param(
            "batch_scoring",
            enum=list(STAGES),
            title="Stage",
            description_md="Where to begin; what listens to it follows. *batch_scoring* scores what is published, "
            "*feature_refresh* builds the features again first.",
        ),
        "champion": champion_param(),
        "reprocess": Param(
            "completed",
            enum=list(REPROCESS),
            values_display={
                "none": "only days that never ran",
                "failed": "days that never ran, or failed",
                "completed": "all days",
            },
            title="Days that already ran",
            description_md="Days that are run again publish no new version unless their rows differ.",
        ),
        "max_active_runs": Param(
            4, type="integer", minimum=1, maximum=32, title="Days at once", description_md="So many runs side by side."
        ),
    }


def range_params() -> dict[str, Param]:
    """The trigger form of a DAG that can also load a range of days in one go."""
    day: dict[str, Any] = {"type": ["null", "string"], "format": "date"}
    return {
        **day_params(),
        "from_day": Param(
            None, **day, title="Load from", description_md="First day of a range that is loaded in ONE dbt run."
        ),
        "to_day": Param(None, **day, title="Load to", description_md="Last day of the range, included."),
        "announce": Param(
            "none",
            type="string",
            title="Announce",
            description_md="Which days of the range start what listens to them: *none*, *all*, or days such as "
            "*2013-10-02,2013-10-05..2013-10-07*.",
        ),
    }
