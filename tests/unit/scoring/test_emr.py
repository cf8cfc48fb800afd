"""What EMR Serverless is asked for, checked against botocore's own description of the service."""

from __future__ import annotations

import boto3
import pytest
from botocore.session import get_session
from botocore.stub import Stubber
from botocore.validate import ParamValidator

from imago.errors import SettingsError
from imago.scoring.emr import Emr, emr_of

SETTINGS = {
    "IMAGO_PROD_EMR_APPLICATION": "00f1abcdefgh2345",
    "IMAGO_PROD_EMR_ROLE_ARN": "arn:aws:iam::123456789012:role/imago-scoring",
}
EVERYTHING = {
    **SETTINGS,
    "IMAGO_PROD_EMR_PYTHON": "s3://lake/python/imago-1.tar.gz",
    "IMAGO_PROD_EMR_LOGS": "s3://lake/logs/",
    "IMAGO_PROD_EMR_SPARK": "--conf spark.executor.memory=8g --conf spark.dynamicAllocation.maxExecutors=20",
    "IMAGO_PROD_EMR_MINUTES": "90",
}
ENTRY, ORDER = "s3://lake/prod/staging/m/x/spark/entry.py", "s3://lake/prod/staging/m/x/spark/order.json"


def request(emr: Emr, **changes) -> dict:
    """What EmrServerlessStartJobOperator sends."""
    return {
        "applicationId": emr.application,
        "clientToken": "a-token",
        "executionRoleArn": emr.role_arn,
        "jobDriver": emr.job_driver(entry=ENTRY, order=ORDER),
        "configurationOverrides": emr.configuration_overrides(),
        "name": "score",
        **emr.config(),
        **changes,
    }


@pytest.mark.parametrize("variables", [SETTINGS, EVERYTHING])
def test_the_request_has_the_shape_that_the_service_describes(variables):
    emr = emr_of("prod", variables)
    shape = get_session().get_service_model("emr-serverless").operation_model("StartJobRun").input_shape
    report = ParamValidator().validate(request(emr), shape)
    assert not report.has_errors(), report.generate_report()
    # The check can fail: a field that the service does not know is found.
    assert ParamValidator().validate(request(emr, jobDriver={"spark": {}}), shape).has_errors()


def test_a_client_sends_it_and_takes_the_answer():
    emr = emr_of("prod", EVERYTHING)
    client = boto3.client(
        "emr-serverless", region_name="eu-west-1", aws_access_key_id="none", aws_secret_access_key="none"
    )
    answer = {
        "applicationId": emr.application,
        "jobRunId": "00f1",
        "arn": "arn:aws:emr-serverless:eu-west-1:123456789012:/applications/00f1abcdefgh2345/jobruns/00f1",
    }
    with Stubber(client) as stubber:
        stubber.add_response("start_job_run", answer, request(emr))
        assert client.start_job_run(**request(emr))["jobRunId"] == "00f1"


def test_the_job_runs_the_programs_own_python_and_is_given_its_order():
    submit = emr_of("prod", EVERYTHING).job_driver(entry=ENTRY, order=ORDER)["sparkSubmit"]
    assert (submit["entryPoint"], submit["entryPointArguments"]) == (ENTRY, [ORDER])
    said = submit["sparkSubmitParameters"].split()
    assert said[0::2] == ["--conf"] * 6
    assert said[1::2] == [
        "spark.archives=s3://lake/python/imago-1.tar.gz#imago",
        "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON=./imago/bin/python",
        "spark.emr-serverless.driverEnv.PYSPARK_PYTHON=./imago/bin/python",
        "spark.executorEnv.PYSPARK_PYTHON=./imago/bin/python",
        "spark.executor.memory=8g",
        "spark.dynamicAllocation.maxExecutors=20",
    ]
    assert "sparkSubmitParameters" not in emr_of("prod", SETTINGS).job_driver(entry=ENTRY, order=ORDER)["sparkSubmit"]


def test_an_environment_without_an_application_scores_at_home():
    assert emr_of("dev", EVERYTHING) is None
    assert emr_of("prod", {}) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ROLE_ARN", None),
        ("ROLE_ARN", "admin"),
        ("APPLICATION", "a b"),
        ("PYTHON", "/venv.tar.gz"),
        ("MINUTES", "soon"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_its_name(field, value):
    variable = f"IMAGO_PROD_EMR_{field}"
    variables = {**EVERYTHING, variable: value} if value else {k: v for k, v in EVERYTHING.items() if k != variable}
    with pytest.raises(SettingsError, match=variable) as refusal:
        emr_of("prod", variables)
    assert refusal.value.facts["allowed"]
