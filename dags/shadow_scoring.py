"""# Shadow scoring

**What.** Every version that shadows scores the rows that the champion scored, into the table `shadow_predictions`, and
is compared with the champion: which decisions would flip, where, for how much money. Who shadows stands in the ledger
(`imago shadow list`): a challenger that waits for approval does so by itself, any other is let by a person.

**Why.** A holdout is the past. The shadow is the live partition, on the day, with nobody acting on it; once the
outcomes are known, `metric_refresh` says who was right. `/imago/shadow/ENV/MODEL` shows it, and so does the
challenger's dossier.

**When.** When batch scoring announces a day, after the champion. Any range can be backfilled by itself.

**Safe to run again?** Yes. The same predictions and the same versions give the same rows.

**When it is skipped.** No version shadows. The log says so.

**When it fails.** Nothing that counts was touched: not predictions, champion, online store or monitoring. One warning
names the version that broke; those beside it were published. Mend what it names and clear the task, or `imago shadow
stop`.
"""

from __future__ import annotations

from airflow.sdk import DAG

from imago.environments import hosted_environments
from imago.specs import ModelSpec, hosted_models
from imago_airflow.assets import asset
from imago_airflow.defaults import POOLS, by_asset, stage_dag
from imago_airflow.operators import ShadowScoreOperator


def build(environment: str, spec: ModelSpec) -> DAG:
    """The DAG of one model in one environment."""
    with stage_dag(
        environment,
        spec,
        "shadow_scoring",
        doc_md=__doc__,
        schedule=by_asset(spec, asset(environment, spec.name, "predictions"), spec.schedules.daily, days_back=0),
    ) as dag:
        # A pool of its own, and the last in every queue: nothing that counts ever waits for a shadow.
        ShadowScoreOperator(
            task_id="shadow_score", environment=environment, model=spec.name, pool=POOLS["shadow"], priority_weight=0
        )
    return dag


for environment in hosted_environments():
    for spec in hosted_models():
        build(environment, spec)
