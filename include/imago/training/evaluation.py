"""Metrics of a model on one part of a snapshot. Each is a plain number under the name that MLflow and the spec use."""

from __future__ import annotations

import numpy as np

from imago import measures
from imago.measures import calibration_error

METRICS = {
    "binary": ("roc_auc", "average_precision", "log_loss", "brier", "calibration_error"),
    "multiclass": ("accuracy", "macro_f1", "log_loss"),
    "regression": ("rmse", "mae", "r2"),
}


def measure(problem: str, truth: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """All metrics of a problem type."""
    return {name: metric(name, truth, scores) for name in METRICS[problem]}


def metric(name: str, truth: np.ndarray, scores: np.ndarray) -> float:
    """One metric; NaN where it is not defined (no rows, one class, scores that are not finite)."""
    if name == "calibration_error":
        return calibration_error(truth, scores) if len(truth) and np.isfinite(scores).all() else float("nan")
    return measures.metric(name, truth, scores)


def telling_columns(columns: dict[str, np.ndarray], truth: np.ndarray, beyond: float) -> dict[str, float]:
    """The columns that alone order a binary label better than the AUC `beyond`: where a leak is to be looked for.

    A text column is ordered by the share of positives of its values, as a leak would be.
    """
    found = {}
    for name, values in columns.items():
        if values.dtype == object:
            _, places = np.unique(values.astype(str), return_inverse=True)
            ordered = (np.bincount(places, weights=truth) / np.bincount(places))[places]
        else:
            ordered = np.where(np.isfinite(values), values, np.nanmin(values, initial=0.0) - 1)
        auc = metric("roc_auc", truth, ordered)
        strength = max(auc, 1 - auc)
        if strength > beyond:
            found[name] = strength
    return dict(sorted(found.items(), key=lambda item: -item[1]))
