"""The Great Expectations suites of a contract: one expectation for each of its rules, over rows and over days.

The expectation carries its rule's column and name, by which an audit finds the result of each rule again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from imago.contracts.rules import Rule
from imago.validator import library, validate

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.expectations.expectation import Expectation

__all__ = ["day_column", "expectation", "suite", "validate"]


def day_column(rule: Rule) -> str:
    """Which number of a day a rule bounds: `rows`, `of_weekday`, `missing_{column}` or `unseen_{column}`."""
    if rule.column is not None:
        return f"{rule.name.split('_')[1]}_{rule.column}"
    return "of_weekday" if rule.name.endswith("of_weekday") else "rows"


def expectation(rule: Rule) -> Expectation:
    """The expectation that checks one rule; of a day's rules, on the table of one row per day."""
    from great_expectations import expectations as gxe

    said: dict[str, Any] = {"meta": {"rule": rule.name, "column": rule.column}}
    said["severity"] = "critical" if rule.critical else "warning"
    if rule.name == "all of the contract's columns":
        return gxe.ExpectTableColumnsToMatchSet(column_set=sorted(rule.values or ()), exact_match=True, **said)
    if rule.name == "unique key":
        return gxe.ExpectCompoundColumnsToBeUnique(column_list=list(rule.columns), ignore_row_if="never", **said)
    said["column"] = day_column(rule) if rule.of == "day" else rule.column
    if rule.of == "day" or rule.name == "range":
        return gxe.ExpectColumnValuesToBeBetween(min_value=rule.low, max_value=rule.high, **said)
    if rule.name == "not null":
        return gxe.ExpectColumnValuesToNotBeNull(**said)
    if rule.pattern is not None:
        return gxe.ExpectColumnValuesToMatchRegex(regex=rf"\A(?:{rule.pattern})\Z", **said)
    return gxe.ExpectColumnValuesToBeInSet(value_set=list(rule.values or ()), **said)


def suite(name: str, rules: Iterable[Rule]) -> ExpectationSuite:
    """The suite that checks these rules."""
    made: ExpectationSuite = library().ExpectationSuite(name, expectations=[expectation(rule) for rule in rules])
    return made
