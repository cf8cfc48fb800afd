"""# Feature refresh

**What.** Builds the day's features with dbt in a staging place, audits them there (dbt tests and the contract)
and publishes them as one commit of the table `features`. Then it announces the day, which starts batch
scoring.

**Why.** Scoring must never see half a day, nor a day that nobody looked at. A refused day leaves the version before it
standing.

**When.** By the clock at the start of each day of the spec's world. The features of day D hold only what was known at
00:00 of D.

**A range of days.** Trigger it with *Load from* and *Load to* for ONE dbt run and one commit. Nothing is announced, so
loading history starts no scoring; name days under *Announce* to start it for those.

**Safe to run again?** Yes, any day, any number of times, also in parallel: the same input publishes no new version. A
backfill from the UI re-publishes day by day and starts the stages behind it, in mode `backfill`: nobody is paged. The
champion of its form is the one that scores these days; the DAG `backfill` shows first what all that would rewrite.

**When it fails.** A refusal names table, column and rule; it is not retried, since the same data would be refused
again. The log, the XCom `refusal` and the alert say the same and name the audit's page (Imago in the navigation).
Correct the raw file or the dbt model, then clear the task. Other errors are retried twice.
"""

from __future__ import annotations

from airflow.sdk import DAG

from imago.environments import hosted_environments
from imago.specs import ModelSpec, hosted_models
from imago_airflow.assets import asset
from imago_airflow.defaults import POOLS, by_clock, champion_param, range_params, stage_dag
from imago_airflow.operators import AnnounceOperator, RefreshOperator


def build(environment: str, spec: ModelSpec) -> DAG:
    """The DAG of one model in one environment."""
    features = asset(environment, spec.name, "features")
    with stage_dag(
        environment,
        spec,
        "feature_refresh",
        doc_md=__doc__,
        schedule=by_clock(spec, spec.schedules.daily, days_back=0),
        params={**range_params(), "champion": champion_param()},
    ) as dag:
        refresh = RefreshOperator(
            task_id="refresh",
            environment=environment,
            model=spec.name,
            table="features",
            outlets=[features],
            pool=POOLS["dbt"],
        )
        announce = AnnounceOperator(task_id="announce", environment=environment, model=spec.name, outlets=[features])
        # A day announces itself at the end of refresh and skips announce; only a loaded range comes this far.
        refresh >> announce
    return dag


for environment in hosted_environments():
    for spec in hosted_models():
        build(environment, spec)
