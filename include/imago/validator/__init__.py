"""Great Expectations as Imago runs it: in memory, quiet, and never loaded before it is used."""

from __future__ import annotations

import functools
import logging
import os
import warnings
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from great_expectations import ExpectationSuite
    from great_expectations.core import ExpectationSuiteValidationResult


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
