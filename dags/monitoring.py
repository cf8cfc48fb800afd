"""# Monitoring

**What.** Compares the profiles of the day's inputs and scores with the champion's training profile, stores the measures
in the table `drift`, and writes an alert where the size of an effect passes the spec's threshold.

**Why.** A model fails silently when the world moves. Drift is seen on the day, long before the outcomes are known.

**When.** When batch scoring announces a day. Any range can be backfilled by itself; a backfill pages nobody.

**Safe to run again?** Yes. The same profiles give the same measures; the same finding is one alert.

**When it fails.** It fails only when it cannot compare (no predictions, no reference); drift itself is a finding, not a
failure. Score that day first, then clear the task.
"""

from __future__ import annotations

from airflow.sdk import DAG

from imago.environments import hosted_environments
from imago.specs import ModelSpec
from imago_airflow.assets import asset
from imago_airflow.defaults import POOLS, by_asset, stage_dag
from imago_airflow.operators import MonitorOperator
from imago_models import MODELS


def build(environment: str, spec: ModelSpec) -> DAG:
    """The DAG of one model in one environment."""
    with stage_dag(
        environment,
        spec,
        "monitoring",
        doc_md=__doc__,
        schedule=by_asset(spec, asset(environment, spec.name, "predictions"), spec.schedules.daily, days_back=0),
    ) as dag:
        MonitorOperator(task_id="monitor", environment=environment, model=spec.name, pool=POOLS["score"])
    return dag


for environment in hosted_environments():
    for spec in MODELS:
        build(environment, spec)
