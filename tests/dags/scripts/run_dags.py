"""A real Airflow database, the shipped DAGs, and jobs that only note how they were called.

Backfills are created by the very function behind the API's route; runs are executed by `dag.test()`.
"""

import datetime
import json
import os
import sys
import types

from airflow.utils.db import upgradedb

upgradedb()

CALLS = []


def fake(module, **functions):
    made = types.ModuleType(f"imago.jobs.{module}")
    made.__dict__.update(functions)
    sys.modules[made.__name__] = made


def note(what):
    def job(*args, **kwargs):
        context = next(arg for arg in (*args, *kwargs.values()) if hasattr(arg, "code_commit"))
        days = [arg for arg in args if isinstance(arg, str)]
        CALLS.append([what, *days, context.mode])
        return {"what": what, **VERDICT}

    return job


VERDICT = {"moved": False, "outcome": "kept"}
SHADOWED = {}
CORRECTED = {"outcomes": ["2013-10-02", "2013-10-04"], "features": []}


def correct(env, spec, table, context):
    CALLS.append(["correct", table])
    return {"changed_days": CORRECTED[table]}


FAULTS = {}


def freeze(env, spec, day, context):
    if "freeze" in FAULTS:
        raise FAULTS["freeze"]
    return {"snapshot": f"snapshots/{day}"}


def fit(env, spec, snapshot, contestant, context):
    if FAULTS.get(contestant) == "killed":
        raise AirflowFailException("the process is gone")
    if contestant in FAULTS:
        return {"contestant": contestant, "failed": FAULTS[contestant], "next_step": "correct it", "facts": {}}
    return {"contestant": contestant, "snapshot": snapshot}


fake("features", refresh=note("features"))
fake("corrections", correct=correct)
fake(
    "training",
    freeze=freeze,
    fit=fit,
    report=lambda env, spec, day, snapshot, fitted, context: CALLS.append([day, snapshot, fitted]) or {},
)
BEHIND = []
fake("scoring", score=lambda *args, champion: CALLS.append(["champion", champion]) or note("score")(*args))
fake("metrics", is_behind=lambda env, spec, ds: ds in BEHIND)
fake(
    "scoring_parts",
    plan=lambda env, spec, day, context, champion: {
        "assignment": {"ds": day, "choice": champion},
        "slices": [[1, 0, 131072], [2, 131072, 200000]],
    },
    score_part=lambda env, spec, assignment, piece, context: {"part": piece[0], "of": assignment["ds"]},
    publish_parts=lambda env, spec, assignment, parts, context: CALLS.append([assignment, list(parts)]) or {},
)
fake("shadow_scoring", score=lambda *given: {**note("shadow")(*given), **SHADOWED})
fake("serving", deploy=note("deploy"))
fake("deployment", judge=note("judge"))
fake(
    "failures",
    attempt_failed=lambda **about: None,
    run_succeeded=lambda **about: None,
    task_failed=lambda **about: CALLS.append(["failed", str(about["error"])]),
)

from airflow.dag_processing.bundles.manager import DagBundlesManager  # noqa: E402
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db  # noqa: E402
from airflow.models.asset import AssetEvent, AssetPartitionDagRun  # noqa: E402
from airflow.models.backfill import Backfill, InvalidBackfillConf, ReprocessBehavior, _create_backfill  # noqa: E402
from airflow.models.dagrun import DagRun  # noqa: E402
from airflow.models.pool import Pool  # noqa: E402
from airflow.sdk.exceptions import AirflowFailException  # noqa: E402
from airflow.utils.session import create_session  # noqa: E402
from sqlalchemy import select, update  # noqa: E402

import imago_models  # noqa: E402
from imago.errors import ImagoError  # noqa: E402
from imago.specs import Scoring  # noqa: E402
from imago_models.flight_delays import FLIGHT_DELAYS  # noqa: E402

imago_models.MODELS = (FLIGHT_DELAYS,)  # whatever else is hosted

for pool in ("imago_dbt", "imago_train", "imago_score", "imago_shadow", "imago_deliver"):
    Pool.create_or_update_pool(name=pool, slots=1, description="", include_deferred=False)
DagBundlesManager().sync_bundles_to_db()
bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
sync_bag_to_db(bag, "dags-folder", None)
NAME = "dev__flight_delays__"


def backfill(stage, first, last, reprocess=ReprocessBehavior.NONE, conf=None):
    """The days of the runs that a backfill makes; with `conf`, what each of them is told."""
    with create_session() as session:
        # One at a time for a DAG, and no scheduler is here to run them to their end.
        session.execute(update(Backfill).values(completed_at=datetime.datetime.now(datetime.UTC)))
        session.execute(update(DagRun).values(state="success"))
    made = _create_backfill(
        dag_id=NAME + stage,
        from_date=datetime.datetime.fromisoformat(f"{first}T00:00:00+00:00"),
        to_date=datetime.datetime.fromisoformat(f"{last}T00:00:00+00:00"),
        max_active_runs=2,
        reverse=False,
        dag_run_conf=conf or {},
        triggering_user_name="test",
        reprocess_behavior=reprocess,
    )
    with create_session() as session:
        runs = session.scalars(select(DagRun).where(DagRun.backfill_id == made.id).order_by(DagRun.id))
        return [run.conf if conf else run.partition_key for run in runs]


