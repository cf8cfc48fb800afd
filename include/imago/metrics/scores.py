"""A day's metrics by problem type, on numpy alone: a daily task should not wait for scikit-learn's import.

`truth` and `scores` are as in `imago.measures`. What cannot be said (one class only, no row) is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from imago.measures import decided, metric

CALIBRATION_BINS = 10


def roc_auc_error(auc: float, positive: int, negative: int) -> float:
    """The standard error of an AUC (Hanley and McNeil 1982): what is noise when few rows are positive."""
    one, two = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    spread = auc * (1 - auc) + (positive - 1) * (one - auc * auc) + (negative - 1) * (two - auc * auc)
    return float((max(spread, 0.0) / (positive * negative)) ** 0.5)


def calibration_error(truth: np.ndarray, scores: np.ndarray) -> float:
    """Mean distance between the mean score and the rate of positives over ten bins of equal width, weighed by rows."""
    place = np.clip((scores * CALIBRATION_BINS).astype(int), 0, CALIBRATION_BINS - 1)
    promised = np.bincount(place, weights=scores, minlength=CALIBRATION_BINS)
    happened = np.bincount(place, weights=truth, minlength=CALIBRATION_BINS)
    return float(np.abs(promised - happened).sum() / max(len(truth), 1))


def binary_metrics(truth: np.ndarray, scores: np.ndarray, decisions: np.ndarray) -> dict[str, float]:
    positive = truth == 1
    caught, warned = int((decisions & positive).sum()), int(decisions.sum())
    return _known(
        {
            **_named(("roc_auc", "average_precision", "log_loss", "brier"), truth, scores),
            "calibration_error": calibration_error(truth, scores),
            "label_rate": _mean(positive),
            "mean_score": _mean(scores),
            "decision_rate": _mean(decisions),
            "precision": caught / warned if warned else np.nan,
            "recall": caught / int(positive.sum()) if positive.any() else np.nan,
        },
        truth,
    )


def class_metrics(truth: np.ndarray, scores: np.ndarray, classes: Sequence[str]) -> dict[str, float]:
    """Also the share of each class in the truth and among the decisions, and its recall."""
    place = decided(scores)
    said = _named(("accuracy", "macro_f1", "log_loss"), truth, scores)
    said["mean_score"] = _mean(scores.max(axis=1))
    for number, name in enumerate(classes):
        there = truth == number
        said[f"label_rate_{name}"] = _mean(there)
        said[f"decision_rate_{name}"] = _mean(place == number)
        said[f"recall_{name}"] = _mean(place[there] == number)
    return _known(said, truth)


def error_metrics(truth: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    return _known(
        {
            **_named(("rmse", "mae", "r2"), truth, scores),
            "mean_score": _mean(scores),
            "mean_truth": _mean(truth),
            "bias": _mean(scores - truth),
        },
        truth,
    )


def _named(names: Sequence[str], truth: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    return {name: metric(name, truth, scores) for name in names}


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _known(said: Mapping[str, float], truth: np.ndarray) -> dict[str, float]:
    return {name: value for name, value in said.items() if np.isfinite(value)} if len(truth) else {}
