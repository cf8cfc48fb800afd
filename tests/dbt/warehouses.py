"""Environments on a warehouse, and what dbt compiles for them."""

from __future__ import annotations

import json
import tempfile
from typing import Any

from dbt.cli.main import dbtRunner

from imago.dbt.project import arguments, manifest
from imago.dbt.unload import WarehouseAttempt
from imago.dbt.warehouse import Warehouse, warehouse_of
from imago.environments import Environment

STAGING = "s3://lake/dev/staging/flight_delays/features-2013-03-03-17"
SETTINGS = {
    "IMAGO_DEV_WAREHOUSE_RAW_SCHEMA": "raw",
    "IMAGO_DEV_WAREHOUSE_TABLES_SCHEMA": "imago_tables",
    "IMAGO_DEV_REDSHIFT_HOST": "warehouse.example.com",
    "IMAGO_DEV_REDSHIFT_CLUSTER": "analytics",
    "IMAGO_DEV_REDSHIFT_DATABASE": "warehouse",
    "IMAGO_DEV_REDSHIFT_USER": "imago",
    "IMAGO_DEV_REDSHIFT_PASSWORD": "not-a-secret",
    "IMAGO_DEV_REDSHIFT_IAM_ROLE": "arn:aws:iam::123456789012:role/imago-unload",
}


def environment(target: str, **changes: Any) -> Environment:
    """The environment dev, its models built by `target`."""
    values = {
        "name": "dev",
        "storage_root": "s3://lake/dev",
        "ledger_url": "postgresql://nobody@localhost/none",
        "ledger_schema": "none",
        "mlflow_uri": "sqlite:///none.db",
        "registry_prefix": "dev.",
        "dbt_target": target,
        "alert_channel": "#imago-dev",
    }
    return Environment.model_validate({**values, **changes})


def warehouse(target: str, **changes: str) -> Warehouse:
    """The settings of `environment(target)`."""
    return warehouse_of(environment(target), {**SETTINGS, **changes})


class NoStatements:
    """The statements of an attempt that must not run any."""

    def run(self, sql: str, *, what: str) -> str:
        raise AssertionError(f"{what}: {sql}")


def compiled(target: str, staging: str = STAGING, **variables: Any) -> dict[str, tuple[str, str]]:
    """The kind and the compiled SQL of each model and data test, as an attempt on a warehouse compiles them."""
    graph = manifest(target)
    attempt = WarehouseAttempt(environment(target), staging, warehouse=warehouse(target), statements=NoStatements())
    attempt.set_apart(graph, [key for key, node in graph.nodes.items() if node.resource_type == "model"])
    told = {"price_caught": 1, "price_false_alarm": -1, "price_missed": -1, "price_quiet": 0, **variables}
    with tempfile.TemporaryDirectory() as scratch:
        ran = dbtRunner(manifest=graph).invoke(
            [
                *("compile", "--vars", json.dumps(told), *arguments(target, scratch)),
                *("--no-populate-cache", "--no-introspect"),
            ]
        )
    assert ran.success, ran.exception
    return {result.node.name: (result.node.resource_type, result.node.compiled_code) for result in ran.result.results}
