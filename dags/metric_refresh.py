"""# Metric refresh

**What.** Joins the day's predictions with its outcomes, stores the model's metrics and the business metric in the table
`metrics`, and feeds the dashboard.

**Why.** Only the truth says how good the model is, and it comes late. A metric over half of the outcomes would be an
alarm about nothing, so only complete days are judged.

**When.** When outcome refresh announces a day. Any range can be backfilled by itself.

**Safe to run again?** Yes. The same predictions and outcomes give the same metrics.

**When it is skipped.** The day has no predictions: nobody scored it, so there is nothing to measure. The log says so.

**When it fails.** The error names what is missing. Backfill that stage for the day, then clear the task.
"""

from __future__ import annotations

from airflow.sdk import DAG

from imago.environments import hosted_environments
from imago.specs import ModelSpec, hosted_models
from imago_airflow.assets import asset
from imago_airflow.defaults import POOLS, by_asset, outcome_days_back, stage_dag
from imago_airflow.operators import RefreshMetricsOperator


def build(environment: str, spec: ModelSpec) -> DAG:
    """The DAG of one model in one environment."""
    with stage_dag(
        environment,
        spec,
        "metric_refresh",
        doc_md=__doc__,
        schedule=by_asset(
            spec,
            asset(environment, spec.name, "outcomes"),
            spec.schedules.daily,
            days_back=outcome_days_back(spec),
        ),
    ) as dag:
        RefreshMetricsOperator(task_id="refresh_metrics", environment=environment, model=spec.name, pool=POOLS["score"])
    return dag


for environment in hosted_environments():
    for spec in hosted_models():
        build(environment, spec)
