"""dbt models built in this process, into the staging place of one attempt, and tested there.

One call builds a whole range of days: the days are vars of the run. What must not be frozen into a kept manifest (the
staging address, the S3 keys) goes through environment variables that the profile reads at each call.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imago.days import days_between
from imago.dbt.failures import refusal
from imago.dbt.gate import check_gate
from imago.dbt.process import collector_paused, scratch_folder
from imago.dbt.project import arguments, manifest
from imago.dbt.unload import WarehouseAttempt
from imago.dbt.warehouse import WAREHOUSES, warehouse_of
from imago.environments import Environment
from imago.errors import ImagoError, RefusedPartition
from imago.storage import Storage

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

log = logging.getLogger(__name__)

# dbt keeps its state in module globals: one build at a time in a process. Processes do not wait on one another.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class DbtResult:
    """What one build did: the models in the order built, with their seconds, the tests declared and run, and the sha256
    of each file that was staged, by model."""

    models: dict[str, float]
    tests_declared: int
    tests_run: int
    seconds: float
    staged: dict[str, str]


def build(
    env: Environment,
    *,
    select: list[str],
    first: str,
    last: str,
    staging: str,
    variables: dict[str, Any] | None = None,
) -> DbtResult:
    """Builds the selected models with their parents for the days `first` to `last`, and runs every test of all of them.

    The models that are read later land as `{staging}/{model}.parquet`. Raises RefusedPartition when a test or contract
    fails, naming column, rule and rows, when a test could not run, was turned down or is missing, or when fewer ran
    than declared; ImagoError when a model cannot be built.
    """
    days_between(first, last)
    told = {"first_day": first, "last_day": last, "storage_root": env.storage_root, **(variables or {})}
    with _ONE_AT_A_TIME, _profile_of(env, staging), collector_paused(), scratch_folder() as scratch:
        from dbt.cli.main import dbtRunner

        graph = manifest(env.dbt_target)
        wanted, declared = _declared(graph, select)
        check_gate(env, graph, wanted, declared, first if first == last else f"{first}..{last}")
        on_warehouse = WarehouseAttempt.begin(env, graph, wanted, staging, told)
        started = time.monotonic()
        try:
            outcome = dbtRunner(manifest=graph).invoke(
                [
                    *("build", "--select", *(f"+{name}" for name in select)),
                    *("--exclude-resource-type", "unit_test", "--vars", json.dumps(told)),
                    *arguments(env.dbt_target, scratch),
                ]
            )
            seconds = round(time.monotonic() - started, 3)
            results = list(getattr(outcome.result, "results", None) or [])
            for result in results:
                node = result.node
                log.info("dbt %s %s: %s in %.2f s", node.resource_type, node.name, result.status, result.execution_time)
            if on_warehouse:
                on_warehouse.unload(select, results, refused=not outcome.success)
            if not outcome.success:
                raise refusal(env, results, outcome.exception, first=first, last=last)
            staged = {name: _digest(env, f"{staging}/{name}.parquet") for name in select}
        finally:
            _forget_database(env)
            if on_warehouse:
                on_warehouse.end()
    ran = {result.node.unique_id for result in results if str(result.status) in ("success", "pass")}
    missing = sorted((wanted | declared) - ran)
    if missing or not declared:
        raise RefusedPartition(
            "dbt ran fewer models or tests than the project declares",
            environment=env.name,
            partition=first if first == last else f"{first}..{last}",
            rule="tests run = tests declared",
            allowed=len(wanted | declared),
            seen=len(ran),
            next_step=f"look at {', '.join(missing[:5]) or 'the models: they declare no test'} in dbt_project/",
        )
    return DbtResult(
        models={r.node.name: round(r.execution_time, 3) for r in results if r.node.resource_type == "model"},
        tests_declared=len(declared),
        tests_run=len(declared & ran),
        seconds=seconds,
        staged=staged,
    )


def _digest(env: Environment, address: str) -> str:
    """The sha256 of a staged file, taken right after its tests: what is audited must be what they saw."""
    with Storage(env).filesystem.open_input_file(address.removeprefix("s3://")) as file:
        return hashlib.sha256(file.read()).hexdigest()


def _declared(graph: Manifest, select: list[str]) -> tuple[set[str], set[str]]:
    """The models that a selection with its parents stands for, and the data tests that any of them declares."""
    from dbt.contracts.graph.nodes import GenericTestNode, SingularTestNode

    models = {node.name: key for key, node in graph.nodes.items() if node.resource_type == "model"}
    unknown = sorted(set(select) - set(models))
    if unknown:
        raise ImagoError(
            f"there is no dbt model {unknown[0]!r}", allowed=", ".join(sorted(models)), next_step="name one of them"
        )
    wanted: set[str] = set()
    waiting = [models[name] for name in select]
    while waiting:
        key = waiting.pop()
        if key in graph.nodes and key not in wanted:
            wanted.add(key)
            waiting.extend(graph.nodes[key].depends_on_nodes)
    declared = {
        key
        for key, node in graph.nodes.items()
        if isinstance(node, (GenericTestNode, SingularTestNode)) and wanted.intersection(node.depends_on.nodes)
    }
    return wanted, declared


@contextmanager
def _profile_of(env: Environment, staging: str) -> Iterator[None]:
    """The environment variables that `profiles.yml` reads, for one build."""
    given = {"IMAGO_DBT_STAGING": staging, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DO_NOT_TRACK": "1"}
    if env.on_s3:
        given |= {
            "IMAGO_DBT_S3_ENDPOINT": env.s3_endpoint or "",
            "IMAGO_DBT_S3_REGION": env.s3_region,
            "IMAGO_DBT_S3_ACCESS_KEY": env.s3_access_key or "",
            "DBT_ENV_SECRET_IMAGO_S3_SECRET_KEY": env.s3_secret_key.get_secret_value() if env.s3_secret_key else "",
        }
    if env.dbt_target in WAREHOUSES:
        given |= warehouse_of(env).profile(staging, env.s3_region)
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _forget_database(env: Environment) -> None:
    """Drops the in-memory database, which would keep its tables and its memory until the process ends."""
    from dbt.adapters.factory import reset_adapters

    if env.dbt_target in WAREHOUSES:
        reset_adapters()
        return
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    DuckDBConnectionManager.close_all_connections()
    reset_adapters()
