"""# Outcome refresh

**What.** Builds the day's outcomes (labels) with dbt, audits and publishes them as one commit of the table `outcomes`,
and announces the day, which refreshes its metrics.

**Why.** Training and metrics may only read outcomes that are complete. It needs no champion, so it runs from the first
day.

**When.** By the clock, once the day's outcomes have arrived: the outcomes of day D come in until the end of D + label
delay, so the run of D starts at 00:00 of the day after that.

**A range of days.** As in feature refresh: *Load from* and *Load to* for one dbt run and one commit, announced only for
the days that you name.

**Safe to run again?** Yes, any day, any number of times. A correction that came late makes a new version of that day
only.

**When it fails.** A refusal names table, column and rule and is not retried; the version before it stays. The log, the
XCom `refusal` and the alert say the same and name the audit's page (Imago in the navigation). Correct the raw file or
the dbt model, then clear the task.
"""

from __future__ import annotations

from airflow.sdk import DAG

from imago.environments import hosted_environments
from imago.specs import ModelSpec, hosted_models
from imago_airflow.assets import asset
from imago_airflow.defaults import POOLS, by_clock, outcome_days_back, range_params, stage_dag
from imago_airflow.operators import AnnounceOperator, RefreshOperator


def build(environment: str, spec: ModelSpec) -> DAG:
    """The DAG of one model in one environment."""
    outcomes = asset(environment, spec.name, "outcomes")
    with stage_dag(
        environment,
        spec,
        "outcome_refresh",
        doc_md=__doc__,
        schedule=by_clock(spec, spec.schedules.daily, days_back=outcome_days_back(spec)),
        params=range_params(),
    ) as dag:
        refresh = RefreshOperator(
            task_id="refresh",
            environment=environment,
            model=spec.name,
            table="outcomes",
            outlets=[outcomes],
            pool=POOLS["dbt"],
        )
        announce = AnnounceOperator(task_id="announce", environment=environment, model=spec.name, outlets=[outcomes])
        # A day announces itself at the end of refresh and skips announce; only a loaded range comes this far.
        refresh >> announce
    return dag


for environment in hosted_environments():
    for spec in hosted_models():
        build(environment, spec)
