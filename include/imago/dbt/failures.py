"""What a failed dbt build means, said so that a person can act on it."""

from __future__ import annotations

import re
from typing import Any

from imago.environments import Environment
from imago.errors import ImagoError, RefusedPartition

# A line of the table in dbt's contract error: | arr_delay | DOUBLE |  | missing in contract |
_MISMATCH = re.compile(r"\|\s*(\w+)\s*\|\s*([^|]*?)\s*\|\s*([^|]*?)\s*\|\s*([a-z][^|]*?)\s*\|")
_ABSENT = re.compile(r'Binder Error: Referenced column "([^"]+)" (?:was )?not found')
_UNREADABLE = re.compile(
    r"Conversion Error: .*?(?:to|type) ([A-Z][\w ]*?)(?:\W|$).*?(?:source column (?:\w+\.)?\"?(\w+)\"?|$)", re.DOTALL
)


def refusal(
    env: Environment, results: list[Any], exception: BaseException | None, *, first: str, last: str
) -> ImagoError:
    """The first failure of a build: data that breaks a test or a contract, or that a model cannot read, refuses the
    partition, and so does a test that could not run; anything else is an error."""
    days = first if first == last else f"{first}..{last}"
    # A model that failed comes before the tests that it took with it.
    for result in sorted(results, key=lambda found: found.node.resource_type != "model"):
        status, node = str(result.status), result.node
        if node.resource_type == "model" and status == "error":
            return _broken_model(env, node, result.message or "", days)
        if node.resource_type == "test" and status in ("fail", "error", "warn"):
            return _failed_test(env, node, result, first, last, {found.node.unique_id: found.node for found in results})
    return ImagoError(
        f"dbt could not run: {exception}",
        environment=env.name,
        partition=days,
        next_step="run `dbt build` in dbt_project/ by hand for its full log",
    )


def _broken_model(env: Environment, node: Any, message: str, days: str) -> ImagoError:
    where: dict[str, Any] = {"environment": env.name, "table": node.name, "partition": days}
    mismatches = [found for found in _MISMATCH.findall(message) if found[0] != "column_name"]
    if mismatches:
        column, given, promised, reason = mismatches[0]
        return RefusedPartition(
            f"{node.name} does not keep its contract: {column} is {reason}",
            **where,
            column=column,
            rule="contract",
            allowed=promised or "no such column",
            seen=given or "no such column",
            next_step=f"cast it in {node.name}.sql: {_cast(column, given, promised)}"
            if given and promised
            else f"take it out of {node.name}.sql, or into {node.name}.yml if it was known at prediction time",
        )
    absent, unreadable = _ABSENT.search(message), _UNREADABLE.search(message)
    if absent:
        return RefusedPartition(
            f"{node.name} asks for the column {absent[1]}, which is not there",
            **where,
            column=absent[1],
            rule="all of the contract's columns",
            allowed=absent[1],
            seen="no such column",
            next_step=f"have the raw file delivered with {absent[1]}, or correct {node.original_file_path}",
        )
    if unreadable:
        # The value itself stays out: it may be anyone's.
        return RefusedPartition(
            f"{node.name} cannot read a value" + (f" of {unreadable[2]}" if unreadable[2] else ""),
            **where,
            column=unreadable[2],
            rule="type",
            allowed=unreadable[1],
            seen="a value that cannot be converted",
            next_step="have the raw file delivered again in the promised types",
        )
    return ImagoError(
        f"the dbt model {node.name} cannot be built: {_first_lines(message)}",
        **where,
        next_step=f"correct {node.original_file_path} or the raw files that it reads",
    )


def _once_a_day(column: str) -> str:
    return f"; where {column} comes back on other days, test unique_together with columns: [{column}, ds] instead"


def _cast(column: str, given: str, promised: str) -> str:
    if "TIME ZONE" in given.upper():
        column, given = f"{column} at time zone 'UTC'", column
        return f"cast({column} as {promised.lower()}) as {given}"
    return f"cast({column} as {promised.lower()}) as {column}"


def _failed_test(env: Environment, node: Any, result: Any, first: str, last: str, built: dict[str, Any]) -> ImagoError:
    days = first if first == last else f"{first}..{last}"
    test = node.test_metadata.name if getattr(node, "test_metadata", None) else node.name
    table = (node.attached_node or node.name).rsplit(".", 1)[-1]
    facts: dict[str, Any] = {"column": node.column_name, "rule": test, "partition": days, "rows": result.failures}
    if str(result.status) == "error":
        return RefusedPartition(
            f"the test {node.name} could not run: {_first_lines(result.message or '')}",
            environment=env.name,
            table=table,
            **{**facts, "rows": None},
            allowed="every test runs",
            seen="an error",
            next_step=f"correct {node.original_file_path}: nothing is published unchecked",
        )
    facts |= {"allowed": "no row that breaks it", "seen": f"{result.failures} rows"}
    others = 0
    if test == "within_contract":
        # This test says itself which column broke which rule in how many rows.
        broken = sorted(_rows_of(env, node.compiled_code), key=lambda found: -found[4])
        others = max(len(broken) - 1, 0)
        for column, rule, allowed, condition, rows in broken[:1]:
            facts |= {"column": column, "rule": rule, "allowed": allowed, "rows": rows, "seen": f"{rows} rows"}
            facts |= _where_broken(env, built.get(node.attached_node), column, condition, first, last)
    elif node.column_name is None and node.test_metadata:
        facts["column"] = ", ".join(node.test_metadata.kwargs.get("columns", [])) or None
    return RefusedPartition(
        f"{table}: {facts['rule']} does not hold"
        + (f" for {facts['column']}" if facts["column"] else "")
        + (f"; {others} more {'rule is' if others == 1 else 'rules are'} broken" if others else ""),
        environment=env.name,
        table=table,
        **facts,
        next_step=f"look at the staged rows and the raw files of {facts['partition']}; the last good partition still "
        "stands" + (_once_a_day(facts["column"]) if test == "unique" and first != last else ""),
    )


def _where_broken(env: Environment, model: Any, column: str, condition: str, first: str, last: str) -> dict[str, Any]:
    """The worst day of the rows that break a condition, and the span of their numbers; texts are never quoted."""
    if model is None:
        return {}
    relation, facts = model.relation_name, {}
    columns = {name: kind for name, kind, *_ in _rows_of(env, f"describe select * from {relation}")}
    if "ds" in columns:
        counts = _rows_of(
            env,
            f"select ds, count(*) from {relation} where ({condition}) and ds between '{first}' and '{last}' "
            "group by ds order by 2 desc, 1",
        )
        if counts:
            facts["partition"] = counts[0][0] + (f" (the worst of {len(counts)} days)" if len(counts) > 1 else "")
    if columns.get(column) in ("DOUBLE", "INTEGER", "BIGINT", "TIMESTAMP"):
        low, high = _rows_of(env, f"select min({column}), max({column}) from {relation} where {condition}")[0]
        facts["seen"] = "missing" if low is None else f"{low} to {high}"
    return facts


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
