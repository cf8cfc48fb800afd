"""A day of real flights of which most rows got lost, refused by the real job in a real Airflow task; then its pages."""

import json
import os
import tempfile

from airflow.utils.db import upgradedb

upgradedb()

from airflow.dag_processing.bundles.manager import DagBundlesManager  # noqa: E402
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db  # noqa: E402
from airflow.models.pool import Pool  # noqa: E402
from airflow.models.xcom import XComModel  # noqa: E402
from airflow.utils.session import create_session  # noqa: E402
from sqlalchemy import select  # noqa: E402

from imago import ledger  # noqa: E402
from imago.alerts.outbox import is_reported  # noqa: E402
from imago.context import RunContext  # noqa: E402
from imago.environments import load_environment  # noqa: E402
from imago.jobs import failures  # noqa: E402
from imago.jobs.landing import land  # noqa: E402
from imago.landing.deliver import write_delivery  # noqa: E402
from imago.ledger import decisions  # noqa: E402
from imago.ledger.schema import alerts  # noqa: E402
from imago.storage import Storage  # noqa: E402

DS, DAG = "2013-01-01", "dev__flight_delays__feature_refresh"
env = load_environment("dev")
ledger.migrate(env)
land(env, DS, DS, RunContext(run_id="test"))
storage = Storage(env)
(schedule,) = (rel for rel in storage.list(f"raw/schedule/ds={DS}") if rel.endswith(".parquet"))
write_delivery(storage, schedule, storage.read_parquet(schedule).slice(0, 10))

for pool in ("imago_dbt", "imago_train", "imago_score", "imago_deliver"):
    Pool.create_or_update_pool(name=pool, slots=1, description="", include_deferred=False)
DagBundlesManager().sync_bundles_to_db()
bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
sync_bag_to_db(bag, "dags-folder", None)


RAISED: list[str] = []
task_failed = failures.task_failed


def overheard(**about: object) -> object:
    RAISED.append(str(about["error"]))
    return task_failed(**about)


failures.task_failed = overheard
# Whichever stream Airflow logs to.
with tempfile.TemporaryFile("w+") as heard:
    streams = [(stream, os.dup(stream)) for stream in (1, 2)]
    for stream, _ in streams:
        os.dup2(heard.fileno(), stream)
    dag_run = bag.dags[DAG].test(run_conf={"ds": DS})
    for stream, kept in streams:
        os.dup2(kept, stream)
    heard.seek(0)
    logged = heard.read()
with create_session() as session:
    kept = session.scalars(
        select(XComModel.value).where(XComModel.run_id == dag_run.run_id, XComModel.key == "refusal")
    )
    xcoms = [json.loads(value) if isinstance(value, str) else value for value in kept]
with ledger.connect(env).connect() as connection:
    told = [dict(row._mapping) for row in connection.execute(select(alerts))]
    reported = is_reported(connection, f"{DAG}/{dag_run.run_id}", "partition_refused")


def judge() -> None:
    """Leaves a decision on the day's training, with its page."""
    storage.write_bytes("trainings/flight_delays/dossier.html", b"<!doctype html><h1>The dossier</h1>")
    with ledger.connect(env).begin() as connection:
        decisions.record(
            connection, model="flight_delays", training_ds=DS, run_id="test", outcome="kept", incumbent_id=None,
            challenger_version=None, holdout_digest="x",
            verdict={"facts": {"dossier": "trainings/flight_delays/dossier.html"}},
        )  # fmt: skip


def pages() -> dict[str, list]:
    """Status and text of the pages, without and with a login."""
    from fastapi.testclient import TestClient

    from imago_airflow import pages as module

    app = module.build_app()
    addresses = {
        "day": f"/audits/dev/flight_delays/features/{DS}",
        "list": "/audits/dev/flight_delays",
        "no day": "/audits/dev/flight_delays/features/2013-01-02",
        "no table": f"/audits/dev/flight_delays/raw/{DS}",
        "dossier": f"/dossiers/dev/flight_delays/{DS}",
        "no dossier": "/dossiers/dev/flight_delays/2013-01-02",
    }
    client = TestClient(app, raise_server_exceptions=False)
    outside = {name: client.get(address).status_code for name, address in addresses.items()}
    app.dependency_overrides[module._LOGGED_IN[0].dependency] = lambda: None
    answers = {name: client.get(address) for name, address in addresses.items()}
    return {
        name: [outside[name], answer.status_code, answer.text, answer.headers.get("content-security-policy")]
        for name, answer in answers.items()
    }


judge()
print(
    json.dumps(
        {
            "state": str(dag_run.state),
            "tasks": {ti.task_id: str(ti.state) for ti in dag_run.get_task_instances()},
            "run_id": f"{DAG}/{dag_run.run_id}",
            "xcoms": xcoms,
            "logged": logged,
            "raised": RAISED,
            "alerts": [{name: row[name] for name in ("rule", "severity", "subject", "ds", "body")} for row in told],
            "reported": reported,
            "staged": len(storage.list("staging")),
            "pages": pages(),
        },
        default=str,
    )
)
