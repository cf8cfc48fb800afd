"""The deployment DAG on a real Airflow database, MLflow and ledger: a person answers, or nobody does.

Only the fight is played: each run's verdict is an `awaiting` decision in the ledger, about a real model. Answers go in
through the function behind the API's route, and the end of the wait comes from the scheduler's own sweep.
"""

import dataclasses
import datetime
import json
import os
import sys
import threading
import time
import traceback
import types
from contextlib import contextmanager, nullcontext, suppress

from airflow.utils.db import upgradedb

upgradedb()

from airflow.api_fastapi.core_api.datamodels.hitl import UpdateHITLDetailPayload  # noqa: E402
from airflow.api_fastapi.core_api.routes.public.hitl import update_hitl_detail  # noqa: E402
from airflow.dag_processing.bundles.manager import DagBundlesManager  # noqa: E402
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db  # noqa: E402
from airflow.jobs.job import Job  # noqa: E402
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner  # noqa: E402
from airflow.models.asset import AssetEvent  # noqa: E402
from airflow.models.dagrun import DagRun  # noqa: E402
from airflow.models.pool import Pool  # noqa: E402
from airflow.models.taskinstance import TaskInstance  # noqa: E402
from airflow.sdk.exceptions import ParamValidationError  # noqa: E402
from airflow.utils.session import create_session  # noqa: E402
from sqlalchemy import select  # noqa: E402
from sqlalchemy.orm import joinedload  # noqa: E402

from imago import ledger  # noqa: E402
from imago.airflow_api import client  # noqa: E402
from imago.environments import load_environment  # noqa: E402
from imago.jobs import deployment, monitoring  # noqa: E402
from imago.ledger import champions, decisions  # noqa: E402
from imago.ledger.schema import alerts  # noqa: E402
from imago.registry.tracking import Tracker  # noqa: E402
from imago.storage import Storage  # noqa: E402
from imago_airflow import facts, logins  # noqa: E402
from proofs.fight.bait import MODEL, honest  # noqa: E402

NAME = "flight_delays"
DAG_ID = f"dev__{NAME}__deployment"
for pool in ("imago_dbt", "imago_train", "imago_score", "imago_deliver"):
    Pool.create_or_update_pool(name=pool, slots=1, description="", include_deferred=False)
DagBundlesManager().sync_bundles_to_db()
sync_bag_to_db(DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]), "dags-folder", None)
env = load_environment("dev")
ledger.migrate(env)
tracker = Tracker(env, NAME)
ARTIFACT = honest(env)
monitoring.reference_of = lambda *given: None  # these champions have no training that a reference could be made of
VERDICT = {}


def entry():
    """A version of its own, with the honest model's files."""
    run_id = tracker.start("a fit", {})
    folder = f"{tracker.artifact_folder(run_id)}/model"
    for name in ARTIFACT.artifacts:
        Storage(env).write_bytes(f"{folder}/{name}", Storage(env).read_bytes(f"{MODEL}/{name}"))
    uri = Storage(env).uri(folder)
    version = tracker.register(run_id, uri, {})
    return {**ARTIFACT.as_dict(), "artifact_uri": uri, "version": version, "run_id": run_id,
            "trained_until": "2013-08-30", "effective_ds": "2013-10-02"}  # fmt: skip


def decide():
    """An `awaiting` decision against whoever reigns; its number."""
    chosen = entry()
    with ledger.connect(env).begin() as connection:
        now = champions.reigning(connection, NAME)
        verdict = {"entry": chosen, "reason": "it won", "facts": {}, "challenger": "trees", "incumbent": None,
                   "best_baseline": "prior", "rulings": [], "markdown": "m"}  # fmt: skip
        return decisions.record(
            connection, model=NAME, training_ds="2013-10-01", run_id="r", outcome="awaiting",
            incumbent_id=now.id if now else None, challenger_version=chosen["version"], holdout_digest="d",
            verdict=verdict,
        )  # fmt: skip


def judge(*given):
    return {"outcome": "awaiting", "moved": False, "decision_id": VERDICT["id"], "markdown": "**the dossier**"}


deployment.judge = judge


def waiting_task():
    with create_session() as session:
        query = select(TaskInstance).where(TaskInstance.task_id == "approve", TaskInstance.state == "awaiting_input")
        return session.scalars(query.options(joinedload(TaskInstance.hitl_detail))).one_or_none()


def answer(word):
    """Waits until the task waits, then answers in the person's name."""
    ti = until(waiting_task)
    WAITED.append({"body": ti.hitl_detail.body, "hours": hours_left(ti)})
    if word == "nobody":
        with create_session() as session:
            session.merge(ti).trigger_timeout = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=1)
        SchedulerJobRunner(job=Job()).check_awaiting_input_timeouts()
        return
    if word == "overtaken":
        with ledger.connect(env).begin() as connection:
            now = champions.reigning(connection, NAME)
            row = deployment._entry(decisions.get(connection, VERDICT["id"]), decided_by="somebody else")
            champions.crown(connection, dataclasses.replace(row, decision_id=None), expected=now.id if now else None)
    ada = types.SimpleNamespace(get_id=lambda: "7", get_name=lambda: "Ada")
    word = "Approve" if word == "overtaken" else word
    payload = UpdateHITLDetailPayload(chosen_options=[word], params_input={})
    with create_session() as session:
        update_hitl_detail(ti.dag_id, ti.run_id, "approve", payload, ada, session)


def hours_left(ti):
    return round((ti.trigger_timeout - datetime.datetime.now(datetime.UTC)).total_seconds() / 3600)


def until(ask):
    for _ in range(600):
        found = ask()
        if found is not None:
            return found
        time.sleep(0.2)
    raise AssertionError("it never waited")


