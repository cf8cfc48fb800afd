"""What a model's `.yml` promises: columns, types, nullability, allowed values, and the raw days it is made of.

The contract stands there and nowhere else. dbt enforces names and types when it builds; the dbt test
`within_contract` and the audit of the staged rows both read the rest from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from imago.errors import SpecError


@dataclass(frozen=True, kw_only=True)
class Column:
    """One promised column. `at_least` and `at_most` are allowed themselves; `values` are all that is allowed."""

    name: str
    data_type: str
    nullable: bool = True
    values: tuple[Any, ...] | None = None
    at_least: float | None = None
    at_most: float | None = None


@dataclass(frozen=True, kw_only=True)
class Contract:
    """All columns of a model, in order, and `raw`: for each raw kind the first and last day that a day is made of, as
    days after it, or None for a kind without days."""

    model: str
    columns: tuple[Column, ...]
    raw: dict[str, tuple[int, int] | None]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(column.name for column in self.columns)


def contract_of(model: str, target: str) -> Contract:
    """The contract of a dbt model; a model that is not there, or whose contract is not enforced, is refused."""
    from dbt.contracts.graph.nodes import ModelNode

    from imago.dbt.project import manifest

    models = {node.name: node for node in manifest(target).nodes.values() if isinstance(node, ModelNode)}
    found = models.get(model)
    if found is None:
        allowed = ", ".join(sorted(models))
        raise SpecError(
            f"there is no dbt model {model!r}", allowed=allowed, seen=model, next_step="name one of them in the spec"
        )
    if not found.contract.enforced:
        raise SpecError(
            f"the contract of the dbt model {model} is not enforced",
            rule="contract",
            next_step=f"set contract.enforced: true in {model}.yml",
        )
    return Contract(
        model=model,
        columns=tuple(_column(name, column) for name, column in found.columns.items()),
        raw={kind: (days[0], days[1]) if days else None for kind, days in found.config.meta.get("raw", {}).items()},
    )


def _column(name: str, declared: Any) -> Column:
    meta = declared.config.meta
    values = meta.get("values")
    return Column(
        name=name,
        data_type=declared.data_type,
        nullable=meta.get("nullable", True),
        values=None if values is None else tuple(values),
        at_least=meta.get("at_least"),
        at_most=meta.get("at_most"),
    )