def run(stage, conf):
    """One run: its task states, the calls of the jobs, and the days that it announced, with what was said of each."""
    CALLS.clear()
    with create_session() as session:
        before = set(session.scalars(select(AssetEvent.id)))
        pending = set(session.scalars(select(AssetPartitionDagRun.id)))
    # A fresh parse for each run, as in a task's own process: `dag.test()` writes the form into the DAG's params.
    dag_run = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags[NAME + stage].test(run_conf=conf)
    instances = dag_run.get_task_instances()
    tasks = {ti.task_id: str(ti.state) for ti in instances}
    mapped = {ti.map_index: ti.rendered_map_index for ti in instances if ti.map_index >= 0}
    with create_session() as session:
        query = select(AssetEvent).where(AssetEvent.id.not_in(before)).order_by(AssetEvent.partition_key)
        events = list(session.scalars(query))
        queued = session.scalars(select(AssetPartitionDagRun).where(AssetPartitionDagRun.id.not_in(pending)))
        return {
            "state": str(dag_run.state),
            "tasks": tasks,
            "mapped": mapped,
            "fits": {ti.rendered_map_index: str(ti.state) for ti in instances if ti.map_index >= 0},
            "calls": list(CALLS),
            "events": [[event.partition_key, event.extra.get("mode")] for event in events],
            "champions": [event.extra.get("champion") for event in events],
            "starts": sorted([entry.target_dag_id.removeprefix(NAME), entry.partition_key] for entry in queued),
        }


first, last = "2013-10-05", "2013-10-07"
stages = ("feature_refresh", "outcome_refresh", "batch_scoring", "monitoring", "metric_refresh", "shadow_scoring")
result = {"backfills": {stage: backfill(stage, first, last) for stage in stages}}
for stage in ("training", "deployment", "endpoint_deploy"):
    result["backfills"][stage] = backfill(stage, "2013-10-01", "2013-10-14")
result["again_none"] = backfill("batch_scoring", first, last)
result["again_completed"] = backfill("batch_scoring", first, last, ReprocessBehavior.COMPLETED)
result["beyond_the_world"] = backfill("batch_scoring", "2013-12-30", "2014-01-05")

result["chosen"] = backfill("batch_scoring", first, last, ReprocessBehavior.COMPLETED, {"champion": "today"})
try:
    result["mistyped"] = backfill("batch_scoring", first, last, ReprocessBehavior.COMPLETED, {"champion": "tody"})
except InvalidBackfillConf as refused:
    result["mistyped"] = str(refused)

load = {"from_day": "2013-01-01", "to_day": "2013-01-31"}
result["day"] = run("feature_refresh", {"ds": "2013-10-08"})
result["range"] = run("feature_refresh", load)
result["range_announced"] = run("feature_refresh", {**load, "announce": "2013-01-30..2013-01-31"})
result["half_a_range"] = run("feature_refresh", {"from_day": "2013-01-01"})
result["corrected"] = run("corrections", {})
CORRECTED["outcomes"] = []
result["nothing_corrected"] = run("corrections", {})
result["no_day"] = run("batch_scoring", {})
result["scored_once"] = run("batch_scoring", {"ds": "2013-10-11"})
BEHIND.append("2013-10-10")
result["scored_again"] = run("batch_scoring", {"ds": "2013-10-10", "champion": "3", "mode": "backfill"})
result["refreshed_for_today"] = run("feature_refresh", {"ds": "2013-10-09", "champion": "today"})
result["trained"] = run("training", {"ds": "2013-10-01"})
FAULTS.update(logistic_regression="it holds a function", random_forest="killed")
result["trained_with_faults"] = run("training", {"ds": "2013-10-01"})
FAULTS["freeze"] = ImagoError("a day is not published", next_step="load it")
result["nothing_frozen"] = run("training", {"ds": "2013-10-01"})
result["kept"] = run("deployment", {"ds": "2013-10-01"})
VERDICT.update(moved=True, outcome="promoted")
result["promoted"] = run("deployment", {"ds": "2013-10-01"})
result["scored_in_backfill"] = run("batch_scoring", {"ds": "2013-10-01", "mode": "backfill"})
result["shadowed"] = run("shadow_scoring", {"ds": "2013-10-01"})
SHADOWED["skipped"] = "no version of flight_delays shadows"
result["nobody_shadows"] = run("shadow_scoring", {"ds": "2013-10-01"})
result["deployed_in_backfill"] = run("endpoint_deploy", {"ds": "2013-10-01", "mode": "backfill"})
whole, imago_models.MODELS = (
    imago_models.MODELS,
    (FLIGHT_DELAYS.model_copy(update={"scoring": Scoring(parts=2)}),),
)
result["in_parts"] = run("batch_scoring", {"ds": "2013-10-08", "champion": "today"})
imago_models.MODELS = whole
print(json.dumps(result))
