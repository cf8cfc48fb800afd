"""A Spark job of EMR Serverless: its settings, and what is asked of the service. Pure.

Like all settings of an environment they are variables `IMAGO_<ENVIRONMENT>_EMR_<FIELD>`. Where `EMR_APPLICATION` is
set, a spec with `engine="spark"` is scored there; else in the task's own process.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imago.errors import SettingsError

_PYTHON = "./imago/bin/python"  # of the archive, as Spark unpacks it


@dataclass(frozen=True, kw_only=True)
class Emr:
    """Where the jobs of one environment run.

    `application` is the id of the EMR Serverless application, `role_arn` the role of its jobs, which reads and writes
    the storage. `python` is an archive on S3 with a Python that has Imago installed; None where the application's own
    image has it. `logs` is where the driver's log goes. `spark` are more parameters for spark-submit. A job that lasts
    longer than `minutes` is ended. `region` is that of the storage.
    """

    application: str
    role_arn: str
    python: str | None = None
    logs: str | None = None
    spark: str = ""
    minutes: int = 60
    region: str = "us-east-1"

    def job_driver(self, *, entry: Any, order: Any) -> dict[str, Any]:
        """The `jobDriver` of StartJobRun. `entry` and `order` are addresses, or what stands for them in a DAG file."""
        submit: dict[str, Any] = {"entryPoint": entry, "entryPointArguments": [order]}
        said = " ".join(filter(None, (self._python(), self.spark)))
        if said:
            submit["sparkSubmitParameters"] = said
        return {"sparkSubmit": submit}

    def configuration_overrides(self) -> dict[str, Any]:
        """The `configurationOverrides` of StartJobRun."""
        if self.logs is None:
            return {}
        return {"monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": self.logs}}}

    def config(self) -> dict[str, Any]:
        """What else is said to StartJobRun."""
        return {"executionTimeoutMinutes": self.minutes}

    def _python(self) -> str:
        if self.python is None:
            return ""
        settings = {
            "spark.archives": f"{self.python}#imago",
            "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON": _PYTHON,
            "spark.emr-serverless.driverEnv.PYSPARK_PYTHON": _PYTHON,
            "spark.executorEnv.PYSPARK_PYTHON": _PYTHON,
        }
        return " ".join(f"--conf {name}={value}" for name, value in settings.items())


def emr_of(environment: str, variables: Mapping[str, str] | None = None) -> Emr | None:
    """The settings of an environment; None where it has no application. Raises SettingsError naming the variable."""
    variables = os.environ if variables is None else variables
    given = {
        field: value
        for field in ("application", "role_arn", "python", "logs", "spark", "minutes")
        if (value := variables.get(_variable(environment, field)))
    }
    if "application" not in given:
        return None
    rules = {
        "application": (r"[0-9a-z]{1,64}", "the id of an application of EMR Serverless"),
        "role_arn": (r"arn:aws[a-z-]*:iam::\d{12}:role/\S+", "arn:aws:iam::123456789012:role/name"),
        "python": (r"s3://[^\s#]+\.tar\.gz", "s3://bucket/prefix/python.tar.gz"),
        "logs": (r"s3://\S+", "s3://bucket/prefix/"),
        "minutes": (r"[1-9]\d{0,4}", "1 to 99999"),
    }
    for field, (pattern, allowed) in rules.items():
        if field == "role_arn" and field not in given:
            raise _wrong(environment, field, allowed, None)
        if field in given and not re.fullmatch(pattern, given[field]):
            raise _wrong(environment, field, allowed, given[field])
    region = variables.get(f"IMAGO_{environment.upper()}_S3_REGION")
    numbers = {"minutes": int(given.get("minutes", 60)), **({"region": region} if region else {})}
    return Emr(**{**given, **numbers})  # type: ignore[arg-type]


def _variable(environment: str, field: str) -> str:
    return f"IMAGO_{environment.upper()}_EMR_{field.upper()}"


def _wrong(environment: str, field: str, allowed: str, seen: str | None) -> SettingsError:
    variable = _variable(environment, field)
    return SettingsError(
        f"{variable} is not set{' right' if seen else ''}",
        environment=environment,
        rule="the settings of EMR Serverless",
        allowed=allowed,
        seen=seen,
        next_step=f"set {variable}, or leave {_variable(environment, 'application')} out to score in Airflow's process",
    )
