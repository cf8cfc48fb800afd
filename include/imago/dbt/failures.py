"""What a failed dbt build means, said so that a person can act on it."""

from __future__ import annotations

import re
from typing import Any

from imago.environments import Environment
from imago.errors import ImagoError, RefusedPartition

# A line of the table in dbt's contract error: | arr_delay | DOUBLE |  | missing in contract |
_MISMATCH = re.compile(r"\|\s*(\w+)\s*\|\s*([^|]*?)\s*\|\s*([^|]*?)\s*\|\s*([a-z][^|]*?)\s*\|")


def refusal(
    env: Environment, results: list[Any], exception: BaseException | None, *, first: str, last: str
) -> ImagoError:
    """The first failure of a build: a failing test or contract refuses the partition, anything else is an error."""
    days = first if first == last else f"{first}..{last}"
    # A model that failed comes before the tests that it took with it.
    for result in sorted(results, key=lambda found: found.node.resource_type != "model"):
        status, node = str(result.status), result.node
        if node.resource_type == "model" and status == "error":
            return _broken_model(env, node, result.message or "", days)
        if node.resource_type == "test" and status in ("fail", "error", "warn"):
            return _failed_test(env, node, result, days)
    return ImagoError(
        f"dbt could not run: {exception}",
        environment=env.name,
        partition=days,
        next_step="run `dbt build` in dbt_project/ by hand for its full log",
    )


def _broken_model(env: Environment, node: Any, message: str, days: str) -> ImagoError:
    mismatches = [found for found in _MISMATCH.findall(message) if found[0] != "column_name"]
    if mismatches:
        column, given, promised, reason = mismatches[0]
        return RefusedPartition(
            f"{node.name} does not keep its contract: {column} is {reason}",
            environment=env.name,
            table=node.name,
            partition=days,
            column=column,
            rule="contract",
            allowed=promised or "no such column",
            seen=given or "no such column",
            next_step=f"take it out of {node.name}.sql, or into {node.name}.yml if it was known at prediction time",
        )
    return ImagoError(
        f"the dbt model {node.name} cannot be built: {_first_lines(message)}",
        environment=env.name,
        table=node.name,
        partition=days,
        next_step=f"correct {node.original_file_path} or the raw files that it reads",
    )


def _failed_test(env: Environment, node: Any, result: Any, days: str) -> ImagoError:
    test = node.test_metadata.name if getattr(node, "test_metadata", None) else node.name
    table = (node.attached_node or node.name).rsplit(".", 1)[-1]
    where = {"environment": env.name, "table": table, "partition": days}
    if str(result.status) == "error":
        return ImagoError(
            f"the test {node.name} could not run: {_first_lines(result.message or '')}",
            **where,
            rule=test,
            next_step=f"correct {node.original_file_path}",
        )
    column, rule, rows = node.column_name, test, result.failures
    if test == "within_contract":
        # This test says itself which column broke which rule in how many rows.
        broken = _rows_of(env, node.compiled_code)
        if broken:
            column, rule, rows = broken[0]
    elif column is None and node.test_metadata:
        column = ", ".join(node.test_metadata.kwargs.get("columns", [])) or None
    return RefusedPartition(
        f"{table}: {rule} does not hold" + (f" for {column}" if column else ""),
        **where,
        column=column,
        rule=rule,
        rows=rows,
        next_step=f"look at the staged rows and the raw files of {days}; the last good partition still stands",
    )


def _rows_of(env: Environment, sql: str) -> list[tuple[Any, ...]]:
    if env.dbt_target in ("athena", "redshift"):
        return []
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    handle = DuckDBConnectionManager.env().handle()
    try:
        found: list[tuple[Any, ...]] = handle.cursor().execute(sql).fetchall()
        return found
    finally:
        handle.close()


def _first_lines(message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return " ".join(lines[:4])[:500]
