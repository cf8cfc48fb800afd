"""A confirmed drift through a real run of the monitoring DAG: the training that it starts, in a real Airflow database.

Airflow's REST API is the real one too, asked in process as a login that may trigger runs. The judgement alone is made
up: a real one needs a year of flights.
"""

import json
import os
import sys
import types
from pathlib import Path

os.environ |= {
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "trainer:user,watchdog:viewer",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": f"{os.environ['AIRFLOW_HOME']}/passwords.json",
    "AIRFLOW__API_AUTH__JWT_SECRET": "a secret of this test that is long enough for its purpose, and then a bit more",
    "IMAGO_AIRFLOW_URL": "http://airflow",
    "IMAGO_TRAINER_USER": os.environ["LOGIN"],
    "IMAGO_TRAINER_PASSWORD": "secret",
}
home = Path(os.environ["AIRFLOW_HOME"])
home.mkdir(exist_ok=True, parents=True)
(home / "passwords.json").write_text(json.dumps({"trainer": "secret", "watchdog": "secret"}))

from airflow.utils.db import upgradedb  # noqa: E402

upgradedb()

import imago_models  # noqa: E402
from imago.jobs import monitoring  # noqa: E402
from imago.monitoring.drift import Finding  # noqa: E402
from imago.specs import Drift  # noqa: E402
from imago_models.flight_delays import FLIGHT_DELAYS  # noqa: E402

spec = FLIGHT_DELAYS.model_copy(update={"drift": Drift(retrain=True)})
imago_models.MODELS = (spec,)
moved = Finding("departure_minute", "psi", "day", 2.0, 1.5, 0.2)
monitoring.monitor = lambda *given: {}
monitoring.judgement_of = lambda *given: monitoring.Judgement((moved,), (), {"reference": "sha", "profiles": {}})
documents = types.ModuleType("imago.jobs.drift_docs")
documents.document = lambda *given: {}
sys.modules[documents.__name__] = documents

from imago import ledger  # noqa: E402
from imago.environments import load_environment  # noqa: E402
from imago.ledger import champions  # noqa: E402
from imago.ledger.schema import retrainings  # noqa: E402

env = load_environment("dev")
ledger.migrate(env)
champions.reigning = lambda connection, model: types.SimpleNamespace(artifact_sha256="sha")

from airflow.api_fastapi.app import create_app  # noqa: E402
from airflow.dag_processing.bundles.manager import DagBundlesManager  # noqa: E402
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db  # noqa: E402
from airflow.models.dagrun import DagRun  # noqa: E402
from airflow.models.pool import Pool  # noqa: E402
from airflow.utils.session import create_session  # noqa: E402
from fastapi.testclient import TestClient  # noqa: E402
from sqlalchemy import select  # noqa: E402

from imago.airflow_api import client  # noqa: E402

for pool in ("imago_dbt", "imago_train", "imago_score", "imago_deliver"):
    Pool.create_or_update_pool(name=pool, slots=1, description="", include_deferred=False)
DagBundlesManager().sync_bundles_to_db()
bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
sync_bag_to_db(bag, "dags-folder", None)
airflow = TestClient(create_app(apps="all"), base_url="http://airflow")
airflow.__enter__()
client.httpx.Client = lambda **given: airflow
client.AirflowApi.close = lambda self: None

told = []
for _ in range(2):
    dag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags["dev__flight_delays__monitoring"]
    run = dag.test(run_conf={"ds": "2013-10-08"})
    told.append({ti.task_id: str(ti.state) for ti in run.get_task_instances()})
with create_session() as session:
    query = select(DagRun).where(DagRun.dag_id == "dev__flight_delays__training")
    runs = [[one.run_id, one.partition_key, str(one.state)] for one in session.scalars(query)]
with ledger.connect(env).connect() as connection:
    rows = [[row.outcome, row.training_ds, row.reason] for row in connection.execute(select(retrainings))]
print(json.dumps({"told": told, "runs": runs, "rows": rows}))
