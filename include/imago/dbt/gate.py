"""Whether dbt's own tests still stand as a gate: all of them stop the run, at the first broken row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from imago.environments import Environment
from imago.errors import RefusedPartition

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

# What a published model must be tested for: an empty table passes every other test.
COMPULSORY = ("not_empty", "within_contract")
_STOPS = {
    "severity": "ERROR", "enabled": True, "where": None, "limit": None,
    "warn_if": "!= 0", "error_if": "!= 0", "fail_calc": "count(*)",
}  # fmt: skip


def check_gate(env: Environment, graph: Manifest, models: Iterable[str], tests: Iterable[str], partition: str) -> None:
    """Refuses (RefusedPartition, rule "gate turned down") a data test of these models that could let bad rows through:
    one that only warns, looks at a part of the rows, or is switched off; and a published model that lacks one of the
    compulsory tests.
    """
    nodes: dict[str, Any] = dict(graph.nodes)
    models = set(models)
    standing = [nodes[key] for key in tests]
    for node in (*standing, *_disabled(graph, models)):
        for name, wanted in _STOPS.items():
            given = getattr(node.config, name)
            if (given.upper() if name == "severity" else given) != wanted:
                raise _turned_down(
                    env, _table(node), node.column_name, partition, wanted, given, f"{name} of {node.name}"
                )
    for key in sorted(models):
        model = nodes[key]
        has = {
            node.test_metadata.name
            for node in standing
            if getattr(node, "test_metadata", None) and node.attached_node == key
        }
        lacking = [name for name in COMPULSORY if name not in has]
        if model.contract.enforced and lacking:
            raise _turned_down(env, model.name, None, partition, ", ".join(COMPULSORY), "no such test", lacking[0])


def _disabled(graph: Manifest, models: set[str]) -> Iterator[Any]:
    names = {graph.nodes[key].name for key in models}
    for nodes in graph.disabled.values():
        for node in nodes:
            if node.resource_type == "test" and (models.intersection(node.depends_on.nodes) or _table(node) in names):
                yield node


def _table(node: Any) -> str:
    """The model that a test is of; a disabled test is tied to it by the place in its `.yml` alone."""
    return str(node.attached_node or getattr(node, "file_key_name", None) or node.name).rsplit(".", 1)[-1]


def _turned_down(
    env: Environment, table: str, column: str | None, partition: str, allowed: Any, seen: Any, what: str
) -> RefusedPartition:
    return RefusedPartition(
        f"the gate of {table} is turned down: {what}",
        environment=env.name,
        table=table,
        partition=partition,
        column=column,
        rule="gate turned down",
        allowed=str(allowed),
        seen=str(seen),
        next_step=f"set it back in {table}.yml or dbt_project.yml: a test that does not stop lets bad rows through",
    )
