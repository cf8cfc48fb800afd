"""Builds batch_scoring of a spec whose engine is Spark, where an environment has an application of EMR Serverless and
where it has none; runs the job's task against a service that speaks the protocol; prints what came of it."""

import json
import os
import sys
from unittest.mock import MagicMock

import boto3
from moto.server import ThreadedMotoServer

from imago.specs import Scoring
from imago_models.flight_delays import FLIGHT_DELAYS

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
os.environ |= {
    "AWS_ENDPOINT_URL_EMR_SERVERLESS": f"http://{host}:{port}",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
}
client = boto3.client("emr-serverless", region_name="eu-west-1")
application = client.create_application(name="imago", releaseLabel="emr-7.10.0", type="SPARK")["applicationId"]
os.environ["IMAGO_PROD_EMR_APPLICATION"] = application

sys.path.insert(0, os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
import batch_scoring  # noqa: E402 - the settings come first, as in an Airflow

SPEC = FLIGHT_DELAYS.model_copy(update={"scoring": Scoring(engine="spark", parts=4)})
there, here = batch_scoring.build("prod", SPEC), batch_scoring.build("dev", SPEC)

spark = there.get_task("spark")
told = {"entry": "s3://lake/spark/entry.py", "order": "s3://lake/spark/order.json"}
ti = MagicMock()
ti.xcom_pull.side_effect = lambda **asked: told[asked["key"]]
context = {"ti": ti, "task": spark, "dag": there, "run_id": "run", "task_instance": ti, "expanded_ti_count": None}
spark.wait_for_completion = False  # the service of this test runs nothing
spark.render_template_fields(context)
spark.execute(context)
(run,) = client.list_job_runs(applicationId=application)["jobRuns"]
started = client.get_job_run(applicationId=application, jobRunId=run["id"])["jobRun"]
server.stop()

print(
    json.dumps(
        {
            "tasks": {dag.dag_id: {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks}
                      for dag in (there, here)},
            "outlets": [outlet.uri for outlet in there.get_task("publish").outlets],
            "started": {key: started[key] for key in ("name", "executionRole", "jobDriver", "configurationOverrides",
                                                      "executionTimeoutMinutes") if key in started},
            "retries": spark.retries,
            "alerts": bool(spark.on_failure_callback),
        },
        default=str,
    )
)  # fmt: skip
