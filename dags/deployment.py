"""# Deployment

**What.** The fair fight: all candidates, all baselines and the reigning champion on the same holdout, judged with the
spec's gates. The champion moves only if a candidate earned it, by one row in the ledger; then, and only then, the
champion is announced.

**Why.** A baseline never wins, a tie keeps the champion, and nobody reigns by a number that was measured on another
day.

**Approval.** Where the environment asks for it (prod does), a challenger that won waits for a person: *Required
actions* in the UI. No answer within three days means no promotion: *approve* and *promote* are skipped, and one alert
says so; clear *approve* to ask again, or use `imago champion approve`. A champion that changed meanwhile voids the
verdict. Who answered, and when, stands in the ledger.

**When.** When training announces its day. Its days can be backfilled; a backfill renders the recorded verdict
again and moves nothing.

**Safe to run again?** Yes. A verdict that stands in the ledger is not fought twice.

**When it fails.** *Release blocked*: no candidate beat the best baseline, or a gate did not hold. The champion stays
and one alert says why; look at the data first, not at the gate. A failed run is not retried, since the same fight ends
the same way.
"""

from __future__ import annotations

import datetime

from airflow.sdk import DAG

from imago.environments import hosted_environments
from imago.specs import ModelSpec, hosted_models
from imago_airflow.assets import asset
from imago_airflow.defaults import POOLS, by_asset, stage_dag
from imago_airflow.operators import JudgeOperator, PromoteOperator
from imago_airflow.operators.approval import AskOperator


def build(environment: str, spec: ModelSpec) -> DAG:
    """The DAG of one model in one environment."""
    champion = asset(environment, spec.name, "champion")
    with stage_dag(
        environment,
        spec,
        "deployment",
        doc_md=__doc__,
        schedule=by_asset(
            spec, asset(environment, spec.name, "training"), spec.schedules.training, days_back=1, closed_too=True
        ),
        max_active_runs=1,
    ) as dag:
        judge = JudgeOperator(
            task_id="judge", environment=environment, model=spec.name, outlets=[champion], pool=POOLS["train"]
        )
        approve = AskOperator(
            task_id="approve",
            environment=environment,
            model=spec.name,
            verdict=judge.output,
            subject=f"Promote the new champion of {spec.name} in {environment}?",
            body="{{ ti.xcom_pull(task_ids='judge')['markdown'] }}",
            response_timeout=datetime.timedelta(days=3),
        )
        promote = PromoteOperator(
            task_id="promote",
            environment=environment,
            model=spec.name,
            verdict=judge.output,
            approval=approve.output,
            outlets=[champion],
        )
        # Only a verdict that waits for a person comes past judge; any other ends the run there.
        judge >> approve >> promote
    return dag


for environment in hosted_environments():
    for spec in hosted_models():
        build(environment, spec)
