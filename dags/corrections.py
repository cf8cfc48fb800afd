"""# Corrections

**What.** Finds the published days whose raw files are no longer those that they were made of (a late file, a
corrected one, one that went), builds them again, and announces exactly the days whose content changed, so that scores
and metrics follow.

**Why.** Raw files come late and are put right. Nobody should have to know which days that touches.

**When.** Every hour. A run that finds nothing touched costs a listing of the raw files and one query. The features of
day D hold what was known at 00:00 of D, so a correction changes outcomes, and features only of the days after it.

**Safe to run again?** Yes. The same raw files make no new version, and old versions stay readable: `imago partitions
TABLE MODEL --ds D` shows them all and why each was made.

**When it fails.** A day that is refused does not fail the run: it stays as it was, the digest tells of it, and it is
not tried again before its raw files change. Anything else that fails is retried twice and alerted, and tried again
in an hour.
"""

from __future__ import annotations

from typing import Literal

from airflow.sdk import DAG

from imago.environments import hosted_environments
from imago.specs import ModelSpec, hosted_models
from imago_airflow.assets import asset
from imago_airflow.defaults import POOLS, stage_dag
from imago_airflow.operators import CorrectionsOperator


def build(environment: str, spec: ModelSpec) -> DAG:
    """The DAG of one model in one environment."""
    with stage_dag(
        environment,
        spec,
        "corrections",
        doc_md=__doc__,
        schedule="15 * * * *",  # clear of the full hour, at which the days' own refreshes start
        params={},
        max_active_runs=1,  # two runs would build the same days side by side
    ) as dag:
        _task(environment, spec, "outcomes") >> _task(environment, spec, "features")
    return dag


def _task(environment: str, spec: ModelSpec, table: Literal["features", "outcomes"]) -> CorrectionsOperator:
    return CorrectionsOperator(
        task_id=table,
        environment=environment,
        model=spec.name,
        table=table,
        outlets=[asset(environment, spec.name, table)],
        pool=POOLS["dbt"],
    )


for environment in hosted_environments():
    for spec in hosted_models():
        build(environment, spec)
