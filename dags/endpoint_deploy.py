"""# Endpoint deploy

**What.** Loads the online store for the reigning champion, proves that the endpoint answers with it, and swaps in one
transaction.

**Why.** Whoever asks the endpoint must get the champion of the ledger, and never a half-loaded table.

**When.** When a champion is announced, that is only when it moved. In mode `backfill` it does nothing: history does not
go online.

**Safe to run again?** Yes. It always deploys the champion that reigns now, whichever run started it.

**When it fails.** The former table stays online. The error names the key that was asked and both answers; clear the
task when the cause is gone.
"""

from __future__ import annotations

from airflow.sdk import DAG

from imago.environments import hosted_environments
from imago.specs import ModelSpec, hosted_models
from imago_airflow.assets import asset
from imago_airflow.defaults import POOLS, by_asset, stage_dag
from imago_airflow.operators import DeployEndpointOperator


def build(environment: str, spec: ModelSpec) -> DAG:
    """The DAG of one model in one environment."""
    with stage_dag(
        environment,
        spec,
        "endpoint_deploy",
        doc_md=__doc__,
        schedule=by_asset(
            spec, asset(environment, spec.name, "champion"), spec.schedules.training, days_back=1, closed_too=True
        ),
        max_active_runs=1,
    ) as dag:
        DeployEndpointOperator(task_id="deploy", environment=environment, model=spec.name, pool=POOLS["score"])
    return dag


for environment in hosted_environments():
    for spec in hosted_models():
        build(environment, spec)
