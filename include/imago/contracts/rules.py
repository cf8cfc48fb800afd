"""A contract as single rules: what an audit has to check of a table, and so how many checks it must have run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from imago.contracts.contract import NUMERIC, Contract

SHARES = ("max_missing", "warn_missing", "max_unseen", "warn_unseen")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule of an audited table: of each row, or of each day as a whole.

    `column` is None where the rule is not about one; `columns` are those that are unique together. `low` and `high`
    bound a number, both allowed; of a share they are from 0 to 1. A broken rule that is not `critical` is told and
    stops nothing.
    """

    of: Literal["row", "day"]
    name: str
    column: str | None = None
    columns: tuple[str, ...] = ()
    values: tuple[Any, ...] | None = None
    pattern: str | None = None
    low: float | None = None
    high: float | None = None
    critical: bool = True

    @property
    def allowed(self) -> str:
        """What the rule allows, in words."""
        if self.name == "only the asked days" and self.values:
            return f"{self.values[0]} to {self.values[-1]}"
        if self.values is not None:
            return ", ".join(map(str, self.values))
        if self.pattern is not None:
            return self.pattern
        if self.name in SHARES:
            return f"at most {self.high:.1%} of the day's rows"
        if self.name in ("of_weekday", "warn_of_weekday"):
            return f"{self.low:g} to {self.high:g} times the usual rows of the weekday"
        if self.name == "volume":
            return f"{self.low:g} to {self.high:g} rows"
        if self.name == "range":
            return f"{_bound(self.low)} to {_bound(self.high)}, finite"
        return _PLAIN[self.name]


_PLAIN = {
    "not null": "no missing value",
    "unique key": "each key once a day",
    "rows > 0": "at least one row",
}


def _bound(value: float | None) -> str:
    return "any" if value is None else f"{value:g}"


def checks_of(contract: Contract, *, key: tuple[str, ...], days: tuple[str, ...]) -> int:
    """How many checks an audit has to run: each rule, and the type of each column."""
    return len(rules_of(contract, key=key, days=days)) + len(contract.columns)


def rules_of(contract: Contract, *, key: tuple[str, ...], days: tuple[str, ...]) -> tuple[Rule, ...]:
    """Every rule that the audit of these days has to check, in the contract's order; `key` is unique in each of them.

    The rules between columns (`Contract.rules`) are not among them: dbt judges those. The contract must be complete.
    """
    rules = [
        Rule(of="row", name="all of the contract's columns", values=contract.names),
        Rule(of="row", name="only the asked days", column="ds", values=days),
        Rule(of="row", name="unique key", column=", ".join(key), columns=(*key, "ds")),
    ]
    for column in contract.columns:
        name = column.name
        if not column.nullable:
            rules.append(Rule(of="row", name="not null", column=name))
        if column.values is not None:
            rules.append(Rule(of="row", name="allowed values", column=name, values=column.values))
        elif column.data_type in NUMERIC:
            rules.append(Rule(of="row", name="range", column=name, low=column.at_least, high=column.at_most))
        if column.pattern is not None:
            rules.append(Rule(of="row", name="pattern", column=name, pattern=column.pattern))
    if not contract.allows_empty:
        rules.append(Rule(of="day", name="rows > 0", low=1))
    if contract.volume is not None:
        volume = contract.volume
        rules += [
            Rule(of="day", name="volume", low=volume.at_least, high=volume.at_most),
            Rule(of="day", name="of_weekday", low=volume.of_weekday[0], high=volume.of_weekday[1]),
            Rule(
                of="day",
                name="warn_of_weekday",
                low=volume.warn_of_weekday[0],
                high=volume.warn_of_weekday[1],
                critical=False,
            ),
        ]
    for column in contract.columns:
        for name in SHARES:
            share = getattr(column, name)
            if share is not None:
                critical = name.startswith("max")
                rules.append(Rule(of="day", name=name, column=column.name, low=0, high=share, critical=critical))
    return tuple(rules)
