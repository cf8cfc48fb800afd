"""The contract of a table as plain data: columns and their rules, the days it is made of, and how much a day holds.

It says everything twice nowhere: the dbt `.yml` is where a person writes it, and dbt's contract and tests, the audit of
staged rows and the model's input check are all made from it. Each rule that stops has a key of its own (`max_missing`),
and so has the same rule where it only warns (`warn_missing`); there is no severity to turn down.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import asdict, dataclass
from typing import Any

from imago.contracts.types import arrow_type
from imago.errors import SpecError

NUMERIC = frozenset({"double precision", "smallint", "integer", "bigint"})
TEXT = "varchar"
TYPES = frozenset({TEXT, "timestamp", "boolean", *NUMERIC})
# What a key may be beside these. A floating number is none: two that look alike are two keys.
KEY_TYPES = frozenset({*TYPES, "date", "uuid"}) - {"double precision"}


@dataclass(frozen=True, kw_only=True)
class Column:
    """One promised column.

    `values` are all that is allowed; `pattern` is a regular expression that the whole text matches, without backslashes
    (databases read them differently); `at_least` and `at_most` are allowed themselves, and NaN and infinity are in no
    range. Shares are of one day's rows, from 0 to 1: `max_missing` of nulls, `max_unseen` of values that the table's
    recent days do not hold; beyond `warn_*` a person is told, beyond `max_*` the day is refused. `personal` values are
    never quoted outside of the environment.
    """

    name: str
    data_type: str
    nullable: bool = True
    values: tuple[Any, ...] | None = None
    pattern: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    max_missing: float | None = None
    warn_missing: float | None = None
    max_unseen: float | None = None
    warn_unseen: float | None = None
    personal: bool = False


@dataclass(frozen=True, kw_only=True)
class Raw:
    """One kind of raw file that a day is made of.

    `days` are the first and last day of the files, counted from the day itself; None for a register without days.
    `delivered` are the hours after 00:00 of a file's own day between which its first version becomes known, by the
    clock of the model's time zone: 24 is the next midnight, whatever the clock did in between. An open end is None.
    """

    kind: str
    days: tuple[int, int] | None = None
    delivered: tuple[float | None, float | None] | None = None


@dataclass(frozen=True, kw_only=True)
class Volume:
    """How many rows a day holds: absolute bounds, and bounds as shares of the median of the same weekday before. With
    `at_least` 0 a day without rows is published empty, on purpose; the shares are of days that have rows."""

    at_least: int
    at_most: int
    of_weekday: tuple[float, float]
    warn_of_weekday: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Contract:
    """All columns of a model, in order, and what holds for its days.

    In the world's first `warmup_days` the shares of missing and unseen values are not judged: there is no history yet
    that they could be made of. A contract without `volume` (a model that is not published as days of rows) is not
    audited by days. `rules` are (column, name, SQL that holds for each row), judged by dbt where the rows are made.
    """

    model: str
    columns: tuple[Column, ...]
    raw: tuple[Raw, ...] = ()
    volume: Volume | None = None
    warmup_days: int = 0
    rules: tuple[tuple[str, str, str], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def allows_empty(self) -> bool:
        """Whether a day may have no rows at all."""
        return self.volume is not None and self.volume.at_least == 0

    def column(self, name: str) -> Column:
        """The promise of one column; KeyError when there is none."""
        return {column.name: column for column in self.columns}[name]

    @property
    def digest(self) -> str:
        """The sha256 of everything that the contract says."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """The contract as JSON-able data; `from_dict` reads it back."""
        return json.loads(json.dumps(asdict(self)))

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Contract:
        """The contract that `as_dict` gave."""
        volume = data["volume"]
        return cls(
            model=data["model"],
            columns=tuple(Column(**{**column, "values": _tuple(column["values"])}) for column in data["columns"]),
            raw=tuple(
                Raw(kind=raw["kind"], days=_tuple(raw["days"]), delivered=_tuple(raw["delivered"]))
                for raw in data["raw"]
            ),
            volume=None
            if volume is None
            else Volume(**{name: _tuple(part) if isinstance(part, list) else part for name, part in volume.items()}),
            warmup_days=data["warmup_days"],
            rules=tuple((column, name, sql) for column, name, sql in data["rules"]),
        )


def check_complete(contract: Contract, *, key: tuple[str, ...]) -> None:
    """Refuses (SpecError) a contract of published days with a hole that bad rows could pass through.

    Every column of `key` is never null; every other column is either never null or has a cap on missing values below 1;
    every number has a finite range; every text has allowed values, or a pattern and a cap on unseen values below 1; a
    warning lies within its cap; each named rule is of a column; the day's volume is bounded.
    """
    strangers = sorted({column for column, _, _ in contract.rules} - set(contract.names))
    if strangers:
        raise _incomplete(contract, "rules", ", ".join(contract.names), strangers[0])
    for column in contract.columns:
        for rule, allowed in _holes(column, is_key=column.name in key):
            raise _incomplete(contract, rule, allowed, column.name)
    missing = sorted(set(key) - set(contract.names))
    if missing:
        raise _incomplete(contract, "all keys are columns", ", ".join(key), missing[0])
    volume = contract.volume
    if volume is None:
        raise _incomplete(contract, "volume", "meta.volume with at_least, at_most, of_weekday, warn_of_weekday")
    low, high = volume.of_weekday
    warn_low, warn_high = volume.warn_of_weekday
    if not (
        0 <= volume.at_least <= volume.at_most
        and volume.at_most > 0
        and 0 < low <= warn_low <= 1 <= warn_high <= high < math.inf
    ):
        raise _incomplete(
            contract, "volume", "0 <= at_least <= at_most, and 0 < low <= warn_low <= 1 <= warn_high <= high"
        )


def is_decimal(data_type: str) -> bool:
    """Whether a column is declared as a decimal number of so many digits."""
    return data_type.lower().startswith(("decimal", "numeric")) and arrow_type(data_type) is not None


def _holes(column: Column, *, is_key: bool) -> list[tuple[str, str]]:
    holes = []
    if is_key and column.data_type not in KEY_TYPES and not is_decimal(column.data_type):
        cast = f"cast({column.name} as bigint), or as varchar"
        holes.append(("type", f"{', '.join(sorted(KEY_TYPES))}, decimal(p, s) for a key: {cast}"))
    if not is_key and column.data_type not in TYPES:
        holes.append(("type", ", ".join(sorted(TYPES))))
    if is_key and column.nullable:
        holes.append(("nullable", "false for a key"))
    if column.nullable and column.max_missing is None:
        holes.append(("max_missing", "nullable: false, or a max_missing from 0 to below 1"))
    if column.data_type in NUMERIC and column.values is None:
        bounds = (column.at_least, column.at_most)
        if not all(bound is not None and math.isfinite(bound) for bound in bounds):
            holes.append(("range", "a finite at_least and at_most, or values"))
    if column.data_type == TEXT and column.values is None and not is_key:
        if column.pattern is None:
            holes.append(("pattern", "values, or a pattern"))
        if column.max_unseen is None:
            holes.append(("max_unseen", "values, or a max_unseen from 0 to below 1"))
    if column.values is not None and not column.values:
        holes.append(("values", "at least one"))
    if column.pattern is not None:
        try:
            re.compile(column.pattern)
        except re.error:
            holes.append(("pattern", "a regular expression"))
        if "\\" in column.pattern:
            holes.append(("pattern", "without backslashes, which databases read differently: [0-9], not \\d"))
    for cap, warning in (("max_missing", "warn_missing"), ("max_unseen", "warn_unseen")):
        most, warn = getattr(column, cap), getattr(column, warning)
        if most is not None and not 0 <= most < 1:
            holes.append((cap, "from 0 to below 1"))
        if warn is not None and not (most is not None and 0 <= warn <= most):
            holes.append((warning, f"from 0 to {cap}"))
    return holes


def _incomplete(contract: Contract, rule: str, allowed: str, column: str | None = None) -> SpecError:
    return SpecError(
        f"the contract of {contract.model} has a hole" + (f" at {column}" if column else ""),
        column=column,
        rule=rule,
        allowed=allowed,
        next_step=f"state it in {contract.model}.yml: a rule that is left out cannot stop anything",
    )


def _tuple(values: Any) -> Any:
    return None if values is None else tuple(values)
