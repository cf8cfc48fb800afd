"""# Training

**What.** Freezes a training snapshot as of the run's day (table versions and a row digest), fits every candidate and
every baseline on it side by side, scores them all on one holdout and logs them to MLflow. Then it announces the day:
deployment judges.

**Why.** A challenger is worth only as much as the comparison it comes from: one snapshot, one cut in time, one seed.

**When.** By the spec's training cron; its key is the last closed day. By hand: trigger it with that day as partition
key (a run without a key starts nothing behind it).

**Safe to run again?** Yes. The same snapshot, code and seed give the same predictions. Training moves no champion.

**When it fails.** One candidate's fit fails: its mapped task is red, the others go on, deployment judges without it,
and an alert says why; correct it, then clear that task and the report. A baseline fails, or all candidates: the run
fails with every reason, and nothing is judged. The freeze fails: the error names the missing days; backfill outcome
refresh or feature refresh for them first.
"""

from __future__ import annotations

import datetime

from airflow.sdk import DAG

from imago.environments import hosted_environments
from imago.specs import ModelSpec, hosted_models
from imago_airflow.assets import asset
from imago_airflow.defaults import POOLS, by_clock, stage_dag
from imago_airflow.operators import FitOperator, FreezeOperator, ReportOperator


def build(environment: str, spec: ModelSpec) -> DAG:
    """The DAG of one model in one environment."""
    with stage_dag(
        environment,
        spec,
        "training",
        doc_md=__doc__,
        schedule=by_clock(spec, spec.schedules.training, days_back=1, closed_too=True),
        max_active_runs=1,
    ) as dag:
        freeze = FreezeOperator(task_id="freeze", environment=environment, model=spec.name, pool=POOLS["train"])
        fits = FitOperator.partial(
            task_id="fit",
            environment=environment,
            model=spec.name,
            snapshot=freeze.output["snapshot"],
            pool=POOLS["train"],
            map_index_template="{{ task.contestant }}",
            execution_timeout=datetime.timedelta(hours=4),
        ).expand(contestant=[*(part.name for part in spec.candidates), *(part.name for part in spec.baselines)])
        report = ReportOperator(
            task_id="report",
            environment=environment,
            model=spec.name,
            snapshot=freeze.output["snapshot"],
            fitted=fits.output,
            outlets=[asset(environment, spec.name, "training")],
            # The freeze's success is the one that it takes; which fits failed is for the report to say.
            trigger_rule="all_done_min_one_success",
            pool=POOLS["train"],
        )
        freeze >> fits >> report
    return dag


for environment in hosted_environments():
    for spec in hosted_models():
        build(environment, spec)
