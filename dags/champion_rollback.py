"""# Champion rollback

**What.** Makes a former champion reign again: one row in the ledger, then the champion is announced, which puts it
online.

**Why.** When a champion turns out bad in the field, the way back must be one form and seconds, not a training.

**How.** Trigger it by hand. Leave *Version* empty for the champion before this one. The reason goes into the ledger,
with your name.

**Safe to run again?** A second run without a version goes back one champion more; where none is left it is refused, and
never brings back the one that was taken away. Name the version when in doubt. Nothing is deleted: a rollback is itself
a row.

**When it fails.** The error says which versions ever reigned, or that the stored model is not what the ledger says.
"""

from __future__ import annotations

from airflow.sdk import DAG, Param

from imago.environments import hosted_environments
from imago.specs import ModelSpec, hosted_models
from imago_airflow.assets import asset
from imago_airflow.defaults import stage_dag
from imago_airflow.operators import RollbackOperator


def build(environment: str, spec: ModelSpec) -> DAG:
    """The DAG of one model in one environment."""
    form = {
        "reason": Param(
            type="string", minLength=3, title="Reason", description_md="Why? It stands in the ledger for good."
        ),
        "to_version": Param(
            None,
            type=["null", "string"],
            title="Version",
            description_md="A version that reigned before; empty for the champion before this one.",
        ),
    }
    with stage_dag(
        environment, spec, "champion_rollback", doc_md=__doc__, schedule=None, params=form, max_active_runs=1
    ) as dag:
        RollbackOperator(
            task_id="roll_back",
            environment=environment,
            model=spec.name,
            outlets=[asset(environment, spec.name, "champion")],
            retries=0,  # a rollback that half succeeded is looked at, not repeated
        )
    return dag


for environment in hosted_environments():
    for spec in hosted_models():
        build(environment, spec)
