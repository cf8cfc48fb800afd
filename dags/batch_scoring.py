"""# Batch scoring

**What.** The champion scores the day's features to one partition of the table `predictions`, with its profile, and
announces the day, which starts monitoring.

**Why.** What the platform exists for: every row exactly once, with the model version that made it.

**Which champion?** The one that the stored partition records; else the one that reigned on that day (`as-was`). The
form may ask for `today` or for a version; that is marked in the partition's provenance, and so is a model whose
training saw that day. In the *Backfill* form, tick *Override existing params* to choose.

**When.** When feature refresh announces a day. Any range can be backfilled by itself; the DAG `backfill` shows first
what that would rewrite.

**What follows.** Monitoring. Where a day is scored late or again and its outcomes are known, its metrics too.

**Safe to run again?** Yes: retries, clears, backfills, two runs of one day at once. The same inputs publish no new
version; of two attempts the older one is fenced off and says by whom.

**When it fails.** *No champion*: it names the options that are left: train and deploy, `today`, or a version. *Missing
partition*: refresh the features of that day. It never scores yesterday's features instead.
"""

from __future__ import annotations

from airflow.sdk import DAG

from imago.environments import hosted_environments
from imago.specs import ModelSpec
from imago_airflow.assets import asset
from imago_airflow.defaults import POOLS, by_asset, champion_param, day_params, stage_dag
from imago_airflow.operators import ScoreOperator
from imago_models import MODELS


def build(environment: str, spec: ModelSpec) -> DAG:
    """The DAG of one model in one environment."""
    with stage_dag(
        environment,
        spec,
        "batch_scoring",
        doc_md=__doc__,
        schedule=by_asset(spec, asset(environment, spec.name, "features"), spec.schedules.daily, days_back=0),
        params={**day_params(), "champion": champion_param()},
    ) as dag:
        ScoreOperator(
            task_id="score",
            environment=environment,
            model=spec.name,
            outlets=[asset(environment, spec.name, "predictions"), asset(environment, spec.name, "outcomes")],
            pool=POOLS["score"],
        )
    return dag


for environment in hosted_environments():
    for spec in MODELS:
        build(environment, spec)
