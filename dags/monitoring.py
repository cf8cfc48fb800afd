"""# Monitoring

**What.** Compares the profiles of the day's inputs and scores with the champion's training profile and with the
weekdays before, estimates the model's performance while no label is known, stores both, and writes an alert where an
effect is large, beyond the model's own noise, and confirmed. Great Expectations then judges the same profile and makes
the day's page. With `drift.retrain` in the spec a confirmed drift starts a training.

**Why.** A model fails silently when the world moves. Drift is seen on the day, long before the outcomes are known.

**When.** When batch scoring announces a day. Any range can be backfilled by itself; a backfill pages nobody and trains
nothing.

**Safe to run again?** Yes. The same profiles give the same measures; the same finding is one alert, and one training.

**When it fails.** It fails only when it cannot compare (no predictions, no reference), or when Great Expectations does
not bear out the judgement; drift itself is a finding, not a failure. Score that day first, then clear the task.
"""

from __future__ import annotations

from airflow.sdk import DAG

from imago.environments import hosted_environments
from imago.specs import ModelSpec, hosted_models
from imago_airflow.assets import asset
from imago_airflow.defaults import POOLS, by_asset, stage_dag
from imago_airflow.operators import DocumentDriftOperator, MonitorOperator, RetrainOperator


def build(environment: str, spec: ModelSpec) -> DAG:
    """The DAG of one model in one environment."""
    with stage_dag(
        environment,
        spec,
        "monitoring",
        doc_md=__doc__,
        schedule=by_asset(spec, asset(environment, spec.name, "predictions"), spec.schedules.daily, days_back=0),
    ) as dag:
        common = {"environment": environment, "model": spec.name, "pool": POOLS["score"]}
        monitor = MonitorOperator(task_id="monitor", **common)
        monitor >> DocumentDriftOperator(task_id="document", **common)
        if spec.drift.retrain:
            monitor >> RetrainOperator(task_id="retrain", **common)
    return dag


for environment in hosted_environments():
    for spec in hosted_models():
        build(environment, spec)
