"""A day's metrics as rows, from predictions joined with outcomes. No storage, no ledger."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from imago import keys
from imago.answers import scores_in
from imago.labels import truth_of
from imago.metrics.scores import binary_metrics, class_metrics, error_metrics
from imago.specs import BusinessMetric, ModelSpec

ALL = "all"
SLICE_ROWS = 50  # below, a slice's metrics are noise
BUSINESS = "business_value"

METRICS_SCHEMA = pa.schema(
    [
        pa.field("ds", pa.string()),
        pa.field("metric", pa.string()),
        pa.field("slice", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("rows", pa.int64()),
        pa.field("model_version", pa.string()),
    ]
)


def matured(spec: ModelSpec, predictions: pa.Table, outcomes: pa.Table) -> pa.Table:
    """Predictions with the label that came for them, ordered by day and key. Rows whose label never came are left out,
    and so are those that got no score.
    """
    predictions = predictions.filter(pc.is_valid(predictions.column("score")))
    label = outcomes.select(["ds", *spec.entity_keys, spec.label]).filter(pc.is_valid(outcomes.column(spec.label)))
    return keys.join(predictions, label, spec.entity_keys)


def metrics_of(spec: ModelSpec, rows: pa.Table) -> dict[str, float]:
    """The model metrics of joined rows, by name."""
    truth, scores = truth_and_scores(spec, rows)
    if spec.problem == "multiclass":
        return class_metrics(truth, scores, spec.classes)
    if spec.problem == "regression":
        return error_metrics(truth, scores)
    return binary_metrics(truth, scores, rows.column("decision").to_numpy().astype(bool))


def truth_and_scores(spec: ModelSpec, rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Joined rows as metrics take them."""
    return truth_of(rows.column(spec.label), spec), scores_in(spec, rows)


def business_value(business: BusinessMetric, labels: np.ndarray, decisions: np.ndarray) -> float:
    """What the decisions were worth, in the metric's unit, against deciding nothing (every positive missed, all else
    quiet).

    >>> prices = BusinessMetric(name="saved", unit="USD", caught=300.0, false_alarm=-75.0, missed=0.0)
    >>> business_value(prices, np.array([1, 0, 1, 0]), np.array([True, True, False, False]))
    225.0
    """
    positive = labels == 1
    caught, false_alarms = int((decisions & positive).sum()), int((decisions & ~positive).sum())
    return float(caught * (business.caught - business.missed) + false_alarms * (business.false_alarm - business.quiet))


def slices_of(spec: ModelSpec, rows: pa.Table, features: pa.Table | None) -> Iterator[tuple[str, pa.Table]]:
    """("all", all rows), then ("carrier=UA", its rows) for each value of the spec's slices with enough rows."""
    yield ALL, rows
    if features is None or not spec.slices:
        return
    columns = dict.fromkeys(("ds", *spec.entity_keys, *spec.slices))
    wide = keys.join(rows, features.select(list(columns)), spec.entity_keys, "left outer")
    for name in spec.slices:
        values = wide.column(name).cast(pa.string())
        for value in sorted(pc.unique(values.drop_null()).to_pylist()):
            part = wide.filter(pc.equal(values, value))
            if part.num_rows >= SLICE_ROWS:
                yield f"{name}={value}", part


def to_rows(ds: str, values: dict[str, dict[str, float]], sizes: dict[str, int], model_version: str) -> pa.Table:
    """The metrics table's rows of one day; `values` is slice to metric to value, `sizes` slice to rows."""
    rows = [
        {
            "ds": ds,
            "metric": metric,
            "slice": part,
            "value": float(f"{value:.12g}"),
            "rows": sizes[part],
            "model_version": model_version,
        }
        for part in sorted(values)
        for metric, value in sorted(values[part].items())
    ]
    return pa.Table.from_pylist(rows, schema=METRICS_SCHEMA)
