"""The Great Expectations suites of a contract: one expectation for each of its rules, over rows and over days.

The expectation carries its rule's column and name, by which an audit finds the result of each rule again.
"""

from __future__ import annotations

import functools
import logging
import os
import warnings
from collections.abc import Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from imago.contracts.rules import Rule

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations import ExpectationSuite
    from great_expectations.core import ExpectationSuiteValidationResult
    from great_expectations.expectations.expectation import Expectation


@functools.cache
def library() -> ModuleType:
    """Great Expectations, quiet and without telemetry."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    # It prints hundreds of lines while it is imported, and warns of what Python will drop.
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import great_expectations

    return great_expectations


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
    said["column"] = day_column(rule) if rule.of == "day" else rule.column
    if rule.of == "day" or rule.name == "range":
        return gxe.ExpectColumnValuesToBeBetween(min_value=rule.low, max_value=rule.high, **said)
    if rule.name == "unique key":
        return gxe.ExpectColumnValuesToBeUnique(**said)
    if rule.name == "not null":
        return gxe.ExpectColumnValuesToNotBeNull(**said)
    if rule.pattern is not None:
        return gxe.ExpectColumnValuesToMatchRegex(regex=rf"\A(?:{rule.pattern})\Z", **said)
    return gxe.ExpectColumnValuesToBeInSet(value_set=list(rule.values or ()), **said)


def suite(name: str, rules: Iterable[Rule]) -> ExpectationSuite:
    """The suite that checks these rules."""
    made: ExpectationSuite = library().ExpectationSuite(name, expectations=[expectation(rule) for rule in rules])
    return made


def validate(frame: pd.DataFrame, against: ExpectationSuite) -> ExpectationSuiteValidationResult:
    """Runs a suite over a table in memory. The result holds counts, and none of the table's values."""
    from great_expectations.data_context.types import base

    config = base.DataContextConfig(
        store_backend_defaults=base.InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        progress_bars=base.ProgressBarsConfig(globally=False),
        analytics_enabled=False,
    )
    context = library().get_context(mode="ephemeral", project_config=config)
    asset = context.data_sources.add_pandas("staged").add_dataframe_asset(against.name)
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    quiet = {"result_format": "BASIC", "partial_unexpected_count": 0}
    result: ExpectationSuiteValidationResult = batch.validate(against, result_format=quiet)
    return result
