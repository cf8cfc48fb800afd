"""# Batch scoring

**What.** The champion scores the day's features to one partition of the table `predictions`, with its profile, and
announces the day, which starts monitoring.

**Why.** What the platform exists for: every row exactly once, with the model version that made it.

**Which champion?** The one that the stored partition records; else the one that reigned on that day (`as-was`). The
form may ask for `today` or for a version; that is marked in the partition's provenance, and so is a model whose
training saw that day. In the *Backfill* form, tick *Override parameters on existing runs* to choose.

**When.** When feature refresh announces a day. Any range can be backfilled by itself; the DAG `backfill` shows first
what that would rewrite.

**What follows.** Monitoring. Where a day is scored late or again and its outcomes are known, its metrics too.

**Safe to run again?** Yes: retries, clears, backfills, two runs of one day at once. The same inputs publish no new
version; of two attempts the older one is fenced off and says by whom.

**In parts.** Where the spec says `scoring=Scoring(parts=4)`, `plan` binds the day, mapped tasks score a slice of its
rows each, and `publish` makes them one partition in one commit: the same rows. A part that fails can be cleared alone.

**On Spark.** Where the spec says `scoring=Scoring(engine="spark")`, Spark scores the slices: the same rows. Where the
environment has an application of EMR Serverless (`EMR_APPLICATION`), `order` leaves what the job is given, `spark` runs
it, and `publish` takes in what it made; else `score` does it where `SPARK_MASTER` says.

**When it fails.** *No champion*: it names the options that are left: train and deploy, `today`, or a version.
*Missing partition*: refresh the features of that day; the task waits for it by its retries. *Refused*: the rows break
the champion's contract and the spec's policy for bad rows stops there; the error names column, rule and rows. It
never scores yesterday's features instead.
"""

from __future__ import annotations

import datetime
from typing import Any

from airflow.sdk import DAG

from imago.environments import hosted_environments
from imago.scoring.emr import Emr, emr_of
from imago.specs import ModelSpec, hosted_models
from imago_airflow.assets import asset
from imago_airflow.defaults import POOLS, by_asset, champion_param, day_params, stage_dag
from imago_airflow.operators import (
    OrderSparkOperator,
    PlanScoringOperator,
    PublishPartsOperator,
    PublishSparkOperator,
    ScoreOperator,
    ScorePartOperator,
)


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
        common = {"environment": environment, "model": spec.name, "pool": POOLS["score"]}
        outlets = [asset(environment, spec.name, name) for name in ("predictions", "outcomes")]
        emr = emr_of(environment) if spec.scoring.engine == "spark" else None
        if emr is not None:
            _on_emr(emr, outlets, common)
        elif spec.scoring.parts == 1 or spec.scoring.engine == "spark":
            ScoreOperator(task_id="score", outlets=outlets, **common)
        else:
            _in_parts(outlets, common)
    return dag


def _in_parts(outlets: list[Any], common: dict[str, Any]) -> None:
    plan = PlanScoringOperator(task_id="plan", **common)
    parts = ScorePartOperator.partial(
        task_id="score",
        assignment=plan.output["assignment"],
        map_index_template="{{ task.title }}",
        **common,
    ).expand(piece=plan.output)
    publish = PublishPartsOperator(
        task_id="publish", assignment=plan.output["assignment"], parts=parts.output, outlets=outlets, **common
    )
    plan >> parts >> publish


def _on_emr(emr: Emr, outlets: list[Any], common: dict[str, Any]) -> None:
    from airflow.providers.amazon.aws.operators.emr import EmrServerlessStartJobOperator

    order = OrderSparkOperator(task_id="order", **common)
    spark = EmrServerlessStartJobOperator(
        task_id="spark",
        application_id=emr.application,
        execution_role_arn=emr.role_arn,
        job_driver=emr.job_driver(entry=order.output["entry"], order=order.output["order"]),
        configuration_overrides=emr.configuration_overrides(),
        config=emr.config(),
        name="{{ dag.dag_id }}",
        region_name=emr.region,
        waiter_delay=30,
        waiter_max_attempts=2 * emr.minutes,
        execution_timeout=datetime.timedelta(minutes=emr.minutes + 10),
        pool=common["pool"],
    )
    publish = PublishSparkOperator(task_id="publish", assignment=order.output["assignment"], outlets=outlets, **common)
    order >> spark >> publish


for environment in hosted_environments():
    for spec in hosted_models():
        build(environment, spec)
