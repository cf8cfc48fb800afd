"""batch_scoring of a spec whose engine is Spark: at home, or as a job of EMR Serverless between two tasks."""

from __future__ import annotations

import pytest

VARIABLES = {
    "IMAGO_PROD_EMR_ROLE_ARN": "arn:aws:iam::123456789012:role/imago-scoring",
    "IMAGO_PROD_EMR_LOGS": "s3://lake/logs/",
    "IMAGO_PROD_EMR_MINUTES": "90",
    "IMAGO_PROD_S3_REGION": "eu-west-1",
}


@pytest.fixture(scope="module")
def told(airflow_process, tmp_path_factory):
    return airflow_process("spark_dag.py", home=tmp_path_factory.mktemp("airflow"), variables=VARIABLES)


def test_the_job_stands_between_the_order_and_the_publish_that_every_scoring_has(told):
    assert told["tasks"]["prod__flight_delays__batch_scoring"] == {
        "order": ["publish", "spark"],
        "spark": ["publish"],
        "publish": [],
    }
    assert told["outlets"] == [f"imago://prod/flight_delays/{name}" for name in ("predictions", "outcomes")]


def test_an_environment_without_an_application_scores_in_its_own_task(told):
    assert told["tasks"]["dev__flight_delays__batch_scoring"] == {"score": []}


def test_the_providers_operator_starts_the_job_with_the_addresses_of_the_run(told):
    started = told["started"]
    assert started["name"] == "prod__flight_delays__batch_scoring"
    assert started["executionRole"] == VARIABLES["IMAGO_PROD_EMR_ROLE_ARN"]
    submit = started["jobDriver"]["sparkSubmit"]
    assert (submit["entryPoint"], submit["entryPointArguments"]) == (
        "s3://lake/spark/entry.py",
        ["s3://lake/spark/order.json"],
    )
    monitoring = started["configurationOverrides"]["monitoringConfiguration"]
    assert monitoring["s3MonitoringConfiguration"]["logUri"] == "s3://lake/logs/"
    assert started["executionTimeoutMinutes"] == 90
    assert told["retries"] == 2
    assert told["alerts"]
