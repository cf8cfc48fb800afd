"""# Backfill

**What.** The plan of a backfill first: which partitions would be created, rewritten or left as they are, by which model
version each day would be scored, which days would fail and why, and about how long it takes. It asks you, and
then starts a real Airflow backfill.

**Why.** Whoever rewrites history should see what that touches before it is touched.

**How.** Trigger it and fill in the form. The task *plan* shows the plan in its log; *approve* shows it under *Required
actions* and asks *Run* or *Cancel*. No answer within a day means that nothing runs.

**Which champion?** `as-was` scores each day with the champion that scored it, else with the one that reigned then;
`today` or a version is marked in each partition, and so is a model whose training saw that day.

**Safe to run again?** Yes. A plan changes nothing. A backfill's days are idempotent: no champion moves, nobody is
paged, the online store is not touched, and equal rows make no new version. One digest tells in the end what was done.

**When it fails.** *plan*: the form asks for what cannot be, or the login for backfills is missing; the error says
which. *start*: something has changed since the plan was made, so that it would do something else: clear *plan* and look
again; or another backfill of that DAG still runs: wait for it, then clear *start*.
"""

from __future__ import annotations

import datetime

from airflow.sdk import DAG

from imago.environments import hosted_environments
from imago.specs import ModelSpec, hosted_models
from imago_airflow.defaults import POOLS, backfill_params, stage_dag
from imago_airflow.operators.backfill import AskBackfillOperator, PlanBackfillOperator, StartBackfillOperator


def build(environment: str, spec: ModelSpec) -> DAG:
    """The DAG of one model in one environment."""
    with stage_dag(environment, spec, "backfill", doc_md=__doc__, schedule=None, params=backfill_params()) as dag:
        plan = PlanBackfillOperator(task_id="plan", environment=environment, model=spec.name, pool=POOLS["score"])
        approve = AskBackfillOperator(
            task_id="approve",
            subject=f"Run this backfill of {spec.name} in {environment}?",
            body="{{ ti.xcom_pull(task_ids='plan')['markdown'] }}",
            response_timeout=datetime.timedelta(days=1),
        )
        start = StartBackfillOperator(
            task_id="start", environment=environment, model=spec.name, plan=plan.output, approval=approve.output
        )
        plan >> approve >> start
    return dag


for environment in hosted_environments():
    for spec in hosted_models():
        build(environment, spec)
