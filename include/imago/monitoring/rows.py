"""Findings as rows of the table `drift`."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from imago.monitoring.drift import Finding

DRIFT_SCHEMA = pa.schema(
    [
        pa.field("ds", pa.string()),
        pa.field("column", pa.string()),
        pa.field("measure", pa.string()),
        pa.field("window", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("lasting", pa.float64()),
        pa.field("threshold", pa.float64()),
        pa.field("weight", pa.float64()),
        pa.field("level", pa.string()),
        pa.field("model_version", pa.string()),
    ]
)


def finding_rows(ds: str, findings: Sequence[Finding], model_version: str) -> pa.Table:
    """One row for each finding of a day."""
    return pa.Table.from_pylist(
        [{"ds": ds, **vars(one), "level": one.level, "model_version": model_version} for one in findings],
        schema=DRIFT_SCHEMA,
    )
