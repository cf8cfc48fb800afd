"""Reading the contract of a raw kind from the source of that name in `sources.yml`."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, fields
from typing import Any

from imago.contracts import Column
from imago.contracts.contract import KEY_TYPES, TYPES
from imago.contracts.types import arrow_type
from imago.dbt.project import manifest, project_digest, project_folder
from imago.errors import SpecError

_META = frozenset({"key", "day", "checksum", "rows", "rules"})
# What a file by itself cannot say: it has no history, and a file is refused or taken.
_TYPES = TYPES | KEY_TYPES | {"timestamp_ns", "decimal(p, s)"}
_OF_DAYS = frozenset({"max_unseen", "warn_unseen", "warn_missing"})


@dataclass(frozen=True, kw_only=True)
class SourceContract:
    """What every file of one raw kind promises.

    `columns` are all that it holds, with their rules; `key` is unique within it, `day` names the column in which it
    states its own day (None for a register), `checksum` says that its sha256 lies beside it, and `rows` are the fewest
    and the most rows. `rules` are (column, name, DuckDB SQL that holds for each row). Shares are of the file's rows.
    """

    kind: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    day: str | None
    checksum: bool
    rows: tuple[float, float] = (1, math.inf)
    rules: tuple[tuple[str, str, str], ...] = ()


def source_contract(kind: str, target: str) -> SourceContract:
    """The contract of a raw kind. Raises SpecError when the source is not there or leaves something out."""
    found = _sources(project_digest(project_folder(), target), target)
    if kind not in found:
        raise SpecError(
            f"there is no contract for raw files of {kind}",
            rule="source contract",
            allowed=", ".join(sorted(found)),
            seen=kind,
            next_step="describe it in dbt_project/models/staging/sources.yml",
        )
    return _contract(kind, *found[kind])


@functools.lru_cache(maxsize=8)
def _sources(digest: str, target: str) -> dict[str, tuple[dict[str, Any], tuple[tuple[str, str | None, Any], ...]]]:
    """The meta and the columns of each raw source, under the digest of the project that they were read from."""
    return {
        node.name: (
            dict(node.config.meta),
            tuple((name, column.data_type, dict(column.config.meta)) for name, column in node.columns.items()),
        )
        for node in manifest(target).sources.values()
        if node.source_name == "raw"
    }


def _contract(kind: str, said: dict[str, Any], declared: tuple[tuple[str, str | None, Any], ...]) -> SourceContract:
    strange = sorted(set(said) - _META)
    if strange:
        raise _incomplete(kind, "source contract", ", ".join(sorted(_META)), ", ".join(strange))
    allowed = {field.name for field in fields(Column)} - {"name", "data_type"} - _OF_DAYS
    columns = []
    for name, data_type, meta in declared:
        if data_type is None or arrow_type(data_type) is None:
            raise _incomplete(kind, "type", ", ".join(sorted(_TYPES)), data_type, name)
        unknown = sorted(set(meta) - allowed)
        if unknown:
            raise _incomplete(kind, "source contract", ", ".join(sorted(allowed)), ", ".join(unknown), name)
        values = {"values": tuple(meta["values"])} if "values" in meta else {}
        columns.append(Column(name=name, data_type=data_type, **{**meta, **values}))
        if name == "known_at" and data_type != "timestamp":
            raise _incomplete(kind, "type", "timestamp: the moment of the delivery, UTC", data_type, name)
    required = {column.name for column in columns if not column.nullable}
    key, day = tuple(said.get("key", ())), said.get("day")
    if not key or not required.issuperset({*key, "known_at", *([day] if day else [])}):
        raise _incomplete(kind, "key", "key, day and known_at are columns with nullable: false", ", ".join(key))
    if said.get("checksum") not in ("required", "none"):
        raise _incomplete(kind, "checksum", "required, none", said.get("checksum"))
    low, high = said.get("rows", (1, None))
    rules = [(column, name, sql) for column, named in said.get("rules", {}).items() for name, sql in named.items()]
    strangers = sorted({column for column, _, _ in rules} - {column.name for column in columns})
    if strangers:
        raise _incomplete(kind, "rules", ", ".join(column.name for column in columns), strangers[0])
    return SourceContract(
        kind=kind, columns=tuple(columns), key=key, day=day, checksum=said["checksum"] == "required",
        rows=(low, math.inf if high is None else high), rules=tuple(rules),
    )  # fmt: skip


def _incomplete(kind: str, rule: str, allowed: str, seen: object, column: str | None = None) -> SpecError:
    return SpecError(
        f"the contract of the raw files of {kind} has a hole" + (f" at {column}" if column else ""),
        column=column,
        rule=rule,
        allowed=allowed,
        seen=seen,
        next_step="correct it in dbt_project/models/staging/sources.yml",
    )
