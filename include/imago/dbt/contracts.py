"""Reading a contract from a `.yml`: columns and types as dbt knows them, all else from `config.meta`."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from imago.contracts import Column, Contract, Raw, Volume
from imago.errors import SpecError

_MODEL = {"raw", "volume", "warmup_days", "rules"}


def contract_of(model: str, target: str) -> Contract:
    """The contract of a dbt model; a model that is not there, or whose contract is not enforced, is refused."""
    from dbt.contracts.graph.nodes import ModelNode

    from imago.dbt.project import manifest_to_read

    models = {node.name: node for node in manifest_to_read(target).nodes.values() if isinstance(node, ModelNode)}
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
    meta = found.config.meta
    _only(model, "model", set(meta), _MODEL)
    volume = meta.get("volume")
    return Contract(
        model=model,
        columns=tuple(_column(name, column) for name, column in found.columns.items()),
        raw=tuple(_raw(model, kind, said) for kind, said in meta.get("raw", {}).items()),
        volume=None if volume is None else _volume(model, volume),
        warmup_days=meta.get("warmup_days", 0),
        rules=tuple(
            (column, name, sql) for column, named in meta.get("rules", {}).items() for name, sql in named.items()
        ),
    )


def _column(name: str, declared: Any) -> Column:
    said = dict(declared.config.meta)
    _only(name, "column", set(said), {field.name for field in fields(Column)} - {"name", "data_type"})
    values = said.pop("values", None)
    return Column(name=name, data_type=declared.data_type, values=None if values is None else tuple(values), **said)


def _raw(model: str, kind: str, said: dict[str, Any]) -> Raw:
    _only(f"{model}.raw.{kind}", "raw kind", set(said), {field.name for field in fields(Raw)} - {"kind"})
    return Raw(kind=kind, days=_pair(said.get("days")), delivered=_pair(said.get("delivered")))


def _only(name: str, what: str, said: set[str], allowed: set[str]) -> None:
    unknown = sorted(said - allowed)
    if unknown:
        raise SpecError(
            f"the contract says {unknown[0]!r} of the {what} {name}, which means nothing",
            column=name if what == "column" else None,
            rule="contract",
            allowed=", ".join(sorted(allowed)),
            seen=", ".join(unknown),
            next_step="correct its config.meta: a rule that nobody reads stops nothing",
        )


def _volume(model: str, said: dict[str, Any]) -> Volume:
    names = {field.name for field in fields(Volume)}
    if set(said) != names:
        raise SpecError(
            f"the volume of {model} is not fully said",
            rule="volume",
            allowed=", ".join(sorted(names)),
            seen=", ".join(sorted(said)),
            next_step=f"correct meta.volume in {model}.yml",
        )
    return Volume(**{name: _pair(value) if isinstance(value, list) else value for name, value in said.items()})


def _pair(values: list[Any] | None) -> Any:
    return None if values is None else tuple(values)