@contextmanager
def beside(work, *given):
    def guarded():
        try:
            work(*given)
        except BaseException:
            traceback.print_exc()
            os._exit(1)  # the run would wait for this answer forever

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    yield
    thread.join(120)


WAITED = []


def run(word):
    VERDICT["id"] = decide()
    WAITED.clear()
    with create_session() as session:
        before = set(session.scalars(select(AssetEvent.id)))
    with beside(answer, word):
        dag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags[DAG_ID]
        dag_run = dag.test(run_conf={"ds": "2013-10-01"})
    with create_session() as session:
        events = list(session.scalars(select(AssetEvent.partition_key).where(AssetEvent.id.not_in(before))))
    with ledger.connect(env).connect() as connection:
        now = champions.reigning(connection, NAME)
        answered = decisions.answer_to(connection, VERDICT["id"])
        mine = decisions.get(connection, VERDICT["id"])
        query = select(alerts.c.rule, alerts.c.title).order_by(alerts.c.id)
        told = [list(row) for row in connection.execute(query)]
    aliases = tracker.client.get_registered_model(tracker.registered_name).aliases
    return {
        "state": str(dag_run.state),
        "tasks": {ti.task_id: str(ti.state) for ti in dag_run.get_task_instances()},
        "waited": list(WAITED),
        "events": events,
        "moved": now is not None and now.decision_id == VERDICT["id"],
        "version": mine["challenger_version"],
        "reigns": now and [now.version, now.decided_by],
        "alias": str(aliases.get("champion")),
        "answer": answered and [answered["outcome"], answered["verdict"]["answered_by"]],
        "told": told,
    }


result = {word: run(word) for word in ("Approve", "Reject", "nobody", "overtaken")}


class QuietAirflow:
    """What the watchdog asks of Airflow, where nothing happens."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def paused_dags(self):
        return ()

    def runs_since(self, since):
        return ()

    def parts(self):
        return ()

    def failed_attempts_since(self, since):
        return ()


def plain(dag_id, conf):
    """One run of another DAG: its state, the announced days, and who reigns, in the ledger and in MLflow."""
    with create_session() as session:
        before = set(session.scalars(select(AssetEvent.id)))
    dag_run = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags[dag_id].test(run_conf=conf)
    with create_session() as session:
        events = list(session.scalars(select(AssetEvent.partition_key).where(AssetEvent.id.not_in(before))))
    with ledger.connect(env).connect() as connection:
        now = champions.reigning(connection, NAME)
    aliases = tracker.client.get_registered_model(tracker.registered_name).aliases
    return {"state": str(dag_run.state), "events": events, "version": now.version, "action": now.action,
            "reason": now.reason, "alias": str(aliases.get("champion"))}  # fmt: skip


result["rollback"] = plain(f"dev__{NAME}__champion_rollback", {"reason": "it was too quiet"})
facts.rest_facts = lambda env: QuietAirflow()
tracker.client.set_registered_model_alias(tracker.registered_name, "champion", result["overtaken"]["version"])
result["watchdog"] = plain("dev__watchdog", {})


class Backfills:
    """What a backfill asks of Airflow: two days would run, and what is started is noted."""

    made: list = []  # noqa: RUF012
    days = ("2013-10-01", "2013-10-08")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def plan_backfill(self, dag_id, first, last, *, reprocess, conf):
        return self.days

    def states_of_days(self, dag_id, days):
        return dict.fromkeys(days, "success")

    def seconds_of_runs(self, dag_id, count):
        return [30.0]

    def backfill(self, dag_id, first, last, *, reprocess, max_active_runs, conf):
        self.made.append([dag_id, first, last, reprocess, max_active_runs, conf])
        return client.Backfill(id=7, dag_id=dag_id, keys=self.days, known=frozenset())


def backfill(word, **form):
    """One run of the backfill DAG: its tasks, what the person saw, and the backfills that were created."""
    WAITED.clear()
    Backfills.made, Backfills.days = [], ("2013-10-01", "2013-10-08")
    conf = {"from_day": "2013-10-01", "to_day": "2013-10-14", "stage": "training", "reprocess": "completed", **form}
    dag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags[f"dev__{NAME}__backfill"]
    # A failed run's callback gets serialized params from `dag.test()`, which cannot have a field that must be filled
    # in; the DAG processor hands it the DAG's own.
    with suppress(ParamValidationError), beside(answer, word) if word else nullcontext():
        dag.test(run_conf=conf)
    with create_session() as session:
        dag_run = session.scalars(
            select(DagRun).where(DagRun.dag_id == dag.dag_id).order_by(DagRun.id.desc()).limit(1)
        ).one()
        state, tasks = str(dag_run.state), {ti.task_id: str(ti.state) for ti in dag_run.get_task_instances()}
    with ledger.connect(env).connect() as connection:
        modes = list(connection.execute(select(alerts.c.mode).where(alerts.c.subject == dag.dag_id)).scalars())
    return {"state": state, "tasks": tasks, "waited": list(WAITED), "made": Backfills.made, "alerts": modes}


def change_the_plan():
    """Another day has run meanwhile, so that the backfill would leave it out."""
    ti = until(waiting_task)
    Backfills.days = ("2013-10-08",)
    return ti


logins.log_in = lambda environment, who: Backfills()
result["backfill"] = {
    "Run": backfill("Run"),
    "Cancel": backfill("Cancel"),
    "nobody": backfill("nobody"),
    "fails": backfill(None, stage="monitoring"),
    "refused": backfill(None, champion="2"),
}
WAITERS = answer


def answer(word):
    change_the_plan()
    WAITERS(word)


result["backfill"]["moved on"] = backfill("Run")
sys.stdout.flush()
print("\n" + json.dumps(result))
